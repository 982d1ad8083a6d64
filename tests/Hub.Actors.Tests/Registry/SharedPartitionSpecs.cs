using Akka;
using Akka.Actor;
using Akka.TestKit;
using AkkaHub.V1;
using Hub.Actors.Nodes;
using Hub.Actors.Registry;
using Hub.Actors.Store;
using Hub.Actors.Tests.Actors;
using Hub.Protocol;
using Microsoft.Extensions.Logging.Abstractions;
using Npgsql;

namespace Hub.Actors.Tests.Registry;

/// <summary>Partitions of a member that shares its store with others.</summary>
public sealed class SharedPartitionSpecs : ActorSpec
{
    private static readonly TimeSpan Period = TimeSpan.FromSeconds(40);
    private readonly FakeSharedStore _store = new();
    private readonly List<string> _left = [];
    private readonly TestProbe _bridge;
    private readonly IActorRef _probe;
    private readonly IActorRef _partition;
    private MembersSeen? _seen = new(new HashSet<int> { 1, 2 }, new HashSet<int>());

    public SharedPartitionSpecs()
    {
        _bridge = CreateTestProbe();
        _probe = Sys.ActorOf(StoreProbeActor.Props(Hub, "member"));
        AwaitAssert(() => Hub.Readiness.Reasons.ShouldNotContainKey(Readiness.Store), Bound);
        Hub.Fence.Share(new SharedFence(_store, () => Task.FromResult<MembersSeen?>(Volatile.Read(ref _seen)), why =>
        {
            lock (_left)
                _left.Add(why);
        }, Period, Time, NullLogger.Instance));
        _partition = Sys.ActorOf(NodePartitionActor.Props(3, Hub, CreateTestProbe().Ref, _probe));
    }

    private Attached Attach()
    {
        _partition.Tell(new Attach("n1", Hello("n1"), _bridge.Ref, 0, Again: false), _bridge.Ref);
        return _bridge.FishForMessage<Attached>(_ => true, Bound);
    }

    private string[] Left()
    {
        lock (_left)
            return [.. _left];
    }

    private bool Begins()
    {
        var asker = CreateTestProbe();
        _partition.Tell(new StartPartition(3), asker.Ref);
        return asker.ReceiveOne(TimeSpan.FromSeconds(1)) is PartitionStarted;
    }

    [Fact]
    public void A_partition_begins_when_all_that_may_write_are_seen_in_the_cluster()
    {
        _store.Others = [Row(2)];
        AwaitAssert(() => Begins().ShouldBeTrue(), Bound);
        _store.Joined.ShouldBe([1, 2]);
        _store.Fenced.ShouldBeEmpty();
    }

    [Fact]
    public void A_partition_does_not_begin_before_its_member_is_up_nor_beside_one_it_does_not_know()
    {
        AwaitAssert(() => Begins().ShouldBeTrue(), Bound);
        Volatile.Write(ref _seen, null);
        _store.Others = [Row(7)];
        var second = Sys.ActorOf(NodePartitionActor.Props(4, Hub, CreateTestProbe().Ref, _probe));
        var asker = CreateTestProbe();
        second.Tell(new StartPartition(4), asker.Ref);
        AsksOn();
        Volatile.Write(ref _seen, new(new HashSet<int> { 1, 2 }, new HashSet<int>()));
        AsksOn();
        asker.ExpectNoMsg(Moment);
        Volatile.Write(ref _seen, new(new HashSet<int> { 1, 2 }, new HashSet<int> { 7 }));
        asker.ExpectMsg<PartitionStarted>(Bound);
        _store.Fenced.ShouldBe([7]);
    }

    [Fact]
    public void Who_asks_before_it_begins_is_told_so_and_kept_once()
    {
        AwaitAssert(() => Begins().ShouldBeTrue(), Bound);
        Volatile.Write(ref _seen, null);
        _store.Others = [Row(7)];
        var second = Sys.ActorOf(NodePartitionActor.Props(4, Hub, CreateTestProbe().Ref, _probe));
        var first = new Attach("n1", Hello("n1"), _bridge.Ref, 0, Again: false, Ask: 1);
        foreach (var attach in (Attach[])[first, first, first with { Ask = 2 }])
        {
            second.Tell(attach, _bridge.Ref);
            _bridge.ExpectMsg<AttachTaken>(Bound).Ask.ShouldBe(attach.Ask);
        }

        Watch(second);
        Sys.Stop(second);
        ExpectTerminated(second, Bound);
        _bridge.ExpectMsg<AttachRefused>(Bound);
        _bridge.ExpectNoMsg(Moment);
    }

    // Twice more, since one question may be under way with what was so before.
    private void AsksOn()
    {
        var asked = _store.Asked;
        AwaitAssert(() => _store.Asked.ShouldBeGreaterThan(asked + 1), Bound);
    }

    [Fact]
    public void Another_writer_is_given_the_time_in_which_one_of_the_two_leaves()
    {
        AllowErrors();
        var one = Attach();
        Watch(one.NodeActor);
        Journal.FailWrites(id => id == "node-n1" ? new InvalidOperationException("wrapped", new PostgresException("twice", "ERROR", "ERROR", "23505")) : null);
        one.NodeActor.Tell(new FromNode(one.Epoch, Opened("main", 1)));
        ExpectTerminated(one.NodeActor, Bound);
        Journal.Heal();
        _partition.Tell(new Attach("n1", Hello("n1"), _bridge.Ref, 0, Again: true), _bridge.Ref);
        var recovered = Journal.Recoveries.Count(r => r == "node-n1");
        // Far beyond any back-off, and still within the period.
        for (var i = 0; i < 35; i++)
        {
            Advance(TimeSpan.FromSeconds(1));
            _bridge.ExpectNoMsg(TimeSpan.FromMilliseconds(5));
        }

        Journal.Recoveries.Count(r => r == "node-n1").ShouldBe(recovered);
        AdvanceUntil<Attached>(_bridge, TimeSpan.FromSeconds(1), 30).Epoch.ShouldBeGreaterThan(one.Epoch);
    }

    [Fact]
    public void A_refusal_as_of_a_fenced_member_is_looked_into_at_once()
    {
        AllowErrors();
        var one = Attach();
        _store.Looks.ShouldBe(0);
        Journal.FailWrites(id => id == "node-n1" ? new AggregateException(new PostgresException("fenced", "ERROR", "ERROR", PostgresMember.FencedState)) : null);
        one.NodeActor.Tell(new FromNode(one.Epoch, Opened("main", 1)));
        AwaitAssert(() => _store.Looks.ShouldBe(1), Bound);
    }

    [Fact]
    public void A_member_that_writes_nothing_notices_too_that_the_store_is_away()
    {
        AllowErrors();
        var probe = CreateTestProbe();
        Hub.Fence.WhenStoreIsSilent(cause => probe.Ref.Tell(cause));
        _store.FallSilent();
        probe.ExpectMsg<TimeoutException>(Bound);
    }

    // Its write does not end before the journal is opened.
    private void HandOffWithAWriteUnderWay()
    {
        var one = Attach();
        Journal.Close();
        one.NodeActor.Tell(new FromNode(one.Epoch, Opened("main", 1)));
        AwaitAssert(() => Journal.Asked.Count(id => id == "node-n1").ShouldBeGreaterThan(1), Bound);
        Watch(_partition);
        _partition.Tell(HandOffPartition.Instance);
        ExpectNoMsg(Moment);
        Left().ShouldBeEmpty();
    }

    [Fact]
    public void A_partition_whose_write_does_not_end_does_not_end_either_and_its_member_leaves()
    {
        HandOffWithAWriteUnderWay();
        Advance(TimeSpan.FromSeconds(40));
        ExpectNoMsg(Moment);
        Left().ShouldBeEmpty("nobody stops: a store that stands still for a while costs no member");
        Advance(TimeSpan.FromSeconds(6));
        AwaitAssert(() => Left().ShouldHaveSingleItem().ShouldContain("partition 3"), Bound);
        ExpectNoMsg(Moment);
        Journal.Open();
        ExpectTerminated(_partition, Bound);
    }

    [Fact]
    public void Once_its_member_stops_a_move_that_is_under_way_has_less_time()
    {
        HandOffWithAWriteUnderWay();
        Advance(TimeSpan.FromSeconds(20));
        Left().ShouldBeEmpty();
        var stop = CoordinatedShutdown.Get(Sys);
        var go = new TaskCompletionSource<Done>();
        stop.AddTask(CoordinatedShutdown.PhaseBeforeServiceUnbind, "held by the spec", () => go.Task);
        var stopped = stop.Run(CoordinatedShutdown.ClusterLeavingReason.Instance);
        // Akka ends the partition soon: it has had more than its four seconds.
        Advance(TimeSpan.FromSeconds(2));
        AwaitAssert(() => Left().ShouldHaveSingleItem().ShouldContain("partition 3"), Bound);
        Journal.Open();
        ExpectTerminated(_partition, Bound);
        go.SetResult(Done.Instance);
        _ = stopped;
    }

    private static PostgresMemberEntry Row(int uid, bool alive = true, int? cluster = 1) => new(uid, $"m{uid}:1", default, alive, cluster);
}
