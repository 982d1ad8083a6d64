using System.Net.Sockets;
using Google.Rpc;
using Grpc.Core;
using Hub.Protocol;
using Status = Grpc.Core.Status;

namespace Hub.Cli.Connection;

/// <summary>What a failed call means: whether to try again, and what to tell the person.</summary>
internal static class Faults
{
    private const string CutOff = "the hub cut the connection off before it answered: it resets connections when too many come at once, or it went away";
    private const string LookFirst = "it may have been done or not; look before you ask for it again";

    /// <summary>The hub's reason; null if the status carries none.</summary>
    public static string? Reason(RpcException e) => Info(e)?.Reason;

    /// <summary>A value of the reason's metadata; null if there is none.</summary>
    public static string? Detail(RpcException e, string key) =>
        Info(e) is { } info && info.Metadata.TryGetValue(key, out var value) && value.Length > 0 ? value : null;

    /// <summary>The hub's hint how long to wait; null if it gave none, at most 5 s.</summary>
    public static TimeSpan? RetryDelay(RpcException e)
    {
        var delay = e.GetRpcStatus()?.GetDetail<RetryInfo>()?.RetryDelay?.ToTimeSpan();
        return delay is null ? null : TimeSpan.FromTicks(Math.Clamp(delay.Value.Ticks, 0, TimeSpan.FromSeconds(5).Ticks));
    }

    /// <summary>The hub is there and says that it is starting, or that its store is: nothing was done.</summary>
    public static bool IsStarting(RpcException e) => Reason(e) is ErrorReasons.NotReady or ErrorReasons.StoreUnavailable;

    /// <summary>The call certainly reached no hub: no connection came about, or one over which nothing is done.</summary>
    public static bool NeverReached(RpcException e) => IsMisdialled(e) ||
        (e.StatusCode == StatusCode.Unavailable && Info(e) is null && e.Status.DebugException switch
        {
            SocketException => true,
            // No answer to the dialling, as of a machine that is off: the channel says so itself, before it sends anything.
            TimeoutException => true,
            HttpRequestException { HttpRequestError: HttpRequestError.ConnectionError or HttpRequestError.NameResolutionError or HttpRequestError.SecureConnectionError } => true,
            _ => false,
        });

    /// <summary>The hub was dialled in a way that cannot work there: not trusted, or with TLS where it has none, or without.</summary>
    public static bool IsMisdialled(RpcException e) => Info(e) is null && TransportFault.Explain(e.Status.DebugException) is not null;

    /// <summary>
    /// The connection broke before the answer: the hub resets those that get no turn when many come at once, or it went away; this
    /// side cannot tell which. Only of a call that also <see cref="NeverReached"/> it, being reset while it was still connecting, is
    /// it certain that nothing was done.
    /// </summary>
    public static bool IsCutOff(RpcException e) =>
        Info(e) is null && !IsMisdialled(e) && e.Status.DebugException is { } cause && e.StatusCode switch
        {
            StatusCode.Unavailable => !NeverReached(e) || cause.GetBaseException() is SocketException { SocketErrorCode: SocketError.ConnectionReset },
            // A connection that broke between its preface and its first call: the handler gives no cause, and the channel no better code.
            StatusCode.Internal => cause is HttpRequestException { HttpRequestError: HttpRequestError.Unknown, InnerException: null },
            _ => false,
        };

    /// <summary>What was asked was certainly not done, and may be asked again.</summary>
    public static bool NotDone(RpcException e) =>
        NeverReached(e) || IsStarting(e) || Reason(e) is ErrorReasons.NodeOffline or ErrorReasons.LimitReached;

    /// <summary>The way to the hub broke, or it is going away: a stream can be taken up again where it was.</summary>
    public static bool IsBreak(RpcException e)
    {
        if (Info(e) is { } info)
            return e.StatusCode == StatusCode.Unavailable && info.Reason != ErrorReasons.NodeOffline;
        return e.StatusCode == StatusCode.Unavailable
            // A transport fault that this side found: the hub itself never said these.
            || (e.Status.DebugException is not null && e.StatusCode is StatusCode.Internal or StatusCode.Cancelled or StatusCode.Unknown);
    }

    /// <summary>A stream ended in order before what it was for had ended; to be taken up again.</summary>
    public static RpcException EndedEarly() => new(new Status(StatusCode.Unavailable, "the hub ended the stream"));

    /// <summary>The hub of this machine does not run now: nobody was asked, and it may come back.</summary>
    public static RpcException NotThere() =>
        new(new Status(StatusCode.Unavailable, "the hub does not run", new SocketException((int)SocketError.ConnectionRefused)));

    /// <summary>No member could be reached: says which were tried; null for another failure.</summary>
    public static CliException? Unreachable(RpcException e, HubConnection connection)
    {
        if (!NeverReached(e) || IsCutOff(e))
            return null;
        if (TransportFault.Explain(e.Status.DebugException) is { } fault)
            return new CliException($"no call can be made to the hub at {connection.Endpoint}: {fault}", ExitCodes.Failure, e);
        var where = string.Join(", ", connection.Settings.Endpoints);
        var next = connection.Settings switch
        {
            { Local: not null } s => $"{Path.Combine(s.DataDirectory, LocalHub.FileName)} named it, so it has ended or is starting; start it with 'dotnet run --project src/Hub.Host'",
            _ => "start one with 'dotnet run --project src/Hub.Host', or say where it is with --hub or AKKAHUB_ADDR",
        };
        return new CliException($"no hub answers at {where}\n{next}", ExitCodes.Failure, e);
    }

    /// <summary>A call that is made at most once was cut off: says that it is not known what became of it; null for another failure.</summary>
    public static CliException? Unsure(RpcException e) =>
        IsCutOff(e) && !NeverReached(e) ? new CliException($"{CutOff}\n{LookFirst}", ExitCodes.Failure, e) : null;

    /// <summary>A failed call as a message and an exit code.</summary>
    public static (string Message, int ExitCode) Explain(RpcException e)
    {
        if (Info(e) is null && TransportFault.Explain(e.Status.DebugException) is { } fault)
            return ($"no call can be made to the hub: {fault}", ExitCodes.Failure);
        var reason = Reason(e);
        var message = IsCutOff(e) ? CutOff : e.Status.Detail.Length > 0 ? e.Status.Detail : e.StatusCode.ToString();
        var next = reason switch
        {
            ErrorReasons.TokenInvalid => "give a valid token with --token or AKKAHUB_TOKEN; on the hub's own machine run it as the user who runs the hub",
            ErrorReasons.NotAllowed => "this needs a token of another type; see 'hub token create'",
            ErrorReasons.NodeUnknown => "see 'hub get nodes'",
            ErrorReasons.NodeOffline => "see 'hub describe node' for when and why it left; its history can still be read with 'hub logs'",
            ErrorReasons.NodeDraining => "take it back with 'hub drain NODE --off'",
            ErrorReasons.NodeConnected => "add --force to end its session first",
            ErrorReasons.CapabilityMissing => "the agent was started without it; see its --allow option",
            ErrorReasons.TerminalUnknown => "see 'hub get terminals NODE'",
            ErrorReasons.TerminalClosed => "its history is still there ('hub logs'); open it anew with 'hub open'",
            ErrorReasons.CommandUnknown => "see 'hub get commands NODE'",
            ErrorReasons.CommandRunning => "end it with 'hub cancel NODE COMMAND_ID'",
            ErrorReasons.RequestIdReused => "choose another --request-id",
            ErrorReasons.LimitReached => Detail(e, "limit") is { } limit ? $"the setting {limit} bounds it" : null,
            ErrorReasons.DeliveryUnknown => "what was sent may or may not have arrived; look at 'hub logs' before sending it again",
            ErrorReasons.CursorTooOld => Detail(e, "first_available_cursor") is { } first ? $"the first cursor still available is {first}" : null,
            ErrorReasons.TokenUnknown => "see 'hub token list'",
            ErrorReasons.MemberReachable => "use 'hub cluster drain MEMBER', or add --force",
            ErrorReasons.MemberUnknown or ErrorReasons.MemberUnreachable => "see 'hub cluster show'",
            ErrorReasons.NotReady or ErrorReasons.StoreUnavailable => "try again in a moment",
            null when e.StatusCode == StatusCode.Unauthenticated => "give a token with --token or AKKAHUB_TOKEN",
            null when e.StatusCode == StatusCode.DeadlineExceeded => LookFirst,
            null when IsCutOff(e) => "try again in a moment",
            ErrorReasons.MethodUnknown => "the hub is older than this command line",
            null when e.StatusCode == StatusCode.Unimplemented => "the hub is older than this command line",
            _ => null,
        };
        var exitCode = e.StatusCode switch
        {
            StatusCode.InvalidArgument => ExitCodes.Usage,
            StatusCode.DeadlineExceeded => ExitCodes.TimedOut,
            _ => ExitCodes.Failure,
        };
        return (next is null || message.Contains(next.Replace("see ", "", StringComparison.Ordinal), StringComparison.Ordinal) ? message : $"{message}\n{next}", exitCode);
    }

    private static ErrorInfo? Info(RpcException e)
    {
        var info = e.GetRpcStatus()?.GetDetail<ErrorInfo>();
        return info is { Domain: ErrorReasons.Domain } ? info : null;
    }
}
