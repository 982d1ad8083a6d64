using AkkaHub.V1;

namespace Hub.Node.Tests.Processes;

public sealed class TerminalSpecs
{
    [Fact]
    public async Task A_shell_echoes_what_is_typed_and_ends_with_its_exit_code()
    {
        await using var harness = new ProcessHarness();
        var shell = harness.Shell();
        await shell.UntilAsync("$ ");
        await shell.TypeAsync("echo a''b; exit 7\r");
        (await shell.UntilAsync("ab\r\n")).ShouldContain("echo a''b");
        (await shell.EndAsync()).ShouldSatisfyAllConditions(e => e.Code.ShouldBe(7), e => e.Signal.ShouldBe(0));
        shell.Messages[0].TerminalOpened.Name.ShouldBe("t1");
        shell.Messages[^1].TerminalClosed.FinalOffset.ShouldBe(shell.Bytes);
    }

    [Fact]
    public async Task It_is_a_login_shell_on_a_terminal_of_its_own()
    {
        await using var harness = new ProcessHarness();
        harness.Terminals.Open(new TerminalOpen { Name = "main" }, (_, _) => { });
        var shell = harness.Find("main");
        await shell.TypeAsync("shopt -q login_shell && echo log''in; [ -t 0 ] && echo t''ty; echo $TERM-${COLORTERM:-none}; stty size\r");
        await shell.UntilAsync("24 80");
        shell.Shown.ToString().ShouldSatisfyAllConditions(s => s.ShouldContain("login\r"), s => s.ShouldContain("tty\r"), s => s.ShouldContain("xterm-256color-none"));
        shell.Stream.Identity.CommandLine.ShouldBe("/bin/bash");
    }

    [Fact]
    public async Task Resize_reaches_the_program_and_stands_in_the_stream()
    {
        await using var harness = new ProcessHarness();
        var shell = harness.Shell();
        await shell.UntilAsync("$ ");
        (await shell.AskAsync(done => shell.Stream.Io!.Resize(132, 43, done))).ShouldBe(RequestOutcome.Done);
        await shell.TypeAsync("stty size\r");
        await shell.UntilAsync("43 132");
        shell.Messages.Single(m => m.TerminalResized is not null).TerminalResized.Size.ShouldBe(new TerminalSize { Cols = 132, Rows = 43 });
    }

    [Fact]
    public async Task Control_C_ends_the_foreground_program_only()
    {
        await using var harness = new ProcessHarness();
        var shell = harness.Shell();
        await shell.UntilAsync("$ ");
        // Only a program that answers has begun for certain: an interrupt that comes while bash still starts it is lost, and so is what is typed before bash prompts again.
        await shell.TypeAsync("echo rea''dy; cat\r");
        await shell.UntilAsync("ready");
        await shell.TypeAsync("there\r");
        await shell.UntilAsync(() => shell.Shown.ToString().Split("there").Length == 3, "the terminal's echo and the program's answer");
        await shell.TypeAsync("\u0003");
        await shell.UntilAsync(() => shell.Shown.ToString().Split("^C") is [_, var after] && after.Contains("$ "), "the next prompt");
        await shell.TypeAsync("echo code=$?\r");
        await shell.UntilAsync("code=130");
    }

    [Fact]
    public async Task Job_control_works()
    {
        await using var harness = new ProcessHarness();
        var shell = harness.Shell();
        await shell.UntilAsync("$ ");
        await shell.TypeAsync("sh -c 'echo rea\"\"dy; read x; echo got=$x'\r");
        await shell.UntilAsync("ready");
        await shell.TypeAsync("\u001a");
        await shell.UntilAsync("Stopped");
        await shell.TypeAsync("fg\r");
        await shell.UntilAsync(() => shell.Shown.ToString().Split("read x").Length == 4, "fg shows the command");
        await shell.TypeAsync("word\r");
        await shell.UntilAsync("got=word");
    }

    [Fact]
    public async Task A_signal_goes_to_the_foreground_group()
    {
        await using var harness = new ProcessHarness();
        var shell = harness.Shell();
        await shell.UntilAsync("$ ");
        await shell.TypeAsync("sh -c 'trap \"echo caught; exit 5\" USR1; echo rea\"\"dy; while :; do sleep 0.05; done'; echo code=$?\r");
        await shell.UntilAsync("ready");
        (await shell.AskAsync(done => shell.Stream.Io!.Signal((int)Signal.Usr1, done))).ShouldBe(RequestOutcome.Done);
        await shell.UntilAsync("code=5");
    }

    [Fact]
    public async Task Programs_get_default_signals_and_no_descriptor_of_the_agent()
    {
        await using var harness = new ProcessHarness();
        var shell = harness.Shell("/bin/sh", "-c", "grep -E 'SigIgn|SigBlk' /proc/self/status; ls -l /proc/self/fd | wc -l");
        var shown = await shell.UntilAsync(() => shell.Messages.Any(m => m.TerminalClosed is not null));
        // The C library ignores its own two signals, 32 and 33, in what it spawns.
        shown.ShouldSatisfyAllConditions(s => s.ShouldMatch("SigIgn:\t0000000[01]80000000|SigIgn:\t0000000000000000"), s => s.ShouldContain("SigBlk:\t0000000000000000"));
        // A line of total, 0, 1, 2 and the directory itself.
        shown.Trim().Split('\n')[^1].Trim().ShouldBe("5");
    }

    [Fact]
    public async Task Closing_hangs_up_the_whole_session()
    {
        await using var harness = new ProcessHarness();
        var shell = harness.Shell();
        await shell.UntilAsync("$ ");
        await shell.TypeAsync("sleep 1000 & sleep 1001 & echo pid=$!.\r");
        var shown = await shell.UntilAsync(() => shell.Shown.ToString().Split("pid=") is { Length: 3 } parts && parts[2].Contains('.'), "pid");
        var pid = shown.Split("pid=")[2].Split('.')[0];
        (await shell.AskAsync(done => Terminals.TerminalService.Close(shell.Stream, done))).ShouldBe(RequestOutcome.Done);
        await shell.EndAsync();
        File.Exists($"/proc/{pid}/stat").ShouldBe(File.Exists($"/proc/{pid}/stat") && IsZombie(pid));
        (await shell.AskAsync(done => shell.Stream.Io!.Write("x"u8.ToArray(), false, done))).ShouldBe(RequestOutcome.FailedPrecondition);
    }

    [Fact]
    public async Task Opening_a_live_name_opens_no_second_one_and_a_closed_name_a_new_incarnation()
    {
        await using var harness = new ProcessHarness();
        var shell = harness.Shell();
        harness.Terminals.Open(new TerminalOpen { Name = "t1" }, (o, _) => o.ShouldBe(RequestOutcome.Done));
        harness.Table.All.Length.ShouldBe(1);
        await shell.UntilAsync("$ ");
        await shell.TypeAsync("exit\r");
        await shell.EndAsync();
        harness.Terminals.Open(new TerminalOpen { Name = "t1" }, (o, _) => o.ShouldBe(RequestOutcome.Done));
        harness.Find("t1").Stream.Identity.Incarnation.ShouldNotBe(shell.Stream.Identity.Incarnation);
    }

    [Fact]
    public async Task Input_that_the_program_does_not_read_is_bounded()
    {
        await using var harness = new ProcessHarness();
        var shell = harness.Shell("/bin/sh", "-c", "stty raw -echo; echo rea''dy; exec sleep 1000");
        await shell.UntilAsync("ready");
        var outcomes = new List<RequestOutcome>();
        for (var i = 0; i < 20; i++)
        {
            shell.Stream.Io!.Write(new byte[32 * 1024], false, (outcome, _) =>
            {
                lock (outcomes)
                    outcomes.Add(outcome);
            });
        }

        lock (outcomes)
            outcomes.Count(o => o == RequestOutcome.ResourceExhausted).ShouldBeInRange(8, 13);
    }

    [Fact]
    public async Task What_the_hub_does_not_take_holds_the_program_back_and_loses_nothing()
    {
        await using var harness = new ProcessHarness(drop: false, connected: false, bufferBytes: NodeOptions.MinBufferBytes);
        var shell = harness.Shell("/bin/sh", "-c", "stty raw; seq 1 50000; echo end");
        harness.Connect();
        var exit = shell.EndAsync();
        (await exit).Code.ShouldBe(0);
        shell.Shown.ToString().ShouldBe(string.Concat(Enumerable.Range(1, 50000).Select(i => i + "\n")) + "end\n");
        shell.Stream.DroppedBytes.ShouldBe(0);
    }

    [Fact]
    public async Task Without_a_hub_the_oldest_output_goes_and_the_program_does_not_wait()
    {
        await using var harness = new ProcessHarness(connected: false, bufferBytes: NodeOptions.MinBufferBytes);
        var shell = harness.Shell("/bin/sh", "-c", "stty raw; seq 1 50000; echo end");
        await shell.UntilAsync(() => shell.Stream.Exit is not null);
        harness.Connect();
        await shell.EndAsync();
        var gap = shell.Messages.Single(m => m.TerminalGap is not null).TerminalGap;
        gap.FromOffset.ShouldBe(0);
        gap.ToOffset.ShouldBe(shell.Stream.DroppedBytes);
        shell.Messages[^1].TerminalClosed.FinalOffset.ShouldBe(gap.ToOffset + shell.Bytes);
        shell.Shown.ToString().ShouldEndWith("50000\nend\n");
    }

    private static bool IsZombie(string pid) => File.ReadAllText($"/proc/{pid}/stat").Contains(") Z ");
}
