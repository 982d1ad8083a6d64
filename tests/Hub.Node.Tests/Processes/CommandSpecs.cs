using AkkaHub.V1;
using Hub.Node.Commands;

namespace Hub.Node.Tests.Processes;

public sealed class CommandSpecs
{
    [Fact]
    public async Task Exit_code_and_standard_error_apart()
    {
        await using var harness = new ProcessHarness();
        var command = harness.Command("echo out; echo err >&2; exit 3");
        (await command.EndAsync()).ShouldSatisfyAllConditions(e => e.Code.ShouldBe(3), e => e.End.ShouldBe(CommandEnd.Exited));
        command.Shown.ToString().ShouldBe("out\n");
        command.Errors.ToString().ShouldBe("err\n");
        command.Messages[0].CommandStarted.CommandId.ShouldBe("c1");
        command.Messages[^1].CommandExited.FinalOffset.ShouldBe(8);
    }

    [Fact]
    public async Task A_signal_is_told_as_128_and_itself()
    {
        await using var harness = new ProcessHarness();
        var command = harness.Command("kill -9 $$");
        (await command.EndAsync()).ShouldSatisfyAllConditions(e => e.Code.ShouldBe(137), e => e.Signal.ShouldBe(9));
    }

    [Fact]
    public async Task Standard_input_is_empty_unless_asked_for()
    {
        await using var harness = new ProcessHarness();
        var command = harness.Command("cat; echo done");
        await command.EndAsync();
        command.Shown.ToString().ShouldBe("done\n");
    }

    [Fact]
    public async Task Standard_input_is_passed_on_and_closed()
    {
        await using var harness = new ProcessHarness();
        var command = harness.Command("wc -c", r => r.Stdin = true);
        var text = new string('x', 60_000);
        for (var i = 0; i < 10; i++)
            await command.TypeAsync(text);
        await command.TypeAsync("end", end: true);
        await command.EndAsync();
        command.Shown.ToString().Trim().ShouldBe("600003");
    }

    [Fact]
    public async Task Input_after_the_program_closed_it_is_refused()
    {
        await using var harness = new ProcessHarness();
        var command = harness.Command("exec 0<&-; echo ready; exec sleep 1000", r => r.Stdin = true);
        await command.UntilAsync("ready");
        (await command.AskAsync(done => command.Stream.Io!.Write("x"u8.ToArray(), false, done))).ShouldBe(RequestOutcome.FailedPrecondition);
        (await command.AskAsync(done => command.Stream.Io!.Resize(80, 24, done))).ShouldBe(RequestOutcome.FailedPrecondition);
    }

    [Fact]
    public async Task Time_out_ends_it()
    {
        await using var harness = new ProcessHarness();
        var command = harness.Command("echo started; sleep 1000", r => r.TimeoutMs = 200);
        (await command.EndAsync()).ShouldSatisfyAllConditions(e => e.End.ShouldBe(CommandEnd.TimedOut), e => e.Signal.ShouldBe(15));
        command.Shown.ToString().ShouldBe("started\n");
    }

    [Fact]
    public async Task Cancel_ends_the_whole_group_and_lets_it_say_its_last_words()
    {
        await using var harness = new ProcessHarness();
        var command = harness.Command("sleep 1000 & trap 'echo bye; exit 4' TERM; echo $!; while :; do sleep 0.05; done");
        var child = int.Parse(await command.UntilAsync("\n"));
        (await command.AskAsync(done => harness.Commands.Cancel("c1", done))).ShouldBe(RequestOutcome.Done);
        (await command.EndAsync()).ShouldSatisfyAllConditions(e => e.End.ShouldBe(CommandEnd.Cancelled), e => e.Code.ShouldBe(4));
        command.Shown.ToString().ShouldBe($"{child}\nbye\n");
        (!Directory.Exists($"/proc/{child}") || File.ReadAllText($"/proc/{child}/stat").Contains(") Z ")).ShouldBeTrue("the child in the background was told, too");
        (await command.AskAsync(done => harness.Commands.Cancel("c1", done))).ShouldBe(RequestOutcome.FailedPrecondition);
        (await command.AskAsync(done => harness.Commands.Cancel("no", done))).ShouldBe(RequestOutcome.NotFound);
    }

    [Fact]
    public async Task Who_ignores_the_first_signal_is_killed_after_the_grace()
    {
        await using var harness = new ProcessHarness();
        var command = harness.Command("trap '' TERM; echo ready; while :; do sleep 0.05; done");
        await command.UntilAsync("ready");
        command.Stream.Io!.BeginEnd(CommandEnd.Cancelled, 100).ShouldBeTrue();
        (await command.EndAsync()).ShouldSatisfyAllConditions(e => e.End.ShouldBe(CommandEnd.Cancelled), e => e.Signal.ShouldBe(9));
    }

    [Fact]
    public async Task A_background_child_that_holds_the_pipes_does_not_hold_the_end()
    {
        await using var harness = new ProcessHarness();
        var command = harness.Command("sleep 1000 & echo $!; exit 2");
        (await command.EndAsync()).Code.ShouldBe(2);
        var pid = int.Parse(command.Shown.ToString());
        // It was not told to end: it lives on, as after ssh.
        Directory.Exists($"/proc/{pid}").ShouldBeTrue();
        Pty.Native.Kill(pid, 9);
    }

    [Fact]
    public async Task Directory_and_environment_are_set_and_the_token_is_withheld()
    {
        await using var harness = new ProcessHarness();
        Environment.SetEnvironmentVariable("AKKAHUB_TOKEN", "secret");
        var command = harness.Command("pwd; echo $A-${AKKAHUB_TOKEN:-none}", r =>
        {
            r.Cwd = "/usr";
            r.Env["A"] = "1";
        });
        await command.EndAsync();
        command.Shown.ToString().ShouldBe("/usr\n1-none\n");
    }

    [Fact]
    public async Task With_a_PTY_it_has_a_terminal()
    {
        await using var harness = new ProcessHarness();
        var command = harness.Command("stty size; echo err >&2", r => r.Pty = new TerminalSize { Cols = 90, Rows = 20 });
        await command.EndAsync();
        command.Shown.ToString().ShouldBe("20 90\r\nerr\r\n");
    }

    [Fact]
    public async Task Arguments_and_variables_are_bounded_in_bytes()
    {
        await using var harness = new ProcessHarness();
        // Two bytes each in UTF-8.
        var tooLong = harness.Commands.Run(new CommandRun { CommandId = "x", Argv = { "/bin/true", new string('é', 128 * 1024) } }, null).ShouldNotBeNull();
        tooLong.Message.ShouldContain("256 KiB");
        var many = new CommandRun { CommandId = "y", Argv = { "/bin/true" } };
        for (var i = 0; i < 129; i++)
            many.Env[$"V{i}"] = "";
        harness.Commands.Run(many, null).ShouldNotBeNull().Message.ShouldContain("128 variables");
        var answer = "";
        harness.Terminals.Open(new TerminalOpen { Name = "t", Argv = { "/bin/true", new string('é', 32 * 1024) } }, (_, message) => answer = message);
        answer.ShouldContain("64 KiB");
    }

    [Theory]
    [InlineData("/no/such/program", "", "No such file")]
    [InlineData("no-such-program", "", "no such program in PATH")]
    [InlineData("/etc/passwd", "", "Permission denied")]
    [InlineData("/bin/true", "/no/such/directory", "no such directory")]
    public async Task What_cannot_be_started_is_told(string program, string directory, string message)
    {
        await using var harness = new ProcessHarness();
        var report = harness.Commands.Run(new CommandRun { CommandId = "x", Argv = { program }, Cwd = directory }, null).ShouldNotBeNull();
        report.End.ShouldBe(CommandEnd.NotStarted);
        report.Message.ShouldContain(message);
        report.Incarnation.IsEmpty.ShouldBeTrue();
    }

    [Fact]
    public async Task An_id_runs_once()
    {
        await using var harness = new ProcessHarness();
        harness.Command("true", r => r.CommandId = "once");
        harness.Commands.Run(new CommandRun { CommandId = "once", Argv = { "/bin/true" } }, null).ShouldBeNull();
        harness.Table.All.Length.ShouldBe(1);
    }

    [Fact]
    public async Task Too_many_at_once_are_refused()
    {
        await using var harness = new ProcessHarness();
        harness.Commands.Limit = 1;
        harness.Command("sleep 1000");
        harness.Commands.Run(new CommandRun { CommandId = "second", Argv = { "/bin/true" } }, null).ShouldNotBeNull().Message.ShouldContain("its most");
        CommandService.MaxRemembered.ShouldBe(1000);
    }

    [Fact]
    public async Task A_script_without_a_first_line_is_run_by_sh()
    {
        var path = Path.Combine(Path.GetTempPath(), $"akkahub-script-{Guid.NewGuid():N}");
        await File.WriteAllTextAsync(path, "echo plain $1\n");
        File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        try
        {
            await using var harness = new ProcessHarness();
            harness.Commands.Run(new CommandRun { CommandId = "s", Argv = { path, "word" } }, null).ShouldBeNull();
            var command = harness.Find("cmd/s");
            await command.EndAsync();
            command.Shown.ToString().ShouldBe("plain word\n");
        }
        finally
        {
            File.Delete(path);
        }
    }
}
