using System.Diagnostics;
using Akka.Actor;
using Akka.Persistence;
using AkkaHub.Internal.V1;
using AkkaHub.V1;
using Hub.Actors.Registry;
using Hub.Actors.Store;
using Hub.Actors.Telemetry;
using Hub.Protocol;

namespace Hub.Actors.Nodes;

/// <summary>
/// Owns one node: the only writer of its journal. What arrives is checked, queued and written with one write in flight; only
/// from that write's callback does it apply, acknowledge, answer and wake readers, so that whatever anyone was told is durable.
/// A failed write stops it; its partition makes it again and the bridge attaches anew. This part is its life and the
/// write; the others are attaching, the session, requests, commands, readers and snapshots. It is long because the order of
/// recovery, write, apply and stop is one thing.
/// </summary>
public sealed partial class NodeActor : UntypedPersistentActor, IWithTimers
{
    // Of mesh events while their log cannot be written; the log of the same store seldom fails alone.
    private const int MaxUntoldFacts = 1024;
    private static readonly TimeSpan TickInterval = TimeSpan.FromSeconds(1);

    private sealed record Tick
    {
        public static readonly Tick Instance = new();
    }

    private sealed record Housekeeping
    {
        public static readonly Housekeeping Instance = new();
    }

    private readonly string _node;
    private readonly HubRuntime _hub;
    private readonly IActorRef _snapshots;
    private readonly PendingEvents _pending;
    private readonly NodeReaders _readers;
    private readonly NodeRequests _requests;
    private readonly CallerHolds _holds;
    private readonly UntoldFacts _untold;
    private readonly HashSet<string> _touched = new(StringComparer.Ordinal);
    private readonly double _snapshotJitter;
    private readonly long _started = Stopwatch.GetTimestamp();
    private NodeState _state;
    private NodeSession? _session;
    private List<PendingRow> _inFlight = [];
    private int _inFlightDone;
    private long _inFlightFactBytes;
    private bool _writing;
    private long _writeStarted;
    private long _journaledBytes;
    private bool _stopping;
    private NodeStatus _listedAs = NodeStatus.Connecting;

    /// <summary>Makes the actor of one node.</summary>
    public NodeActor(string node, HubRuntime hub, IActorRef snapshots)
    {
        _node = node;
        _hub = hub;
        _snapshots = snapshots;
        _state = new NodeState(hub.Settings);
        _pending = new PendingEvents(hub.Settings.Flow.MaxEventBytes);
        _holds = new CallerHolds(hub.Settings.Commands.TailBytes);
        _untold = new UntoldFacts(node, MaxUntoldFacts);
        _readers = new NodeReaders(hub.Settings.Terminals.MaxWaitingReaders);
        _requests = new NodeRequests(hub.Settings.Terminals.MaxPendingInputs);
        // Different for each node but not random, so that nodes of the same traffic do not all reach their snapshot together.
        _snapshotJitter = 1 + StableHash.Of(node) % 1000 / 2000.0;
    }

    /// <summary>Its persistence id.</summary>
    public override string PersistenceId => PersistenceIdOf(_node);

    /// <inheritdoc/>
    public ITimerScheduler Timers { get; set; } = null!;

    /// <summary>The persistence id of a node. Never changes: stored data is found by it.</summary>
    public static string PersistenceIdOf(string node) => "node-" + node;

    /// <summary>Makes it.</summary>
    public static Props Props(string node, HubRuntime hub, IActorRef snapshots) =>
        Akka.Actor.Props.Create(() => new NodeActor(node, hub, snapshots));

    /// <inheritdoc/>
    protected override void OnRecover(object message)
    {
        switch (message)
        {
            case SnapshotOffer offer:
                var snapshot = (NodeSnapshot)offer.Snapshot;
                _state = NodeState.Restore(snapshot, _hub.Settings);
                // Whether that was done is not known, and doing it twice does no harm.
                _deletionOwed = snapshot.DeletionOwed;
                _untold.Restore(snapshot.Untold);
                _previousSnapshot = offer.Metadata.SequenceNr;
                break;
            case NodeEvents row:
                _untold.Confirm(row.ToldThrough);
                foreach (var e in row.Events)
                {
                    Note(e, row.TimeUnixUs);
                    _state.Apply(e);
                    // Whether the snapshot that forgets the bytes was saved is not known: another is due.
                    _purged |= e.EventCase == NodeEvent.EventOneofCase.TerminalPurged;
                }

                _journaledBytes += row.CalculateSize();
                break;
            case RecoveryCompleted:
                _sessionOpen = _state.SessionOpen;
                _lastInstance = _state.Session?.InstanceId;
                _claim = _state.ClaimHash;
                _epoch = _state.Session?.Epoch ?? 0;
                _hub.Metrics.Recovered("node", Stopwatch.GetElapsedTime(_started));
                Timers.StartPeriodicTimer(Housekeeping.Instance, Housekeeping.Instance, TimeSpan.FromMinutes(10));
                Context.SetReceiveTimeout(_hub.Settings.Registry.PassivateAfter);
                TellUntold();
                Context.Parent.Tell(new NodeRecovered(_node, _state is { ClaimHash: null, Session: not null }));
                ConsiderSnapshot();
                break;
        }
    }

    /// <inheritdoc/>
    protected override void OnCommand(object message)
    {
        switch (message)
        {
            case FromNode m when m.Epoch == _session?.Epoch:
                OnFromNode(_session, m.Message);
                break;
            case FromNode:
                break;
            case NodeRequest m:
                OnRequest(m.Request, m.Caller);
                break;
            case Attach m:
                OnAttach(m);
                break;
            case LivenessReport m when m.Epoch == _session?.Epoch:
                if (m.State != NodeStatus.Stale)
                    _session.Draining = m.State == NodeStatus.Draining;
                Context.Parent.Tell(new NodeLiveness(_node, m));
                break;
            case Detach m when m.Epoch == _session?.Epoch:
                EndSession(m.Cause, m.Message, m.Unacknowledged);
                break;
            case Terminated m when m.ActorRef.Equals(_session?.Bridge):
                EndSession("stream-broken", "The member that carried the stream is gone.", 0);
                break;
            case SnapshotPermit:
                OnSnapshotPermit();
                break;
            case SaveSnapshotSuccess m:
                OnSnapshotSaved(m.Metadata.SequenceNr);
                break;
            case SaveSnapshotFailure m:
                _hub.Metrics.SnapshotFailed();
                HubLog.SnapshotFailed(_hub.Log, _node, m.Cause);
                AbandonErase();
                EndSnapshot();
                // Purged bytes are still stored: tried again after the next write or housekeeping, not at once and for ever.
                _purged |= _purgedAtSave;
                break;
            case DeleteMessagesSuccess or DeleteSnapshotsSuccess:
                OnDeleted(null);
                break;
            case DeleteMessagesFailure m:
                OnDeleted(m.Cause);
                break;
            case DeleteSnapshotsFailure m:
                OnDeleted(m.Cause);
                break;
            case Tick:
                OnTick();
                break;
            case Housekeeping:
                DropOldCommands();
                Flush();
                ConsiderSnapshot();
                break;
            case ReceiveTimeout:
                if (IsIdle)
                    Context.Parent.Tell(new NodeIdle(_node));
                break;
            case NodeListed m:
                _listedAs = m.State;
                break;
            case NodeToldWritten m:
                _untold.Confirm(m.Number);
                ContinueErase();
                break;
            case TellUntoldFacts:
                TellUntold();
                break;
            case StopNode m:
                OnStop(m);
                break;
            case EraseNode m:
                OnErase(m);
                break;
            case FinishErase when _eraseStage == EraseStage.None:
                _eraseStage = EraseStage.Forgotten;
                ContinueErase();
                break;
        }
    }

    /// <inheritdoc/>
    protected override void OnPersistFailure(Exception cause, object @event, long sequenceNr)
    {
        _hub.Metrics.PersistFailed("node");
        HubLog.PersistFailed(_hub.Log, _node, sequenceNr, cause);
        Context.Parent.Tell(new NodeStoreFailed(_node, cause));
    }

    /// <inheritdoc/>
    protected override void OnPersistRejected(Exception cause, object @event, long sequenceNr)
    {
        // A rejected event is not in the journal while later ones may be: going on would acknowledge what is not there.
        OnPersistFailure(cause, @event, sequenceNr);
        Context.Stop(Self);
    }

    /// <inheritdoc/>
    protected override void OnRecoveryFailure(Exception reason, object? message = null)
    {
        HubLog.RecoveryFailed(_hub.Log, _node, reason);
        Context.Parent.Tell(new NodeStoreFailed(_node, reason));
    }

    /// <inheritdoc/>
    protected override void PreStart()
    {
        _hub.Metrics.NodeActorStarted();
        base.PreStart();
    }

    /// <inheritdoc/>
    protected override void PostStop()
    {
        _hub.Metrics.NodeActorStopped();
        _hub.Metrics.QueueDepth(HubQueue.NodePending, -_pendingReported);
        _requests.Break("the node's actor was restarted");
        foreach (var reader in _readers.TakeAll())
            reader.Asker.Tell(new NodeFailure(Ending));
        BreakOpening();
        // In whichever of its writes this ends: its bridge does not watch this actor yet.
        _attaching?.Bridge.Tell(new AttachRefused(Ending));
        // What of the write in flight is applied already was answered from its callback.
        foreach (var row in _inFlight.Skip(_inFlightDone).Concat(_pending.Take(long.MaxValue)))
            row.Dropped?.ForEach(drop => drop());
        if (_snapshotStage != SnapshotStage.None)
            _snapshots.Tell(new SnapshotDone(Self));
        base.PostStop();
    }

    // Why nothing was done of what this actor still had to do.
    private Failure Ending => _stopping ? Moving : Restarting;

    private static Failure Restarting { get; } =
        new(FailureKind.Unavailable, ErrorReasons.StoreUnavailable, "The node's actor is being restarted; try again in a moment.");

    private static Failure Moving { get; } =
        new(FailureKind.Unavailable, ErrorReasons.NotReady, "The node is moving to another member, or the hub stops; try again in a moment.");

    private bool IsIdle => _session is null && _attaching is null && !_writing && _pending.IsEmpty && _readers.Count == 0 && _requests.Count == 0 && _awaitingOpenCount == 0
        && _snapshotStage == SnapshotStage.None && _eraseStage == EraseStage.None && _untold.Newest is null;

    private long _pendingReported;
    private readonly uint _writer = RowWriter.New();

    // What is written now counts in: it is held until it is durable. Clients get half, so that what they ask for never makes
    // a node seem to say too much.
    private bool IsFull => _pending.FactBytes + _inFlightFactBytes >= _hub.Settings.Flow.MaxPendingFactBytes;
    private bool IsFullForClients => _pending.FactBytes + _inFlightFactBytes >= _hub.Settings.Flow.MaxPendingFactBytes / 2;

    /// <summary>Starts the next write unless one is under way: no timer, what has gathered meanwhile is the batch.</summary>
    private void Flush()
    {
        if (_writing || _pending.IsEmpty)
        {
            ReportPending();
            return;
        }

        _inFlight = _pending.Take(_hub.Settings.Flow.MaxWriteBytes);
        _inFlightDone = 0;
        _inFlightFactBytes = _inFlight.Sum(r => r.FactBytes);
        foreach (var row in _inFlight)
        {
            row.Events.Writer = _writer;
            if (row.FactBytes == 0)
                continue;
            row.Events.TimeUnixUs = _hub.NowUnixUs();
            row.Events.ToldThrough = _untold.ToldThrough;
        }

        _writing = true;
        _writeStarted = Stopwatch.GetTimestamp();
        ReportPending();
        if (_inFlight.Count == 1)
            PersistAsync(_inFlight[0].Events, OnDurable);
        else
            PersistAllAsync(_inFlight.Select(r => r.Events), OnDurable);
    }

    private void ReportPending()
    {
        var pending = _pending.Bytes + _pending.FactBytes;
        _hub.Metrics.QueueDepth(HubQueue.NodePending, pending - _pendingReported);
        _pendingReported = pending;
    }

    private void OnDurable(NodeEvents events)
    {
        var row = _inFlight[_inFlightDone];
        var told = false;
        foreach (var e in events.Events)
        {
            told |= Note(e, events.TimeUnixUs);
            Apply(e);
        }

        // Before anything else that follows from the row, so that the mesh hears it in order.
        if (told)
            Context.Parent.Tell(new NodeTold(_node, _untold.BeforeNewest, _untold.Newest!));
        _journaledBytes += events.CalculateSize();
        row.Durable?.ForEach(done => done());
        if (++_inFlightDone < _inFlight.Count)
            return;

        _hub.Metrics.Appended(Stopwatch.GetElapsedTime(_writeStarted), _inFlight.Sum(r => r.OutputBytes), _inFlight.Sum(r => r.Events.Events.Count));
        _inFlight = [];
        _inFlightFactBytes = 0;
        _writing = false;
        ReportProgress();
        WakeReaders();
        Flush();
        if (_stopping && !_writing)
        {
            Context.Stop(Self);
            return;
        }

        ConsiderSnapshot();
    }

    private bool Note(NodeEvent e, long unixUs) =>
        unixUs != 0 && NodeFacts.Of(_node, _state, e, unixUs) is { } fact && _untold.Add(LastSequenceNr, fact);

    private void TellUntold()
    {
        var after = 0L;
        foreach (var row in _untold.Rows)
        {
            Context.Parent.Tell(new NodeTold(_node, after, row));
            after = row.Number;
        }
    }

    private void Apply(NodeEvent e)
    {
        var history = e.EventCase switch
        {
            NodeEvent.EventOneofCase.Output => _state.FindLive(History.IncarnationId.From(e.Output.Incarnation)),
            NodeEvent.EventOneofCase.Closed => _state.FindLive(History.IncarnationId.From(e.Closed.Incarnation)),
            _ => null,
        };
        var evicted = history?.EvictedBytes ?? 0;
        _state.Apply(e);
        switch (e.EventCase)
        {
            case NodeEvent.EventOneofCase.Output:
                if (history!.EvictedBytes > evicted)
                    _hub.Metrics.HistoryDropped("evicted", history.EvictedBytes - evicted);
                Advance(e.Output.Incarnation, history);
                break;
            case NodeEvent.EventOneofCase.Gap:
                _hub.Metrics.Gap(e.Gap.Cause.ToString());
                Advance(e.Gap.Incarnation, _state.FindLive(History.IncarnationId.From(e.Gap.Incarnation)));
                break;
            case NodeEvent.EventOneofCase.Resized:
                Advance(e.Resized.Incarnation, _state.FindLive(History.IncarnationId.From(e.Resized.Incarnation)));
                break;
            case NodeEvent.EventOneofCase.StreamOpened:
                _touched.Add(e.StreamOpened.Name);
                break;
            case NodeEvent.EventOneofCase.Closed:
                _touched.Add(history!.Name);
                break;
            case NodeEvent.EventOneofCase.TerminalPurged:
                _touched.Add(e.TerminalPurged.Name);
                break;
            case NodeEvent.EventOneofCase.CommandDropped:
                _touched.Add(Names.CommandStream(e.CommandDropped.CommandId));
                break;
            case NodeEvent.EventOneofCase.CommandFinished:
                _touched.Add(Names.CommandStream(e.CommandFinished.CommandId));
                break;
        }
    }

    private void Advance(Google.Protobuf.ByteString incarnation, History.TerminalHistory? history)
    {
        if (history is null)
            return;
        _touched.Add(history.Name);
        if (_session?.Find(History.IncarnationId.From(incarnation)) is { } link)
        {
            _hub.Metrics.Acknowledged(history.Newest!.EndOffset - link.Durable);
            link.Durable = history.Newest!.EndOffset;
            _session.Touch(link);
        }
    }

    private void OnTick()
    {
        var now = _hub.ElapsedUs();
        _requests.Expire(now);
        foreach (var (_, reader) in _readers.TakeExpired(now))
            AnswerRead(reader.Asker, reader.Request, mayWait: false);
        ExpireOpening(now);
        foreach (var stream in _holds.Expire(now))
            OnHoldChanged(stream);
        if (_requests.Count == 0 && _readers.Count == 0 && _awaitingOpenCount == 0 && _holds.Count == 0)
            Timers.Cancel(Tick.Instance);
    }

    private void ArmTick()
    {
        if (!Timers.IsTimerActive(Tick.Instance))
            Timers.StartPeriodicTimer(Tick.Instance, Tick.Instance, TickInterval);
    }

    private void OnStop(StopNode m)
    {
        if (!m.Force && !IsIdle)
        {
            Context.Parent.Tell(new NodeBusy(_node));
            return;
        }

        if (_session is { } session)
            session.Bridge.Tell(new SessionEnded(session.Epoch, DisconnectReason.HubStopping, "The hub stops."));
        EndSession("hub-stopped", "The hub stopped or moved the node.", 0);
        if (_attaching is { } attaching)
        {
            // It would be welcome from the callback of the write that is waited for, only to be left behind.
            _attaching = null;
            attaching.Bridge.Tell(new AttachRefused(Moving));
            AddSessionClosed("hub-stopped", "The hub stopped or moved the node.", 0);
            Flush();
        }

        _stopping = true;
        if (!_writing)
            Context.Stop(Self);
    }
}
