using Akka.Actor;
using Akka.TestKit;
using AkkaHub.Internal.V1;
using AkkaHub.V1;
using Hub.Actors.Events;
using Hub.Actors.Nodes;
using Hub.Actors.Registry;
using Hub.Actors.Store;
using Hub.Actors.Tests.Actors;

namespace Hub.Actors.Tests.Registry;

/// <summary>The way of a node's events into the log of its partition, also when one of the two cannot be written.</summary>
public sealed class PartitionEventsSpecs : ActorSpec
{
    private readonly TestProbe _bridge;
    private readonly TestProbe _snapshots;
    private readonly IActorRef _probe;
    private IActorRef _partition;

    public PartitionEventsSpecs()
    {
        AllowErrors();
        _bridge = CreateTestProbe();
        _snapshots = CreateTestProbe();
        _probe = Sys.ActorOf(StoreProbeActor.Props(Hub, "member"));
        AwaitAssert(() => Hub.Readiness.Reasons.ShouldNotContainKey(Readiness.Store), Bound);
        _partition = Start();
    }

    private IActorRef Start() => Sys.ActorOf(NodePartitionActor.Props(3, Hub, _snapshots.Ref, _probe));

    private void Restart()
    {
        Watch(_partition);
        Sys.Stop(_partition);
        ExpectTerminated(_partition, Bound);
        // Not before: the log would be written at once.
        Journal.Heal();
        _partition = Start();
    }

    private void StopTheLog() => Journal.FailWrites(static id => id.StartsWith("events-", StringComparison.Ordinal) ? new IOException("no log") : null);

    private Attached Attach(string node = "n1")
    {
        _partition.Tell(new Attach(node, Hello(node), _bridge.Ref, 0, false), _bridge.Ref);
        return _bridge.FishForMessage<Attached>(_ => true, Bound);
    }

    private void Open(Attached attached, byte id, string name)
    {
        attached.NodeActor.Tell(new FromNode(attached.Epoch, Opened(name, id)));
        attached.NodeActor.Tell(new FromNode(attached.Epoch, Bytes(id, 0, "x")));
        _bridge.FishForMessage<Progress>(p => p.Positions.Any(x => x.Incarnation == Inc(id) && x.Durable == 1), Bound);
    }

    private string[] Events()
    {
        var follower = CreateTestProbe();
        _partition.Tell(new FollowEvents(3, 0), follower.Ref);
        return [.. follower.ExpectMsg<EventsTold>(Bound).Facts.Select(f => $"{f.Type} {f.Subject["nodes/".Length..]}")];
    }

    // The clock goes on: pauses of the partition, and of the store's probe, are over at some time.
    private void EventuallyAre(params string[] expected) => AwaitAssert(() =>
    {
        Advance(TimeSpan.FromSeconds(1));
        var follower = CreateTestProbe();
        _partition.Tell(new FollowEvents(3, 0), follower.Ref);
        follower.ExpectMsg<EventsTold>(TimeSpan.FromMilliseconds(300)).Facts.Select(f => $"{f.Type} {f.Subject["nodes/".Length..]}").ShouldBe(expected);
    }, Bound, Moment);

    private string[] Listed()
    {
        var asker = CreateTestProbe();
        _partition.Tell(new ListPartition(3), asker.Ref);
        return [.. asker.ExpectMsg<PartitionNodes>(Bound).Nodes.Select(n => n.Name)];
    }

    [Fact]
    public void What_a_journal_says_is_in_the_log_once_though_the_partition_went_down_before_it_could_be_written()
    {
        StopTheLog();
        Open(Attach(), 1, "main");
        Restart();
        AwaitAssert(() => Events().ShouldBe(["NodeConnecting n1"]), Bound);
        Open(Attach(), 2, "other");
        EventuallyAre("NodeConnecting n1", "NodeRegistered n1", "TerminalOpened n1/terminals/main", "TerminalClosed n1/terminals/main", "NodeOnline n1",
            "TerminalOpened n1/terminals/other");
        Restart();
        Attach();
        EventuallyAre("NodeConnecting n1", "NodeRegistered n1", "TerminalOpened n1/terminals/main", "TerminalClosed n1/terminals/main", "NodeOnline n1",
            "TerminalOpened n1/terminals/other", "NodeConnecting n1", "TerminalClosed n1/terminals/other", "NodeOnline n1");
    }

    [Fact]
    public void What_happens_while_the_log_cannot_be_written_follows_in_order_and_once()
    {
        var attached = Attach();
        AwaitAssert(() => Events().Length.ShouldBe(2), Bound);
        StopTheLog();
        Open(attached, 1, "main");
        attached.NodeActor.Tell(new LivenessReport(attached.Epoch, NodeStatus.Stale, null, Hub.NowUnixUs()));
        attached.NodeActor.Tell(new LivenessReport(attached.Epoch, NodeStatus.Online, null, Hub.NowUnixUs()));
        Open(attached, 2, "other");
        attached.NodeActor.Tell(new FromNode(attached.Epoch, Closed(2, 1)));
        Journal.Heal();
        EventuallyAre("NodeRegistered n1", "NodeOnline n1", "TerminalOpened n1/terminals/main", "NodeStale n1", "NodeOnline n1",
            "TerminalOpened n1/terminals/other", "TerminalClosed n1/terminals/other");
    }

    [Fact]
    public void A_node_that_does_not_come_back_is_heard_before_it_is_said_to_be_gone()
    {
        StopTheLog();
        Open(Attach(), 1, "main");
        Restart();
        AwaitAssert(() => Events().ShouldBe(["NodeConnecting n1"]), Bound);
        Hub.Readiness.Clear(Readiness.Partitions);
        Advance(Hub.Settings.Liveness.StartGrace + TimeSpan.FromSeconds(2));
        EventuallyAre("NodeConnecting n1", "NodeRegistered n1", "TerminalOpened n1/terminals/main", "NodeOffline n1");
    }

    [Fact]
    public void A_node_is_forgotten_when_the_log_says_so_and_is_in_no_list_meanwhile()
    {
        Attach();
        AwaitAssert(() => Events().Length.ShouldBe(2), Bound);
        StopTheLog();
        var asker = CreateTestProbe();
        _partition.Tell(new NodeRequest("n1", new ForgetNodeRequest { Force = true }), asker.Ref);
        AwaitAssert(() => Listed().ShouldBeEmpty(), Bound);
        asker.ExpectNoMsg(Moment);
        Journal.Heal();
        EventuallyAre("NodeRegistered n1", "NodeOnline n1", "NodeForgotten n1");
        asker.ExpectMsg<NodeReply>(Bound);
        Restart();
        Listed().ShouldBeEmpty();
        // The name is free, and what is told of it is not taken for what was told before.
        _partition.Tell(new Attach("n1", Hello("n1", key: 5, instance: 5), _bridge.Ref, 0, false), _bridge.Ref);
        _bridge.FishForMessage<Attached>(_ => true, Bound);
        EventuallyAre("NodeRegistered n1", "NodeOnline n1", "NodeForgotten n1", "NodeRegistered n1", "NodeOnline n1");
    }

    [Fact]
    public void What_comes_after_a_row_that_found_no_room_is_not_taken_before_that()
    {
        Attach();
        AwaitAssert(() => Events().Length.ShouldBe(2), Bound);
        MeshFact Fact(string name) => NodeFacts.Fact(MeshEventType.TerminalOpened, $"nodes/n1/terminals/{name}", "opened", 1);
        // Row 1000 is told by nobody: it had no room.
        _partition.Tell(new NodeTold("n1", 1000, new UntoldRow { Number = 1001, Facts = { Fact("late") } }));
        _partition.Tell(new NodeTold("n1", 0, new UntoldRow { Number = 1000, Facts = { Fact("early") } }));
        _partition.Tell(new NodeTold("n1", 1000, new UntoldRow { Number = 1001, Facts = { Fact("late") } }));
        AwaitAssert(() => Events().Skip(2).ShouldBe(["TerminalOpened n1/terminals/early", "TerminalOpened n1/terminals/late"]), Bound);
    }

    [Fact]
    public void A_node_that_was_being_forgotten_when_the_partition_went_down_is_forgotten_when_it_is_heard_of()
    {
        Attach();
        AwaitAssert(() => Events().Length.ShouldBe(2), Bound);
        StopTheLog();
        _partition.Tell(new NodeRequest("n1", new ForgetNodeRequest { Force = true }), CreateTestProbe().Ref);
        AwaitAssert(() => Listed().ShouldBeEmpty(), Bound);
        // The journal says that it is forgotten; the log, and the list of nodes, do not yet.
        Restart();
        AwaitAssert(() => Listed().ShouldBe(["nodes/n1"]), Bound);
        _partition.Tell(new Attach("n1", Hello("n1", key: 5, instance: 5), _bridge.Ref, 0, false), _bridge.Ref);
        _bridge.FishForMessage<AttachRefused>(_ => true, Bound);
        AwaitAssert(() => Listed().ShouldBeEmpty(), Bound);
        EventuallyAre("NodeRegistered n1", "NodeOnline n1", "NodeConnecting n1", "NodeForgotten n1");
        Attached? attached = null;
        AwaitAssert(() =>
        {
            _partition.Tell(new Attach("n1", Hello("n1", key: 5, instance: 5), _bridge.Ref, 0, false), _bridge.Ref);
            attached = _bridge.ExpectMsg<Attached>(Moment);
        }, Bound);
        attached.ShouldNotBeNull();
        AwaitAssert(() => Listed().ShouldBe(["nodes/n1"]), Bound);
    }

    [Fact]
    public void A_node_that_was_away_when_the_hub_stopped_is_said_to_be_gone_when_it_starts_long_after()
    {
        var attached = Attach();
        AwaitAssert(() => Events().Length.ShouldBe(2), Bound);
        attached.NodeActor.Tell(new Detach(attached.Epoch, "stream-broken", "gone", 0));
        AwaitAssert(() => Events().Last().ShouldBe("NodeStale n1"), Bound);
        Watch(_partition);
        Sys.Stop(_partition);
        ExpectTerminated(_partition, Bound);
        Time.Advance(TimeSpan.FromHours(1));
        _partition = Start();
        EventuallyAre("NodeRegistered n1", "NodeOnline n1", "NodeStale n1", "NodeOffline n1");
        Restart();
        EventuallyAre("NodeRegistered n1", "NodeOnline n1", "NodeStale n1", "NodeOffline n1");
    }

    [Fact]
    public void A_hand_off_waits_for_the_log()
    {
        var attached = Attach();
        AwaitAssert(() => Events().Length.ShouldBe(2), Bound);
        Watch(_partition);
        Journal.Close("events-3");
        attached.NodeActor.Tell(new LivenessReport(attached.Epoch, NodeStatus.Stale, null, Hub.NowUnixUs()));
        AwaitAssert(() => Journal.Asked.Count(id => id == "events-3").ShouldBeGreaterThanOrEqualTo(2), Bound);
        _partition.Tell(HandOffPartition.Instance);
        ExpectNoMsg(Moment);
        Journal.Open();
        ExpectTerminated(_partition, Bound);
        _partition = Start();
        AwaitAssert(() => Events().ShouldBe(["NodeRegistered n1", "NodeOnline n1", "NodeStale n1", "NodeConnecting n1"]), Bound);
    }
}
