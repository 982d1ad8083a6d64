using System.Diagnostics;
using Akka.Actor;
using Akka.Cluster;
using Hub.Actors.Store;
using Hub.Actors.Telemetry;

namespace Hub.Actors.Registry;

/// <summary>
/// Downs members of which two say that they have died: the failure detector, and the shared store, whose server is told by the operating system when a
/// process has ended. The split-brain resolver has only the first, and waits to see who else is gone. One that stands still, or is cut off, has its session
/// in the store and is left to the resolver; one that died with its machine keeps it until the server gives it up, and is, too. If it is alive after all
/// it is fenced like everybody who is downed (ADR 0018).
/// </summary>
public sealed class DeadMembersActor : UntypedActor, IWithTimers
{
    /// <summary>For how long a member has to be without a session, by two looks of the server's this far apart: one that only lost it opens it again.</summary>
    public static readonly TimeSpan DeadFor = TimeSpan.FromSeconds(1);

    // What the server saw longer ago says nothing of now.
    private static readonly TimeSpan Stale = TimeSpan.FromSeconds(2);

    private static readonly TimeSpan LookEvery = TimeSpan.FromMilliseconds(250);

    private sealed record Look
    {
        public static readonly Look Instance = new();
    }

    private sealed record Seen(IReadOnlyCollection<int> Gone, long Asked);

    private sealed record NotSeen;

    private readonly HubRuntime _hub;
    private readonly ISharedStore _store;
    private readonly Cluster _cluster = Cluster.Get(Context.System);
    private readonly Dictionary<int, Suspect> _suspects = [];
    private bool _looking;

    private sealed class Suspect(Member member)
    {
        public Member Member { get; } = member;
        public long? GoneSince { get; set; }
    }

    /// <summary>Makes the actor.</summary>
    public DeadMembersActor(HubRuntime hub, ISharedStore store)
    {
        _hub = hub;
        _store = store;
    }

    /// <inheritdoc/>
    public ITimerScheduler Timers { get; set; } = null!;

    /// <summary>Makes it.</summary>
    public static Props Props(HubRuntime hub, ISharedStore store) => Akka.Actor.Props.Create(() => new DeadMembersActor(hub, store));

    /// <inheritdoc/>
    protected override void PreStart() => _cluster.Subscribe(Self, ClusterEvent.SubscriptionInitialStateMode.InitialStateAsEvents,
        typeof(ClusterEvent.UnreachableMember), typeof(ClusterEvent.ReachableMember), typeof(ClusterEvent.MemberDowned), typeof(ClusterEvent.MemberRemoved));

    /// <inheritdoc/>
    protected override void PostStop() => _cluster.Unsubscribe(Self);

    /// <inheritdoc/>
    protected override void OnReceive(object message)
    {
        switch (message)
        {
            case ClusterEvent.UnreachableMember m when m.Member.Status != MemberStatus.Down && MemberFence.UidOf(m.Member.Roles) is { } uid:
                if (_suspects.TryAdd(uid, new Suspect(m.Member)) && _suspects.Count == 1)
                    Self.Tell(Look.Instance);
                break;
            case ClusterEvent.ReachableMember m:
                Forget(m.Member);
                break;
            case ClusterEvent.MemberDowned m:
                Forget(m.Member);
                break;
            case ClusterEvent.MemberRemoved m:
                Forget(m.Member);
                break;
            case Look when !_looking && _suspects.Count > 0:
                _looking = true;
                var asked = Stopwatch.GetTimestamp();
                _store.GoneAsync([.. _suspects.Keys]).PipeTo(Self, success: gone => new Seen(gone, asked), failure: static _ => new NotSeen());
                break;
            case Seen m:
                Judge(Stopwatch.GetElapsedTime(m.Asked) < Stale ? m.Gone : [], m.Asked);
                LookAgain();
                break;
            // The store's probe says why.
            case NotSeen:
                Judge([], asked: 0);
                LookAgain();
                break;
        }
    }

    private void Forget(Member member)
    {
        if (MemberFence.UidOf(member.Roles) is { } uid)
            _suspects.Remove(uid);
    }

    private void Judge(IReadOnlyCollection<int> gone, long asked)
    {
        foreach (var (uid, suspect) in _suspects.ToArray())
        {
            if (!gone.Contains(uid))
            {
                suspect.GoneSince = null;
                continue;
            }

            suspect.GoneSince ??= Stopwatch.GetTimestamp();
            // The cluster may know more by now than this actor has been told: its address may be a new member's.
            if (Stopwatch.GetElapsedTime(suspect.GoneSince.Value, asked) < DeadFor || !_cluster.State.Unreachable.Any(m => m.UniqueAddress.Equals(suspect.Member.UniqueAddress)))
                continue;
            HubLog.MemberDead(_hub.Log, suspect.Member.Address.ToString());
            _cluster.Down(suspect.Member.Address);
            _suspects.Remove(uid);
        }
    }

    private void LookAgain()
    {
        _looking = false;
        if (_suspects.Count > 0)
            Timers.StartSingleTimer(Look.Instance, Look.Instance, LookEvery);
    }
}
