using Akka.Actor;
using Akka.Cluster;
using Hub.Actors.Telemetry;

namespace Hub.Actors.Registry;

/// <summary>
/// Fences members that were downed in the shared store, on every member that sees it: each needs it before its partitions begin, and
/// the store takes it from several. It is tried until it is done; while the store does not answer nobody writes.
/// </summary>
public sealed class MemberFenceActor : UntypedActor, IWithTimers
{
    private static readonly TimeSpan Retry = TimeSpan.FromSeconds(1);

    private sealed record Done(int Uid, bool Fenced);

    private sealed record Failed(int Uid, Exception Cause);

    private sealed record Again(int Uid);

    private readonly HubRuntime _hub;
    private readonly Func<int, Task<bool>> _fence;
    private readonly HashSet<int> _known = [];

    /// <summary>Makes the actor.</summary>
    /// <param name="hub">What is told when fences begin and end.</param>
    /// <param name="fence">Fences a member in the store; false if this one is itself fenced.</param>
    public MemberFenceActor(HubRuntime hub, Func<int, Task<bool>> fence)
    {
        _hub = hub;
        _fence = fence;
    }

    /// <inheritdoc/>
    public ITimerScheduler Timers { get; set; } = null!;

    /// <summary>Makes it.</summary>
    public static Props Props(HubRuntime hub, Func<int, Task<bool>> fence) => Akka.Actor.Props.Create(() => new MemberFenceActor(hub, fence));

    /// <inheritdoc/>
    protected override void PreStart() => Cluster.Get(Context.System).Subscribe(
        Self, ClusterEvent.SubscriptionInitialStateMode.InitialStateAsEvents, typeof(ClusterEvent.MemberDowned), typeof(ClusterEvent.MemberRemoved));

    /// <inheritdoc/>
    protected override void PostStop() => Cluster.Get(Context.System).Unsubscribe(Self);

    /// <inheritdoc/>
    protected override void OnReceive(object message)
    {
        switch (message)
        {
            case ClusterEvent.MemberDowned m:
                Begin(m.Member);
                break;
            case ClusterEvent.MemberRemoved { PreviousStatus: MemberStatus.Down } m:
                Begin(m.Member);
                break;
            case Again m:
                Fence(m.Uid);
                break;
            case Done m:
                _hub.Fence.End(m.Uid);
                if (m.Fenced)
                    HubLog.MemberFenced(_hub.Log, m.Uid);
                break;
            case Failed m:
                HubLog.MemberNotFenced(_hub.Log, m.Uid, m.Cause.Message);
                Timers.StartSingleTimer(m.Uid, new Again(m.Uid), Retry);
                break;
        }
    }

    private void Begin(Member member)
    {
        // Not itself: it is told by the cluster, and stops.
        if (member.UniqueAddress.Equals(Cluster.Get(Context.System).SelfUniqueAddress) || MemberFence.UidOf(member.Roles) is not { } uid || !_known.Add(uid))
            return;
        _hub.Fence.Begin(uid);
        Fence(uid);
    }

    private void Fence(int uid) => _fence(uid).PipeTo(Self, success: fenced => new Done(uid, fenced), failure: cause => new Failed(uid, cause));
}
