using Google.Protobuf.WellKnownTypes;
using Google.Rpc;
using Grpc.Core;
using Hub.Protocol;
using GrpcStatus = Google.Rpc.Status;

namespace Hub.Host.Services;

/// <summary>
/// Failed calls as clients get them: a gRPC status with an <c>ErrorInfo</c> (domain <see cref="ErrorReasons.Domain"/>) and, where the
/// caller should come back, a <c>RetryInfo</c>.
/// </summary>
public static class HubErrors
{
    /// <summary>Any failure.</summary>
    /// <param name="code">The status.</param>
    /// <param name="reason">One of <see cref="ErrorReasons"/>.</param>
    /// <param name="message">For people; never a secret or terminal content.</param>
    /// <param name="metadata">Details for programs.</param>
    /// <param name="retryAfter">When to come back; null to say nothing.</param>
    public static RpcException Create(StatusCode code, string reason, string message,
        IEnumerable<KeyValuePair<string, string>>? metadata = null, TimeSpan? retryAfter = null)
    {
        var info = new ErrorInfo { Reason = reason, Domain = ErrorReasons.Domain };
        foreach (var (key, value) in metadata ?? [])
            info.Metadata[key] = value;
        var status = new GrpcStatus { Code = (int)code, Message = message, Details = { Any.Pack(info) } };
        if (retryAfter is { } wait)
            status.Details.Add(Any.Pack(new RetryInfo { RetryDelay = wait.ToDuration() }));
        return status.ToRpcException();
    }

    /// <summary>A field of the request is missing, malformed or out of its bounds.</summary>
    public static RpcException InvalidField(string field, string message) =>
        Create(StatusCode.InvalidArgument, ErrorReasons.InvalidField, $"{field}: {message}", [new("field", field)]);

    /// <summary>No token, or one the hub does not know (any more).</summary>
    public static RpcException TokenInvalid(string message) => Create(StatusCode.Unauthenticated, ErrorReasons.TokenInvalid, message);

    /// <summary>The token's type does not allow the call.</summary>
    public static RpcException NotAllowed(string message) => Create(StatusCode.PermissionDenied, ErrorReasons.NotAllowed, message);

    /// <summary>The hub is starting, stopping or holding back a burst.</summary>
    public static RpcException NotReady(string message, TimeSpan retryAfter) =>
        Create(StatusCode.Unavailable, ErrorReasons.NotReady, message, retryAfter: retryAfter);

    /// <summary>The store does not answer.</summary>
    public static RpcException StoreUnavailable(string message, TimeSpan retryAfter) =>
        Create(StatusCode.Unavailable, ErrorReasons.StoreUnavailable, message, retryAfter: retryAfter);

    /// <summary>A limit is reached.</summary>
    /// <param name="limit">Path of the setting.</param>
    /// <param name="message">For people.</param>
    public static RpcException LimitReached(string limit, string message) =>
        Create(StatusCode.ResourceExhausted, ErrorReasons.LimitReached, message, [new("limit", limit)]);

    /// <summary>A fault of the hub's own. What it was stands in the log, not here: it may name what the caller may not know.</summary>
    public static RpcException Internal() =>
        Create(StatusCode.Internal, ErrorReasons.Internal, "a fault of the hub's own; its log says more");

    /// <summary>The reason in a failed call's <c>ErrorInfo</c>; null if it has none.</summary>
    public static string? ReasonOf(RpcException failure) => failure.GetRpcStatus()?.GetDetail<ErrorInfo>()?.Reason;
}
