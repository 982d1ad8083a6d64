using Akka.Actor;
using Akka.Cluster;
using Akka.Configuration;
using Akka.Event;
using AkkaHub.V1;
using Hub.Actors.Members;
using Hub.Actors.Settings;
using Hub.Actors.Telemetry;
using Microsoft.Extensions.Logging.Abstractions;

namespace Hub.Actors.Tests.Members;

/// <summary>Actor systems of one process that form a cluster, as members do.</summary>
public sealed class MembersActorSpecs : IAsyncLifetime
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);
    private readonly List<Peer> _peers = [];

    public Task InitializeAsync() => Task.CompletedTask;

    public async Task DisposeAsync()
    {
        foreach (var peer in _peers)
            await peer.System.Terminate();
    }

    [Fact]
    public async Task Members_know_of_each_other_and_tell_nodes_the_addresses_of_those_that_take_them()
    {
        var (a, b, c) = (await JoinAsync("a:1"), await JoinAsync("b:1"), await JoinAsync("c:1"));
        b.Hub.Held.AddPartitions(7);
        foreach (var peer in _peers)
        {
            await UntilAsync(() => peer.Hub.Members.Known is { } known && known.Addresses.SequenceEqual(["a:1", "b:1", "c:1"]));
            peer.Hub.Members.Known!.Self.ShouldBe(peer.Address);
            peer.Hub.Members.Elsewhere!.Addresses.ShouldBe(((string[])["a:1", "b:1", "c:1"]).Where(x => x != peer.Address));
            await UntilAsync(() => peer.Told.LastOrDefault()?.Addresses.Count == 3);
        }

        await UntilAsync(async () => (await a.ViewAsync()).Members.Single(m => m.Facts?.ClientAddress == "b:1").Facts!.Partitions == 7);
        var view = await a.ViewAsync();
        view.Members.Count(m => m.Leader).ShouldBe(1);
        view.Members.Single(m => m.Oldest).Self.ShouldBeTrue();
        view.Members.ShouldAllBe(m => m.State == MemberStatus.Up && m.Reachable && m.Wire == HubVersion.Wire && m.UnreachableBy.Count == 0);

        // One that drains is dialled by nobody, though it is still there.
        c.Hub.Readiness.Set(Readiness.Draining, "the hub is stopping");
        c.Actor.Tell(RefreshFacts.Instance);
        await UntilAsync(() => a.Hub.Members.Known!.Addresses.SequenceEqual(["a:1", "b:1"]) && b.Told.Last().Addresses.SequenceEqual(["a:1", "b:1"]));
        c.Hub.Members.Elsewhere!.Addresses.ShouldBe(["a:1", "b:1"]);
        (await a.ViewAsync()).Members.Single(m => m.Facts?.ClientAddress == "c:1").Facts!.Draining.ShouldBeTrue();
        foreach (var peer in _peers)
            await UntilAsync(() => peer.Hub.Members is { AllReachable: true, Draining.Count: 1 });
        a.Hub.Members.Draining.ShouldHaveSingleItem().ShouldBe((await c.ViewAsync()).Members.Single(m => m.Self).Address);
    }

    [Fact]
    public void Until_it_knows_the_others_a_member_takes_them_for_older()
    {
        var directory = new MemberDirectory();
        directory.AllRead(HubVersion.Wire).ShouldBeTrue();
        directory.ExpectOthers();
        directory.AllRead(WireForms.AttachTaken).ShouldBeFalse();
    }

    [Fact]
    public async Task With_gateways_alone_nobody_takes_its_nodes()
    {
        var (a, gateway) = (await JoinAsync("a:1"), await JoinAsync("g:1", role: MemberRoles.Gateway));
        await UntilAsync(() => a.Hub.Members.Known?.Addresses.SequenceEqual(["a:1", "g:1"]) == true && gateway.Hub.Members.Elsewhere is not null);
        a.Hub.Members.Elsewhere.ShouldBeNull();
        await JoinAsync("b:1");
        await UntilAsync(() => a.Hub.Members.Elsewhere?.Addresses.SequenceEqual(["b:1", "g:1"]) == true);
    }

    [Fact]
    public async Task A_member_has_another_one_leave()
    {
        var (a, b) = (await JoinAsync("a:1"), await JoinAsync("b:1"));
        await UntilAsync(async () => (await a.ViewAsync()).Members.Count(m => m.Facts is not null) == 2);
        await a.Actor.Ask<StopTaken>(new AskStop(b.Cluster.SelfAddress, MemberStop.Leave), Patience);
        await a.Actor.Ask<StopTaken>(new AskStop(a.Cluster.SelfAddress, MemberStop.Drain), Patience);
        b.Stops.ShouldBe([MemberStop.Leave]);
        a.Stops.ShouldBe([MemberStop.Drain]);
    }

    [Fact]
    public async Task New_forms_wait_for_the_last_member_of_an_older_build_and_for_the_store()
    {
        var recording = new TaskCompletionSource();
        var asked = new List<int>();
        var a = await JoinAsync("a:1", record: version =>
        {
            asked.Add(version);
            return recording.Task;
        });
        // As a build is that knows nothing of all this: it bears no role and has no such actor.
        var old = await JoinAsync("old:1", oldBuild: true);
        var letters = new List<string>();
        old.System.EventStream.Subscribe(old.System.ActorOf(Props.Create(() => new Collector<AllDeadLetters>(l => letters.Add(l.Message.GetType().Name)))), typeof(AllDeadLetters));
        await UntilAsync(async () => (await a.ViewAsync()).Members.Count == 2);
        await UntilAsync(() => a.Hub.Members.LowestWire == WireForms.First);
        a.Hub.Members.AllRead(WireForms.AttachTaken).ShouldBeFalse();
        a.Actor.Tell(RefreshFacts.Instance);
        (await a.ViewAsync()).Members.Single(m => !m.Self).ShouldSatisfyAllConditions(m => m.Wire.ShouldBe(WireForms.First), m => m.Facts.ShouldBeNull());

        await old.Cluster.LeaveAsync().WaitAsync(Patience);
        await UntilAsync(() => asked.Contains(HubVersion.Wire));
        asked.ShouldBe([HubVersion.Wire]);
        letters.ShouldNotContain(nameof(ActorSelectionMessage), "it would not know what to make of it");
        a.Hub.Members.AllRead(WireForms.AttachTaken).ShouldBeFalse("the store has not been told yet");
        recording.SetResult();
        await UntilAsync(() => a.Hub.Members.AllRead(WireForms.AttachTaken));
    }

    /// <summary>It hears of the members one by one, perhaps of itself first; what it records then would shut the others out.</summary>
    [Fact]
    public async Task Who_joins_members_of_an_older_build_records_nothing()
    {
        await JoinAsync("old:1", oldBuild: true);
        var asked = new List<int>();
        foreach (var i in Enumerable.Range(1, 4))
        {
            var peer = await JoinAsync($"new{i}:1", record: version =>
            {
                lock (asked)
                    asked.Add(version);
                return Task.CompletedTask;
            });
            await UntilAsync(async () => (await peer.ViewAsync()).Members.Count == i + 1);
            peer.Actor.Tell(RefreshFacts.Instance);
            await peer.ViewAsync();
            peer.Hub.Members.LowestWire.ShouldBe(WireForms.First);
        }

        lock (asked)
            asked.ShouldBeEmpty();
    }

    [Fact]
    public async Task A_hub_by_itself_tells_nodes_of_nobody_and_is_in_its_own_list()
    {
        var a = await JoinAsync("a:1", alone: true);
        await UntilAsync(async () => (await a.ViewAsync()).Members is [{ Self: true, State: MemberStatus.Up, Leader: true, Oldest: true, Facts.ClientAddress: "a:1" }]);
        a.Actor.Tell(RefreshFacts.Instance);
        await a.ViewAsync();
        a.Hub.Members.Known.ShouldBeNull();
        a.Told.ShouldBeEmpty();
        a.Hub.Members.AllRead(HubVersion.Wire).ShouldBeTrue();
    }

    private async Task<Peer> JoinAsync(string address, Func<int, Task>? record = null, bool oldBuild = false, bool alone = false, string role = MemberRoles.Full)
    {
        var peer = new Peer(address, record, oldBuild, alone, role);
        _peers.Add(peer);
        await peer.Cluster.JoinAsync(_peers[0].Cluster.SelfAddress).WaitAsync(Patience);
        await UntilAsync(() => peer.Cluster.State.Members.Any(m => m.UniqueAddress.Equals(peer.Cluster.SelfUniqueAddress) && m.Status == MemberStatus.Up));
        return peer;
    }

    private static Task UntilAsync(Func<bool> condition) => UntilAsync(() => Task.FromResult(condition()));

    private static async Task UntilAsync(Func<Task<bool>> condition)
    {
        using var late = new CancellationTokenSource(Patience);
        while (!await condition())
            await Task.Delay(20, late.Token);
    }

    private sealed class Peer
    {
        private readonly List<HubMembers> _told = [];
        private readonly List<MemberStop> _stops = [];

        public Peer(string address, Func<int, Task>? record, bool oldBuild, bool alone, string role)
        {
            Address = address;
            var roles = oldBuild ? role : $"{role}, {WireForms.RoleOf(HubVersion.Wire)}";
            System = ActorSystem.Create("akkahub", ConfigurationFactory.ParseString($$"""
                akka {
                  loglevel = OFF
                  stdout-loglevel = OFF
                  remote.dot-netty.tcp { hostname = "127.0.0.1", port = 0, enable-ssl = off }
                  cluster.roles = [{{roles}}]
                }
                """).WithFallback(HubActors.SerializationConfig).WithFallback(HubConfiguration.Cluster).WithFallback(HubConfiguration.Akka));
            Cluster = Cluster.Get(System);
            Hub = new HubRuntime(new HubSettings(), new HubMetrics(), new Readiness(), TimeProvider.System, NullLogger.Instance);
            Actor = ActorRefs.Nobody;
            if (oldBuild)
                return;
            var bridges = System.ActorOf(Props.Create(() => new Collector<MembersChanged>(m => Add(_told, m.Members))));
            Actor = System.ActorOf(MembersActor.Props(Hub, new MemberSelf
            {
                ClientAddress = () => address,
                IsMember = !alone,
                Stop = how => Add(_stops, how),
                RecordWire = record,
            }, bridges), MembersActor.Name);
        }

        public ActorSystem System { get; }
        public Cluster Cluster { get; }
        public HubRuntime Hub { get; }
        public IActorRef Actor { get; }
        public string Address { get; }
        public IReadOnlyList<HubMembers> Told => Copy(_told);
        public IReadOnlyList<MemberStop> Stops => Copy(_stops);

        public Task<MembersView> ViewAsync() => Actor.Ask<MembersView>(GetMembers.Instance, Patience);

        private static void Add<T>(List<T> list, T item)
        {
            lock (list)
                list.Add(item);
        }

        private static T[] Copy<T>(List<T> list)
        {
            lock (list)
                return [.. list];
        }
    }

    private sealed class Collector<T> : UntypedActor
    {
        private readonly Action<T> _take;

        public Collector(Action<T> take) => _take = take;

        protected override void OnReceive(object message)
        {
            if (message is T taken)
                _take(taken);
        }
    }
}
