namespace Hub.Actors;

/// <summary>Why a request failed. The numbers are gRPC's status codes, so that the edge translates nothing.</summary>
public enum FailureKind
{
    /// <summary>Not set.</summary>
    None = 0,
    /// <summary>A field is wrong.</summary>
    InvalidArgument = 3,
    /// <summary>No answer in time; nothing was changed.</summary>
    DeadlineExceeded = 4,
    /// <summary>No such thing.</summary>
    NotFound = 5,
    /// <summary>It is there already.</summary>
    AlreadyExists = 6,
    /// <summary>The caller may not do this.</summary>
    PermissionDenied = 7,
    /// <summary>A limit is reached.</summary>
    ResourceExhausted = 8,
    /// <summary>Not in this state.</summary>
    FailedPrecondition = 9,
    /// <summary>Broken off; what was asked may or may not have been done.</summary>
    Aborted = 10,
    /// <summary>A cursor's place is gone.</summary>
    OutOfRange = 11,
    /// <summary>Not now; try again.</summary>
    Unavailable = 14,
}

/// <summary>A request's failure, as it crosses members.</summary>
/// <param name="Kind">The status.</param>
/// <param name="Reason">One of <see cref="Hub.Protocol.ErrorReasons"/>.</param>
/// <param name="Message">In words, naming what to change.</param>
/// <param name="Detail">A metadata entry of ErrorInfo: its key, or null.</param>
/// <param name="DetailValue">The entry's value.</param>
public sealed record Failure(FailureKind Kind, string Reason, string Message, string? Detail = null, string? DetailValue = null)
{
    /// <summary>A limit of the hub's is reached.</summary>
    /// <param name="setting">Path of the setting that is the limit.</param>
    /// <param name="message">In words, naming it too.</param>
    public static Failure LimitReached(string setting, string message) =>
        new(FailureKind.ResourceExhausted, Hub.Protocol.ErrorReasons.LimitReached, message, "limit", setting);
}
