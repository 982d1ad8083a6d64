using Akka.Actor;
using AkkaHub.V1;
using Hub.Actors.Members;
using Hub.Actors.Telemetry;

namespace Hub.Actors.Bridge;

/// <summary>
/// Parent of the member's bridges. A bridge that throws is stopped: its stream ends and the node dials again. When the member stops and
/// others take its nodes, they are sent there in groups, spread over the time there is, so that the others are not stormed.
/// </summary>
public sealed class NodeBridgesActor : UntypedActor, IWithTimers
{
    private static readonly TimeSpan SummaryInterval = TimeSpan.FromMinutes(5);
    private static readonly TimeSpan GroupInterval = TimeSpan.FromMilliseconds(100);
    // Those who are sent away all at once come to the others within this time.
    private static readonly TimeSpan Spread = TimeSpan.FromMilliseconds(500);
    // As few at a time as the time allows: those that come together wait for each other (ADR 0016).
    private const int LeastGroup = 4;

    private sealed record Summary
    {
        public static readonly Summary Instance = new();
    }

    private sealed record MoveGroup
    {
        public static readonly MoveGroup Instance = new();
    }

    private readonly IActorRef _registry;
    private readonly HubRuntime _hub;
    private readonly Queue<IActorRef> _toMove = new();
    private HubMembers? _elsewhere;
    private int _group;
    private long _heartbeats;
    private bool _stopping;

    /// <summary>Makes the parent.</summary>
    public NodeBridgesActor(IActorRef registry, HubRuntime hub)
    {
        _registry = registry;
        _hub = hub;
    }

    /// <inheritdoc/>
    public ITimerScheduler Timers { get; set; } = null!;

    /// <summary>Makes it.</summary>
    public static Props Props(IActorRef registry, HubRuntime hub) => Akka.Actor.Props.Create(() => new NodeBridgesActor(registry, hub));

    /// <inheritdoc/>
    protected override SupervisorStrategy SupervisorStrategy() => new OneForOneStrategy(_ => Directive.Stop);

    /// <inheritdoc/>
    protected override void PreStart() => Timers.StartPeriodicTimer(Summary.Instance, Summary.Instance, SummaryInterval);

    /// <inheritdoc/>
    protected override void OnReceive(object message)
    {
        switch (message)
        {
            case OpenBridge m when !_stopping:
                Sender.Tell(Context.ActorOf(NodeBridgeActor.Props(m.Hello, m.Outbound, _registry, _hub)));
                break;
            case OpenBridge m:
                m.Outbound.Complete(new Failure(FailureKind.Unavailable, Hub.Protocol.ErrorReasons.NotReady, "The hub stops."));
                Sender.Tell(ActorRefs.Nobody);
                break;
            case MembersChanged m when !_stopping:
                foreach (var bridge in Context.GetChildren())
                    bridge.Tell(m);
                break;
            case MoveStreams m:
                BeginMove(m.Within);
                break;
            case MoveGroup:
                MoveNext();
                break;
            case EndAllStreams:
                _stopping = true;
                EndAll();
                Sender.Tell(Akka.Done.Instance);
                break;
            case Summary:
                var beats = _hub.Load.Heartbeats;
                if (beats > _heartbeats)
                    HubLog.HeartbeatSummary(_hub.Log, SummaryInterval, beats - _heartbeats, _hub.Load.Streams);
                _heartbeats = beats;
                break;
        }
    }

    private void BeginMove(TimeSpan within)
    {
        if (_stopping)
            return;
        _stopping = true;
        _elsewhere = _hub.Members.Elsewhere;
        var bridges = Context.GetChildren().ToArray();
        if (_elsewhere is null || within < GroupInterval || bridges.Length == 0)
        {
            EndAll();
            return;
        }

        Random.Shared.Shuffle(bridges);
        foreach (var bridge in bridges)
            _toMove.Enqueue(bridge);
        _group = Math.Max(LeastGroup, (int)Math.Ceiling(bridges.Length / Math.Floor(within / GroupInterval)));
        HubLog.MovingStreams(_hub.Log, bridges.Length, _elsewhere.Addresses.Count, within);
        MoveNext();
    }

    private void MoveNext()
    {
        for (var i = 0; i < _group && _toMove.TryDequeue(out var bridge); i++)
            End(bridge, TimeSpan.Zero);
        if (_toMove.Count > 0)
            Timers.StartSingleTimer(MoveGroup.Instance, MoveGroup.Instance, GroupInterval * (0.5 + Random.Shared.NextDouble() / 2));
    }

    private void EndAll()
    {
        _toMove.Clear();
        foreach (var bridge in Context.GetChildren())
            End(bridge, Spread * Random.Shared.NextDouble());
    }

    private void End(IActorRef bridge, TimeSpan moveAfter) => bridge.Tell(_elsewhere is null
        ? new EndStream(DisconnectReason.HubStopping, "hub-stopped", "The hub stops.")
        : new EndStream(DisconnectReason.Drain, "hub-stopped", "The member stops; others are there.", _elsewhere, moveAfter));
}

/// <summary>The member was downed or its actors end: every stream is ended at once; answered with <see cref="Akka.Done"/>.</summary>
public sealed record EndAllStreams;

/// <summary>The member stops: its streams are sent to other members in groups, or ended at once if there are none.</summary>
/// <param name="Within">How long that may take; zero for at once.</param>
public sealed record MoveStreams(TimeSpan Within);
