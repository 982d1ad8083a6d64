using Akka.Actor;
using AkkaHub.V1;
using Google.Protobuf;
using Hub.Actors.Nodes;
using Hub.Protocol;

namespace Hub.Actors.Tests.Nodes;

public sealed class NodeSessionSpecs : NodeActorSpec
{
    [Fact]
    public void An_epoch_is_given_only_once_it_is_durable()
    {
        Journal.Close();
        Node.Tell(Attach(Hello(), Bridge.Ref));
        AwaitAssert(() => Journal.Asked.ShouldContain("node-n1"), Bound);
        Bridge.ExpectNoMsg(Moment);
        Journal.Open();
        Bridge.ExpectMsg<Attached>(Bound).Epoch.ShouldBe(1);
        Restart();
        Attach(again: true).Epoch.ShouldBe(2);
    }

    [Fact]
    public void A_name_is_claimed_by_the_first_key_also_after_a_restart()
    {
        Attach();
        var other = CreateTestProbe();
        Node.Tell(Attach(Hello(key: 2, instance: 2), other.Ref));
        other.ExpectMsg<AttachRefused>(Bound).Failure.Reason.ShouldBe(ErrorReasons.NameClaimed);
        Restart();
        Node.Tell(Attach(Hello(key: 2, instance: 2), other.Ref));
        other.ExpectMsg<AttachRefused>(Bound).Failure.Kind.ShouldBe(FailureKind.PermissionDenied);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_drain_holds_until_it_is_undone_whatever_restarts(bool away)
    {
        if (!away)
            Attach();
        Journal.Close();
        var asker = AskRaw(new DrainNodeRequest { On = true });
        asker.ExpectNoMsg(Moment);
        Journal.Open();
        asker.ExpectMsg<NodeReply>(Bound).Response.ShouldBeOfType<DrainNodeResponse>();
        if (!away)
            Told(m => m.NodeDrain).On.ShouldBeTrue();
        Restart();
        var epoch = Attach().Epoch;
        Told(m => m.NodeDrain).On.ShouldBeTrue();
        // Said by the bridge before it heard of the drain.
        Node.Tell(new LivenessReport(epoch, NodeStatus.Online, null, 1));
        AskFailure(new OpenTerminalRequest { Name = Main }).Reason.ShouldBe(ErrorReasons.NodeDraining);
        Ask<ListTerminalsResponse>(new ListTerminalsRequest()).NodeState.ShouldBe(NodeStatus.Draining);
        Ask<DrainNodeResponse>(new DrainNodeRequest());
        Told(m => m.NodeDrain).On.ShouldBeFalse();
        // On a connection that goes on the agent may not have been told.
        Restart();
        Attach(again: true);
        Told(m => m.NodeDrain).On.ShouldBeFalse();
        Restart();
        Attach();
        Ask<ListTerminalsResponse>(new ListTerminalsRequest()).NodeState.ShouldBe(NodeStatus.Online);
    }

    [Fact]
    public void A_drained_node_that_is_away_may_sleep_and_comes_back_drained()
    {
        Ask<DrainNodeResponse>(new DrainNodeRequest { On = true });
        Watch(Node);
        AdvanceUntil<NodeIdle>(Partition, TimeSpan.FromMinutes(1), 30);
        Node.Tell(new StopNode(Force: false));
        ExpectTerminated(Node, Bound);
        var anew = Start();
        anew.Tell(Attach(Hello(), Bridge.Ref), Bridge.Ref);
        Told(m => m.NodeDrain).On.ShouldBeTrue();
    }

    [Fact]
    public void A_drain_that_may_not_be_durable_is_not_said_to_be()
    {
        AllowErrors();
        Attach();
        Journal.FailWrites(static _ => new IOException("disk full"));
        AskFailure(new DrainNodeRequest { On = true }).Reason.ShouldBe(ErrorReasons.StoreUnavailable);
        Bridge.ExpectNoMsg(Moment);
    }

    [Fact]
    public void Another_instance_is_refused_unless_it_takes_over()
    {
        Attach();
        var other = CreateTestProbe();
        var hello = Hello(instance: 2);
        Node.Tell(Attach(hello, other.Ref));
        other.ExpectMsg<AttachRefused>(Bound).Failure.Reason.ShouldBe(ErrorReasons.NodeLive);
        hello = hello.Clone();
        hello.TakeOver = true;
        Attach(other, hello).Epoch.ShouldBe(2);
        Bridge.FishForMessage<SessionEnded>(_ => true, Bound).Reason.ShouldBe(DisconnectReason.Fenced);
    }

    [Fact]
    public void A_newer_stream_of_the_same_instance_fences_the_older_and_is_not_heard_again()
    {
        var old = Attach();
        var newer = CreateTestProbe();
        var epoch = Attach(newer).Epoch;
        Bridge.FishForMessage<SessionEnded>(_ => true, Bound).Epoch.ShouldBe(old.Epoch);
        Say(old.Epoch, Opened("main", 1));
        Node.Tell(new Detach(old.Epoch, "stream-broken", "late", 0));
        Say(epoch, Opened("other", 2));
        AwaitAssert(() => Ask<ListTerminalsResponse>(new ListTerminalsRequest()).Terminals.ShouldHaveSingleItem().Name.ShouldEndWith("other"), Bound);
        Ask<ListTerminalsResponse>(new ListTerminalsRequest()).NodeState.ShouldBe(NodeStatus.Online);
    }

    [Fact]
    public void After_a_restart_an_old_bridge_does_not_end_the_session_of_a_newer_one()
    {
        Attach();
        Restart();
        var newer = CreateTestProbe();
        var hello = Hello();
        hello.Reconnects = 1;
        Attach(newer, hello);
        Node.Tell(Attach(Hello(), Bridge.Ref, again: true));
        Bridge.FishForMessage<AttachRefused>(_ => true, Bound).Failure.Reason.ShouldBe(ErrorReasons.Fenced);
        newer.ExpectNoMsg(Moment);
    }

    [Fact]
    public void After_a_take_over_the_bridge_of_the_other_instance_does_not_come_back()
    {
        var first = Hello();
        first.TakeOver = true;
        Attach(hello: first);
        var second = Hello(instance: 2);
        second.TakeOver = true;
        Attach(CreateTestProbe(), second);
        Restart();
        Node.Tell(Attach(first, Bridge.Ref, again: true));
        Bridge.FishForMessage<AttachRefused>(_ => true, Bound).Failure.Reason.ShouldBe(ErrorReasons.Fenced);
    }

    [Fact]
    public void Streams_go_on_where_their_durable_copy_ends()
    {
        Open(Attach().Epoch);
        Restart();
        var again = Attach(lastRewind: 4, again: true, hello: Hello(streams: Live("main", 1, end: 99)));
        again.Positions.ShouldHaveSingleItem().ShouldBe(new StreamPosition(Inc(1), 5, false, 0));
        var rewind = Told(m => m.Rewind);
        rewind.Number.ShouldBe(5u);
        rewind.FromOffset.ShouldBe(5);
        Say(again.Epoch, Bytes(1, 5, " world", rewind: 5));
        Position(1, p => p.Durable == 11);
        TextOf(Ask<ReadHistoryResponse>(Read())).ShouldBe("hello world");
    }

    [Fact]
    public void When_the_agent_is_gone_its_terminals_end_with_that_cause_and_unknown_loss_and_readers_are_told()
    {
        Open(Attach().Epoch);
        Node.Tell(new Detach(1, "stream-broken", "gone", 3));
        var read = Ask<ReadHistoryResponse>(Read());
        var waiting = AskRaw(Read(start: new HistoryStart { Cursor = read.NextCursor }, wait: TimeSpan.FromSeconds(20)));
        waiting.ExpectNoMsg(Moment);
        var listed = Attach(hello: Hello(instance: 2));
        listed.Positions.ShouldBeEmpty();
        var closed = waiting.ExpectMsg<NodeReply>(Bound).Response.ShouldBeOfType<ReadHistoryResponse>();
        closed.TerminalState.ShouldBe(TerminalState.Closed);
        closed.Records.ShouldContain(r => r.Closed != null);
        closed.Records.ShouldContain(r => r.Gap != null && r.Gap.Cause == GapCause.AgentLost);
        Ask<ListTerminalsResponse>(new ListTerminalsRequest()).Terminals.ShouldHaveSingleItem().EndCause.ShouldBe("agent-restarted");
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void What_an_earlier_instance_held_is_not_taken_for_a_later_ones_that_has_only_begun_to_attach(bool restart)
    {
        AllowErrors();
        var epoch = Attach().Epoch;
        Open(epoch);
        Ask<GetCommandResponse>(new RunCommandRequest { RequestId = "c1", Argv = { "make" } });
        Told(m => m.CommandRun);
        Node.Tell(new Detach(epoch, "stream-broken", "gone", 0));
        var again = Hello(instance: 2);
        if (restart)
        {
            Restart();
            var asked = Journal.Asked.Count;
            // The epoch becomes durable; the row that compares what was held with what is stored fails.
            Journal.FailWrites(_ => Journal.Asked.Count > asked + 1 ? new InvalidOperationException("no") : null);
            Watch(Node);
            Node.Tell(Attach(again, Bridge.Ref));
            ExpectTerminated(Node, Bound);
            Journal.Heal();
            Restart();
        }
        else
        {
            Journal.Close();
            Node.Tell(Attach(again, CreateTestProbe().Ref));
            Node.Tell(Attach(again, Bridge.Ref));
            Ask<ListTerminalsResponse>(new ListTerminalsRequest());
            Journal.Open();
        }

        Attach(hello: again);
        Ask<GetCommandResponse>(new GetCommandRequest { Name = "nodes/n1/commands/c1" }).Command.State.ShouldBe(CommandState.Unknown, "the first instance was told");
        Ask<ListTerminalsResponse>(new ListTerminalsRequest()).Terminals.ShouldHaveSingleItem().EndCause.ShouldBe("agent-restarted");
    }

    [Fact]
    public void The_end_of_a_session_counts_what_will_be_durable_with_it()
    {
        var epoch = Attach().Epoch;
        Journal.Close();
        Say(epoch, Opened("main", 1));
        Say(epoch, Bytes(1, 0, "12345"));
        Node.Tell(new Detach(epoch, "node-left", "bye", 2));
        var told = Partition.FishForMessage<NodeDetached>(_ => true, Bound).End;
        told.LastOffset.ShouldBe(5);
        told.UnacknowledgedBytes.ShouldBe(2);
        Journal.Open();
        Attach();
        Partition.FishForMessage<NodeAttached>(m => m.Descriptor.SessionEpoch == 2, Bound).Descriptor.SessionEnd.ShouldBe(told);
    }

    [Fact]
    public void A_bridge_that_dies_ends_its_session()
    {
        Attach();
        Sys.Stop(Bridge.Ref);
        Partition.FishForMessage<NodeDetached>(_ => true, Bound).End.Cause.ShouldBe("stream-broken");
    }

    [Fact]
    public void Terminals_listed_beyond_the_limit_are_refused_and_the_newest_kept()
    {
        var most = Hub.Settings.Terminals.MaxPerNode;
        var streams = Enumerable.Range(1, most + 2).Select(i => Live($"t{i}", (byte)i, end: 9, started: i)).ToArray();
        var attached = Attach(hello: Hello(streams: streams));
        attached.Positions.Count(p => p.Closed).ShouldBe(2);
        attached.Positions.Where(p => p.Closed).Select(p => p.Incarnation).ShouldBe([Inc(1), Inc(2)], ignoreOrder: true);
        Ask<ListTerminalsResponse>(new ListTerminalsRequest()).Terminals.Count.ShouldBe(most);
    }

    [Fact]
    public void A_stop_waits_for_the_write_in_flight_and_records_the_end()
    {
        var epoch = Attach().Epoch;
        Journal.Close();
        Say(epoch, Opened("main", 1));
        Say(epoch, Bytes(1, 0, "hello"));
        Watch(Node);
        Node.Tell(new StopNode(Force: true));
        Bridge.FishForMessage<SessionEnded>(_ => true, Bound).Reason.ShouldBe(DisconnectReason.HubStopping);
        ExpectNoMsg(Moment);
        Journal.Open();
        ExpectTerminated(Node, Bound);
        Start().Tell(new NodeRequest("n1", Read()), TestActor);
        var read = ExpectMsg<NodeReply>(Bound).Response.ShouldBeOfType<ReadHistoryResponse>();
        TextOf(read).ShouldBe("hello");
    }

    [Fact]
    public void A_stop_refuses_the_bridge_that_is_attaching()
    {
        Journal.Close();
        Node.Tell(Attach(Hello(), Bridge.Ref));
        AwaitAssert(() => Journal.Asked.ShouldContain("node-n1"), Bound);
        Watch(Node);
        Node.Tell(new StopNode(Force: true));
        Bridge.ExpectMsg<AttachRefused>(Bound).Failure.Kind.ShouldBe(FailureKind.Unavailable);
        Journal.Open();
        ExpectTerminated(Node, Bound);
        Bridge.ExpectNoMsg(Moment);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void Whichever_write_of_an_attach_fails_the_bridge_is_told_once(int failing)
    {
        AllowErrors();
        Open(Attach().Epoch);
        Restart();
        var asked = Journal.Asked.Count;
        Journal.FailWrites(_ => Journal.Asked.Count >= asked + failing ? new InvalidOperationException("no") : null);
        Watch(Node);
        // Its terminal is gone, which the second write records.
        Node.Tell(Attach(Hello(instance: 2), Bridge.Ref));
        ExpectTerminated(Node, Bound);
        Bridge.FishForMessage<AttachRefused>(_ => true, Bound).Failure.Kind.ShouldBe(FailureKind.Unavailable);
        Bridge.ExpectNoMsg(Moment);
    }

    [Fact]
    public void A_failed_write_answers_everyone_once_and_nothing_is_claimed_to_be_durable()
    {
        AllowErrors();
        var epoch = Attach().Epoch;
        Open(epoch);
        Journal.Close();
        Journal.FailWrites(static _ => new InvalidOperationException("disk full"));
        Say(epoch, Bytes(1, 5, " lost"));
        var command = AskRaw(new RunCommandRequest { RequestId = "c1", Argv = { "ls" } });
        var reader = AskRaw(Read(start: new HistoryStart { Now = true }, wait: TimeSpan.FromSeconds(20)));
        Watch(Node);
        AwaitAssert(() => Ask<ListTerminalsResponse>(new ListTerminalsRequest()).Terminals.ShouldHaveSingleItem().EndOffset.ShouldBe(5), Bound);
        Journal.Open();
        Partition.FishForMessage<NodeStoreFailed>(_ => true, Bound);
        ExpectTerminated(Node, Bound);
        command.ExpectMsg<NodeFailure>(Bound).Failure.Reason.ShouldBe(ErrorReasons.DeliveryUnknown);
        reader.ExpectMsg<NodeFailure>(Bound).Failure.Kind.ShouldBe(FailureKind.Unavailable);
        command.ExpectNoMsg(Moment);
        Journal.Heal();
        Bridge.ReceiveWhile<object>(Moment, o => o).OfType<Progress>().ShouldBeEmpty();
        Start().Tell(new NodeRequest("n1", Read()), TestActor);
        TextOf((ReadHistoryResponse)ExpectMsg<NodeReply>(Bound).Response).ShouldBe("hello");
    }

    [Fact]
    public void What_opens_and_ends_is_told_once_also_when_it_is_first_seen_in_a_hello()
    {
        var epoch = Attach(hello: Hello(streams: Live("main", 1))).Epoch;
        Raised(MeshEventType.NodeRegistered, "nodes/n1");
        Raised(MeshEventType.TerminalOpened, "nodes/n1/terminals/main");
        Open(epoch, 2, name: "other");
        Raised(MeshEventType.TerminalOpened, "nodes/n1/terminals/other");
        Ask<GetCommandResponse>(new RunCommandRequest { RequestId = "c1", Argv = { "ls" } });
        Ask<GetCommandResponse>(new RunCommandRequest { RequestId = "c2", Argv = { "ls" } });
        Say(epoch, new ConnectRequest { CommandStarted = new CommandStarted { CommandId = "c1", Incarnation = Id(3) } });
        Raised(MeshEventType.CommandStarted, "nodes/n1/commands/c1");
        Node.Tell(new Detach(epoch, "stream-broken", "", 0));

        // c2 began while the hub did not hear; the others are known.
        epoch = Attach(hello: Hello(streams: [Live("main", 1), Live("other", 2), Live("cmd/c1", 3), Live("cmd/c2", 4)])).Epoch;
        Raised(MeshEventType.CommandStarted, "nodes/n1/commands/c2");
        Say(epoch, Closed(2, 5, code: 3));
        Raised(MeshEventType.TerminalClosed, "nodes/n1/terminals/other");
        Mesh.ExpectNoMsg(Moment);
    }

    private void Raised(MeshEventType type, string subject)
    {
        var e = NextFact();
        (e.Type, e.Subject).ShouldBe((type, subject));
    }
}
