using Akka.Actor;
using AkkaHub.V1;
using Google.Protobuf.WellKnownTypes;
using Hub.Actors.Nodes;
using Hub.Actors.Settings;
using Hub.Protocol;

namespace Hub.Actors.Tests.Nodes;

public sealed class NodeCommandSpecs : NodeActorSpec
{
    private const string C1 = "nodes/n1/commands/c1";

    public NodeCommandSpecs()
        : base(new HubSettings { Commands = new CommandSettings { MaxRecords = 3, MaxRunning = 2 } })
    {
    }

    private static RunCommandRequest Run(string id = "c1", string program = "ls") => new() { RequestId = id, Argv = { program } };

    private static ConnectRequest Started(string id, byte incarnation) => new() { CommandStarted = new CommandStarted { CommandId = id, Incarnation = Id(incarnation), TimeUnixUs = 3 } };

    private ConnectRequest Exited(string id, byte incarnation, long final, int code = 0) => new()
    {
        CommandExited = new CommandExited { CommandId = id, Incarnation = incarnation == 0 ? Google.Protobuf.ByteString.Empty : Id(incarnation), FinalOffset = final, End = CommandEnd.Exited, Exit = new ProcessExit { Code = code }, TimeUnixUs = Hub.NowUnixUs() },
    };

    private Command State(string name = C1) => Ask<GetCommandResponse>(new GetCommandRequest { Name = name }).Command;

    private void RunToEnd(long epoch, string id, byte incarnation)
    {
        Ask<GetCommandResponse>(Run(id));
        Say(epoch, Started(id, incarnation));
        Say(epoch, Bytes(incarnation, 0, "out"));
        Say(epoch, Exited(id, incarnation, 3));
        Position(incarnation, p => p.Closed);
    }

    [Fact]
    public void A_command_is_durable_before_the_node_is_told()
    {
        Attach();
        Journal.Close();
        var asker = AskRaw(Run());
        asker.ExpectNoMsg(Moment);
        Bridge.ExpectNoMsg(Moment);
        Journal.Open();
        asker.ExpectMsg<NodeReply>(Bound).Response.ShouldBeOfType<GetCommandResponse>().Command.State.ShouldBe(CommandState.Pending);
        Told(m => m.CommandRun).CommandId.ShouldBe("c1");
    }

    [Fact]
    public void The_same_request_joins_and_another_under_its_id_is_refused()
    {
        var epoch = Attach().Epoch;
        Ask<GetCommandResponse>(Run());
        Told(m => m.CommandRun);
        Say(epoch, Started("c1", 1));
        AwaitAssert(() => State().State.ShouldBe(CommandState.Running), Bound);
        Ask<GetCommandResponse>(Run()).Command.State.ShouldBe(CommandState.Running);
        AskFailure(Run(program: "rm")).Reason.ShouldBe(ErrorReasons.RequestIdReused);
        var timed = Run();
        timed.Timeout = Duration.FromTimeSpan(TimeSpan.FromSeconds(1));
        AskFailure(timed).Reason.ShouldBe(ErrorReasons.RequestIdReused);
        Bridge.ReceiveWhile<object>(Moment, o => o).OfType<ToNode>().ShouldBeEmpty("it never runs twice");
    }

    [Fact]
    public void A_purged_command_is_gone_and_so_are_its_bytes()
    {
        var epoch = Attach().Epoch;
        var purge = new PurgeTerminalRequest { Name = "nodes/n1/terminals/cmd/c1" };
        AskFailure(purge).Reason.ShouldBe(ErrorReasons.CommandUnknown);
        Ask<GetCommandResponse>(Run());
        AskFailure(purge).Reason.ShouldBe(ErrorReasons.CommandRunning);
        Say(epoch, Started("c1", 1));
        Say(epoch, Bytes(1, 0, "out"));
        Say(epoch, Exited("c1", 1, 3));
        Position(1, p => p.Closed);
        Ask<PurgeTerminalResponse>(purge).Bytes.ShouldBe(3);
        AskFailure(new GetCommandRequest { Name = C1 }).Reason.ShouldBe(ErrorReasons.CommandUnknown);
        Snapshots.ExpectMsg<SnapshotDue>(Bound);
        Restart();
        AskFailure(purge).Reason.ShouldBe(ErrorReasons.CommandUnknown);
        Snapshots.FishForMessage<SnapshotDue>(_ => true, Bound);
    }

    [Fact]
    public void Output_and_exit_are_kept()
    {
        var epoch = Attach().Epoch;
        RunToEnd(epoch, "c1", 1);
        var command = State();
        (command.State, command.OutputBytes, command.Exit.Code).ShouldBe((CommandState.Exited, 3, 0));
        TextOf(Ask<ReadHistoryResponse>(Read(command.Output))).ShouldBe("out");
        Restart();
        State().ShouldBe(command);
    }

    [Fact]
    public void What_the_agent_had_started_is_unknown_when_it_is_lost()
    {
        var epoch = Attach().Epoch;
        Ask<GetCommandResponse>(Run());
        Say(epoch, Started("c1", 1));
        AwaitAssert(() => State().State.ShouldBe(CommandState.Running), Bound);
        Node.Tell(new Detach(epoch, "stream-broken", "", 0));
        Attach(hello: Hello(instance: 2));
        State().State.ShouldBe(CommandState.Unknown);
    }

    [Fact]
    public void What_the_agent_was_never_told_failed()
    {
        var epoch = Attach().Epoch;
        Journal.Close();
        var asker = AskRaw(Run());
        Node.Tell(new Detach(epoch, "stream-broken", "", 0));
        Ask<ListCommandsResponse>(new ListCommandsRequest());
        Journal.Open();
        asker.ExpectMsg<NodeReply>(Bound);
        Attach();
        AwaitAssert(() => State().State.ShouldBe(CommandState.Failed), Bound);
    }

    [Fact]
    public void What_the_agent_lists_goes_on()
    {
        var epoch = Attach().Epoch;
        Ask<GetCommandResponse>(Run());
        Say(epoch, Started("c1", 1));
        AwaitAssert(() => State().State.ShouldBe(CommandState.Running), Bound);
        Node.Tell(new Detach(epoch, "stream-broken", "", 0));
        var again = Attach(hello: Hello(streams: Live("cmd/c1", 1, end: 3)));
        again.Positions.ShouldHaveSingleItem().Closed.ShouldBeFalse();
        Say(again.Epoch, Bytes(1, 0, "out"));
        Say(again.Epoch, Exited("c1", 1, 3, code: 4));
        Position(1, p => p.Closed);
        State().Exit.Code.ShouldBe(4);
    }

    [Fact]
    public void A_command_that_was_not_started_ends_once()
    {
        var epoch = Attach().Epoch;
        Ask<GetCommandResponse>(Run());
        NextFact().Type.ShouldBe(MeshEventType.NodeRegistered);
        Journal.Close();
        for (var i = 0; i < 3; i++)
            Say(epoch, new ConnectRequest { CommandExited = new CommandExited { CommandId = "c1", End = CommandEnd.NotStarted, Message = "no such program" } });
        Ask<ListCommandsResponse>(new ListCommandsRequest());
        Journal.Open();
        AwaitAssert(() => State().State.ShouldBe(CommandState.Failed), Bound);
        NextFact().Type.ShouldBe(MeshEventType.CommandFinished);
        Mesh.ExpectNoMsg(Moment);
    }

    [Fact]
    public void Why_a_command_was_not_started_takes_the_place_of_what_was_concluded_without_the_node()
    {
        var epoch = Attach().Epoch;
        Ask<GetCommandResponse>(Run());
        Told(m => m.CommandRun);
        Node.Tell(new Detach(epoch, "stream-broken", "", 0));
        epoch = Attach().Epoch;
        AwaitAssert(() => State().State.ShouldBe(CommandState.Failed), Bound);
        State().Message.ShouldContain("before the node was told");
        NextFact().Type.ShouldBe(MeshEventType.NodeRegistered);
        NextFact().Type.ShouldBe(MeshEventType.CommandFinished);
        Say(epoch, new ConnectRequest { CommandExited = new CommandExited { CommandId = "c1", End = CommandEnd.NotStarted, Message = "no such program" } });
        AwaitAssert(() => State().Message.ShouldBe("no such program"), Bound);
        Say(epoch, new ConnectRequest { CommandExited = new CommandExited { CommandId = "c1", End = CommandEnd.NotStarted, Message = "another word" } });
        Mesh.ExpectNoMsg(Moment);
        State().Message.ShouldBe("no such program");
        Restart();
        State().Message.ShouldBe("no such program");
    }

    [Fact]
    public void Only_so_many_run_at_once_and_only_so_many_are_kept()
    {
        var epoch = Attach().Epoch;
        for (byte i = 1; i <= 4; i++)
            RunToEnd(epoch, $"c{i}", i);
        Ask<ListCommandsResponse>(new ListCommandsRequest()).Commands.Select(c => c.Name[^1]).ShouldBe(['4', '3', '2']);
        AskFailure(new GetCommandRequest { Name = C1 }).Reason.ShouldBe(ErrorReasons.CommandUnknown);
        Ask<GetCommandResponse>(Run("r1"));
        Ask<GetCommandResponse>(Run("r2"));
        ShouldBeAtLimit(AskFailure(Run("r3")), "akkahub.commands.max-running");
    }

    [Fact]
    public void A_finished_command_whose_stream_lives_is_not_dropped_so_that_the_journal_stays_readable()
    {
        var epoch = Attach().Epoch;
        Ask<GetCommandResponse>(Run());
        Say(epoch, Started("c1", 1));
        Say(epoch, Exited("c1", 0, 0)); // an agent that says it ended and forgets to name the stream
        AwaitAssert(() => State().State.ShouldBe(CommandState.Exited), Bound);
        for (byte i = 2; i <= 5; i++)
            RunToEnd(epoch, $"c{i}", i);
        Say(epoch, Bytes(1, 0, "still here"));
        Position(1, p => p.Durable == 10);
        Restart();
        TextOf(Ask<ReadHistoryResponse>(Read("nodes/n1/terminals/cmd/c1"))).ShouldBe("still here");
    }

    [Theory]
    [InlineData(1, 1023, false)]
    [InlineData(1, 1024, true)]
    [InlineData(63, 8, false)]
    [InlineData(64, 8, true)]
    [InlineData(1, 200_000, true)]
    public void A_list_cuts_what_is_long_and_says_so(int arguments, int length, bool cut)
    {
        Attach();
        var run = Run();
        run.Argv[0] = "x";
        run.Argv.Add(Enumerable.Repeat(new string('é', length), arguments));
        run.Cwd = "/" + new string('d', 2000);
        Ask<GetCommandResponse>(run);
        var listed = Ask<ListCommandsResponse>(new ListCommandsRequest()).Commands.ShouldHaveSingleItem();
        listed.Argv[^1].EndsWith('…').ShouldBe(cut);
        listed.Argv.Sum(a => a.Length).ShouldBeLessThanOrEqualTo(1025);
        listed.Argv.Count.ShouldBeLessThanOrEqualTo(65);
        (listed.Cwd.Length, listed.Cwd[^1]).ShouldBe((1025, '…'));
        var whole = State();
        whole.Argv.ShouldBe(run.Argv);
        whole.Cwd.ShouldBe(run.Cwd);
    }

    [Fact]
    public void A_wrong_clock_of_the_node_does_not_shorten_what_is_kept()
    {
        var epoch = Attach().Epoch;
        Ask<GetCommandResponse>(Run());
        Say(epoch, new ConnectRequest { CommandExited = new CommandExited { CommandId = "c1", End = CommandEnd.Exited, TimeUnixUs = 1 } });
        AwaitAssert(() => State().State.ShouldBe(CommandState.Exited), Bound);
        Ask<GetCommandResponse>(Run("c2"));
        State().State.ShouldBe(CommandState.Exited);
        Advance(TimeSpan.FromHours(24) + TimeSpan.FromMinutes(11));
        AwaitAssert(() => AskFailure(new GetCommandRequest { Name = C1 }).Reason.ShouldBe(ErrorReasons.CommandUnknown), Bound);
    }

    [Fact]
    public void Without_a_session_the_capability_or_while_draining_nothing_is_run()
    {
        AskFailure(Run()).Reason.ShouldBe(ErrorReasons.NodeOffline);
        var hello = Hello();
        hello.Capabilities.Remove(NodeCapability.Exec);
        Attach(hello: hello);
        AskFailure(Run()).Reason.ShouldBe(ErrorReasons.CapabilityMissing);
        Attach();
        Ask<DrainNodeResponse>(new DrainNodeRequest { On = true });
        AskFailure(Run()).Reason.ShouldBe(ErrorReasons.NodeDraining);
        Told(m => m.NodeDrain).On.ShouldBeTrue();
    }
}

public sealed class NodeCommandMemorySpecs : NodeActorSpec
{
    // About what two commands of two pieces take.
    public NodeCommandMemorySpecs()
        : base(new HubSettings { Commands = new CommandSettings { MaxOutputBytes = 700 } })
    {
    }

    private void RunToEnd(long epoch, string id, byte incarnation)
    {
        Ask<GetCommandResponse>(new RunCommandRequest { RequestId = id, Argv = { "ls" } });
        Say(epoch, new ConnectRequest { CommandStarted = new CommandStarted { CommandId = id, Incarnation = Id(incarnation) } });
        Say(epoch, Bytes(incarnation, 0, "a"));
        var error = Bytes(incarnation, 1, "b");
        error.TerminalOutput.Channel = OutputChannel.Stderr;
        Say(epoch, error);
        Say(epoch, new ConnectRequest { CommandExited = new CommandExited { CommandId = id, Incarnation = Id(incarnation), FinalOffset = 2, TimeUnixUs = Hub.NowUnixUs() } });
        Position(incarnation, p => p.Closed);
    }

    private IEnumerable<string> Kept() => Ask<ListCommandsResponse>(new ListCommandsRequest()).Commands.Select(c => c.RequestId);

    [Fact]
    public void Tiny_pieces_of_output_count_as_the_memory_they_take()
    {
        var epoch = Attach().Epoch;
        for (byte i = 1; i <= 3; i++)
            RunToEnd(epoch, $"c{i}", i);
        Kept().ShouldBe(["c3", "c2", "c1"]);
        RunToEnd(epoch, "c4", 4);
        Kept().ShouldBe(["c4", "c3", "c2"]);
    }

    [Fact]
    public void What_is_being_dropped_does_not_make_others_go()
    {
        var epoch = Attach().Epoch;
        for (byte i = 1; i <= 3; i++)
            RunToEnd(epoch, $"c{i}", i);
        Journal.Close();
        var askers = new[] { "c4", "c5", "c6" }.Select(id => AskRaw(new RunCommandRequest { RequestId = id, Argv = { "ls" } })).ToList();
        Kept().ShouldBe(["c3", "c2", "c1"]);
        Journal.Open();
        askers.ForEach(a => a.ExpectMsg<NodeReply>(Bound));
        Kept().ShouldBe(["c6", "c5", "c4", "c3", "c2"]);
    }
}

public sealed class NodeCommandListSpecs : NodeActorSpec
{
    private const int Count = 800;

    public NodeCommandListSpecs()
        : base(new HubSettings { Commands = new CommandSettings { MaxRecords = 10_000, MaxRunning = Count }, Flow = new FlowSettings { MaxPendingFactBytes = 64 * 1024 * 1024 } })
    {
    }

    [Fact]
    public void A_list_is_no_larger_than_a_client_takes_and_says_what_it_leaves_out()
    {
        Attach();
        var argument = new string('語', 1023);
        for (var i = 0; i < Count; i++)
            Node.Tell(new NodeRequest("n1", new RunCommandRequest { RequestId = $"c{i}", Argv = { "x", argument } }), ActorRefs.Nobody);
        AwaitAssert(() => Ask<GetCommandResponse>(new GetCommandRequest { Name = $"nodes/n1/commands/c{Count - 1}" }), Bound);
        var list = Ask<ListCommandsResponse>(new ListCommandsRequest());
        list.CalculateSize().ShouldBeInRange(2_000_000, 2_200_000);
        list.Commands[0].RequestId.ShouldBe($"c{Count - 1}");
        (list.Commands.Count + list.Omitted).ShouldBe(Count);
        list.Commands.ShouldContain(c => c.RequestId == $"c{list.Omitted}");
    }
}
