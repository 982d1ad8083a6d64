using AkkaHub.V1;
using Google.Rpc;
using Grpc.Core;

namespace Hub.Load.Nodes;

/// <summary>Why a session of a simulated node ended, and whether and when to come back.</summary>
/// <param name="Why">Status and reason, without anything that differs from node to node.</param>
/// <param name="RetryHint">The least the hub asks to wait.</param>
/// <param name="IsFinal">The node is not to dial again.</param>
/// <param name="IsDrain">The member sends its nodes to others.</param>
public sealed record SessionEnding(string Why, TimeSpan? RetryHint = null, bool IsFinal = false, bool IsDrain = false)
{
    /// <summary>An ending in the hub's words.</summary>
    public static SessionEnding Of(HubDisconnect disconnect) => new(
        "disconnect " + disconnect.Reason,
        disconnect.RetryAfterMs > 0 ? TimeSpan.FromMilliseconds(disconnect.RetryAfterMs) : null,
        disconnect.Reason is DisconnectReason.Fenced or DisconnectReason.Forgotten or DisconnectReason.CredentialRevoked,
        disconnect.Reason == DisconnectReason.Drain);

    /// <summary>An ending by a failed call.</summary>
    public static SessionEnding Of(Exception e)
    {
        if (e is not RpcException rpc)
            return new SessionEnding(e.GetType().Name);
        var details = rpc.GetRpcStatus();
        var reason = details?.GetDetail<ErrorInfo>()?.Reason;
        var hint = details?.GetDetail<RetryInfo>()?.RetryDelay?.ToTimeSpan();
        // Without a reason the failure is the transport's, not the hub's word: connection refused, reset, time-out.
        return new SessionEnding($"{rpc.StatusCode} {reason ?? Transport(rpc)}", hint);
    }

    // Unavailable is a connection refused or reset, whatever the words; any other status is worth telling apart.
    private static string Transport(RpcException rpc)
    {
        if (rpc.StatusCode == StatusCode.Unavailable)
            return "(transport)";
        var detail = rpc.Status.DebugException?.GetBaseException().Message ?? rpc.Status.Detail;
        return $"(transport: {(detail.Length > 120 ? detail[..120] : detail)})";
    }
}
