using System.Diagnostics.Metrics;

namespace Hub.Actors.Telemetry;

/// <summary>
/// The hub's instruments, on the meter <see cref="MeterName"/>. One instance a member, shared by every actor; all members are
/// thread-safe and allocate nothing on the hot path. No node, terminal or token ever becomes an attribute: what an attribute can
/// hold is a small closed set, named at each method.
/// </summary>
public sealed class HubMetrics : IDisposable
{
    /// <summary>Name of the meter.</summary>
    public const string MeterName = "AkkaHub";

    private readonly Meter _meter;
    private readonly Counter<long> _terminalBytes;
    private readonly Counter<long> _terminalMessages;
    private readonly Histogram<double> _appendDuration;
    private readonly Histogram<long> _appendBytes;
    private readonly Histogram<int> _appendEvents;
    private readonly Histogram<double> _recoveryDuration;
    private readonly Histogram<double> _snapshotDuration;
    private readonly Counter<long> _snapshotFailures;
    private readonly Counter<long> _droppedBytes;
    private readonly Counter<long> _gaps;
    private readonly Counter<long> _acknowledgements;
    private readonly Counter<long> _acknowledgedBytes;
    private readonly Counter<long> _rewinds;
    private readonly Counter<long> _duplicateBytes;
    private readonly Counter<long> _reconnects;
    private readonly Counter<long> _transitions;
    private readonly Counter<long> _heartbeats;
    private readonly Counter<long> _sessionEnds;
    private readonly Counter<long> _attachRefusals;
    private readonly Counter<long> _persistFailures;
    private readonly Counter<long> _queueRejections;
    private readonly Counter<long> _eventsPublished;
    private readonly Counter<long> _eventsDropped;
    private readonly Histogram<int> _storeRows;
    private readonly Histogram<double> _storeCommitDuration;
    private readonly long[] _depths = new long[Enum.GetValues<HubQueue>().Length];
    private long _nodesConnected;
    private long _nodesKnown;
    private long _budgetUsed;
    private long _budgetLimit;
    private long _liveActors;
    private long _readers;
    private long _storeLogBytes;

    /// <summary>Makes the instruments.</summary>
    /// <param name="factory">Where the meter comes from, so that tests see only their own; null for a meter of its own.</param>
    public HubMetrics(IMeterFactory? factory = null)
    {
        _meter = factory?.Create(MeterName) ?? new Meter(MeterName);
        _terminalBytes = _meter.CreateCounter<long>("akkahub.terminal.io", "By", "Bytes of terminals taken in, sent to readers, or typed");
        _terminalMessages = _meter.CreateCounter<long>("akkahub.terminal.messages", "{message}", "Messages that carried them");
        _appendDuration = _meter.CreateHistogram<double>("akkahub.history.append.duration", "s", "From the write's start until it is durable");
        _appendBytes = _meter.CreateHistogram<long>("akkahub.history.append.size", "By", "Output bytes in one write of a node");
        _appendEvents = _meter.CreateHistogram<int>("akkahub.history.append.events", "{event}", "Events in one write of a node");
        _recoveryDuration = _meter.CreateHistogram<double>("akkahub.history.recovery.duration", "s", "From an actor's start until it has recovered");
        _snapshotDuration = _meter.CreateHistogram<double>("akkahub.history.snapshot.duration", "s", "From a snapshot's start until it is saved");
        _snapshotFailures = _meter.CreateCounter<long>("akkahub.history.snapshot.failures", "{snapshot}", "Snapshots that could not be saved");
        _droppedBytes = _meter.CreateCounter<long>("akkahub.history.dropped", "By", "Bytes that left a history, by cause");
        _gaps = _meter.CreateCounter<long>("akkahub.history.gaps", "{gap}", "Gap records, by cause");
        _acknowledgements = _meter.CreateCounter<long>("akkahub.acks", "{ack}", "Acknowledgements sent to nodes");
        _acknowledgedBytes = _meter.CreateCounter<long>("akkahub.acks.size", "By", "Bytes acknowledged to nodes");
        _rewinds = _meter.CreateCounter<long>("akkahub.rewinds", "{rewind}", "Rewinds asked of nodes");
        _duplicateBytes = _meter.CreateCounter<long>("akkahub.terminal.duplicate", "By", "Bytes that came again and were trimmed");
        _reconnects = _meter.CreateCounter<long>("akkahub.node.reconnects", "{session}", "Sessions of a node that was known before");
        _transitions = _meter.CreateCounter<long>("akkahub.node.transitions", "{transition}", "Changes of a node's state, by the state entered");
        _heartbeats = _meter.CreateCounter<long>("akkahub.node.heartbeats", "{beat}", "Heartbeats taken");
        _sessionEnds = _meter.CreateCounter<long>("akkahub.node.session_ends", "{session}", "Ends of sessions, by cause");
        _attachRefusals = _meter.CreateCounter<long>("akkahub.node.refusals", "{attach}", "Streams of nodes that were refused, by reason");
        _persistFailures = _meter.CreateCounter<long>("akkahub.persist.failures", "{write}", "Writes that failed, by kind of actor");
        _queueRejections = _meter.CreateCounter<long>("akkahub.queue.rejections", "{item}", "What a full queue turned away, by queue");
        _eventsPublished = _meter.CreateCounter<long>("akkahub.events.published", "{event}", "Mesh events written to the event log");
        _eventsDropped = _meter.CreateCounter<long>("akkahub.events.dropped", "{event}", "Mesh events that left the log");
        _storeRows = _meter.CreateHistogram<int>("akkahub.store.batch.rows", "{row}", "Rows in one transaction of the journal");
        _storeCommitDuration = _meter.CreateHistogram<double>("akkahub.store.commit.duration", "s", "Duration of a commit");
        _meter.CreateObservableGauge("akkahub.node.connected", () => Volatile.Read(ref _nodesConnected), "{node}", "Nodes with a stream on this member");
        _meter.CreateObservableGauge("akkahub.node.known", () => Volatile.Read(ref _nodesKnown), "{node}", "Nodes known to this member's partitions");
        _meter.CreateObservableGauge("akkahub.node.actors", () => Volatile.Read(ref _liveActors), "{actor}", "Node actors alive on this member");
        _meter.CreateObservableGauge("akkahub.readers", () => Volatile.Read(ref _readers), "{reader}", "Clients that follow a history or events");
        _meter.CreateObservableGauge("akkahub.memory.budget.used", () => Volatile.Read(ref _budgetUsed), "By", "Bytes granted out of the member's budget");
        _meter.CreateObservableGauge("akkahub.memory.budget.limit", () => Volatile.Read(ref _budgetLimit), "By", "The member's budget");
        _meter.CreateObservableGauge("akkahub.store.log.size", () => Volatile.Read(ref _storeLogBytes), "By", "What the store's write-ahead log holds");
        _meter.CreateObservableGauge("akkahub.queue.depth", ObserveDepths, "{item}", "Items in a queue");
    }

    /// <summary>Bytes of one message of a terminal or command.</summary>
    public void TerminalIo(IoDirection direction, long bytes)
    {
        var tag = new KeyValuePair<string, object?>("direction", direction switch
        {
            IoDirection.FromNode => "from_node",
            IoDirection.ToReader => "to_reader",
            _ => "input",
        });
        _terminalBytes.Add(bytes, tag);
        _terminalMessages.Add(1, tag);
    }

    /// <summary>A write of a node became durable.</summary>
    /// <param name="duration">From handing it to the journal until its callback.</param>
    /// <param name="bytes">Output bytes in it.</param>
    /// <param name="events">Events in it.</param>
    public void Appended(TimeSpan duration, long bytes, int events)
    {
        _appendDuration.Record(duration.TotalSeconds);
        _appendBytes.Record(bytes);
        _appendEvents.Record(events);
    }

    /// <summary>An actor has recovered.</summary>
    /// <param name="kind">Kind of actor: <c>node</c>, <c>membership</c>, <c>events</c> or <c>tokens</c>.</param>
    /// <param name="duration">From its start.</param>
    public void Recovered(string kind, TimeSpan duration) => _recoveryDuration.Record(duration.TotalSeconds, Tag("kind", kind));

    /// <summary>A snapshot was saved.</summary>
    public void SnapshotSaved(TimeSpan duration) => _snapshotDuration.Record(duration.TotalSeconds);

    /// <summary>A snapshot could not be saved.</summary>
    public void SnapshotFailed() => _snapshotFailures.Add(1);

    /// <summary>A write of a persistent actor failed or was rejected.</summary>
    /// <param name="kind">Kind of actor: <c>node</c>, <c>membership</c>, <c>events</c> or <c>tokens</c>.</param>
    public void PersistFailed(string kind) => _persistFailures.Add(1, Tag("kind", kind));

    /// <summary>Bytes left a history.</summary>
    /// <param name="cause"><c>evicted</c> or <c>purged</c>.</param>
    /// <param name="bytes">How many.</param>
    public void HistoryDropped(string cause, long bytes) => _droppedBytes.Add(bytes, Tag("cause", cause));

    /// <summary>A gap was recorded or shown.</summary>
    /// <param name="cause">Name of the gap's cause, such as <c>node_overflow</c>.</param>
    public void Gap(string cause) => _gaps.Add(1, Tag("cause", cause));

    /// <summary>An acknowledgement went to a node.</summary>
    /// <param name="bytes">Bytes it newly covers.</param>
    public void Acknowledged(long bytes)
    {
        _acknowledgements.Add(1);
        _acknowledgedBytes.Add(bytes);
    }

    /// <summary>A node was asked to send a stream again.</summary>
    public void RewindAsked() => _rewinds.Add(1);

    /// <summary>Bytes came that were there already.</summary>
    public void DuplicateTrimmed(long bytes) => _duplicateBytes.Add(bytes);

    /// <summary>A known node attached again.</summary>
    public void Reconnected() => _reconnects.Add(1);

    /// <summary>A node changed its state.</summary>
    /// <param name="state">State entered: <c>connecting</c>, <c>online</c>, <c>stale</c>, <c>offline</c> or <c>draining</c>.</param>
    public void Transition(string state) => _transitions.Add(1, Tag("state", state));

    /// <summary>Heartbeats came.</summary>
    public void Heartbeats(long count = 1) => _heartbeats.Add(count);

    /// <summary>A session ended.</summary>
    /// <param name="cause">One of the causes of <c>SessionEnd.cause</c>.</param>
    public void SessionEnded(string cause) => _sessionEnds.Add(1, Tag("cause", cause));

    /// <summary>A node's stream was refused.</summary>
    /// <param name="reason">One of <see cref="Hub.Protocol.ErrorReasons"/>.</param>
    public void AttachRefused(string reason) => _attachRefusals.Add(1, Tag("reason", reason));

    /// <summary>Mesh events are in the log.</summary>
    public void EventsPublished(int count) => _eventsPublished.Add(count);

    /// <summary>Mesh events left the log to make room.</summary>
    public void EventsDropped(long count) => _eventsDropped.Add(count);

    /// <summary>A transaction of the store was committed.</summary>
    /// <param name="rows">Journal rows in it; 0 for a transaction without any (snapshots, deletions, reads).</param>
    /// <param name="duration">Duration of the commit, the diagnostic delay not counted.</param>
    public void StoreCommitted(int rows, TimeSpan duration)
    {
        if (rows > 0)
            _storeRows.Record(rows);
        _storeCommitDuration.Record(duration.TotalSeconds);
    }

    /// <summary>How much the store's write-ahead log holds.</summary>
    public void StoreLogSize(long bytes) => Volatile.Write(ref _storeLogBytes, bytes);

    /// <summary>A node's stream began on this member.</summary>
    public void NodeConnected() => Interlocked.Increment(ref _nodesConnected);

    /// <summary>A node's stream ended on this member.</summary>
    public void NodeDisconnected() => Interlocked.Decrement(ref _nodesConnected);

    /// <summary>Adds to the number of nodes known to this member's partitions.</summary>
    public void NodesKnown(long delta) => Interlocked.Add(ref _nodesKnown, delta);

    /// <summary>A node actor started.</summary>
    public void NodeActorStarted() => Interlocked.Increment(ref _liveActors);

    /// <summary>A node actor stopped.</summary>
    public void NodeActorStopped() => Interlocked.Decrement(ref _liveActors);

    /// <summary>A client began to follow a history or events.</summary>
    public void ReaderStarted() => Interlocked.Increment(ref _readers);

    /// <summary>A client no longer follows.</summary>
    public void ReaderStopped() => Interlocked.Decrement(ref _readers);

    /// <summary>Sets the size of the member's memory budget, bytes.</summary>
    public void BudgetLimit(long bytes) => Volatile.Write(ref _budgetLimit, bytes);

    /// <summary>Sets how much of the member's memory budget is given out, bytes.</summary>
    public void BudgetUsed(long bytes) => Volatile.Write(ref _budgetUsed, bytes);

    /// <summary>Adds to a queue's depth, summed over all queues of its kind on this member.</summary>
    public void QueueDepth(HubQueue queue, long delta) => Interlocked.Add(ref _depths[(int)queue], delta);

    /// <summary>A full queue turned something away.</summary>
    public void QueueRejected(HubQueue queue) => _queueRejections.Add(1, Tag("queue", NameOf(queue)));

    /// <inheritdoc/>
    public void Dispose() => _meter.Dispose();

    private static KeyValuePair<string, object?> Tag(string key, string value) => new(key, value);

    private IEnumerable<Measurement<long>> ObserveDepths()
    {
        for (var i = 0; i < _depths.Length; i++)
            yield return new Measurement<long>(Volatile.Read(ref _depths[i]), Tag("queue", NameOf((HubQueue)i)));
    }

    private static string NameOf(HubQueue queue) => queue switch
    {
        HubQueue.Connections => "connections",
        HubQueue.Admission => "admission",
        HubQueue.BridgeOutbound => "bridge_outbound",
        HubQueue.BridgeInbound => "bridge_inbound",
        HubQueue.NodePending => "node_pending",
        HubQueue.NodeInputs => "node_inputs",
        HubQueue.PartitionBuffer => "partition_buffer",
        HubQueue.Readers => "readers",
        HubQueue.Events => "events",
        HubQueue.StoreReads => "store_reads",
        _ => "snapshots",
    };
}

/// <summary>Which way terminal bytes went.</summary>
public enum IoDirection
{
    /// <summary>Output that came from a node.</summary>
    FromNode,
    /// <summary>Output that went to a reader.</summary>
    ToReader,
    /// <summary>What was typed, on its way to a node.</summary>
    Input,
}

/// <summary>The hub's bounded queues.</summary>
public enum HubQueue
{
    /// <summary>Connections that wait to be greeted.</summary>
    Connections,
    /// <summary>Node streams that wait to be let in.</summary>
    Admission,
    /// <summary>Messages waiting to be written to node streams.</summary>
    BridgeOutbound,
    /// <summary>Messages of node streams that were read and not dealt with yet.</summary>
    BridgeInbound,
    /// <summary>Bytes of nodes, output and all else, that wait for the write under way.</summary>
    NodePending,
    /// <summary>Inputs and other requests whose answer a node still owes.</summary>
    NodeInputs,
    /// <summary>Messages kept by partitions for node actors being made, or until they know their nodes.</summary>
    PartitionBuffer,
    /// <summary>Readers waiting for output.</summary>
    Readers,
    /// <summary>Mesh events waiting for watchers.</summary>
    Events,
    /// <summary>Questions of recoveries to the embedded store, waiting for a connection.</summary>
    StoreReads,
    /// <summary>Snapshots and deletions waiting for their turn.</summary>
    Snapshots,
}
