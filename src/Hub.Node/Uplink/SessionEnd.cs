using AkkaHub.V1;
using Google.Rpc;
using Grpc.Core;
using Hub.Protocol;

namespace Hub.Node.Uplink;

/// <summary>What an ended session means for the next dial.</summary>
internal enum Verdict
{
    /// <summary>Dial again, the next member.</summary>
    DialAgain,
    /// <summary>Dial again seldom: another live agent holds the name.</summary>
    NodeLive,
    /// <summary>Dial again seldom: the token is not accepted.</summary>
    TokenRefused,
    /// <summary>Dial again only with another token.</summary>
    TokenRevoked,
    /// <summary>Never dial again: another machine holds the name.</summary>
    NameClaimed,
    /// <summary>Never dial again: a newer session took over, or the node was forgotten.</summary>
    SentAway,
    /// <summary>The agent stops.</summary>
    Stopped,
}

/// <summary>How a session, or the attempt at one, ended.</summary>
/// <param name="Verdict">What to do now.</param>
/// <param name="Cause">In words, at most 255 characters.</param>
/// <param name="RetryAfter">The hub's hint; zero for none.</param>
/// <param name="Reason">The hub's reason, if it gave one.</param>
/// <param name="Members">The other members, if the hub named them.</param>
internal sealed record SessionEnd(Verdict Verdict, string Cause, TimeSpan RetryAfter = default, DisconnectReason Reason = DisconnectReason.Unspecified, HubMembers? Members = null)
{
    private const int MaxCause = 255;

    /// <summary>Reads the hub's last message.</summary>
    public static SessionEnd From(HubDisconnect disconnect)
    {
        var verdict = disconnect.Reason switch
        {
            DisconnectReason.Fenced or DisconnectReason.Forgotten => Verdict.SentAway,
            DisconnectReason.CredentialRevoked => Verdict.TokenRevoked,
            _ => Verdict.DialAgain,
        };
        var words = disconnect.Message.Length == 0 ? disconnect.Reason.ToString() : $"{disconnect.Reason}: {disconnect.Message}";
        return new SessionEnd(verdict, Cut(words), TimeSpan.FromMilliseconds(disconnect.RetryAfterMs), disconnect.Reason, disconnect.Members);
    }

    /// <summary>Reads a failed call.</summary>
    public static SessionEnd From(RpcException failure)
    {
        var status = failure.GetRpcStatus();
        var reason = status?.GetDetail<ErrorInfo>() is { Domain: ErrorReasons.Domain } info ? info.Reason : "";
        var retry = status?.GetDetail<RetryInfo>()?.RetryDelay?.ToTimeSpan() ?? TimeSpan.Zero;
        var verdict = (failure.StatusCode, reason) switch
        {
            (StatusCode.PermissionDenied, ErrorReasons.NameClaimed) => Verdict.NameClaimed,
            (StatusCode.AlreadyExists, ErrorReasons.NodeLive) => Verdict.NodeLive,
            (_, ErrorReasons.Fenced) => Verdict.SentAway,
            (StatusCode.Unauthenticated or StatusCode.PermissionDenied, _) => Verdict.TokenRefused,
            _ => Verdict.DialAgain,
        };
        if (TransportFault.Explain(failure.Status.DebugException) is { } fault)
            return Broken(fault);
        var words = failure.Status.Detail.Length == 0 ? failure.StatusCode.ToString() : $"{failure.StatusCode}: {failure.Status.Detail}";
        return new SessionEnd(verdict, Cut(words), retry, verdict == Verdict.SentAway ? DisconnectReason.Fenced : DisconnectReason.Unspecified);
    }

    /// <summary>The connection broke, or could not be made.</summary>
    public static SessionEnd Broken(string cause) => new(Verdict.DialAgain, Cut(cause));

    private static string Cut(string text) => text.Length <= MaxCause ? text : text[..MaxCause];
}
