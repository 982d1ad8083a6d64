using System.Collections.Immutable;
using Akka.Actor;
using Akka.Cluster;
using AkkaHub.V1;
using Hub.Actors.Telemetry;
using Hub.Protocol;
using ClusterMember = Akka.Cluster.Member;

namespace Hub.Actors.Members;

/// <summary>What the host tells of this member.</summary>
public sealed record MemberSelf
{
    /// <summary>What nodes and clients dial; empty while the member does not listen.</summary>
    public required Func<string> ClientAddress { get; init; }
    /// <summary>Whether it is one of several: then nodes are told the addresses.</summary>
    public required bool IsMember { get; init; }
    /// <summary>Has this member leave.</summary>
    public required Action<MemberStop> Stop { get; init; }
    /// <summary>Records in the shared store that forms of this version may be in it from now on; null without one.</summary>
    public Func<int, Task>? RecordWire { get; init; }
}

/// <summary>
/// One per member: tells the others how this one is, keeps what they told, and from it and the cluster's own state the list of members,
/// the addresses that nodes are told, and the lowest wire version. It promises nothing about being up to date beyond <see cref="Interval"/>.
/// </summary>
public sealed class MembersActor : UntypedActor, IWithTimers
{
    /// <summary>Its name below <c>/user</c>: members find each other's by it.</summary>
    public const string Name = "members";

    /// <summary>How often members tell each other.</summary>
    public static readonly TimeSpan Interval = TimeSpan.FromSeconds(3);

    // Members come and go in bursts, and each change goes to all nodes.
    private static readonly TimeSpan Settle = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan RecordRetry = TimeSpan.FromSeconds(5);
    private const int MaxUnreachable = 64;

    private sealed record Tick
    {
        public static readonly Tick Instance = new();
    }

    private sealed record Publish
    {
        public static readonly Publish Instance = new();
    }

    private sealed record Recorded(int Version, Exception? Failure);

    private sealed record RecordAgain
    {
        public static readonly RecordAgain Instance = new();
    }

    private sealed record Heard(MemberFacts Facts, long UnixUs);

    private readonly HubRuntime _hub;
    private readonly MemberSelf _own;
    private readonly IActorRef _bridges;
    private readonly Cluster _cluster = Cluster.Get(Context.System);
    private readonly Dictionary<UniqueAddress, Heard> _heard = [];
    private readonly SortedDictionary<UniqueAddress, ClusterMember> _members = [];
    private readonly HashSet<UniqueAddress> _unreachable = [];
    private Address? _leader;
    private HubMembers? _published;
    private bool _fullElsewhere;
    private int _recorded;
    private bool _recording;

    /// <summary>Makes the actor.</summary>
    public MembersActor(HubRuntime hub, MemberSelf own, IActorRef bridges)
    {
        _hub = hub;
        _own = own;
        _bridges = bridges;
        // Without a store that others share there is nothing to record first.
        _recorded = own.RecordWire is null ? HubVersion.Wire : WireForms.First;
    }

    /// <inheritdoc/>
    public ITimerScheduler Timers { get; set; } = null!;

    /// <summary>Makes it.</summary>
    /// <param name="hub">Whose directory it fills.</param>
    /// <param name="own">This member.</param>
    /// <param name="bridges">Are told <see cref="MembersChanged"/>.</param>
    public static Props Props(HubRuntime hub, MemberSelf own, IActorRef bridges) => Akka.Actor.Props.Create(() => new MembersActor(hub, own, bridges));

    /// <inheritdoc/>
    protected override void PreStart()
    {
        _cluster.Subscribe(Self, ClusterEvent.SubscriptionInitialStateMode.InitialStateAsSnapshot,
            typeof(ClusterEvent.IMemberEvent), typeof(ClusterEvent.IReachabilityEvent), typeof(ClusterEvent.LeaderChanged));
        Timers.StartPeriodicTimer(Tick.Instance, Tick.Instance, TimeSpan.Zero, Interval);
    }

    /// <inheritdoc/>
    protected override void PostStop() => _cluster.Unsubscribe(Self);

    /// <inheritdoc/>
    protected override void OnReceive(object message)
    {
        switch (message)
        {
            case Tick:
                TellAll();
                Changed();
                break;
            case RefreshFacts:
                TellAll();
                JudgeState();
                PublishNow();
                break;
            case TellFacts m:
                Hear(m.Facts);
                break;
            // All at once: of some of them it could not be told what all of them read.
            case ClusterEvent.CurrentClusterState m:
                foreach (var member in m.Members)
                    _members[member.UniqueAddress] = member;
                _unreachable.UnionWith(m.Unreachable.Select(u => u.UniqueAddress));
                _leader = m.Leader;
                TellAll();
                Changed();
                break;
            case ClusterEvent.MemberRemoved m:
                _members.Remove(m.Member.UniqueAddress);
                _heard.Remove(m.Member.UniqueAddress);
                _unreachable.Remove(m.Member.UniqueAddress);
                Changed();
                break;
            case ClusterEvent.IMemberEvent m:
                _members[m.Member.UniqueAddress] = m.Member;
                Tell(m.Member, OwnFacts());
                Changed();
                break;
            case ClusterEvent.UnreachableMember m:
                _unreachable.Add(m.Member.UniqueAddress);
                JudgeState();
                break;
            case ClusterEvent.ReachableMember m:
                _unreachable.Remove(m.Member.UniqueAddress);
                JudgeState();
                break;
            case ClusterEvent.LeaderChanged m:
                _leader = m.Leader;
                break;
            case Publish:
                PublishNow();
                break;
            case GetMembers:
                Sender.Tell(View());
                break;
            case AskStop m when m.Member.Equals(_cluster.SelfAddress):
                Stop(m.How);
                break;
            case AskStop m:
                Other(m.Member).Tell(new StopMember(m.How), Sender);
                break;
            case StopMember m:
                Stop(m.How);
                break;
            case Recorded m:
                OnRecorded(m);
                break;
            case RecordAgain:
                _recording = false;
                JudgeWire();
                break;
        }
    }

    private void Stop(MemberStop how)
    {
        Sender.Tell(StopTaken.Instance);
        _own.Stop(how);
    }

    private void Hear(MemberFacts facts)
    {
        // Of a member that this one does not know yet it will hear again: it tells each one that joins, and all every few seconds.
        var from = Sender.Path.Address;
        foreach (var (address, _) in _members)
        {
            if (!address.Address.Equals(from))
                continue;
            _heard[address] = new Heard(facts, _hub.NowUnixUs());
            Changed();
        }
    }

    private void TellAll()
    {
        var facts = OwnFacts();
        foreach (var member in _members.Values)
            Tell(member, facts);
    }

    private void Tell(ClusterMember member, MemberFacts facts)
    {
        if (member.UniqueAddress.Equals(_cluster.SelfUniqueAddress))
            _heard[member.UniqueAddress] = new Heard(facts, _hub.NowUnixUs());
        else if (WireForms.VersionOf(member.Roles) >= WireForms.Members)
            Other(member.Address).Tell(new TellFacts(facts), Self);
    }

    private ActorSelection Other(Address address) => Context.ActorSelection(new RootActorPath(address) / "user" / Name);

    private MemberFacts OwnFacts() => new(
        _own.ClientAddress(), BuildVersion.Text, _hub.StartedUnixUs, _hub.Load.Streams, _hub.Held.Partitions, _hub.Held.Nodes,
        _hub.Readiness.Reasons.ContainsKey(Readiness.Draining),
        [.. _members.Values.Where(m => IsUnreachable(m.Address)).Select(m => HostPort(m.Address)).Take(MaxUnreachable)]);

    private bool IsUnreachable(Address address) => _cluster.FailureDetector.IsMonitoring(address) && !_cluster.FailureDetector.IsAvailable(address);

    private void Changed()
    {
        JudgeWire();
        JudgeState();
        // A gateway keeps no partition: alone with such, nobody takes over what this member has.
        _fullElsewhere = _members.Values.Any(m => m.HasRole(MemberRoles.Full) && m.Status == MemberStatus.Up && !m.UniqueAddress.Equals(_cluster.SelfUniqueAddress)
            && _heard.GetValueOrDefault(m.UniqueAddress)?.Facts.Draining != true);
        if (_published is not null)
            _hub.Members.Set(_published, _fullElsewhere);
        if (!Timers.IsTimerActive(Publish.Instance) && !Addresses().Equals(_published))
            Timers.StartSingleTimer(Publish.Instance, Publish.Instance, _published is null ? TimeSpan.Zero : Settle);
    }

    private void PublishNow()
    {
        var addresses = Addresses();
        if (!_own.IsMember || addresses.Equals(_published))
            return;
        _published = addresses;
        _hub.Members.Set(addresses, _fullElsewhere);
        _bridges.Tell(new MembersChanged(addresses));
    }

    // Members that cannot be reached stay among them: they may be back in a moment, and whoever dials one that is not goes on to the next.
    private HubMembers Addresses()
    {
        var all = new HubMembers { Self = _own.ClientAddress(), Machine = ThisMachine.Id };
        if (!_own.IsMember)
            return all;
        all.Addresses.Add(_members.Values
            .Where(m => m.Status is MemberStatus.Up or MemberStatus.WeaklyUp)
            .Select(m => (Member: m, _heard.GetValueOrDefault(m.UniqueAddress)?.Facts))
            .Where(m => m.Facts is { Draining: false, ClientAddress.Length: > 0 and <= 300 })
            .Select(m => (m.Member, m.Facts!.ClientAddress))
            // A loopback address leads to another member's machine only from there.
            .Where(m => m.Member.Address.Host == _cluster.SelfAddress.Host || HubAddress.TryParse(m.ClientAddress, out var address) && !address.IsLoopback)
            .Select(m => m.ClientAddress).Distinct().Order(StringComparer.Ordinal).Take(MemberDirectory.MaxAddresses));
        return all;
    }

    private void JudgeState() => _hub.Members.SetState(
        [.. _members.Values.Where(m => _heard.GetValueOrDefault(m.UniqueAddress)?.Facts.Draining == true).Select(m => m.Address)], _unreachable.Count == 0);

    // Who joins is told of the others one by one, and is let up when it has been told of all.
    private bool KnowsAll => !_own.IsMember
        || _members.TryGetValue(_cluster.SelfUniqueAddress, out var self) && self.Status is not (MemberStatus.Joining or MemberStatus.WeaklyUp);

    // A form may be stored once every member reads it, and then no older build may start on the store any more: that is written down first.
    private void JudgeWire()
    {
        var lowest = KnowsAll ? _members.Values.Select(m => WireForms.VersionOf(m.Roles)).DefaultIfEmpty(WireForms.First).Min() : WireForms.First;
        _hub.Members.SetLowestWire(Math.Min(lowest, _recorded));
        if (lowest <= _recorded || _recording || _own.RecordWire is not { } record)
            return;
        _recording = true;
        record(lowest).PipeTo(Self, success: () => new Recorded(lowest, null), failure: e => new Recorded(lowest, e));
    }

    private void OnRecorded(Recorded m)
    {
        if (m.Failure is { } failure)
        {
            // New forms wait for it, nothing else does.
            HubLog.WireNotRecorded(_hub.Log, m.Version, failure.Message);
            Timers.StartSingleTimer(RecordAgain.Instance, RecordAgain.Instance, RecordRetry);
            return;
        }

        _recording = false;
        _recorded = m.Version;
        JudgeWire();
        HubLog.WireVersion(_hub.Log, _hub.Members.LowestWire);
    }

    private MembersView View()
    {
        var facts = OwnFacts();
        var oldest = _members.Values.Where(m => m.HasRole(MemberRoles.Full) && m.Status is not (MemberStatus.Joining or MemberStatus.WeaklyUp))
            .Aggregate((ClusterMember?)null, (old, m) => old is null || m.IsOlderThan(old) ? m : old);
        var views = _members.Values.Select(m =>
        {
            var self = m.UniqueAddress.Equals(_cluster.SelfUniqueAddress);
            var heard = self ? new Heard(facts, _hub.NowUnixUs()) : _heard.GetValueOrDefault(m.UniqueAddress);
            var address = HostPort(m.Address);
            return new MemberView(
                m.Address, m.HasRole(MemberRoles.Gateway) ? MemberRoles.Gateway : MemberRoles.Full, m.Status, !_unreachable.Contains(m.UniqueAddress), WireForms.VersionOf(m.Roles),
                heard?.Facts, heard?.UnixUs ?? 0,
                [.. _members.Values.Where(by => FactsOf(by, facts)?.Unreachable.Contains(address) == true).Select(by => HostPort(by.Address))],
                m.Address.Equals(_leader), ReferenceEquals(m, oldest), self);
        });
        return new MembersView([.. views.OrderBy(v => v.HostPort, StringComparer.Ordinal)], _hub.Members.LowestWire);
    }

    private MemberFacts? FactsOf(ClusterMember member, MemberFacts own) =>
        member.UniqueAddress.Equals(_cluster.SelfUniqueAddress) ? own : _heard.GetValueOrDefault(member.UniqueAddress)?.Facts;

    private static string HostPort(Address address) => $"{address.Host}:{address.Port}";
}
