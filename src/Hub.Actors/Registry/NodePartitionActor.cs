using Akka.Actor;
using AkkaHub.Internal.V1;
using AkkaHub.V1;
using Hub.Actors.Events;
using Hub.Actors.Nodes;
using Hub.Actors.Store;
using Hub.Protocol;

namespace Hub.Actors.Registry;

/// <summary>
/// One partition of the registry: supervises one persistent actor per node, knows every node ever registered in it, and says
/// who is there. Not persistent itself, so that no failed write takes its nodes along; its list of nodes is written by a
/// child. Supervision: a node's actor that stops is made again after the partition's back-off (200 ms doubling to 10 s, with
/// jitter): for who reads once the store reads, since recovery only reads, for all else once the store answers, writes
/// included. Messages for it wait meanwhile, within a bound. This part is the table of what it is told, and its own life; the nodes'
/// actors, their liveness, the list and the events stand in the others.
/// </summary>
public sealed partial class NodePartitionActor : UntypedActor, IWithTimers
{
    private static readonly TimeSpan SweepInterval = TimeSpan.FromSeconds(1);

    private sealed record Sealed
    {
        public static readonly Sealed Instance = new();
    }

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
    private readonly HashSet<string> _awaitingStore = new(StringComparer.Ordinal);
    private long _startedUnixUs;
    private long _startedUs;
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
        _hub.Held.AddPartitions(1);
        if (_hub.Fence.SealedAsync() is { IsCompletedSuccessfully: false } fence)
        {
            fence.PipeTo(Self, success: static () => Sealed.Instance);
        }
        else
        {
            StartMembership();
            StartEvents();
        }

        Timers.StartPeriodicTimer(Sweep.Instance, Sweep.Instance, SweepInterval);
    }

    /// <inheritdoc/>
    protected override void PostStop()
    {
        _hub.Metrics.NodesKnown(-_nodes.Count);
        _hub.Held.AddNodes(-_nodes.Count);
        _hub.Held.AddPartitions(-1);
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
            case FollowEvents:
                // Not there yet, or being made again: who asks asks again.
                _events?.Forward(message);
                break;
            case StartPartition or ListPartition or INodeMessage when !_ready:
                KeepEarly(message);
                break;
            case Sealed:
                StartMembership();
                StartEvents();
                break;
            case StartPartition:
                Sender.Tell(new PartitionStarted(_partition));
                break;
            case ListPartition m:
                Sender.Tell(List(m));
                break;
            case Attach m:
                OnAttach(m);
                break;
            case NodeRequest m:
                OnRequest(m);
                break;
            case NodeRecovered m when Entry(m.Node) is { } entry:
                if (m.Forgotten && !entry.IsNew)
                    FinishForgetting(entry);
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
                OnStoreFailed(m.Node, m.Cause);
                break;
            case MembershipStoreFailed m:
                OnStoreFailed(null, m.Cause);
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
                entry.IsErased = false;
                entry.Forgetter?.Tell(new NodeFailure(m.Failure));
                entry.Forgetter = null;
                break;
            case NodeTold m:
                OnTold(m);
                break;
            case EventLogRecovered m:
                OnEventLogRecovered(m);
                break;
            case EventsWritten m when m.Life == _outlet.Life:
                OnEventsWritten(m.GivenThrough);
                break;
            case EventLogStoreFailed m:
                OnEventLogFailed(m.Cause);
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
                if (_membership is null && !_membershipPauses && !_handingOff)
                    StartMembership();
                if (_events is null && !_eventsPause && !_handingOff)
                    StartEvents();
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
                _membershipPauses = false;
                _storeProbe.Tell(new AwaitStore());
                break;
            case RestartEvents:
                _eventsPause = false;
                _storeProbe.Tell(new AwaitStore());
                break;
            case Sweep:
                SweepLiveness();
                SweepHandOff();
                break;
            case HandOffPartition:
                HandOff();
                break;
            case HandOffTimeout:
                OnHandOffTimeout();
                break;
        }
    }

    private NodeEntry? Entry(string node) => _nodes.GetValueOrDefault(node);

    private void OnAttach(Attach m)
    {
        if (m.Ask > 0)
            m.Bridge.Tell(new AttachTaken(m.Ask));
        if (_handingOff)
        {
            Refuse(m.Bridge, Moving);
            return;
        }

        var entry = Entry(m.Node);
        if (entry?.HasSeen(m) == true)
            return;
        if (entry is { Forgetter: not null } or { IsErased: true })
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
            _hub.Held.AddNodes(1);
            Write(new MembershipChanged { Upserts = { entry.Descriptor } });
        }

        entry.Saw(m);
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
        if (entry is null || entry.Registering || (entry.IsErased && m.Request is not ForgetNodeRequest) || (entry.Forgetter is not null && m.Request is not ForgetNodeRequest))
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
                    Sender.Tell(new NodeFailure(Moving));
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
}
