using Akka.Actor;
using Akka.TestKit;
using AkkaHub.V1;
using Google.Protobuf;
using Hub.Actors.Events;
using Hub.Actors.Nodes;
using Hub.Actors.Registry;
using Hub.Actors.Settings;
using Hub.Actors.Store;
using Hub.Actors.Tests.Actors;
using Hub.Protocol;

namespace Hub.Actors.Tests.Registry;

// Longer than most files: the cases share one partition and the helpers that drive it.
public sealed class NodePartitionActorSpecs : ActorSpec
{
    private const int MostNodes = 20;
    private readonly TestProbe _bridge;
    private readonly TestProbe _snapshots;
    private readonly IActorRef _probe;
    private IActorRef _partition;

    public NodePartitionActorSpecs()
        : base(new HubSettings { Registry = new RegistrySettings { MaxNodesPerPartition = MostNodes } })
    {
        _bridge = CreateTestProbe();
        _snapshots = CreateTestProbe();
        _probe = Sys.ActorOf(StoreProbeActor.Props(Hub, "member"));
        AwaitAssert(() => Hub.Readiness.Reasons.ShouldNotContainKey(Readiness.Store), Bound);
        _partition = Start();
    }

    private IActorRef Start() => Sys.ActorOf(NodePartitionActor.Props(3, Hub, _snapshots.Ref, _probe));

    private static Attach Attach(string node, IActorRef bridge, bool again = false) => new(node, Hello(node), bridge, 0, again);

    private Attached Attach(string node = "n1", TestProbe? bridge = null, bool again = false)
    {
        bridge ??= _bridge;
        _partition.Tell(Attach(node, bridge.Ref, again), bridge.Ref);
        return bridge.FishForMessage<Attached>(_ => true, Bound);
    }

    private NodeFailure Fails(string node, IMessage request)
    {
        var asker = CreateTestProbe();
        _partition.Tell(new NodeRequest(node, request), asker.Ref);
        return asker.ExpectMsg<NodeFailure>(Bound);
    }

    private AkkaHub.V1.Node Get(string node = "n1")
    {
        var asker = CreateTestProbe();
        _partition.Tell(new NodeRequest(node, new GetNodeRequest()), asker.Ref);
        return ((GetNodeResponse)asker.ExpectMsg<NodeReply>(Bound).Response).Node;
    }

    private string[] Listed()
    {
        var asker = CreateTestProbe();
        _partition.Tell(new ListPartition(3), asker.Ref);
        return [.. asker.ExpectMsg<PartitionNodes>(Bound).Nodes.Select(n => n.Name)];
    }

    /// <summary>What the partition's event log holds.</summary>
    private MeshEventType[] Events()
    {
        var follower = CreateTestProbe();
        _partition.Tell(new FollowEvents(3, 0), follower.Ref);
        return [.. follower.ExpectMsg<EventsTold>(Bound).Facts.Select(f => f.Type)];
    }

    private void StateIs(NodeStatus state, string node = "n1") => AwaitAssert(() => Get(node).State.ShouldBe(state), Bound);

    private void Restart()
    {
        Watch(_partition);
        Sys.Stop(_partition);
        ExpectTerminated(_partition, Bound);
        _partition = Start();
    }

    /// <summary>Moves the clocks until the partition says so.</summary>
    private void AdvanceUntilTrue(Func<bool> holds, TimeSpan step, int most = 200)
    {
        for (var i = 0; i < most; i++)
        {
            if (holds())
                return;
            Advance(step);
            ExpectNoMsg(TimeSpan.FromMilliseconds(10));
        }

        AwaitAssert(() => holds().ShouldBeTrue(), Bound);
    }

    [Fact]
    public void A_node_that_comes_for_the_first_time_is_connecting_before_it_has_its_session()
    {
        Journal.FailWrites(id => id == "node-n1" ? new InvalidOperationException("no") : null);
        _partition.Tell(Attach("n1", _bridge.Ref), _bridge.Ref);
        AwaitAssert(() => Journal.Asked.ShouldContain("node-n1"), Bound);
        Listed().ShouldBe(["nodes/n1"]);
        Get().State.ShouldBe(NodeStatus.Connecting);
    }

    [Fact]
    public void A_node_is_in_the_durable_list_before_it_is_welcome()
    {
        Journal.Close();
        _partition.Tell(Attach("n1", _bridge.Ref), _bridge.Ref);
        AwaitAssert(() => Journal.Asked.ShouldContain("partition-3"), Bound);
        Journal.Asked.ShouldNotContain("node-n1");
        Listed().ShouldBeEmpty();
        Fails("n1", new ListTerminalsRequest()).Failure.Reason.ShouldBe(ErrorReasons.NodeUnknown);
        _bridge.ExpectNoMsg(Moment);
        Journal.Open();
        _bridge.ExpectMsg<Attached>(Bound);
        StateIs(NodeStatus.Online);
        Restart();
        Listed().ShouldBe(["nodes/n1"]);
        StateIs(NodeStatus.Connecting);
    }

    [Fact]
    public void A_registration_outlives_the_failure_of_the_list()
    {
        AllowErrors();
        Listed().ShouldBeEmpty();
        Journal.FailWrites(id => id == "partition-3" ? new InvalidOperationException("no") : null);
        _partition.Tell(Attach("n1", _bridge.Ref), _bridge.Ref);
        AwaitAssert(() => Journal.Asked.ShouldContain("partition-3"), Bound);
        Journal.Heal();
        AdvanceUntil<Attached>(_bridge, TimeSpan.FromMilliseconds(500), 50);
        Restart();
        Listed().ShouldBe(["nodes/n1"]);
    }

    [Fact]
    public void A_wall_clock_that_is_set_makes_no_node_offline()
    {
        Attach();
        StateIs(NodeStatus.Online);
        Restart();
        StateIs(NodeStatus.Connecting);
        Time.StepWallClock(TimeSpan.FromHours(2));
        Advance(TimeSpan.FromSeconds(5));
        StateIs(NodeStatus.Connecting);
        AdvanceUntilTrue(() => Get().State == NodeStatus.Offline, TimeSpan.FromSeconds(5));
    }

    [Fact]
    public void An_unknown_node_is_unknown() => Fails("nobody", new GetNodeRequest()).Failure.Reason.ShouldBe(ErrorReasons.NodeUnknown);

    [Fact]
    public void Only_the_node_whose_writes_fail_is_held_back_and_it_comes_back_with_what_waited()
    {
        AllowErrors();
        var other = CreateTestProbe();
        var one = Attach();
        var two = Attach("n2", other);
        Watch(one.NodeActor);
        Journal.FailWrites(id => id == "node-n1" ? new InvalidOperationException("no") : null);
        one.NodeActor.Tell(new FromNode(one.Epoch, Opened("main", 1)));
        ExpectTerminated(one.NodeActor, Bound);
        two.NodeActor.Tell(new FromNode(two.Epoch, Opened("main", 2)));
        two.NodeActor.Tell(new FromNode(two.Epoch, Bytes(2, 0, "on")));
        other.FishForMessage<Progress>(p => p.Positions.Any(x => x.Durable == 2), Bound);
        var asker = CreateTestProbe();
        _partition.Tell(Attach("n1", _bridge.Ref, again: true), _bridge.Ref);
        _partition.Tell(new NodeRequest("n1", new ListTerminalsRequest()), asker.Ref);
        Get().State.ShouldBe(NodeStatus.Online);
        Journal.Heal();
        AdvanceUntil<Attached>(_bridge, TimeSpan.FromMilliseconds(500), 60).Epoch.ShouldBeGreaterThan(one.Epoch);
        asker.ExpectMsg<NodeReply>(Bound);
        asker.ExpectNoMsg(Moment);
        Get().State.ShouldBe(NodeStatus.Online);
    }

    [Fact]
    public void What_waits_in_the_mailbox_of_an_actor_that_stops_is_answered_as_not_done()
    {
        AllowErrors();
        Sys.ActorOf(UndeliveredActor.Props());
        var one = Attach();
        Watch(one.NodeActor);
        // Neither is read before the actor stops: it gets to no user's message while it is suspended.
        ((IInternalActorRef)one.NodeActor).Suspend();
        var (asker, bridge) = (CreateTestProbe(), CreateTestProbe());
        _partition.Tell(new NodeRequest("n1", new SendInputRequest { Name = "nodes/n1/terminals/main", Data = ByteString.CopyFromUtf8("rm") }), asker.Ref);
        _partition.Tell(Attach("n1", bridge.Ref), bridge.Ref);
        Get();
        Sys.Stop(one.NodeActor);
        ExpectTerminated(one.NodeActor, Bound);
        var failure = asker.ExpectMsg<NodeFailure>(Bound).Failure;
        (failure.Kind, failure.Reason).ShouldBe((FailureKind.Unavailable, ErrorReasons.NotReady));
        bridge.ExpectMsg<AttachRefused>(Bound).Failure.Kind.ShouldBe(FailureKind.Unavailable);
        asker.ExpectNoMsg(Moment);
    }

    [Fact]
    public void A_node_the_store_holds_back_is_not_judged()
    {
        AllowErrors();
        var one = Attach();
        StateIs(NodeStatus.Online);
        Watch(one.NodeActor);
        Journal.FailWrites(id => id != "partition-3" ? new InvalidOperationException("no") : null);
        one.NodeActor.Tell(new FromNode(one.Epoch, Opened("main", 1)));
        ExpectTerminated(one.NodeActor, Bound);
        _partition.Tell(Attach("n1", _bridge.Ref, again: true), _bridge.Ref);
        AwaitAssert(() => Hub.Readiness.Reasons.ShouldContainKey(Readiness.Store), Bound);
        Advance(TimeSpan.FromMinutes(5));
        Get().State.ShouldBe(NodeStatus.Online);
        Journal.Asked.Count(id => id == "node-n1").ShouldBeLessThanOrEqualTo(3, "while the store is down one probe asks, not the nodes");
        Journal.Heal();
        AdvanceUntil<Attached>(_bridge, TimeSpan.FromMilliseconds(500), 60);
        StateIs(NodeStatus.Online);
        Hub.Readiness.Reasons.ShouldNotContainKey(Readiness.Store);
    }

    [Fact]
    public void While_the_store_takes_no_writes_reads_go_on_and_the_rest_waits()
    {
        AllowErrors();
        var one = Attach();
        one.NodeActor.Tell(new FromNode(one.Epoch, Opened("main", 1)));
        one.NodeActor.Tell(new FromNode(one.Epoch, Bytes(1, 0, "hello")));
        _bridge.FishForMessage<Progress>(p => p.Positions.Any(x => x.Durable == 5), Bound);
        Watch(one.NodeActor);
        Journal.FailWrites(static _ => new InvalidOperationException("disk full"));
        one.NodeActor.Tell(new FromNode(one.Epoch, Bytes(1, 5, " world")));
        ExpectTerminated(one.NodeActor, Bound);
        AwaitAssert(() => Hub.Readiness.Reasons.ShouldContainKey(Readiness.Store), Bound);
        var asked = Journal.Asked.Count(id => id == "node-n1");
        var (reader, purger) = (CreateTestProbe(), CreateTestProbe());
        _partition.Tell(Attach("n1", _bridge.Ref, again: true), _bridge.Ref);
        _partition.Tell(new NodeRequest("n1", new PurgeTerminalRequest { Name = "nodes/n1/terminals/main" }), purger.Ref);
        _partition.Tell(new NodeRequest("n1", new ReadHistoryRequest { Name = "nodes/n1/terminals/main" }), reader.Ref);
        Text(AdvanceUntil<NodeReply>(reader, TimeSpan.FromMilliseconds(500), 60)).ShouldBe("hello");
        // Its actor is there now, and is asked at once.
        _partition.Tell(new NodeRequest("n1", new ReadHistoryRequest { Name = "nodes/n1/terminals/main" }), reader.Ref);
        Text(reader.ExpectMsg<NodeReply>(Bound)).ShouldBe("hello");
        Advance(TimeSpan.FromSeconds(20));
        purger.ExpectNoMsg(Moment);
        Journal.Asked.Count(id => id == "node-n1").ShouldBe(asked, "what writes is held back");
        Get().State.ShouldBe(NodeStatus.Online);
        Journal.Heal();
        AdvanceUntil<Attached>(_bridge, TimeSpan.FromMilliseconds(500), 60).Epoch.ShouldBeGreaterThan(one.Epoch);
        purger.ExpectMsg<NodeReply>(Bound);
    }

    [Fact]
    public void While_the_store_does_not_read_either_the_nodes_do_not_try()
    {
        AllowErrors();
        var one = Attach();
        Watch(one.NodeActor);
        Journal.FailWrites(static _ => new InvalidOperationException("gone"));
        Journal.FailReads(static _ => new InvalidOperationException("gone"));
        one.NodeActor.Tell(new FromNode(one.Epoch, Opened("main", 1)));
        ExpectTerminated(one.NodeActor, Bound);
        AwaitAssert(() => Hub.Readiness.Reasons.ShouldContainKey(Readiness.Store), Bound);
        var recoveries = Journal.Recoveries.Count(id => id == "node-n1");
        var reader = CreateTestProbe();
        _partition.Tell(new NodeRequest("n1", new ListTerminalsRequest()), reader.Ref);
        Advance(TimeSpan.FromSeconds(30));
        reader.ExpectNoMsg(Moment);
        Journal.Recoveries.Count(id => id == "node-n1").ShouldBe(recoveries);
        Journal.Heal();
        AdvanceUntil<NodeReply>(reader, TimeSpan.FromMilliseconds(500), 60);
    }

    private static string Text(NodeReply reply) =>
        string.Concat(((ReadHistoryResponse)reply.Response).Records.Where(r => r.Output is not null).Select(r => r.Output.Data.ToStringUtf8()));

    [Fact]
    public void An_idle_node_is_passivated_and_a_message_brings_it_back()
    {
        var attached = Attach();
        attached.NodeActor.Tell(new Detach(attached.Epoch, "node-left", "bye", 0));
        StateIs(NodeStatus.Offline);
        Watch(attached.NodeActor);
        var asker = CreateTestProbe();
        var gone = false;
        for (var i = 0; i < 100 && !gone; i++)
        {
            Advance(TimeSpan.FromSeconds(30));
            gone = ReceiveOne(TimeSpan.FromMilliseconds(30)) is Terminated;
            // In between too: some of these meet it as it stops.
            if (i > 3)
                _partition.Tell(new NodeRequest("n1", new ListTerminalsRequest()), asker.Ref);
        }

        if (!gone)
            ExpectTerminated(attached.NodeActor, Bound);
        _partition.Tell(new NodeRequest("n1", new ListCommandsRequest()), asker.Ref);
        asker.FishForMessage<NodeReply>(r => r.Response is ListCommandsResponse, Bound);
        Attach(again: false).Epoch.ShouldBe(2);
    }

    [Fact]
    public void Who_was_there_before_is_expected_back_for_a_while()
    {
        Attach();
        StateIs(NodeStatus.Online);
        Restart();
        StateIs(NodeStatus.Connecting);
        Advance(Hub.Settings.Liveness.StartGrace - TimeSpan.FromSeconds(5));
        Get().State.ShouldBe(NodeStatus.Connecting);
        AdvanceUntilTrue(() => Get().State == NodeStatus.Offline, TimeSpan.FromSeconds(2));
        Restart();
        Get().State.ShouldBe(NodeStatus.Offline);
        Get().StateTime.ShouldNotBeNull();
    }

    [Fact]
    public void A_broken_stream_makes_stale_and_later_offline()
    {
        var attached = Attach();
        attached.NodeActor.Tell(new Detach(attached.Epoch, "stream-broken", "gone", 0));
        StateIs(NodeStatus.Stale);
        Advance(Hub.Settings.Liveness.OfflineAfter - TimeSpan.FromSeconds(5));
        Get().State.ShouldBe(NodeStatus.Stale);
        AdvanceUntilTrue(() => Get().State == NodeStatus.Offline, TimeSpan.FromSeconds(2));
        Get().LastSessionEnd.Cause.ShouldBe("stream-broken");
    }

    [Fact]
    public void A_bridges_word_is_taken_and_a_live_session_is_not_judged_here()
    {
        var attached = Attach();
        StateIs(NodeStatus.Online);
        attached.NodeActor.Tell(new LivenessReport(attached.Epoch, NodeStatus.Stale, new NodeHeartbeat { UnacknowledgedBytes = 7 }, Hub.NowUnixUs()));
        StateIs(NodeStatus.Stale);
        Get().UnacknowledgedBytes.ShouldBe(7);
        Advance(TimeSpan.FromMinutes(10));
        Get().State.ShouldBe(NodeStatus.Stale);
    }

    [Fact]
    public void A_forgotten_node_is_gone_and_its_name_is_free()
    {
        Attach();
        StateIs(NodeStatus.Online);
        Fails("n1", new ForgetNodeRequest()).Failure.Reason.ShouldBe(ErrorReasons.NodeConnected);
        var asker = CreateTestProbe();
        _partition.Tell(new NodeRequest("n1", new ForgetNodeRequest { Force = true }), asker.Ref);
        asker.ExpectMsg<NodeReply>(Bound).Response.ShouldBeOfType<ForgetNodeResponse>();
        Events().ShouldBe([MeshEventType.NodeRegistered, MeshEventType.NodeOnline, MeshEventType.NodeForgotten]);
        Listed().ShouldBeEmpty();
        Restart();
        Listed().ShouldBeEmpty();
        var other = CreateTestProbe();
        _partition.Tell(new Attach("n1", Hello("n1", key: 5, instance: 5), other.Ref, 0, false), other.Ref);
        other.ExpectMsg<Attached>(Bound).Epoch.ShouldBeGreaterThan(1);
    }

    [Fact]
    public void A_hand_off_refuses_attaches_and_finishes_what_is_in_flight()
    {
        var attached = Attach();
        StateIs(NodeStatus.Online);
        Journal.Close();
        attached.NodeActor.Tell(new FromNode(attached.Epoch, Opened("main", 1)));
        attached.NodeActor.Tell(new FromNode(attached.Epoch, Bytes(1, 0, "hello")));
        AwaitAssert(() => Journal.Asked.Count(id => id == "node-n1").ShouldBeGreaterThan(1), Bound);
        Watch(_partition);
        _partition.Tell(HandOffPartition.Instance);
        var late = CreateTestProbe();
        _partition.Tell(Attach("n9", late.Ref), late.Ref);
        late.ExpectMsg<AttachRefused>(Bound).Failure.Kind.ShouldBe(FailureKind.Unavailable);
        ExpectNoMsg(Moment);
        Journal.Open();
        ExpectTerminated(_partition, Bound);
        _partition = Start();
        StateIs(NodeStatus.Connecting);
        var asker = CreateTestProbe();
        _partition.Tell(new NodeRequest("n1", new ListTerminalsRequest()), asker.Ref);
        ((ListTerminalsResponse)asker.ExpectMsg<NodeReply>(Bound).Response).Terminals.ShouldHaveSingleItem().EndOffset.ShouldBe(5);
    }

    [Fact]
    public void A_hand_off_waits_for_the_list_too_but_not_for_ever()
    {
        Listed().ShouldBeEmpty();
        Journal.Close();
        _partition.Tell(Attach("n1", _bridge.Ref), _bridge.Ref);
        AwaitAssert(() => Journal.Asked.ShouldContain("partition-3"), Bound);
        Watch(_partition);
        _partition.Tell(HandOffPartition.Instance);
        _bridge.ExpectMsg<AttachRefused>(Bound);
        ExpectNoMsg(Moment);
        Advance(TimeSpan.FromSeconds(6));
        ExpectTerminated(_partition, Bound);
    }

    [Fact]
    public void One_node_too_many_is_refused_and_told_which_setting_it_is()
    {
        for (var i = 0; i < MostNodes; i++)
            Attach($"n{i}");
        _partition.Tell(Attach("more", _bridge.Ref), _bridge.Ref);
        var failure = _bridge.FishForMessage<AttachRefused>(_ => true, Bound).Failure;
        (failure.Kind, failure.DetailValue).ShouldBe((FailureKind.ResourceExhausted, "akkahub.registry.max-nodes-per-partition"));
    }

    [Fact]
    public void What_comes_before_the_list_is_read_waits_for_it()
    {
        Attach();
        Watch(_partition);
        Sys.Stop(_partition);
        ExpectTerminated(_partition, Bound);
        _partition = Start();
        // Sent at once, long before its list can have been read.
        _partition.Tell(new StartPartition(3), TestActor);
        _partition.Tell(new StartPartition(3), TestActor);
        Get().Name.ShouldBe("nodes/n1");
        ExpectMsg<PartitionStarted>(Bound);
    }
}
