using System.Runtime.InteropServices;
using System.Text;
using AkkaHub.V1;
using Grpc.Core;
using Hub.Cli.Tests.Fakes;
using Hub.Protocol;
using Command = AkkaHub.V1.Command;

namespace Hub.Cli.Tests;

public sealed class ExecSpecs
{
    private const string Name = "nodes/n1/commands/c1";

    [Fact]
    public async Task Output_error_and_exit_code_are_the_commands()
    {
        await using var hub = await FakeHub.StartAsync();
        hub.Script.Run = async (_, w, _) =>
        {
            await w.WriteAsync(State(CommandState.Running));
            await w.WriteAsync(Output(FakeHub.Output(0, "hi\n"), FakeHub.Output(3, "oh\e[1m\n", error: true)));
            await w.WriteAsync(State(CommandState.Exited, 3));
        };
        await using var run = new CliRun();
        (await run.RunAsync(hub, "exec", "n1", "-n", "--cwd", "/tmp", "--env", "A=1", "--timeout", "90", "--", "sh", "-c", "echo hi; exit 3")).ShouldBe(3);
        run.OutputText.ShouldBe("hi\n");
        run.ErrorText.ShouldBe("oh\e[1m\n");
        var request = hub.Script.Asked<RunCommandRequest>().ShouldHaveSingleItem();
        request.Argv.ShouldBe(["sh", "-c", "echo hi; exit 3"]);
        request.RequestId.ShouldNotBeEmpty();
        request.Timeout.Seconds.ShouldBe(90);
        request.Stdin.ShouldBeFalse();
        request.Pty.ShouldBeNull();
        (request.Parent, request.Cwd, request.Env["A"]).ShouldBe(("nodes/n1", "/tmp", "1"));
    }

    [Theory]
    [InlineData(CommandState.TimedOut, 124)]
    [InlineData(CommandState.Failed, 1)]
    [InlineData(CommandState.Unknown, 1)]
    public async Task An_end_without_an_exit_of_its_own_has_a_code_and_a_line(CommandState state, int code)
    {
        await using var hub = await FakeHub.StartAsync();
        hub.Script.Run = (_, w, _) => w.WriteAsync(State(state));
        await using var run = new CliRun();
        (await run.RunAsync(hub, "exec", "n1", "-n", "--", "x")).ShouldBe(code);
        run.ErrorText.ShouldStartWith("hub: ");
    }

    [Theory]
    [InlineData(255, 255)]
    [InlineData(256, 255)]
    [InlineData(-256, 255)]
    public async Task A_code_no_process_can_have_does_not_pass_for_success(int theirs, int ours)
    {
        await using var hub = await FakeHub.StartAsync();
        hub.Script.Run = (_, w, _) => w.WriteAsync(State(CommandState.Exited, theirs));
        await using var run = new CliRun();
        (await run.RunAsync(hub, "exec", "n1", "-n", "--", "x")).ShouldBe(ours);
    }

    [Fact]
    public async Task Standard_input_goes_along_in_order_with_its_end()
    {
        await using var hub = await FakeHub.StartAsync();
        var all = new TaskCompletionSource();
        hub.Script.On<SendInputRequest>(r =>
        {
            if (r.EndOfInput)
                all.TrySetResult();
            return new SendInputResponse();
        });
        hub.Script.Run = async (_, w, _) =>
        {
            await w.WriteAsync(State(CommandState.Running));
            await all.Task;
            await w.WriteAsync(State(CommandState.Exited));
        };
        await using var run = new CliRun();
        var ended = run.RunAsync(hub, "exec", "n1", "--", "cat");
        await run.TypeAsync("one ");
        await run.TypeAsync("two");
        run.EndInput();
        (await ended).ShouldBe(0);
        var sent = hub.Script.Asked<SendInputRequest>();
        sent.ShouldAllBe(r => r.Name == "nodes/n1/terminals/cmd/c1");
        string.Concat(sent.Select(r => r.Data.ToStringUtf8())).ShouldBe("one two");
        sent[^1].EndOfInput.ShouldBeTrue();
        hub.Script.DeadlineOf<SendInputRequest>().ShouldBe(DateTime.MaxValue, "the command reads when it likes");
    }

    [Fact]
    public async Task Input_that_may_be_lost_cancels_the_command_and_is_never_sent_again()
    {
        await using var hub = await FakeHub.StartAsync();
        var cancelled = new TaskCompletionSource();
        hub.Script.On<SendInputRequest>(_ => throw FakeHub.Error(StatusCode.Aborted, ErrorReasons.DeliveryUnknown, "the node was lost"))
            .On<CancelCommandRequest>(_ =>
            {
                cancelled.TrySetResult();
                return new CancelCommandResponse();
            });
        hub.Script.Run = async (_, w, c) =>
        {
            await w.WriteAsync(State(CommandState.Running));
            await Task.Delay(Timeout.Infinite, c.CancellationToken);
        };
        await using var run = new CliRun();
        await run.TypeAsync("data");
        (await run.RunAsync(hub, "exec", "n1", "--", "cat")).ShouldBe(1);
        await cancelled.Task.WaitAsync(CliRun.Patience);
        hub.Script.Asked<SendInputRequest>().Count.ShouldBe(1);
    }

    [Fact]
    public async Task Input_that_was_refused_for_now_is_sent_when_the_node_is_back()
    {
        await using var hub = await FakeHub.StartAsync();
        var tries = 0;
        var all = new TaskCompletionSource();
        hub.Script.On<SendInputRequest>(r =>
        {
            if (Interlocked.Increment(ref tries) == 1)
                throw FakeHub.Error(StatusCode.Unavailable, ErrorReasons.NodeOffline, "offline");
            if (r.EndOfInput)
                all.TrySetResult();
            return new SendInputResponse();
        });
        hub.Script.Run = async (_, w, _) =>
        {
            await w.WriteAsync(State(CommandState.Running));
            await all.Task;
            await w.WriteAsync(State(CommandState.Exited));
        };
        await using var run = new CliRun();
        await run.TypeAsync("data");
        run.EndInput();
        (await run.RunAsync(hub, "exec", "n1", "--", "cat")).ShouldBe(0);
        hub.Script.Asked<SendInputRequest>().Skip(1).First().Data.ToStringUtf8().ShouldBe("data");
    }

    [Fact]
    public async Task Output_is_printed_once_over_a_hub_that_is_killed_and_comes_back()
    {
        var script = new Script();
        script.Run = async (_, w, c) =>
        {
            await w.WriteAsync(State(CommandState.Running));
            await w.WriteAsync(Output(FakeHub.Output(0, "one\n")));
            await Task.Delay(Timeout.Infinite, c.CancellationToken);
        };
        script.On<GetCommandRequest>(_ => new GetCommandResponse { Command = State(CommandState.Exited, 5).Command });
        script.Follow = (r, w, _) =>
        {
            r.Name.ShouldBe("nodes/n1/terminals/cmd/c1");
            r.Start.Cursor.ShouldBe("c4");
            return w.WriteAsync(FakeHub.Part(TerminalState.Closed, FakeHub.Output(4, "two\n")));
        };
        var hub = await FakeHub.StartAsync(script);
        await using var run = new CliRun();
        var ended = run.RunAsync(hub, "exec", "n1", "-n", "--", "x");
        await run.Output.SeenAsync("one\n");
        var port = hub.Port;
        await hub.DisposeAsync();
        await run.Error.SeenAsync("the connection to the hub is lost");
        await using var back = await FakeHub.StartAsync(script, port);
        (await ended).ShouldBe(5);
        run.OutputText.ShouldBe("one\ntwo\n");
        run.ErrorText.Split('\n', StringSplitOptions.RemoveEmptyEntries).Length.ShouldBe(1);
        script.Asked<RunCommandRequest>().Count.ShouldBe(1);
    }

    [Fact]
    public async Task A_command_whose_acceptance_was_not_heard_is_joined_by_its_request_id()
    {
        await using var hub = await FakeHub.StartAsync();
        var calls = 0;
        hub.Script.Run = async (_, w, c) =>
        {
            if (Interlocked.Increment(ref calls) == 1)
            {
                c.GetHttpContext().Abort();
                return;
            }

            // As the hub answers for a command that ended meanwhile: as it is, its output, as it is.
            await w.WriteAsync(State(CommandState.Exited, 4));
            await w.WriteAsync(Output(FakeHub.Output(0, "all of it\n")));
            await w.WriteAsync(State(CommandState.Exited, 4));
        };
        await using var run = new CliRun();
        (await run.RunAsync(hub, "exec", "n1", "-n", "--request-id", "mine", "--", "x")).ShouldBe(4);
        run.OutputText.ShouldBe("all of it\n");
        hub.Script.Asked<RunCommandRequest>().Select(r => r.RequestId).ShouldBe(["mine", "mine"]);
    }

    [Fact]
    public async Task Ctrl_C_is_the_commands_and_a_second_one_ends_it_all()
    {
        await using var hub = await FakeHub.StartAsync();
        var signalled = new TaskCompletionSource();
        hub.Script.On<SignalTerminalRequest>(r =>
        {
            r.Signal.ShouldBe(Signal.Int);
            signalled.TrySetResult();
            return new SignalTerminalResponse();
        }).On<CancelCommandRequest>(_ => new CancelCommandResponse());
        hub.Script.Run = async (_, w, c) =>
        {
            await w.WriteAsync(State(CommandState.Running));
            await w.WriteAsync(Output(FakeHub.Output(0, "up")));
            await Task.Delay(Timeout.Infinite, c.CancellationToken);
        };
        await using var run = new CliRun();
        var ended = run.RunAsync(hub, "exec", "n1", "-n", "--", "x");
        await run.Output.SeenAsync("up");
        run.Raise(PosixSignal.SIGINT);
        await signalled.Task.WaitAsync(CliRun.Patience);
        run.Raise(PosixSignal.SIGINT);
        (await ended).ShouldBe(130);
        hub.Script.Asked<CancelCommandRequest>().ShouldHaveSingleItem().Name.ShouldBe(Name);
    }

    [Fact]
    public async Task With_a_terminal_keys_are_raw_and_the_size_is_this_ones()
    {
        await using var hub = await FakeHub.StartAsync();
        var resized = new TaskCompletionSource<TerminalSize>();
        var typed = new TaskCompletionSource<byte[]>();
        hub.Script.On<ResizeTerminalRequest>(r =>
        {
            resized.TrySetResult(r.Size);
            return new ResizeTerminalResponse();
        }).On<SendInputRequest>(r =>
        {
            typed.TrySetResult(r.Data.ToByteArray());
            return new SendInputResponse();
        });
        hub.Script.Run = async (_, w, _) =>
        {
            await w.WriteAsync(State(CommandState.Running));
            await w.WriteAsync(Output(FakeHub.Output(0, "$ ")));
            await Task.WhenAll(resized.Task, typed.Task);
            await w.WriteAsync(State(CommandState.Exited));
        };
        await using var run = new CliRun { Terminal = true }.With("TERM", "xterm");
        var ended = run.RunAsync(hub, "exec", "n1", "--tty", "--", "vi");
        await run.Output.SeenAsync("$ ");
        run.RawOn.ShouldBeTrue();
        run.Resize(50, 10);
        await run.TypeAsync("\u0003");
        (await ended).ShouldBe(0);
        run.RawOn.ShouldBeFalse();
        (await typed.Task).ShouldBe([3]);
        (await resized.Task).ShouldBe(new TerminalSize { Cols = 50, Rows = 10 });
        var request = hub.Script.Asked<RunCommandRequest>()[0];
        request.Pty.ShouldBe(new TerminalSize { Cols = 100, Rows = 30 });
        request.Env["TERM"].ShouldBe("xterm");
    }

    [Fact]
    public async Task A_command_whose_output_nobody_reads_any_more_is_cancelled()
    {
        await using var hub = await FakeHub.StartAsync();
        hub.Script.On<CancelCommandRequest>(_ => new CancelCommandResponse());
        var gone = new TaskCompletionSource();
        hub.Script.Run = async (_, w, c) =>
        {
            await w.WriteAsync(State(CommandState.Running));
            await w.WriteAsync(Output(FakeHub.Output(0, "y\n")));
            await gone.Task;
            await w.WriteAsync(Output(FakeHub.Output(2, "y\n")));
            await Task.Delay(Timeout.Infinite, c.CancellationToken);
        };
        await using var run = new CliRun();
        var ended = run.RunAsync(hub, "exec", "n1", "-n", "--", "yes");
        await run.Output.SeenAsync("y\n");
        run.Output.Gone = true;
        gone.SetResult();
        (await ended).ShouldBe(141);
        hub.Script.Asked<CancelCommandRequest>().ShouldHaveSingleItem().Name.ShouldBe(Name);
    }

    [Fact]
    public async Task Modes_a_program_with_a_terminal_leaves_on_are_switched_off()
    {
        await using var hub = await FakeHub.StartAsync();
        hub.Script.Run = async (_, w, _) =>
        {
            await w.WriteAsync(State(CommandState.Running));
            await w.WriteAsync(Output(FakeHub.Output(0, "\e[?1049h\e[?2004hkilled")));
            await w.WriteAsync(State(CommandState.Exited, 137));
        };
        await using var run = new CliRun { Terminal = true };
        (await run.RunAsync(hub, "exec", "n1", "--tty", "-n", "--", "vi")).ShouldBe(137);
        run.OutputText.ShouldStartWith("\e[?1049h\e[?2004hkilled\e[?2004l\e[?1049l");
        await using var plain = new CliRun();
        (await plain.RunAsync(hub, "exec", "n1", "--tty", "-n", "--", "vi")).ShouldBe(137);
        plain.OutputText.ShouldEndWith("killed", Case.Sensitive);
    }

    [Fact]
    public async Task Ctrl_C_leaves_a_terminal_whose_node_is_away()
    {
        await using var hub = await FakeHub.StartAsync();
        hub.Script.On<SendInputRequest>(_ => throw FakeHub.Error(StatusCode.Unavailable, ErrorReasons.NodeOffline, "offline"));
        hub.Script.Run = async (_, w, c) =>
        {
            await w.WriteAsync(State(CommandState.Running));
            await w.WriteAsync(Output(FakeHub.Output(0, "$ ")));
            await Task.Delay(Timeout.Infinite, c.CancellationToken);
        };
        await using var run = new CliRun { Terminal = true };
        var ended = run.RunAsync(hub, "exec", "n1", "--tty", "--", "vi");
        await run.Output.SeenAsync("$ ");
        await run.TypeAsync("x");
        await run.Error.SeenAsync("Ctrl+C leaves");
        await run.TypeAsync("\e[99;5u");
        (await ended).ShouldBe(130);
        run.RawOn.ShouldBeFalse();
    }

    [Fact]
    public async Task Detached_it_prints_the_id()
    {
        await using var hub = await FakeHub.StartAsync();
        hub.Script.Run = (_, w, _) => w.WriteAsync(State(CommandState.Pending));
        await using var run = new CliRun();
        (await run.RunAsync(hub, "exec", "n1", "--detach", "--", "x")).ShouldBe(0);
        run.OutputText.ShouldBe("c1\n");
        run.ErrorText.ShouldBe("hub: follow it with: hub logs n1 -t cmd/c1 -f\nend it with: hub cancel n1 c1\n");
        hub.Script.Asked<RunCommandRequest>()[0].Detach.ShouldBeTrue();
    }

    private static RunCommandResponse State(CommandState state, int code = 0) => new()
    {
        Command = new Command
        {
            Name = Name,
            State = state,
            StartTime = new Google.Protobuf.WellKnownTypes.Timestamp(),
            Exit = state == CommandState.Exited ? new ProcessExit { Code = code } : null,
        },
    };

    private static RunCommandResponse Output(params HistoryRecord[] records) => new() { Output = FakeHub.Part(TerminalState.Live, records) };
}
