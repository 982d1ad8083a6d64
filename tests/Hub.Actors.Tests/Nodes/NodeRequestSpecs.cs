using Akka.Actor;
using AkkaHub.V1;
using Google.Protobuf;
using Hub.Actors.Nodes;
using Hub.Actors.Settings;
using Hub.Protocol;

namespace Hub.Actors.Tests.Nodes;

public sealed class NodeRequestSpecs : NodeActorSpec
{
    public NodeRequestSpecs()
        : base(new HubSettings { Terminals = new TerminalSettings { MaxPendingInputs = 2, MaxWaitingReaders = 1 } })
    {
    }

    private static SendInputRequest Type(string text = "ls\n") => new() { Name = Main, Data = ByteString.CopyFromUtf8(text) };

    private void Done(long epoch, long request, RequestOutcome outcome = RequestOutcome.Done) =>
        Say(epoch, new ConnectRequest { RequestResult = new RequestResult { Request = request, Outcome = outcome } });

    [Fact]
    public void Input_is_done_when_the_node_says_so()
    {
        var epoch = Attach().Epoch;
        Open(epoch);
        var asker = AskRaw(Type());
        var input = Told(m => m.TerminalInput);
        input.Data.ToStringUtf8().ShouldBe("ls\n");
        asker.ExpectNoMsg(Moment);
        Done(epoch, input.Request);
        asker.ExpectMsg<NodeReply>(Bound).Response.ShouldBeOfType<SendInputResponse>();
        Done(epoch, input.Request);
        asker.ExpectNoMsg(Moment);
    }

    [Fact]
    public void A_broken_session_leaves_delivery_unknown()
    {
        var epoch = Attach().Epoch;
        Open(epoch);
        var asker = AskRaw(Type());
        var request = Told(m => m.TerminalInput).Request;
        Node.Tell(new Detach(epoch, "stream-broken", "", 0));
        asker.ExpectMsg<NodeFailure>(Bound).Failure.Reason.ShouldBe(ErrorReasons.DeliveryUnknown);
        var again = Attach(hello: Hello(streams: Live("main", 1, 5)));
        var second = AskRaw(Type());
        var next = Told(m => m.TerminalInput).Request;
        Done(again.Epoch, request);
        second.ExpectNoMsg(Moment);
        Done(again.Epoch, next);
        second.ExpectMsg<NodeReply>(Bound);
    }

    [Fact]
    public void An_answer_to_the_actor_before_is_not_taken_for_an_answer_to_this_one()
    {
        Open(Attach().Epoch);
        AskRaw(Type());
        var old = Told(m => m.TerminalInput).Request;
        Restart();
        var again = Attach(hello: Hello(streams: Live("main", 1, 5)), again: true);
        var asker = AskRaw(Type());
        Told(m => m.TerminalInput).Request.ShouldNotBe(old);
        Done(again.Epoch, old);
        asker.ExpectNoMsg(Moment);
    }

    [Fact]
    public void Without_an_answer_in_time_delivery_is_unknown_and_only_so_many_are_under_way()
    {
        Open(Attach().Epoch);
        var size = new ResizeTerminalRequest { Name = Main, Size = new TerminalSize { Cols = 80, Rows = 24 } };
        var first = AskRaw(size);
        AskRaw(size);
        ShouldBeAtLimit(AskFailure(size), "akkahub.terminals.max-pending-inputs");
        AdvanceUntil<NodeFailure>(first, TimeSpan.FromSeconds(5), 20).Failure.Reason.ShouldBe(ErrorReasons.DeliveryUnknown);
    }

    [Fact]
    public void Input_is_waited_for_as_long_as_the_program_does_not_read()
    {
        var epoch = Attach().Epoch;
        Open(epoch);
        var input = AskRaw(Type());
        var number = Told(m => m.TerminalInput).Request;
        AskRaw(Type());
        ShouldBeAtLimit(AskFailure(Type()), "akkahub.terminals.max-pending-inputs");
        var size = AskRaw(new ResizeTerminalRequest { Name = Main, Size = new TerminalSize { Cols = 80, Rows = 24 } });
        AdvanceUntil<NodeFailure>(size, TimeSpan.FromSeconds(5), 20).Failure.Reason.ShouldBe(ErrorReasons.DeliveryUnknown);
        Done(epoch, number);
        input.ExpectMsg<NodeReply>(Bound);
    }

    [Fact]
    public void A_wall_clock_that_is_set_ends_no_wait()
    {
        var epoch = Attach().Epoch;
        Open(epoch);
        var input = AskRaw(Type());
        var request = Told(m => m.TerminalInput).Request;
        var reader = AskRaw(Read(start: new HistoryStart { Now = true }, wait: TimeSpan.FromSeconds(20)));
        Time.StepWallClock(TimeSpan.FromHours(2));
        Advance(TimeSpan.FromSeconds(3));
        input.ExpectNoMsg(Moment);
        reader.ExpectNoMsg(Moment);
        Done(epoch, request);
        input.ExpectMsg<NodeReply>(Bound);
        AdvanceUntil<NodeReply>(reader, TimeSpan.FromSeconds(5), 10);
    }

    [Fact]
    public void Ended_and_unknown_terminals_take_no_input()
    {
        AskFailure(Type()).Reason.ShouldBe(ErrorReasons.NodeOffline);
        var epoch = Attach().Epoch;
        AskFailure(Type()).Reason.ShouldBe(ErrorReasons.TerminalUnknown);
        Open(epoch);
        Say(epoch, Closed(1, 5));
        Position(1, p => p.Closed);
        AskFailure(Type()).Reason.ShouldBe(ErrorReasons.TerminalClosed);
    }

    [Fact]
    public void Whoever_opens_a_terminal_is_told_once_it_is_durable()
    {
        var epoch = Attach().Epoch;
        var asker = AskRaw(new OpenTerminalRequest { Name = Main });
        Done(epoch, Told(m => m.TerminalOpen).Request);
        asker.ExpectNoMsg(Moment);
        Say(epoch, Opened("main", 1));
        asker.ExpectMsg<NodeReply>(Bound).Response.ShouldBeOfType<OpenTerminalResponse>().Terminal.State.ShouldBe(TerminalState.Live);
        Ask<OpenTerminalResponse>(new OpenTerminalRequest { Name = Main }).Terminal.Incarnation.ShouldBe(Inc(1).ToHex());
    }

    [Fact]
    public void Whoever_opens_a_terminal_that_never_comes_is_answered_all_the_same()
    {
        var epoch = Attach().Epoch;
        var late = AskRaw(new OpenTerminalRequest { Name = Main });
        Done(epoch, Told(m => m.TerminalOpen).Request);
        AdvanceUntil<NodeFailure>(late, TimeSpan.FromSeconds(5), 20).Failure.Reason.ShouldBe(ErrorReasons.DeliveryUnknown);
        var broken = AskRaw(new OpenTerminalRequest { Name = Main });
        Done(epoch, Told(m => m.TerminalOpen).Request);
        Ask<ListTerminalsResponse>(new ListTerminalsRequest());
        Node.Tell(new Detach(epoch, "stream-broken", "", 0));
        broken.ExpectMsg<NodeFailure>(Bound).Failure.Reason.ShouldBe(ErrorReasons.DeliveryUnknown);
        broken.ExpectNoMsg(Moment);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Whoever_opens_a_terminal_that_the_hub_does_not_take_is_told_at_once(bool openedFirst)
    {
        var epoch = Attach().Epoch;
        var asker = AskRaw(new OpenTerminalRequest { Name = Main });
        var request = Told(m => m.TerminalOpen).Request;
        for (byte i = 1; i <= Hub.Settings.Terminals.MaxPerNode; i++)
            Say(epoch, Opened($"t{i}", i));
        if (!openedFirst)
            Done(epoch, request);
        Say(epoch, Opened("main", 99));
        if (openedFirst)
            Done(epoch, request);
        asker.ExpectMsg<NodeFailure>(Bound).Failure.Reason.ShouldBe(ErrorReasons.LimitReached);
        asker.ExpectNoMsg(Moment);

        // A refusal is of one opening, not of the name.
        Say(epoch, Closed(1, 0));
        Position(1, p => p.Closed);
        var again = AskRaw(new OpenTerminalRequest { Name = Main });
        Told(m => m.TerminalOpen);
        Say(epoch, Opened("main", 100));
        Done(epoch, request + 1);
        again.ExpectMsg<NodeReply>(Bound);
    }

    [Fact]
    public void A_terminal_that_ended_before_the_answer_came_was_opened()
    {
        var epoch = Attach().Epoch;
        var asker = AskRaw(new OpenTerminalRequest { Name = Main });
        var request = Told(m => m.TerminalOpen).Request;
        Say(epoch, Opened("main", 1));
        Say(epoch, Closed(1, 0));
        Position(1, p => p.Closed);
        Done(epoch, request);
        asker.ExpectMsg<NodeReply>(Bound).Response.ShouldBeOfType<OpenTerminalResponse>().Terminal.State.ShouldBe(TerminalState.Closed);
    }

    [Fact]
    public void Reading_begins_at_the_tail_and_goes_on_at_the_cursor()
    {
        var epoch = Attach().Epoch;
        Open(epoch, text: "one\ntwo\n");
        TextOf(Ask<ReadHistoryResponse>(Read(start: new HistoryStart { TailLines = 1 }))).ShouldBe("two\n");
        TextOf(Ask<ReadHistoryResponse>(Read(start: new HistoryStart { TailBytes = 3 }))).ShouldBe("wo\n");
        var read = Ask<ReadHistoryResponse>(Read());
        read.AtEnd.ShouldBeTrue();
        Say(epoch, Bytes(1, 8, "three"));
        Position(1, p => p.Durable == 13);
        TextOf(Ask<ReadHistoryResponse>(Read(start: new HistoryStart { Cursor = read.NextCursor }))).ShouldBe("three");
        AskFailure(Read("nodes/n1/terminals/none")).Reason.ShouldBe(ErrorReasons.TerminalUnknown);
    }

    [Fact]
    public void A_reader_waits_for_output_and_is_answered_when_it_comes_or_its_time_is_over()
    {
        var epoch = Attach().Epoch;
        Open(epoch);
        var now = new HistoryStart { Now = true };
        var reader = AskRaw(Read(start: now, wait: TimeSpan.FromSeconds(10)));
        AwaitAssert(() => ShouldBeAtLimit(AskFailure(Read(start: now, wait: TimeSpan.FromSeconds(1))), "akkahub.terminals.max-waiting-readers"), Bound);
        reader.ExpectNoMsg(Moment);
        Say(epoch, Bytes(1, 5, "!"));
        TextOf((ReadHistoryResponse)reader.ExpectMsg<NodeReply>(Bound).Response).ShouldBe("!");
        var idle = AskRaw(Read(start: now, wait: TimeSpan.FromSeconds(10)));
        var nothing = (ReadHistoryResponse)AdvanceUntil<NodeReply>(idle, TimeSpan.FromSeconds(2), 20).Response;
        nothing.Records.ShouldBeEmpty();
        nothing.NextCursor.ShouldNotBeEmpty();
    }

    [Fact]
    public void A_purge_is_answered_once_durable_and_survives()
    {
        var epoch = Attach().Epoch;
        Open(epoch);
        Ask<PurgeTerminalResponse>(new PurgeTerminalRequest { Name = Main }).Bytes.ShouldBe(5);
        TextOf(Ask<ReadHistoryResponse>(Read())).ShouldBe("");
        Snapshots.ExpectMsg<SnapshotDue>(Bound);
        Say(epoch, Bytes(1, 5, "new"));
        Position(1, p => p.Durable == 8);
        Restart();
        TextOf(Ask<ReadHistoryResponse>(Read())).ShouldBe("new");
        AskFailure(new PurgeTerminalRequest { Name = "nodes/n1/terminals/none" }).Kind.ShouldBe(FailureKind.NotFound);
    }
}
