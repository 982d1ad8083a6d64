using Microsoft.Extensions.Logging;

namespace Hub.Actors.Telemetry;

/// <summary>What the actors log, with event ids 2000 to 2999. Transitions once each; never terminal content, never a secret, no line per message or heartbeat.</summary>
internal static partial class HubLog
{
    [LoggerMessage(2001, LogLevel.Information, "Node {Node}: session {Epoch} began with {Streams} stream(s)")]
    public static partial void SessionOpened(ILogger log, string node, long epoch, int streams);

    [LoggerMessage(2002, LogLevel.Information, "Node {Node}: session {Epoch} ended, {Cause}: {Reason}")]
    public static partial void SessionClosed(ILogger log, string node, long epoch, string cause, string reason);

    [LoggerMessage(2003, LogLevel.Warning, "Node {Node}: a write failed at sequence number {SequenceNr}; the node's actor restarts")]
    public static partial void PersistFailed(ILogger log, string node, long sequenceNr, Exception cause);

    [LoggerMessage(2004, LogLevel.Error, "Node {Node}: recovery failed; it is tried again")]
    public static partial void RecoveryFailed(ILogger log, string node, Exception cause);

    [LoggerMessage(2005, LogLevel.Warning, "Node {Node}: a snapshot could not be saved; the journal grows until the next one")]
    public static partial void SnapshotFailed(ILogger log, string node, Exception cause);

    [LoggerMessage(2006, LogLevel.Warning, "Node {Node}: old journal rows or snapshots could not be deleted; the next snapshot tries again")]
    public static partial void DeleteFailed(ILogger log, string node, Exception cause);

    [LoggerMessage(2007, LogLevel.Warning, "Node {Node}: a terminal was refused, the node has {Limit} already")]
    public static partial void TerminalRefused(ILogger log, string node, int limit);

    [LoggerMessage(2008, LogLevel.Warning, "Node {Node}: bytes {From} to {To} of '{Stream}' are lost, the node's buffer overflowed")]
    public static partial void GapRecorded(ILogger log, string node, string stream, long from, long to);

    [LoggerMessage(2101, LogLevel.Information, "Node {Node} is {State}: {Reason}")]
    public static partial void NodeState(ILogger log, string node, string state, string reason);

    [LoggerMessage(2102, LogLevel.Warning, "Partition {Partition}: the actor of node {Node} stopped, made again in {Delay}")]
    public static partial void NodeActorStopped(ILogger log, int partition, string node, TimeSpan delay);

    [LoggerMessage(2103, LogLevel.Information, "Partition {Partition} is ready with {Nodes} node(s)")]
    public static partial void PartitionReady(ILogger log, int partition, int nodes);

    [LoggerMessage(2104, LogLevel.Error, "Partition {Partition}: its list of nodes could not be written or read; it is tried again once the store answers")]
    public static partial void MembershipFailed(ILogger log, int partition);

    [LoggerMessage(2114, LogLevel.Error, "Partition {Partition}: its event log could not be written or read; it is tried again once the store answers: {Cause}")]
    public static partial void EventLogFailed(ILogger log, int partition, string cause);

    [LoggerMessage(2105, LogLevel.Information, "All {Partitions} partitions answer")]
    public static partial void AllPartitionsReady(ILogger log, int partitions);

    [LoggerMessage(2106, LogLevel.Information, "Member {Uid} of the store was downed and is fenced")]
    public static partial void MemberFenced(ILogger log, int uid);

    [LoggerMessage(2107, LogLevel.Warning, "Member {Uid} of the store was downed and could not be fenced yet; partitions wait for it: {Reason}")]
    public static partial void MemberNotFenced(ILogger log, int uid, string reason);

    [LoggerMessage(2108, LogLevel.Warning, "Member {Uid} of the store is not of this cluster and is fenced")]
    public static partial void StrayFenced(ILogger log, int uid);

    [LoggerMessage(2109, LogLevel.Information, "Partitions wait for member(s) {Uids} of the store: of this cluster and without a session, or not of it and alive")]
    public static partial void PartitionsWaitForMembers(ILogger log, string uids);

    [LoggerMessage(2115, LogLevel.Warning, "Member {Address} has died: it cannot be reached and its session in the store has ended; its nodes go on elsewhere")]
    public static partial void MemberDead(ILogger log, string address);

    [LoggerMessage(2110, LogLevel.Information, "Forms a new cluster: no other lives on the store")]
    public static partial void ClusterFormed(ILogger log);

    [LoggerMessage(2111, LogLevel.Warning, "Not in a cluster yet: {Waits}")]
    public static partial void WaitsForCluster(ILogger log, string waits);

    [LoggerMessage(2112, LogLevel.Error, "Partition {Partition} has to move, and after {Limit} a write of it has not ended that might land behind its successor; this member leaves")]
    public static partial void HandOffStuck(ILogger log, int partition, TimeSpan limit);

    [LoggerMessage(2113, LogLevel.Warning, "Partition {Partition}: somebody else has written '{PersistenceId}'; it is left alone for {Delay}, until only one of the two is of the cluster")]
    public static partial void WriterConflict(ILogger log, int partition, string persistenceId, TimeSpan delay);

    [LoggerMessage(2151, LogLevel.Information, "All members read forms of version {Version}, which may be written from now on")]
    public static partial void WireVersion(ILogger log, int version);

    [LoggerMessage(2152, LogLevel.Warning, "The store could not be told that forms of version {Version} may be in it; they wait for that: {Reason}")]
    public static partial void WireNotRecorded(ILogger log, int version, string reason);

    [LoggerMessage(2153, LogLevel.Information, "Moving {Streams} node stream(s) to {Members} other member(s) within {Within}")]
    public static partial void MovingStreams(ILogger log, int streams, int members, TimeSpan within);

    [LoggerMessage(2201, LogLevel.Warning, "The store does not answer; nodes are held back until it does")]
    public static partial void StoreDown(ILogger log, Exception? cause);

    [LoggerMessage(2202, LogLevel.Information, "The store answers again")]
    public static partial void StoreUp(ILogger log);

    [LoggerMessage(2301, LogLevel.Information, "In the last {Interval}: {Heartbeats} heartbeats of {Streams} node stream(s)")]
    public static partial void HeartbeatSummary(ILogger log, TimeSpan interval, long heartbeats, int streams);

    [LoggerMessage(2303, LogLevel.Debug, "Node {Node} says hello, connected {Reconnects} time(s) before, its clock {Skew} from the hub's; its last connection ended: {LastDisconnect}")]
    public static partial void HelloTaken(ILogger log, string node, uint reconnects, TimeSpan skew, string lastDisconnect);

    [LoggerMessage(2302, LogLevel.Warning, "Node {Node} broke the protocol: {Reason}")]
    public static partial void ProtocolError(ILogger log, string node, string reason);
}
