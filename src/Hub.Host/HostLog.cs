using Hub.Host.Auth;

namespace Hub.Host;

/// <summary>What the server logs. Event ids 1000 to 1999 are its own (the actors have 2000 to 2999); never a secret, never terminal content.</summary>
internal static partial class HostLog
{
    [LoggerMessage(1000, LogLevel.Information, "Starting version {Version} (pid {Pid}) on data directory {DataDirectory}")]
    public static partial void Starting(this ILogger log, string version, int pid, string dataDirectory);

    [LoggerMessage(1001, LogLevel.Information, "Listening: gRPC {Grpc}, HTTP {Http}, members {Member}")]
    public static partial void Listening(this ILogger log, string grpc, string http, string member);

    [LoggerMessage(1002, LogLevel.Information, "Ready after {Seconds:0.00} s")]
    public static partial void Ready(this ILogger log, double seconds);

    [LoggerMessage(1003, LogLevel.Warning, "No longer ready: {Reasons}")]
    public static partial void NotReady(this ILogger log, string reasons);

    [LoggerMessage(1004, LogLevel.Information, "Stopping ({Cause})")]
    public static partial void Stopping(this ILogger log, string cause);

    [LoggerMessage(1005, LogLevel.Information, "{Count} streams had not ended by themselves and were ended")]
    public static partial void StreamsEnded(this ILogger log, int count);

    [LoggerMessage(1147, LogLevel.Information, "{Count} partition(s) had not moved to other members within the {Seconds:F0} s there are, and leave with this one")]
    public static partial void PartitionsNotMoved(this ILogger log, int count, double seconds);

    [LoggerMessage(1006, LogLevel.Information, "Stopped")]
    public static partial void Stopped(this ILogger log);

    [LoggerMessage(1007, LogLevel.Error, "The actor system ended without being asked to; the hub stops")]
    public static partial void ActorSystemEnded(this ILogger log);

    [LoggerMessage(1008, LogLevel.Error, "The hub failed")]
    public static partial void Failed(this ILogger log, Exception cause);

    [LoggerMessage(1010, LogLevel.Information, "Store is new ({Path})")]
    public static partial void StoreCreated(this ILogger log, string path);

    [LoggerMessage(1011, LogLevel.Information, "Store checked: {Path}, {Bytes} bytes")]
    public static partial void StoreChecked(this ILogger log, string path, long bytes);

    [LoggerMessage(1012, LogLevel.Information, "Store opened: {Path}, {Bytes} bytes; too large to search for corruption at start (akkahub.store.check-max-size)")]
    public static partial void StoreNotSearched(this ILogger log, string path, long bytes);

    [LoggerMessage(1016, LogLevel.Error, "The cluster went on without this member, which stopped; it is to be started again")]
    public static partial void Downed(this ILogger log);

    [LoggerMessage(1017, LogLevel.Warning, "Two seeds: when two members lose sight of each other only the one with the lower address goes on, and when that one hangs, or its machine is lost, the other stops, too. Only a process that has ended costs nothing. Use three or more")]
    public static partial void TwoMembers(this ILogger log);

    [LoggerMessage(1014, LogLevel.Information, "Store opened: {Store}")]
    public static partial void StoreOpened(this ILogger log, string store);

    [LoggerMessage(1015, LogLevel.Critical, "This hub was fenced: others have taken the store over and it takes no more of this one's writes. This one stops")]
    public static partial void StoreLost(this ILogger log);

    [LoggerMessage(1018, LogLevel.Error, "No longer part of the cluster: {Why}. Stops serving at once")]
    public static partial void Expelled(this ILogger log, string why);

    [LoggerMessage(1019, LogLevel.Warning, "Could not fence itself in the store, which is left to the others: {Reason}")]
    public static partial void NotResigned(this ILogger log, string reason);

    [LoggerMessage(1013, LogLevel.Warning, "Diagnostics are on: commits are delayed by {Delay} and wait while '{StallFile}' exists")]
    public static partial void DiagnosticsOn(this ILogger log, TimeSpan delay, string stallFile);

    // Debug: anybody who can reach the port could fill the log with these.
    [LoggerMessage(1020, LogLevel.Debug, "Refused {Method} from {Peer}: no valid token")]
    public static partial void Unauthenticated(this ILogger log, string method, string peer);

    [LoggerMessage(1021, LogLevel.Debug, "Refused {Method}: not allowed to {Kind} token {TokenId}")]
    public static partial void NotAllowed(this ILogger log, string method, PrincipalKinds kind, string tokenId);

    [LoggerMessage(1022, LogLevel.Information, "Token {TokenId} made ({Type}), valid until {ExpireTime}")]
    public static partial void TokenCreated(this ILogger log, string tokenId, AkkaHub.V1.TokenType type, string expireTime);

    [LoggerMessage(1023, LogLevel.Information, "Token {TokenId} revoked")]
    public static partial void TokenRevoked(this ILogger log, string tokenId);

    [LoggerMessage(1024, LogLevel.Error, "{Method} failed, which is a fault of the hub's own")]
    public static partial void CallFailed(this ILogger log, string method, Exception cause);

    [LoggerMessage(1030, LogLevel.Information, "Local node runs already (pid {Pid})")]
    public static partial void LocalNodeFound(this ILogger log, int pid);

    [LoggerMessage(1031, LogLevel.Information, "Local node started")]
    public static partial void LocalNodeStarted(this ILogger log);

    [LoggerMessage(1032, LogLevel.Warning, "Local node could not be started: {Problem}; tried again in {Wait}")]
    public static partial void LocalNodeFailed(this ILogger log, string problem, TimeSpan wait);

    [LoggerMessage(1033, LogLevel.Warning, "Local node ended; started again in {Wait}")]
    public static partial void LocalNodeEnded(this ILogger log, TimeSpan wait);

    [LoggerMessage(1034, LogLevel.Information, "Local node (pid {Pid}) ended at the hub's stop")]
    public static partial void LocalNodeStopped(this ILogger log, int pid);

    [LoggerMessage(1035, LogLevel.Warning, "Local node (pid {Pid}) did not end in time and goes on")]
    public static partial void LocalNodeGoesOn(this ILogger log, int pid);

    [LoggerMessage(1036, LogLevel.Warning, "Local node was just being launched, which took too long; it may come and go on")]
    public static partial void LocalNodeLaunchAbandoned(this ILogger log);

    [LoggerMessage(1037, LogLevel.Warning, "Local node could not be ended; it may go on")]
    public static partial void LocalNodeNotEnded(this ILogger log, Exception cause);

    [LoggerMessage(1140, LogLevel.Warning, "Callers need no token (akkahub.auth = off): everybody who can reach the hub on this machine counts as its owner")]
    public static partial void AuthOff(this ILogger log);

    [LoggerMessage(1141, LogLevel.Information, "The listeners' certificate was read again: {Subject}, valid until {NotAfter:u}. New connections are shown it")]
    public static partial void CertificateRenewed(this ILogger log, string subject, DateTime notAfter);

    [LoggerMessage(1142, LogLevel.Warning, "The listeners' certificate has changed and cannot be used: {Problem}. The one before is shown on, valid until {NotAfter:u}")]
    public static partial void CertificateKept(this ILogger log, string problem, DateTime notAfter);

    [LoggerMessage(1143, LogLevel.Warning, "The listeners' certificate (akkahub.tls.certificate) ends at {NotAfter:u}, {Days} days from now. Put a new one in its place; it is read without a restart")]
    public static partial void ListenerCertificateEnds(this ILogger log, DateTime notAfter, int days);

    [LoggerMessage(1144, LogLevel.Warning, "This member's certificate (akkahub.remote.certificate) ends at {NotAfter:u}, {Days} days from now; then no other member can reach it anew. It is read at start only: put a new one in its place and restart the members one after the other")]
    public static partial void MemberCertificateEnds(this ILogger log, DateTime notAfter, int days);

    [LoggerMessage(1146, LogLevel.Warning, "{Problem}. This member goes on; it tries again as long as the other is one of its cluster")]
    public static partial void HandshakeFailed(this ILogger log, string problem);

    [LoggerMessage(1145, LogLevel.Warning, "The listeners' new certificate is shown, but the one before may still be named: {Problem}. That is tried again")]
    public static partial void CertificateNotTold(this ILogger log, string problem);
}
