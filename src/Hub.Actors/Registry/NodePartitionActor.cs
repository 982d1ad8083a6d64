using Akka.Actor;
using AkkaHub.Internal.V1;
using AkkaHub.V1;
using Hub.Actors.Nodes;
using Hub.Actors.Store;
using Hub.Actors.Telemetry;
using Hub.Protocol;

namespace Hub.Actors.Registry;

/// <summary>
/// One partition of the registry: supervises one persistent actor per node, knows every node ever registered in it, and says
/// who is there. Not persistent itself, so that no failed write takes its nodes along; its list of nodes is written by a
/// child. Supervision: a node's actor that stops is made again after the partition's back-off (200 ms doubling to 10 s, with
/// jitter): for who reads once the store reads, since recovery only reads, for all else once the store answers, writes
/// included. Messages for it wait meanwhile, within a bound.
/// </summary>
public sealed class NodePartitionActor : UntypedActor, IWithTimers
{
    private const int MaxEarlyMessages = 20_000;
    private static readonly TimeSpan SweepInterval = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan HandOffLimit = TimeSpan.FromSeconds(5);
    // Without a session for this long while its actor is being made again: the bridge does not come back by itself.
    private static readonly TimeSpan ReattachGrace = TimeSpan.FromSeconds(15);

    private sealed record Sweep
    {
        public static readonly Sweep Instance = new();
    }

    private sealed record HandOffTimeout
    {
        public static readonly HandOffTimeout Instance = new();
    }

    private sealed record BackoffOver(string Node);

    private sealed record RestartNode(string Node);

    private sealed record RestartMembership
    {
        public static readonly RestartMembership Instance = new();
    }

    private readonly int _partition;
    private readonly HubRuntime _hub;
    private readonly IActorRef _snapshots;
    private readonly IActorRef _storeProbe;
    private readonly Dictionary<string, NodeEntry> _nodes = new(StringComparer.Ordinal);
    private readonly Dictionary<IActorRef, NodeEntry> _byActor = [];
    private readonly Queue<(object Message, IActorRef Sender)> _early = new();
    private readonly Queue<MembershipChanged> _unwritten = new();
    private readonly HashSet<string> _awaitingStore = new(StringComparer.Ordinal);
    private long _startedUnixUs;
    private long _startedUs;
    private IActorRef? _membership;
    private bool _membershipFailed;
    private bool _ready;
    private bool _handingOff;

    /// <summary>Makes a partition.</summary>
    public NodePartitionActor(int partition, HubRuntime hub, IActorRef snapshots, IActorRef storeProbe)
    {
        _partition = partition;
        _hub = hub;
        _snapshots = snapshots;
        _storeProbe = storeProbe;
        _startedUnixUs = hub.NowUnixUs();
        _startedUs = hub.ElapsedUs();
    }

    /// <inheritdoc/>
    public ITimerScheduler Timers { get; set; } = null!;

    /// <summary>Makes it.</summary>
    public static Props Props(int partition, HubRuntime hub, IActorRef snapshots, IActorRef storeProbe) =>
        Akka.Actor.Props.Create(() => new NodePartitionActor(partition, hub, snapshots, storeProbe));

    /// <inheritdoc/>
    protected override SupervisorStrategy SupervisorStrategy() => new OneForOneStrategy(_ => Directive.Stop);

    /// <inheritdoc/>
    protected override void PreStart()
    {
        StartMembership();
        Timers.StartPeriodicTimer(Sweep.Instance, Sweep.Instance, SweepInterval);
    }

    /// <inheritdoc/>
    protected override void PostStop()
    {
        _hub.Metrics.NodesKnown(-_nodes.Count);
        RefuseEarly();
        foreach (var entry in _nodes.Values)
        {
            DropBuffer(entry);
            FailForgetter(entry, "The node is moving to another member; forget it again.");
        }
    }

    /// <inheritdoc/>
    protected override void OnReceive(object message)
    {
        switch (message)
        {
            case StartPartition or ListPartition or INodeMessage when !_ready:
                KeepEarly(message);
                break;
            case StartPartition:
                Sender.Tell(new PartitionStarted(_partition));
                break;
            case ListPartition:
                Sender.Tell(new PartitionNodes(_partition, _nodes.Values.Where(e => !e.Registering).Select(e => e.View()).ToArray()));
                break;
            case Attach m:
                OnAttach(m);
                break;
            case NodeRequest m:
                OnRequest(m);
                break;
            case NodeRecovered m when Entry(m.Node) is { } entry:
                OnRecovered(entry);
                break;
            case NodeAttached m when Entry(m.Node) is { } entry:
                OnAttached(entry, m.Descriptor);
                break;
            case NodeDetached m when Entry(m.Node) is { } entry:
                OnDetached(entry, m.End);
                break;
            case NodeLiveness m when Entry(m.Node) is { } entry:
                entry.Take(m.Report);
                Enter(entry, m.Report.State, m.Report.State == NodeStatus.Stale ? "heartbeats are late" : "heartbeats arrive");
                break;
            case NodeStoreFailed m:
                _storeProbe.Tell(new StoreSuspected(m.Cause));
                break;
            case NodeIdle m when Entry(m.Node) is { Stage: NodeEntry.ActorStage.Running } entry && !_handingOff:
                entry.Stage = NodeEntry.ActorStage.Stopping;
                entry.Actor.Tell(new StopNode(Force: false));
                break;
            case NodeBusy m when Entry(m.Node) is { Stage: NodeEntry.ActorStage.Stopping } entry && !_handingOff:
                OnRecovered(entry);
                break;
            case NodeErased m when Entry(m.Node) is { } entry:
                entry.Stage = NodeEntry.ActorStage.Stopping;
                Write(new MembershipChanged { Removed = { m.Node } });
                break;
            case EraseRefused m when Entry(m.Node) is { } entry:
                entry.Forgetter?.Tell(new NodeFailure(m.Failure));
                entry.Forgetter = null;
                break;
            case MembershipRecovered m:
                OnMembershipRecovered(m.Nodes);
                break;
            case MembershipWritten m:
                OnMembershipWritten(m.Change);
                break;
            case Terminated m:
                OnTerminated(m.ActorRef);
                break;
            case BackoffOver m when Entry(m.Node) is { Stage: NodeEntry.ActorStage.Backoff } entry:
                // Its own wait first, then the store's word: while the store is down the member's one probe tries, not every node.
                entry.Stage = NodeEntry.ActorStage.None;
                _awaitingStore.Add(m.Node);
                _storeProbe.Tell(new AwaitStore());
                break;
            case StoreReads:
                foreach (var node in _awaitingStore)
                {
                    if (Entry(node) is { AwaitsStore: true, Stage: NodeEntry.ActorStage.None } waiting && waiting.Buffer?.Any(b => OnlyReads(b.Message)) == true && !_handingOff)
                        Start(waiting);
                }

                break;
            case StoreAnswers:
                if (_membership is null)
                    StartMembership();
                // Staggered, so that a store that came back is not met by all nodes at once.
                var spread = TimeSpan.FromMilliseconds(Math.Min(2000, 20 * (_awaitingStore.Count - 1)));
                foreach (var node in _awaitingStore)
                    Timers.StartSingleTimer("restart-" + node, new RestartNode(node), Random.Shared.NextDouble() * spread);
                _awaitingStore.Clear();
                break;
            case RestartNode m when Entry(m.Node) is { AwaitsStore: true, Stage: not NodeEntry.ActorStage.Backoff } entry:
                entry.AwaitsStore = false;
                if (entry.Stage == NodeEntry.ActorStage.Running)
                    DeliverBuffer(entry);
                else if (entry.Stage == NodeEntry.ActorStage.None)
                    StartIfWanted(entry);
                break;
            case RestartMembership:
                _storeProbe.Tell(new AwaitStore());
                break;
            case Sweep:
                SweepLiveness();
                break;
            case HandOffPartition:
                HandOff();
                break;
            case HandOffTimeout:
                Context.Stop(Self);
                break;
        }
    }

    private NodeEntry? Entry(string node) => _nodes.GetValueOrDefault(node);

    private void OnAttach(Attach m)
    {
        if (_handingOff)
        {
            Refuse(m.Bridge, FailureKind.Unavailable, ErrorReasons.NotReady, "The node is moving to another member; try again.");
            return;
        }

        var entry = Entry(m.Node);
        if (entry is { Forgetter: not null })
        {
            Refuse(m.Bridge, FailureKind.Unavailable, ErrorReasons.NotReady, "The node is being forgotten; try again.");
            return;
        }

        if (entry is null)
        {
            if (_nodes.Count >= _hub.Settings.Registry.MaxNodesPerPartition)
            {
                Refuse(m.Bridge, Failure.LimitReached("akkahub.registry.max-nodes-per-partition",
                    "The hub knows as many nodes as it may (akkahub.registry.max-nodes-per-partition). Forget some first."));
                return;
            }

            // The name is in the durable list before the node is welcome: a node that was told it is registered is never missed.
            entry = new NodeEntry(m.Node, Describe(m)) { Registering = true, IsNew = true };
            // Listed as soon as that is durable, which is before it has its session: it is on its way, not away.
            entry.Enter(NodeStatus.Connecting, _hub.NowUnixUs());
            entry.Detach(_hub.NowUnixUs(), _hub.ElapsedUs());
            _nodes.Add(m.Node, entry);
            _hub.Metrics.NodesKnown(1);
            Write(new MembershipChanged { Upserts = { entry.Descriptor } });
        }

        Deliver(entry, m, Sender);
    }

    private NodeDescriptor Describe(Attach m)
    {
        var now = _hub.NowUnixUs();
        var descriptor = new NodeDescriptor
        {
            Node = m.Node,
            Platform = m.Hello.Platform,
            AgentVersion = m.Hello.AgentVersion,
            RegisteredUnixUs = now,
            LastSeenUnixUs = now,
        };
        descriptor.Labels.Add(m.Hello.Labels);
        descriptor.Capabilities.Add(m.Hello.Capabilities);
        return descriptor;
    }

    private void OnRequest(NodeRequest m)
    {
        var entry = Entry(m.Node);
        if (entry is null || entry.Registering || (entry.Forgetter is not null && m.Request is not ForgetNodeRequest))
        {
            Sender.Tell(new NodeFailure(new Failure(FailureKind.NotFound, ErrorReasons.NodeUnknown, $"No node '{m.Node}' is known. See 'hub get nodes'.")));
            return;
        }

        switch (m.Request)
        {
            case GetNodeRequest:
                Sender.Tell(new NodeReply(new GetNodeResponse { Node = entry.View() }));
                break;
            case ForgetNodeRequest forget:
                Forget(entry, forget.Force, Sender);
                break;
            default:
                if (_handingOff)
                    Sender.Tell(new NodeFailure(new Failure(FailureKind.Unavailable, ErrorReasons.NotReady, "The node is moving to another member; try again.")));
                else
                    Deliver(entry, m, Sender);
                break;
        }
    }

    private void Forget(NodeEntry entry, bool force, IActorRef asker)
    {
        if (entry.Forgetter is not null)
        {
            asker.Tell(new NodeFailure(new Failure(FailureKind.Unavailable, ErrorReasons.NotReady, $"Node '{entry.Name}' is being forgotten already.")));
            return;
        }

        entry.Forgetter = asker;
        if (!Deliver(entry, new EraseNode(force), Self))
            FailForgetter(entry, "Too much waits for the node; forget it again in a moment.");
    }

    private static void FailForgetter(NodeEntry entry, string why)
    {
        entry.Forgetter?.Tell(new NodeFailure(new Failure(FailureKind.Unavailable, ErrorReasons.StoreUnavailable, why)));
        entry.Forgetter = null;
    }

    private bool Deliver(NodeEntry entry, object message, IActorRef sender)
    {
        var deliverable = !entry.AwaitsStore || OnlyReads(message);
        if (deliverable && entry.Stage == NodeEntry.ActorStage.Running)
        {
            entry.Actor!.Tell(message, sender);
            return true;
        }

        entry.Buffer ??= new Queue<(object, IActorRef)>();
        // What waits for the store takes half at most, so that who reads finds room however long that lasts.
        var most = _hub.Settings.Registry.MaxBufferedPerNode;
        if (entry.Buffer.Count >= (deliverable ? most : (most + 1) / 2))
        {
            _hub.Metrics.QueueRejected(HubQueue.PartitionBuffer);
            RefuseBuffered(message, sender);
            return false;
        }

        entry.Buffer.Enqueue((message, sender));
        _hub.Metrics.QueueDepth(HubQueue.PartitionBuffer, 1);
        if (deliverable && entry.Stage == NodeEntry.ActorStage.None && !entry.Registering)
            StartIfWanted(entry);
        return true;
    }

    // What the node's actor answers from what it has recovered, and nothing follows from.
    private static bool OnlyReads(object message) =>
        message is NodeRequest { Request: ReadHistoryRequest or ListTerminalsRequest or GetCommandRequest or ListCommandsRequest };

    private void StartIfWanted(NodeEntry entry)
    {
        if (entry.Buffer is not { Count: > 0 })
            return;
        if (entry.AwaitsStore)
            _storeProbe.Tell(new AwaitStore());
        else
            Start(entry);
    }

    private void Start(NodeEntry entry)
    {
        entry.Stage = NodeEntry.ActorStage.Starting;
        entry.Actor = Context.ActorOf(NodeActor.Props(entry.Name, _hub, _snapshots));
        _byActor.Add(entry.Actor, entry);
        Context.Watch(entry.Actor);
    }

    private void OnRecovered(NodeEntry entry)
    {
        entry.Stage = NodeEntry.ActorStage.Running;
        entry.Actor!.Tell(new NodeListed(entry.State));
        DeliverBuffer(entry);
    }

    private void DeliverBuffer(NodeEntry entry)
    {
        Queue<(object, IActorRef)>? kept = null;
        while (entry.Buffer is { Count: > 0 } buffer)
        {
            var waiting = buffer.Dequeue();
            if (entry.AwaitsStore && !OnlyReads(waiting.Message))
            {
                (kept ??= new()).Enqueue(waiting);
                continue;
            }

            _hub.Metrics.QueueDepth(HubQueue.PartitionBuffer, -1);
            entry.Actor!.Tell(waiting.Message, waiting.Sender);
        }

        entry.Buffer = kept;
    }

    private void OnTerminated(IActorRef actor)
    {
        if (actor.Equals(_membership))
        {
            if (!_membershipFailed)
                HubLog.MembershipFailed(_hub.Log, _partition);
            _membershipFailed = true;
            _membership = null;
            _storeProbe.Tell(new StoreSuspected(null));
            Timers.StartSingleTimer(RestartMembership.Instance, RestartMembership.Instance, _hub.Settings.Registry.MinBackoff * 5);
            return;
        }

        if (!_byActor.Remove(actor, out var entry))
            return;
        entry.Actor = null;
        if (_handingOff)
        {
            StopWhenDone();
            return;
        }

        if (entry.Stage == NodeEntry.ActorStage.Stopping)
        {
            entry.Stage = NodeEntry.ActorStage.None;
            StartIfWanted(entry);
            return;
        }

        Fail(entry);
    }

    private void Fail(NodeEntry entry)
    {
        var now = _hub.NowUnixUs();
        if (now - entry.LastFailureUnixUs > 60_000_000)
            entry.Failures = 0;
        entry.LastFailureUnixUs = now;
        entry.HasSession = false;
        entry.Detach(now, _hub.ElapsedUs());
        entry.Stage = NodeEntry.ActorStage.Backoff;
        entry.AwaitsStore = true;
        _awaitingStore.Remove(entry.Name);
        var limits = _hub.Settings.Registry;
        var wait = Math.Min(limits.MaxBackoff.TotalMilliseconds, limits.MinBackoff.TotalMilliseconds * Math.Pow(2, Math.Min(entry.Failures, 16)));
        var delay = TimeSpan.FromMilliseconds(wait * (0.5 + Random.Shared.NextDouble() / 2));
        entry.Failures++;
        HubLog.NodeActorStopped(_hub.Log, _partition, entry.Name, delay);
        if (entry.Forgetter is not null)
        {
            FailForgetter(entry, "The store did not answer; forget the node again.");
            // Who asked was told that it failed: it must not happen later.
            if (entry.Buffer is { Count: > 0 } buffer)
            {
                entry.Buffer = new Queue<(object, IActorRef)>(buffer.Where(b => b.Message is not EraseNode));
                _hub.Metrics.QueueDepth(HubQueue.PartitionBuffer, entry.Buffer.Count - buffer.Count);
            }
        }

        Timers.StartSingleTimer("failed-" + entry.Name, new BackoffOver(entry.Name), delay);
    }

    private void OnAttached(NodeEntry entry, NodeDescriptor descriptor)
    {
        entry.HasSession = true;
        entry.Descriptor = descriptor;
        entry.LastSeenUnixUs = descriptor.LastSeenUnixUs;
        Write(new MembershipChanged { Upserts = { descriptor } });
        if (entry.IsNew)
        {
            entry.IsNew = false;
            _hub.Publish(Context.System, MeshEventType.NodeRegistered, Names.Node(entry.Name), "seen for the first time");
        }

        Enter(entry, NodeStatus.Online, $"session {descriptor.SessionEpoch} began");
    }

    private void OnDetached(NodeEntry entry, SessionClosed end)
    {
        entry.HasSession = false;
        entry.Detach(end.TimeUnixUs, _hub.ElapsedUs());
        entry.Descriptor = entry.Descriptor.Clone();
        entry.Descriptor.SessionEnd = end;
        entry.Descriptor.LastSeenUnixUs = entry.LastSeenUnixUs;
        switch (end.Cause)
        {
            case "hub-stopped":
                // The list keeps it as attached: after the next start it is expected back.
                return;
            case "fenced" or "forgotten":
                return;
            case "node-left":
                entry.Descriptor.Attached = false;
                Enter(entry, NodeStatus.Offline, end.Message);
                break;
            default:
                entry.Descriptor.Attached = false;
                Enter(entry, NodeStatus.Stale, $"{end.Cause}: {end.Message}");
                break;
        }

        Write(new MembershipChanged { Upserts = { entry.Descriptor } });
    }

    private void Enter(NodeEntry entry, NodeStatus state, string why)
    {
        if (!entry.Enter(state, _hub.NowUnixUs()))
            return;
        if (entry.Stage == NodeEntry.ActorStage.Running)
            entry.Actor!.Tell(new NodeListed(state));
        var name = state.ToString().ToLowerInvariant();
        _hub.Metrics.Transition(name);
        if (state != NodeStatus.Connecting)
            HubLog.NodeState(_hub.Log, entry.Name, name, why);
        _hub.Publish(Context.System, state switch
        {
            NodeStatus.Connecting => MeshEventType.NodeConnecting,
            NodeStatus.Online => MeshEventType.NodeOnline,
            NodeStatus.Stale => MeshEventType.NodeStale,
            NodeStatus.Draining => MeshEventType.NodeDraining,
            _ => MeshEventType.NodeOffline,
        }, Names.Node(entry.Name), why);
    }

    /// <summary>Judges only nodes without a bridge; a bridge judges its own.</summary>
    private void SweepLiveness()
    {
        if (!_ready || _handingOff)
            return;
        var (now, elapsed) = (_hub.NowUnixUs(), _hub.ElapsedUs());
        var limits = _hub.Settings.Liveness;
        // Nobody is let in: nobody is missing. The grace begins when they may come.
        if (!_hub.Readiness.IsReady)
            (_startedUnixUs, _startedUs) = (now, elapsed);
        foreach (var entry in _nodes.Values)
        {
            if (entry.HasSession || entry.Registering)
                continue;
            // Held back by the store, not gone: judged once its actor is there again.
            if (entry.AwaitsStore || entry.Stage is NodeEntry.ActorStage.Starting)
            {
                entry.Detach(now, elapsed);
                continue;
            }

            switch (entry.State)
            {
                case NodeStatus.Connecting when elapsed - Math.Max(_startedUs, entry.DetachedUs) > limits.StartGrace.TotalMicroseconds:
                    Enter(entry, NodeStatus.Offline, "it did not come back after the hub's start");
                    WriteDetached(entry);
                    break;
                case NodeStatus.Stale when elapsed - entry.DetachedUs > limits.OfflineAfter.TotalMicroseconds:
                    Enter(entry, NodeStatus.Offline, $"not seen for {limits.OfflineAfter}");
                    break;
                case NodeStatus.Online or NodeStatus.Draining when elapsed - entry.DetachedUs > ReattachGrace.TotalMicroseconds:
                    Enter(entry, NodeStatus.Stale, "its session was lost");
                    break;
                case NodeStatus.Offline when limits.ForgetAfter is { } after && entry.Forgetter is null && now - LastThere(entry) > after.TotalMicroseconds:
                    Forget(entry, force: false, ActorRefs.Nobody);
                    break;
            }
        }
    }

    // When it was last seen is durable only at attach and detach: a node that was there when the hub stopped has been there until then.
    private long LastThere(NodeEntry entry) =>
        Math.Max(entry.LastSeenUnixUs, Math.Max(entry.DetachedUnixUs, entry.WasExpected ? _startedUnixUs : 0));

    private void WriteDetached(NodeEntry entry)
    {
        entry.Descriptor = entry.Descriptor.Clone();
        entry.Descriptor.Attached = false;
        Write(new MembershipChanged { Upserts = { entry.Descriptor } });
    }

    private void StartMembership()
    {
        _membership = Context.ActorOf(MembershipActor.Props(_partition, _hub));
        Context.Watch(_membership);
    }

    private void Write(MembershipChanged change)
    {
        _unwritten.Enqueue(change);
        _membership?.Tell(new WriteMembership(change));
    }

    private void OnMembershipRecovered(IReadOnlyCollection<NodeDescriptor> nodes)
    {
        _membershipFailed = false;
        if (_ready)
        {
            // It was made again: what it was asked and did not confirm is asked again; upserts and removals may repeat.
            foreach (var change in _unwritten)
                _membership.Tell(new WriteMembership(change));
            return;
        }

        _ready = true;
        foreach (var descriptor in nodes)
        {
            var entry = new NodeEntry(descriptor.Node, descriptor);
            _nodes.Add(descriptor.Node, entry);
            entry.Enter(NodeStatus.Offline, descriptor.LastSeenUnixUs);
            // It was there when the hub stopped, or had lost its connection so shortly before that it was still dialling.
            var dialling = descriptor.SessionEnd is { } end && end.Cause != "node-left"
                && _startedUnixUs - end.TimeUnixUs < _hub.Settings.Liveness.StartGrace.TotalMicroseconds;
            if (descriptor.Attached || dialling)
            {
                entry.WasExpected = true;
                Enter(entry, NodeStatus.Connecting, "expected back");
            }
        }

        _hub.Metrics.NodesKnown(_nodes.Count);
        if (_nodes.Count > 0)
            HubLog.PartitionReady(_hub.Log, _partition, _nodes.Count);
        _hub.Metrics.QueueDepth(HubQueue.PartitionBuffer, -_early.Count);
        while (_early.TryDequeue(out var early))
            Self.Tell(early.Message, early.Sender);
    }

    private void OnMembershipWritten(MembershipChanged change)
    {
        // What was asked again of a child that was made again may be confirmed twice: acted on once, in the order it was asked.
        if (!_unwritten.TryPeek(out var first) || !ReferenceEquals(first, change))
            return;
        _unwritten.Dequeue();
        foreach (var descriptor in change.Upserts)
        {
            if (Entry(descriptor.Node) is not { Registering: true } entry)
                continue;
            entry.Registering = false;
            if (entry.Buffer is { Count: > 0 } && entry.Stage == NodeEntry.ActorStage.None && !_handingOff)
                Start(entry);
        }

        foreach (var node in change.Removed)
        {
            if (!_nodes.Remove(node, out var entry))
                continue;
            _hub.Metrics.NodesKnown(-1);
            DropBuffer(entry);
            _hub.Publish(Context.System, MeshEventType.NodeForgotten, Names.Node(node), "forgotten");
            entry.Forgetter?.Tell(new NodeReply(new ForgetNodeResponse()));
            entry.Forgetter = null;
        }

        if (_handingOff)
            StopWhenDone();
    }

    // The list's writes are waited for like the nodes': the next home of the partition must not find one landing behind it.
    private void StopWhenDone()
    {
        if (_byActor.Count == 0 && _unwritten.Count == 0)
            Context.Stop(Self);
    }

    private void HandOff()
    {
        if (_handingOff)
            return;
        _handingOff = true;
        RefuseEarly();
        foreach (var entry in _nodes.Values)
        {
            DropBuffer(entry);
            if (entry.Stage is NodeEntry.ActorStage.Running or NodeEntry.ActorStage.Stopping)
                entry.Actor.Tell(new StopNode(Force: true));
            else if (entry.Actor is not null)
                Context.Stop(entry.Actor);
        }

        Timers.StartSingleTimer(HandOffTimeout.Instance, HandOffTimeout.Instance, HandOffLimit);
        StopWhenDone();
    }

    private void KeepEarly(object message)
    {
        if (_handingOff || _early.Count >= MaxEarlyMessages)
        {
            _hub.Metrics.QueueRejected(HubQueue.PartitionBuffer);
            RefuseBuffered(message, Sender);
            return;
        }

        // Asked again every few seconds by every member: one is enough.
        if (message is StartPartition && _early.Any(e => e.Message is StartPartition && e.Sender.Equals(Sender)))
            return;
        _early.Enqueue((message, Sender));
        _hub.Metrics.QueueDepth(HubQueue.PartitionBuffer, 1);
    }

    private void RefuseEarly()
    {
        _hub.Metrics.QueueDepth(HubQueue.PartitionBuffer, -_early.Count);
        while (_early.TryDequeue(out var early))
            RefuseBuffered(early.Message, early.Sender);
    }

    private void DropBuffer(NodeEntry entry)
    {
        while (entry.Buffer is { Count: > 0 } buffer)
        {
            var (message, sender) = buffer.Dequeue();
            _hub.Metrics.QueueDepth(HubQueue.PartitionBuffer, -1);
            RefuseBuffered(message, sender);
        }
    }

    private static void RefuseBuffered(object message, IActorRef sender)
    {
        const string Why = "The node's actor is not ready; try again in a moment.";
        if (message is Attach attach)
            Refuse(attach.Bridge, FailureKind.Unavailable, ErrorReasons.StoreUnavailable, Why);
        else if (message is NodeRequest)
            sender.Tell(new NodeFailure(new Failure(FailureKind.Unavailable, ErrorReasons.StoreUnavailable, Why)));
    }

    private static void Refuse(IActorRef bridge, FailureKind kind, string reason, string message) =>
        Refuse(bridge, new Failure(kind, reason, message));

    private static void Refuse(IActorRef bridge, Failure failure) => bridge.Tell(new AttachRefused(failure));
}
