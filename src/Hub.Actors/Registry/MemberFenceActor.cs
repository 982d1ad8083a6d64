using Akka.Actor;
using Akka.Cluster;
using Akka.Remote;
using Hub.Actors.Telemetry;

namespace Hub.Actors.Registry;

/// <summary>Answered with <see cref="ClusterEvent.CurrentClusterState"/> as of then; see <see cref="SharedFence.Look"/>.</summary>
public sealed record LookAtCluster
{
    /// <summary>The one.</summary>
    public static readonly LookAtCluster Instance = new();
}

/// <summary>
/// Fences members that were downed in the shared store, on every member that sees it: each needs it before its partitions begin, and
/// the store takes it from several. It is tried until it is done; while the store does not answer nobody writes. That this member itself was
/// downed, or that another one talks to it no more, ends it.
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
    private readonly Cluster _cluster = Cluster.Get(Context.System);

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
    protected override void PreStart()
    {
        _cluster.Subscribe(Self, ClusterEvent.SubscriptionInitialStateMode.InitialStateAsEvents,
            typeof(ClusterEvent.MemberUp), typeof(ClusterEvent.MemberDowned), typeof(ClusterEvent.MemberRemoved));
        Context.System.EventStream.Subscribe(Self, typeof(ThisActorSystemQuarantinedEvent));
    }

    /// <inheritdoc/>
    protected override void PostStop()
    {
        _cluster.Unsubscribe(Self);
        Context.System.EventStream.Unsubscribe(Self);
    }

    /// <inheritdoc/>
    protected override void OnReceive(object message)
    {
        switch (message)
        {
            // It answers after all that the cluster's actor has taken in before, so that what others know this member has seen is in it.
            case LookAtCluster:
                _cluster.SendCurrentClusterState(Sender);
                break;
            case ClusterEvent.MemberUp m when IsSelf(m.Member):
                // That it is of a cluster is to be in the store soon, also of a member that holds no partitions.
                _ = _hub.Fence.SealedAsync();
                break;
            case ClusterEvent.MemberDowned m:
                Begin(m.Member);
                break;
            case ClusterEvent.MemberRemoved { PreviousStatus: MemberStatus.Down } m:
                Begin(m.Member);
                break;
            // A member that is told that it is down ends its cluster at once, often before it says to anybody that it is down.
            // 79 is Akka's for a failed handshake, which ends nobody and may be noted at that moment (ADR 0015).
            case ClusterEvent.MemberRemoved m when IsSelf(m.Member) && CoordinatedShutdown.Get(Context.System).ShutdownReason is null or CoordinatedShutdown.ClusterDowningReason or { ExitCode: 79 }:
                Begin(m.Member);
                break;
            // Who has left the cluster, or was put out of it, may think what it likes.
            case ThisActorSystemQuarantinedEvent m when _cluster.State.Members.Any(o => o.Address == m.RemoteAddress && o.Status is MemberStatus.Up or MemberStatus.WeaklyUp):
                _hub.Fence.Leave($"{m.RemoteAddress} takes nothing more from this member");
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

    private bool IsSelf(Member member) => member.UniqueAddress.Equals(_cluster.SelfUniqueAddress);

    private void Begin(Member member)
    {
        if (IsSelf(member))
        {
            _hub.Fence.Leave("the other members took this one for dead, or it is on the smaller side of a split");
            return;
        }

        if (MemberFence.UidOf(member.Roles) is not { } uid || !_known.Add(uid))
            return;
        _hub.Fence.Begin(uid);
        Fence(uid);
    }

    private void Fence(int uid) => _fence(uid).PipeTo(Self, success: fenced => new Done(uid, fenced), failure: cause => new Failed(uid, cause));
}
