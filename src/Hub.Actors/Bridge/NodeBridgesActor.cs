using Akka.Actor;
using AkkaHub.V1;
using Hub.Actors.Telemetry;

namespace Hub.Actors.Bridge;

/// <summary>Parent of the member's bridges. A bridge that throws is stopped: its stream ends and the node dials again.</summary>
public sealed class NodeBridgesActor : UntypedActor, IWithTimers
{
    private static readonly TimeSpan SummaryInterval = TimeSpan.FromMinutes(5);

    private sealed record Summary
    {
        public static readonly Summary Instance = new();
    }

    private readonly IActorRef _registry;
    private readonly HubRuntime _hub;
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
            case EndAllStreams:
                _stopping = true;
                foreach (var bridge in Context.GetChildren())
                    bridge.Tell(new EndStream(DisconnectReason.HubStopping, "hub-stopped", "The hub stops."));
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
}

/// <summary>The member stops: every stream is ended with that reason; answered with <see cref="Akka.Done"/>.</summary>
public sealed record EndAllStreams;
