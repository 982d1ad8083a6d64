using Akka.Actor;
using AkkaHub.V1;
using Hub.Actors.Nodes;
using Hub.Actors.Settings;
using Hub.Protocol;

namespace Hub.Actors.Tests.Nodes;

public sealed class NodeOutputSpecs : NodeActorSpec
{
    public NodeOutputSpecs()
        : base(new HubSettings { Terminals = new TerminalSettings { MaxPerNode = 2 } })
    {
    }

    [Fact]
    public void Output_is_acknowledged_only_once_it_is_durable()
    {
        var epoch = Attach().Epoch;
        Open(epoch);
        Journal.Close();
        Say(epoch, Bytes(1, 5, " world"));
        Bridge.ExpectNoMsg(Moment);
        TextOf(Ask<ReadHistoryResponse>(Read())).ShouldBe("hello", "nobody is shown what may be lost");
        Journal.Open();
        Position(1, p => p.Durable == 11).Messages.ShouldBe(1);
    }

    [Fact]
    public void One_terminal_too_many_is_refused_and_told_which_setting_it_is()
    {
        var epoch = Attach().Epoch;
        Open(epoch);
        Open(epoch, 2, name: "second");
        ShouldBeAtLimit(AskFailure(new OpenTerminalRequest { Name = "nodes/n1/terminals/third" }), "akkahub.terminals.max-per-node");
    }

    [Fact]
    public void What_arrives_during_a_write_is_the_next_one()
    {
        var epoch = Attach().Epoch;
        Open(epoch);
        Journal.Close();
        var before = Journal.Asked.Count;
        for (var i = 0; i < 50; i++)
            Say(epoch, Bytes(1, 5 + i, "x"));
        Ask<ListTerminalsResponse>(new ListTerminalsRequest());
        Journal.Open();
        Position(1, p => p.Durable == 55);
        (Journal.Asked.Count - before).ShouldBe(2);
    }

    [Fact]
    public void Duplicates_are_trimmed_and_their_messages_credited()
    {
        var epoch = Attach().Epoch;
        Open(epoch);
        Say(epoch, Bytes(1, 0, "hello"));
        Position(1, p => p.Messages == 1).Durable.ShouldBe(5);
        Say(epoch, Bytes(1, 3, "lo world"));
        Position(1, p => p.Durable == 11).Messages.ShouldBe(1);
        TextOf(Ask<ReadHistoryResponse>(Read())).ShouldBe("hello world");
    }

    [Fact]
    public void Bytes_ahead_get_one_rewind_and_are_ignored_until_it_is_obeyed()
    {
        var epoch = Attach().Epoch;
        Open(epoch);
        Say(epoch, Bytes(1, 7, "orld"));
        var rewind = Told(m => m.Rewind);
        rewind.FromOffset.ShouldBe(5);
        Say(epoch, Bytes(1, 11, "!"));
        Say(epoch, Closed(1, 12));
        Position(1, p => p.Messages > 0);
        Say(epoch, Bytes(1, 5, " world", rewind.Number));
        Position(1, p => p.Durable == 11);
        Say(epoch, Bytes(1, 12, "?", rewind.Number));
        Told(m => m.Rewind).Number.ShouldBeGreaterThan(rewind.Number);
        TextOf(Ask<ReadHistoryResponse>(Read())).ShouldBe("hello world");
    }

    [Fact]
    public void Lost_bytes_are_recorded_where_they_were()
    {
        var epoch = Attach().Epoch;
        Open(epoch);
        Say(epoch, new ConnectRequest { TerminalGap = new TerminalGap { Incarnation = Id(1), FromOffset = 3, ToOffset = 20 } });
        Position(1, p => p.Durable == 20);
        Say(epoch, Bytes(1, 20, "!"));
        Position(1, p => p.Durable == 21);
        var records = Ask<ReadHistoryResponse>(Read()).Records;
        var gap = records.Single(r => r.Gap is not null).Gap;
        (gap.FromOffset, gap.ToOffset, gap.Cause).ShouldBe((5, 20, GapCause.NodeOverflow));
    }

    [Fact]
    public void An_end_is_acknowledged_as_such_once_durable_and_again_when_it_is_said_again()
    {
        var epoch = Attach().Epoch;
        Open(epoch);
        Journal.Close();
        Say(epoch, Closed(1, 5, code: 3));
        Bridge.ExpectNoMsg(Moment);
        Journal.Open();
        Position(1, p => p.Closed).Durable.ShouldBe(5);
        Say(epoch, Closed(1, 5, code: 3));
        Position(1, p => p.Closed);
        var terminal = Ask<ListTerminalsResponse>(new ListTerminalsRequest()).Terminals.ShouldHaveSingleItem();
        terminal.State.ShouldBe(TerminalState.Closed);
        terminal.Exit.Code.ShouldBe(3);
    }

    [Fact]
    public void A_terminal_opened_again_under_its_name_ends_the_one_before()
    {
        var epoch = Attach().Epoch;
        Open(epoch);
        Open(epoch, id: 2, text: "again");
        Position(2, p => true, Rewound());
        Ask<ListTerminalsResponse>(new ListTerminalsRequest()).Terminals.ShouldHaveSingleItem().Incarnation.ShouldBe(Inc(2).ToHex());
        TextOf(Ask<ReadHistoryResponse>(Read())).ShouldBe("helloagain");

        Akka.TestKit.TestProbe Rewound()
        {
            Say(epoch, Bytes(2, 0, "again"));
            return Bridge;
        }
    }

    [Fact]
    public void At_the_limit_the_oldest_ended_terminal_goes_and_live_ones_do_not()
    {
        var epoch = Attach().Epoch;
        Open(epoch, 1, name: "a");
        Open(epoch, 2, name: "b");
        Say(epoch, Opened("c", 3));
        Told(m => m.TerminalClose).Incarnation.ShouldBe(Id(3));
        Say(epoch, Closed(1, 5));
        Position(1, p => p.Closed);
        Open(epoch, 4, name: "c");
        Ask<ListTerminalsResponse>(new ListTerminalsRequest()).Terminals.Select(t => t.Name[^1]).ShouldBe(['b', 'c']);
    }

    [Fact]
    public void A_terminal_that_is_just_being_opened_again_is_not_the_one_that_goes()
    {
        var epoch = Attach().Epoch;
        Open(epoch, 1, name: "a");
        Open(epoch, 2, name: "b");
        Say(epoch, Closed(1, 5));
        Position(1, p => p.Closed);
        Journal.Close();
        Say(epoch, Opened("a", 3));
        Say(epoch, Bytes(3, 0, "new"));
        Say(epoch, Opened("c", 4));
        Told(m => m.TerminalClose).Incarnation.ShouldBe(Id(4));
        Journal.Open();
        Position(3, p => p.Durable == 3);
        TextOf(Ask<ReadHistoryResponse>(Read("nodes/n1/terminals/a"))).ShouldBe("hellonew");
    }

    [Fact]
    public void A_stream_the_hub_does_not_know_is_not_wanted()
    {
        var epoch = Attach().Epoch;
        Say(epoch, Bytes(9, 0, "x"));
        var position = Position(9, p => p.Closed);
        position.Messages.ShouldBe(1);
    }
}

public sealed class NodePendingSpecs : NodeActorSpec
{
    public NodePendingSpecs()
        : base(new HubSettings { Flow = new FlowSettings { MaxPendingFactBytes = 8 * 1024 } })
    {
    }

    [Fact]
    public void While_the_store_stands_still_clients_are_refused_at_a_bound_and_the_node_goes_on()
    {
        var epoch = Attach().Epoch;
        Open(epoch);
        Journal.Close();
        var askers = Enumerable.Range(0, 100).Select(_ => AskRaw(new PurgeTerminalRequest { Name = Main })).ToList();
        var refused = AskFailure(new PurgeTerminalRequest { Name = Main });
        (refused.Kind, refused.Reason, refused.DetailValue).ShouldBe((FailureKind.ResourceExhausted, ErrorReasons.LimitReached, "akkahub.flow.max-pending-facts"));
        AskFailure(new RunCommandRequest { RequestId = "c1", Argv = { "ls" } }).Reason.ShouldBe(ErrorReasons.LimitReached);
        for (uint cols = 1; cols <= 1000; cols++)
            Say(epoch, Resized(5, cols));
        Say(epoch, Bytes(1, 5, "!"));
        Journal.Open();
        Position(1, p => p.Durable == 6);
        Ask<ListTerminalsResponse>(new ListTerminalsRequest()).Terminals.ShouldHaveSingleItem().Size.Cols.ShouldBe(1000u);
        var answers = askers.Select(a => a.ExpectMsg<object>(Bound)).ToList();
        answers.OfType<NodeReply>().Count().ShouldBeInRange(10, 90);
        Ask<PurgeTerminalResponse>(new PurgeTerminalRequest { Name = Main });
    }

    [Fact]
    public void A_node_that_says_more_than_is_kept_for_it_is_cut_off_and_comes_back_once_there_is_room()
    {
        var epoch = Attach().Epoch;
        Open(epoch);
        Journal.Close();
        for (var i = 0; i < 200; i++)
            Say(epoch, new ConnectRequest { TerminalGap = new TerminalGap { Incarnation = Id(1), FromOffset = 5 + i, ToOffset = 6 + i } });
        Bridge.FishForMessage<SessionEnded>(_ => true, Bound).Reason.ShouldBe(DisconnectReason.ProtocolError);
        Partition.FishForMessage<NodeDetached>(_ => true, Bound).End.Cause.ShouldBe("protocol-error");
        Node.Tell(Attach(Hello(streams: Live("main", 1)), Bridge.Ref));
        Bridge.FishForMessage<AttachRefused>(_ => true, Bound).Failure.Kind.ShouldBe(FailureKind.Unavailable);
        Journal.Open();
        AwaitAssert(() => Ask<ListTerminalsResponse>(new ListTerminalsRequest()).Terminals.ShouldHaveSingleItem().EndOffset.ShouldBeGreaterThan(50), Bound);
        Attach(hello: Hello(streams: Live("main", 1))).Positions.ShouldHaveSingleItem().Closed.ShouldBeFalse();
    }

    private static ConnectRequest Resized(long offset, uint cols) => new()
    {
        TerminalResized = new TerminalResized { Incarnation = Id(1), Offset = offset, Size = new TerminalSize { Cols = cols, Rows = 24 } },
    };
}
