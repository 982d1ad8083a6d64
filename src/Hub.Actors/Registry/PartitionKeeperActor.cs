using Akka.Actor;
using Akka.Cluster;
using Hub.Actors.Telemetry;

namespace Hub.Actors.Registry;

/// <summary>
/// Keeps every partition alive with a start message every 5 s from every member (remember-entities is off), and says when all
/// of them answer: before that no stream is let in.
/// </summary>
internal sealed class PartitionKeeperActor : UntypedActor, IWithTimers
{
    private static readonly TimeSpan Interval = TimeSpan.FromSeconds(5);
    // Until all have answered the first round is repeated sooner: a region that forms may drop what it cannot place yet.
    private static readonly TimeSpan FirstInterval = TimeSpan.FromMilliseconds(500);

    private sealed record Tick
    {
        public static readonly Tick Instance = new();
    }

    private readonly IActorRef _region;
    private readonly HubRuntime _hub;
    private readonly HashSet<int> _silent;
    private bool _all;

    public PartitionKeeperActor(IActorRef region, HubRuntime hub)
    {
        _region = region;
        _hub = hub;
        _silent = [.. Enumerable.Range(0, hub.Settings.Registry.Partitions)];
    }

    public ITimerScheduler Timers { get; set; } = null!;

    public static Props Props(IActorRef region, HubRuntime hub) => Akka.Actor.Props.Create(() => new PartitionKeeperActor(region, hub));

    protected override void PreStart()
    {
        _hub.Readiness.Set(Readiness.Partitions, "the partitions are starting");
        var self = Self;
        // Before the member is up there is nobody whom the region could ask where partitions are: it would keep what it is told, and complain.
        if (Context.System is ExtendedActorSystem { Provider: ClusterActorRefProvider })
            Cluster.Get(Context.System).RegisterOnMemberUp(() => self.Tell(Tick.Instance));
        else
            self.Tell(Tick.Instance);
    }

    protected override void OnReceive(object message)
    {
        switch (message)
        {
            case Tick:
                foreach (var partition in _all ? Enumerable.Range(0, _hub.Settings.Registry.Partitions) : [.. _silent])
                    _region.Tell(new StartPartition(partition));
                Timers.StartSingleTimer(Tick.Instance, Tick.Instance, _all ? Interval : FirstInterval);
                break;
            case PartitionStarted m:
                _silent.Remove(m.Partition);
                if (_all)
                    break;
                if (_silent.Count > 0)
                {
                    _hub.Readiness.Set(Readiness.Partitions, $"{_silent.Count} of {_hub.Settings.Registry.Partitions} partitions have not answered yet");
                    break;
                }

                _all = true;
                HubLog.AllPartitionsReady(_hub.Log, _hub.Settings.Registry.Partitions);
                _hub.Readiness.Clear(Readiness.Partitions);
                break;
        }
    }
}
