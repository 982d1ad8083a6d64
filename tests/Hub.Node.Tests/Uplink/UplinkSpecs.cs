using AkkaHub.V1;
using Grpc.Core;
using Hub.Protocol;

namespace Hub.Node.Tests.Uplink;

// Longer than most files: the cases share one agent, one hub, and the helpers that drive them.
public sealed class UplinkSpecs
{
    private static readonly Func<NodeOptions, NodeOptions> NoMain = o => o with { MainTerminal = false };

    [Fact]
    public async Task Hello_says_who_it_is_and_carries_the_token()
    {
        await using var hub = await FakeHub.StartAsync();
        await using var agent = await AgentHarness.StartAsync(hub.Address, o => o with
        {
            Token = "ahub_x",
            TakeOver = true,
            AllowExec = false,
            Labels = new Dictionary<string, string> { ["env"] = "test" },
        });
        var session = await hub.AcceptAsync();
        var hello = await session.WelcomeAsync(beatMs: 100);
        session.Authorization.ShouldBe("Bearer ahub_x");
        hello.ShouldSatisfyAllConditions(
            h => h.Name.ShouldBe("test"), h => h.ClaimKey.Length.ShouldBe(32), h => h.InstanceId.Length.ShouldBe(16),
            h => h.Labels["env"].ShouldBe("test"), h => h.TakeOver.ShouldBeTrue(), h => h.Reconnects.ShouldBe(0u),
            h => h.Capabilities.ShouldBe([NodeCapability.Terminal]), h => h.Platform.MemoryBytes.ShouldBeGreaterThan(0),
            h => h.Streams.Single().Name.ShouldBe("main"), h => h.Streams.Single().Size.ShouldBe(new TerminalSize { Cols = 80, Rows = 24 }));
        await session.NextBeatAsync();
        var beat = await session.NextBeatAsync();
        beat.Figures.ShouldSatisfyAllConditions(
            f => f.MemoryTotalBytes.ShouldBe(hello.Platform.MemoryBytes), f => f.DiskTotalBytes.ShouldBeGreaterThan(0),
            f => f.UptimeSeconds.ShouldBeGreaterThan(0), f => f.Cpu.ShouldBeInRange(0, 1));

        session.Cut();
        var again = await hub.AcceptAsync();
        var second = await again.WelcomeAsync();
        second.ShouldSatisfyAllConditions(
            h => h.TakeOver.ShouldBeFalse("only at the first contact"), h => h.Reconnects.ShouldBe(1u), h => h.LastDisconnect.ShouldNotBeEmpty(),
            h => h.InstanceId.ShouldBe(hello.InstanceId), h => h.ClaimKey.ShouldBe(hello.ClaimKey));
        again.End();
    }

    [Fact]
    public async Task Output_goes_on_from_the_durable_offset_after_a_break()
    {
        await using var hub = await FakeHub.StartAsync();
        await using var agent = await AgentHarness.StartAsync(hub.Address, NoMain);
        var first = await hub.AcceptAsync();
        await first.WelcomeAsync();
        await first.RunAsync("a", "echo 0123456789; exec sleep 1000");
        var started = (await first.UntilAsync(m => m.CommandStarted is not null)).CommandStarted;
        await first.FlowAsync(FakeSession.Everything(started.Incarnation));
        (await first.NextAsync()).TerminalOutput.Data.ToStringUtf8().ShouldBe("0123456789\n");
        await first.FlowAsync(FakeSession.Everything(started.Incarnation, ack: 4));
        first.Cut();

        var second = await hub.AcceptAsync();
        await second.WelcomeAsync(_ => FakeSession.Everything(started.Incarnation, ack: 6));
        second.Hello.Streams.Single().ShouldSatisfyAllConditions(s => s.Name.ShouldBe("cmd/a"), s => s.Kind.ShouldBe(StreamKind.Command), s => s.EndOffset.ShouldBe(11));
        var output = (await second.NextAsync()).TerminalOutput;
        output.ShouldSatisfyAllConditions(o => o.Offset.ShouldBe(6), o => o.Data.ToStringUtf8().ShouldBe("6789\n"), o => o.Rewind.ShouldBe(0u));
        second.End();
    }

    [Fact]
    public async Task Credit_holds_output_back_but_not_control()
    {
        await using var hub = await FakeHub.StartAsync();
        await using var agent = await AgentHarness.StartAsync(hub.Address, NoMain);
        var session = await hub.AcceptAsync();
        await session.WelcomeAsync();
        await session.RunAsync("a", "echo 0123456789; exec sleep 1000");
        var started = (await session.NextAsync()).CommandStarted;
        await session.FlowAsync(new StreamFlow { Incarnation = started.Incarnation, LimitOffset = 4, LimitMessages = 10 });
        (await session.NextAsync()).TerminalOutput.Data.ToStringUtf8().ShouldBe("0123");
        // The answer comes although the stream waits: nothing but it can come next.
        await session.SayAsync(new ConnectResponse { TerminalResize = new TerminalResize { Request = 77, Incarnation = started.Incarnation, Size = new TerminalSize { Cols = 1, Rows = 1 } } });
        (await session.NextAsync()).RequestResult.ShouldSatisfyAllConditions(r => r.Request.ShouldBe(77), r => r.Outcome.ShouldBe(RequestOutcome.FailedPrecondition));
        await session.FlowAsync(new StreamFlow { Incarnation = started.Incarnation, LimitOffset = 100, LimitMessages = 10 });
        (await session.NextAsync()).TerminalOutput.Offset.ShouldBe(4);
        session.End();
    }

    [Fact]
    public async Task A_rewind_is_obeyed_and_its_number_repeated()
    {
        await using var hub = await FakeHub.StartAsync();
        await using var agent = await AgentHarness.StartAsync(hub.Address, NoMain);
        var session = await hub.AcceptAsync();
        await session.WelcomeAsync();
        await session.RunAsync("a", "echo 0123456789");
        var started = (await session.NextAsync()).CommandStarted;
        await session.FlowAsync(FakeSession.Everything(started.Incarnation));
        var end = (await session.UntilAsync(m => m.CommandExited is not null)).CommandExited;
        end.ShouldSatisfyAllConditions(e => e.FinalOffset.ShouldBe(11), e => e.End.ShouldBe(CommandEnd.Exited), e => e.Rewind.ShouldBe(0u));
        await session.SayAsync(new ConnectResponse { Rewind = new Rewind { Incarnation = started.Incarnation, Number = 3, FromOffset = 5 } });
        (await session.NextAsync()).TerminalOutput.ShouldSatisfyAllConditions(o => o.Offset.ShouldBe(5), o => o.Rewind.ShouldBe(3u));
        (await session.NextAsync()).CommandExited.Rewind.ShouldBe(3u);
        session.End();
    }

    [Fact]
    public async Task The_end_is_repeated_until_it_is_durable()
    {
        await using var hub = await FakeHub.StartAsync();
        await using var agent = await AgentHarness.StartAsync(hub.Address, NoMain);
        var first = await hub.AcceptAsync();
        await first.WelcomeAsync();
        await first.RunAsync("a", "exit 5");
        var end = (await first.UntilAsync(m => m.CommandExited is not null)).CommandExited;
        first.Cut();
        var second = await hub.AcceptAsync();
        await second.WelcomeAsync();
        (await second.NextAsync()).CommandExited.Exit.Code.ShouldBe(5);
        await second.FlowAsync(new StreamFlow { Incarnation = end.Incarnation, Closed = true });
        // The numbered answer comes after the flow was taken.
        await second.SayAsync(new ConnectResponse { CommandCancel = new CommandCancel { Request = 1, CommandId = "a" } });
        (await second.NextAsync()).RequestResult.Outcome.ShouldBe(RequestOutcome.NotFound);
        second.Cut();
        var third = await hub.AcceptAsync();
        (await third.WelcomeAsync()).Streams.ShouldBeEmpty();
        third.End();
    }

    [Fact]
    public async Task A_stream_the_welcome_does_not_name_is_opened_again()
    {
        await using var hub = await FakeHub.StartAsync();
        await using var agent = await AgentHarness.StartAsync(hub.Address);
        var session = await hub.AcceptAsync();
        await session.WelcomeAsync(_ => null);
        var opened = (await session.NextAsync()).TerminalOpened;
        opened.ShouldSatisfyAllConditions(o => o.Name.ShouldBe("main"), o => o.Incarnation.ShouldBe(session.Hello.Streams[0].Incarnation));
        await session.FlowAsync(FakeSession.Everything(opened.Incarnation));
        await session.TypeAsync(opened.Incarnation, "echo a''b\r");
        await session.UntilAsync(m => m.RequestResult is { Request: 1, Outcome: RequestOutcome.Done });
        session.End();
    }

    [Fact]
    public async Task A_live_stream_the_hub_does_not_take_is_ended_and_not_only_forgotten()
    {
        await using var hub = await FakeHub.StartAsync();
        await using var agent = await AgentHarness.StartAsync(hub.Address, o => NoMain(o) with { BufferBytes = NodeOptions.MinBufferBytes });
        var first = await hub.AcceptAsync();
        await first.WelcomeAsync();
        // It says more at its end than is kept, and nobody takes it.
        await first.RunAsync("a", "trap 'head -c 1000000 /dev/zero; exit' TERM; echo ready; while :; do sleep 0.05; done");
        var started = (await first.NextAsync()).CommandStarted;
        await first.FlowAsync(FakeSession.Everything(started.Incarnation));
        (await first.NextAsync()).TerminalOutput.Data.ToStringUtf8().ShouldBe("ready\n");
        first.Cut();
        var second = await hub.AcceptAsync();
        await second.WelcomeAsync(s => new StreamFlow { Incarnation = s.Incarnation, Closed = true });
        while (agent.Log.All.All(l => l.Id != 21))
            await Task.Yield();
        agent.Log.All.Single(l => l.Id == 12).Text.ShouldContain("Cancelled");
        second.Cut();
        var third = await hub.AcceptAsync();
        (await third.WelcomeAsync()).Streams.ShouldBeEmpty();
        third.End();
    }

    [Fact]
    public async Task Overflow_without_a_hub_is_told_as_a_gap()
    {
        await using var hub = await FakeHub.StartAsync();
        await using var agent = await AgentHarness.StartAsync(hub.Address, o => NoMain(o) with { BufferBytes = NodeOptions.MinBufferBytes });
        var first = await hub.AcceptAsync();
        await first.WelcomeAsync();
        var path = Path.Combine(Path.GetTempPath(), $"akkahub-go-{Guid.NewGuid():N}");
        await first.RunAsync("a", $"mkfifo {path}; echo ready; read x < {path}; head -c 1000000 /dev/zero; exit 1");
        var started = (await first.NextAsync()).CommandStarted;
        await first.FlowAsync(FakeSession.Everything(started.Incarnation));
        (await first.NextAsync()).TerminalOutput.Data.ToStringUtf8().ShouldBe("ready\n");
        var second = hub.AcceptAsync();
        first.Cut();
        var held = await second;
        // The agent has dialled and waits for the welcome: it is not connected, and the command writes more than is kept.
        await File.WriteAllTextAsync(path, "go\n");
        while (agent.Log.All.All(l => l.Id != 12))
            await Task.Yield();
        await held.WelcomeAsync(s => FakeSession.Everything(s.Incarnation, ack: 6));
        var gap = (await held.NextAsync()).TerminalGap;
        gap.FromOffset.ShouldBe(6);
        var output = (await held.NextAsync()).TerminalOutput;
        output.Offset.ShouldBe(gap.ToOffset);
        (await held.UntilAsync(m => m.CommandExited is not null)).CommandExited.FinalOffset.ShouldBe(1_000_006);
        held.End();
        File.Delete(path);
    }

    [Fact]
    public async Task The_next_member_is_dialled_when_one_refuses_or_is_lost()
    {
        await using var one = await FakeHub.StartAsync();
        await using var two = await FakeHub.StartAsync();
        await using var agent = await AgentHarness.StartAsync(one.Address, o => NoMain(o) with { Hubs = [one.Address, two.Address] });
        (await one.AcceptAsync()).Refuse(StatusCode.Unavailable, ErrorReasons.NotReady);
        var session = await two.AcceptAsync();
        await session.WelcomeAsync();
        session.Cut();
        var again = await one.AcceptAsync();
        await again.WelcomeAsync();
        again.End();
    }

    [Fact]
    public async Task A_revoked_token_is_not_offered_again_and_another_one_is()
    {
        var file = Path.Combine(Path.GetTempPath(), $"akkahub-token-{Guid.NewGuid():N}");
        await File.WriteAllTextAsync(file, "one\n");
        await using var hub = await FakeHub.StartAsync();
        await using var agent = await AgentHarness.StartAsync(hub.Address, o => NoMain(o) with { TokenFile = file });
        var session = await hub.AcceptAsync();
        await session.WelcomeAsync();
        session.Authorization.ShouldBe("Bearer one");
        await session.DisconnectAsync(DisconnectReason.CredentialRevoked);
        await File.WriteAllTextAsync(file + ".new", "two\n");
        File.Move(file + ".new", file, overwrite: true);
        var again = await hub.AcceptAsync();
        again.Authorization.ShouldBe("Bearer two");
        await again.WelcomeAsync();
        again.End();
        File.Delete(file);
    }

    [Theory]
    [InlineData(DisconnectReason.Fenced)]
    [InlineData(DisconnectReason.Forgotten)]
    [InlineData(DisconnectReason.CredentialRevoked)]
    public async Task Sent_away_means_never_again(DisconnectReason reason)
    {
        await using var hub = await FakeHub.StartAsync();
        await using var agent = await AgentHarness.StartAsync(hub.Address, NoMain);
        var session = await hub.AcceptAsync();
        await session.WelcomeAsync();
        await session.DisconnectAsync(reason);
        (await agent.Exit.WaitAsync(FakeHub.Patience)).ShouldBe(ExitCodes.SentAway);
    }

    [Fact]
    public async Task A_name_claimed_by_another_machine_ends_the_agent()
    {
        await using var hub = await FakeHub.StartAsync();
        await using var agent = await AgentHarness.StartAsync(hub.Address, NoMain);
        (await hub.AcceptAsync()).Refuse(StatusCode.PermissionDenied, ErrorReasons.NameClaimed);
        (await agent.Exit.WaitAsync(FakeHub.Patience)).ShouldBe(ExitCodes.NameClaimed);
        agent.Log.All.ShouldContain(l => l.Id == 7 && l.Text.Contains("--name"));
    }

    [Fact]
    public async Task A_live_name_and_a_refused_token_are_tried_again_and_logged_once()
    {
        await using var hub = await FakeHub.StartAsync();
        await using var agent = await AgentHarness.StartAsync(hub.Address, NoMain);
        for (var i = 0; i < 3; i++)
            (await hub.AcceptAsync()).Refuse(StatusCode.AlreadyExists, ErrorReasons.NodeLive);
        for (var i = 0; i < 3; i++)
            (await hub.AcceptAsync()).Refuse(StatusCode.Unauthenticated, ErrorReasons.TokenInvalid);
        var session = await hub.AcceptAsync();
        await session.WelcomeAsync();
        await session.RunAsync("a", "true");
        await session.NextAsync();
        agent.Log.All.Count(l => l.Id == 5).ShouldBe(1);
        agent.Log.All.Single(l => l.Id == 5).Text.ShouldContain("--take-over");
        agent.Log.All.Count(l => l.Id == 6).ShouldBe(1);
        session.End();
    }

    [Fact]
    public async Task Told_to_stop_it_hangs_up_its_shells_and_leaves_in_order()
    {
        await using var hub = await FakeHub.StartAsync();
        await using var agent = await AgentHarness.StartAsync(hub.Address);
        var session = await hub.AcceptAsync();
        await session.WelcomeAsync();
        await agent.StopAsync();
        await session.UntilAsync(m => m.Draining is not null);
        var closed = (await session.UntilAsync(m => m.TerminalClosed is not null)).TerminalClosed;
        closed.Exit.Signal.ShouldBe(1);
        await session.FlowAsync(new StreamFlow { Incarnation = closed.Incarnation, AckOffset = closed.FinalOffset, Closed = true });
        await session.UntilAsync(m => m.Disconnect is not null);
        session.End();
        (await agent.Exit.WaitAsync(FakeHub.Patience)).ShouldBe(ExitCodes.Ok);
    }

    [Fact]
    public async Task What_is_not_allowed_is_denied()
    {
        await using var hub = await FakeHub.StartAsync();
        await using var agent = await AgentHarness.StartAsync(hub.Address, o => o with { AllowExec = false, AllowTerminal = false, MainTerminal = false });
        var session = await hub.AcceptAsync();
        await session.WelcomeAsync();
        await session.SayAsync(new ConnectResponse { TerminalOpen = new TerminalOpen { Request = 1, Name = "x" } });
        (await session.NextAsync()).RequestResult.Outcome.ShouldBe(RequestOutcome.Denied);
        await session.RunAsync("a", "true");
        (await session.NextAsync()).CommandExited.ShouldSatisfyAllConditions(e => e.End.ShouldBe(CommandEnd.NotStarted), e => e.Message.ShouldContain("does not allow"));
        session.End();
    }

    [Fact]
    public async Task A_terminal_is_told_of_before_its_request_is_answered_and_can_be_opened_anew()
    {
        await using var hub = await FakeHub.StartAsync();
        await using var agent = await AgentHarness.StartAsync(hub.Address, NoMain);
        var session = await hub.AcceptAsync();
        await session.WelcomeAsync();
        for (var request = 1; request <= 2; request++)
        {
            await session.SayAsync(new ConnectResponse
            {
                TerminalOpen = new TerminalOpen { Request = request, Name = "x", Size = new TerminalSize { Cols = 100, Rows = 30 }, Argv = { "/bin/cat" } },
            });
            var opened = (await session.NextAsync()).TerminalOpened;
            opened.ShouldSatisfyAllConditions(o => o.Name.ShouldBe("x"), o => o.Size.Cols.ShouldBe(100u), o => o.CommandLine.ShouldBe("/bin/cat"));
            (await session.NextAsync()).RequestResult.ShouldSatisfyAllConditions(r => r.Request.ShouldBe(request), r => r.Outcome.ShouldBe(RequestOutcome.Done));
            await session.FlowAsync(FakeSession.Everything(opened.Incarnation));
            await session.TypeAsync(opened.Incarnation, "\u0004");
            (await session.UntilAsync(m => m.TerminalClosed is not null)).TerminalClosed.Exit.Code.ShouldBe(0);
        }

        session.End();
    }

    [Fact]
    public async Task A_draining_node_takes_no_new_work()
    {
        await using var hub = await FakeHub.StartAsync();
        await using var agent = await AgentHarness.StartAsync(hub.Address, NoMain);
        var session = await hub.AcceptAsync();
        await session.WelcomeAsync();
        await session.SayAsync(new ConnectResponse { NodeDrain = new NodeDrain { On = true } });
        await session.RunAsync("a", "true");
        (await session.NextAsync()).CommandExited.End.ShouldBe(CommandEnd.NotStarted);
        await session.SayAsync(new ConnectResponse { NodeDrain = new NodeDrain { On = false } });
        await session.RunAsync("b", "true");
        (await session.NextAsync()).CommandStarted.CommandId.ShouldBe("b");
        session.End();
    }

    [Fact]
    public async Task A_local_hub_is_found_again_on_another_port()
    {
        var directory = Directory.CreateTempSubdirectory("akkahub-data-").FullName;
        var first = await FakeHub.StartAsync();
        var held = await HoldAsync(directory);
        new LocalHub(1, first.Address.ToString(), "", "1").Write(directory);
        await File.WriteAllTextAsync(Path.Combine(directory, LocalHub.TokenFileName), "one\n");
        await using var agent = await AgentHarness.StartAsync(first.Address, o => NoMain(o) with { Hubs = [], HubDataDirectory = directory });
        var session = await first.AcceptAsync();
        await session.WelcomeAsync();
        session.Authorization.ShouldBe("Bearer one");
        using var patience = new CancellationTokenSource(FakeHub.Patience);
        // Only who was welcome tells of the next failure, too.
        while (!agent.Log.All.Any(l => l.Text.StartsWith("Connected to", StringComparison.Ordinal)))
            await Task.Delay(10, patience.Token);
        await using var second = await FakeHub.StartAsync();
        await File.WriteAllTextAsync(Path.Combine(directory, LocalHub.TokenFileName), "two\n");
        new LocalHub(1, second.Address.ToString(), "", "1").Write(directory);
        await held.DisposeAsync();
        session.Cut();
        await first.DisposeAsync();
        // Crashed: hub.json still names an address where somebody listens, and is not believed until a hub runs again.
        while (!agent.Log.All.Any(l => l.Text.Contains("no hub runs")))
            await Task.Delay(10, patience.Token);
        second.Calls.ShouldBe(0);
        held = await HoldAsync(directory);
        var again = await second.AcceptAsync();
        await again.WelcomeAsync();
        again.Authorization.ShouldBe("Bearer two");
        again.End();
        await held.DisposeAsync();
        Directory.Delete(directory, recursive: true);

        // As a hub does: an agent that looks just then holds the lock for a moment.
        static async Task<FileStream> HoldAsync(string directory)
        {
            using var patience = new CancellationTokenSource(FakeHub.Patience);
            while (true)
            {
                try
                {
                    return new FileStream(Path.Combine(directory, LocalHub.LockFileName), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
                }
                catch (IOException)
                {
                    await Task.Delay(10, patience.Token);
                }
            }
        }
    }
}
