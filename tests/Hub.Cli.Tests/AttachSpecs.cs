using System.Text;
using AkkaHub.V1;
using Grpc.Core;
using Hub.Cli.Terminals;
using Hub.Cli.Tests.Fakes;
using NodeInfo = AkkaHub.V1.Node;

namespace Hub.Cli.Tests;

public sealed class AttachSpecs
{
    private static readonly TerminalSize Mine = new() { Cols = 100, Rows = 30 };

    [Fact]
    public async Task Keys_and_sizes_go_in_bytes_come_out_and_the_detach_key_leaves()
    {
        await using var hub = await HubWith(async (r, w, c) =>
        {
            await StartAsync(r, w);
            await w.WriteAsync(History(FakeHub.Output(0, "$ ")));
            await foreach (var message in r.ReadAllAsync(c.CancellationToken))
            {
                if (message.MessageCase == AttachTerminalRequest.MessageOneofCase.Input)
                    await w.WriteAsync(History(FakeHub.Output(2, message.Input.ToByteArray())));
                else if (message.MessageCase == AttachTerminalRequest.MessageOneofCase.Size)
                    await w.WriteAsync(History(FakeHub.Output(2, $"size {message.Size.Cols}x{message.Size.Rows}")));
            }
        });
        await using var run = new CliRun { Terminal = true };
        var ended = run.RunAsync(hub, "attach", "n1");
        await run.Output.SeenAsync("$ ");
        run.RawOn.ShouldBeTrue();
        await run.TypeAsync("ls\u0003");
        await run.Output.SeenAsync("ls\u0003");
        run.Resize(90, 20);
        await run.Output.SeenAsync("size 90x20");
        await run.TypeAsync("\u001dnever sent");
        (await ended).ShouldBe(0);
        run.RawOn.ShouldBeFalse();
        run.ErrorText.ShouldContain("come back with: hub attach n1", Case.Insensitive);
        var start = hub.Script.Asked<AttachTerminalRequest>()[0].Start;
        start.ShouldBe(new AttachStart { Name = "nodes/n1/terminals/main", Start = new HistoryStart { TailBytes = 65536 }, Size = Mine });
        hub.Script.Asked<AttachTerminalRequest>().ShouldAllBe(m => !m.Input.ToStringUtf8().Contains("never"));
    }

    [Fact]
    public async Task It_ends_with_the_terminal()
    {
        await using var hub = await HubWith(async (r, w, _) =>
        {
            await StartAsync(r, w);
            var end = History(FakeHub.Output(0, "bye\r\n"), new HistoryRecord { Closed = new HistoryClosed { Exit = new ProcessExit { Code = 4 } } });
            end.History.TerminalState = TerminalState.Closed;
            await w.WriteAsync(end);
        });
        await using var run = new CliRun { Terminal = true };
        (await run.RunAsync(hub, "attach", "n1")).ShouldBe(0);
        run.ErrorText.ShouldContain("has ended (exit 4)");
    }

    [Fact]
    public async Task After_a_break_it_goes_on_from_its_cursor_and_drops_what_was_typed_meanwhile()
    {
        var script = Answers(new Script());
        script.Attach = async (r, w, c) =>
        {
            var start = await StartAsync(r, w);
            await w.WriteAsync(start.Start.Start.Cursor == "c3" ? History(FakeHub.Output(3, "two")) : History(FakeHub.Output(0, "one")));
            await foreach (var _ in r.ReadAllAsync(c.CancellationToken))
            {
            }
        };
        var hub = await FakeHub.StartAsync(script);
        await using var run = new CliRun { Terminal = true };
        var ended = run.RunAsync(hub, "attach", "n1", "--detach-keys", "ctrl-p,ctrl-q");
        await run.Output.SeenAsync("one");
        var port = hub.Port;
        await hub.DisposeAsync();
        await run.Error.SeenAsync("the connection to the hub is lost");
        await run.TypeAsync("rm -rf x\r");
        await run.Error.SeenAsync("is dropped");
        await using var back = await FakeHub.StartAsync(script, port);
        await run.Output.SeenAsync("two");
        await run.Error.SeenAsync("connected again");
        await run.TypeAsync("\u0010\u0011");
        (await ended).ShouldBe(0);
        script.Asked<AttachTerminalRequest>().ShouldAllBe(m => m.MessageCase != AttachTerminalRequest.MessageOneofCase.Input);
        run.OutputText.Split("one").Length.ShouldBe(2);
        run.ErrorText.Split("connected again").Length.ShouldBe(2, "once, and not at the first time");
    }

    [Fact]
    public async Task A_full_screen_program_is_made_to_draw_anew_and_old_questions_are_not_asked_again()
    {
        var sizes = new List<TerminalSize>();
        var redrawn = new TaskCompletionSource();
        await using var hub = await HubWith(async (r, w, c) =>
        {
            await StartAsync(r, w);
            await w.WriteAsync(History(FakeHub.Output(0, "\e[?1049h\e[6n\e[cscreen")));
            await foreach (var message in r.ReadAllAsync(c.CancellationToken))
            {
                if (message.MessageCase != AttachTerminalRequest.MessageOneofCase.Size)
                    continue;
                sizes.Add(message.Size);
                if (sizes.Count == 2)
                {
                    await w.WriteAsync(History(FakeHub.Output(9, "\e[5nfresh")));
                    redrawn.TrySetResult();
                }
            }
        });
        await using var run = new CliRun { Terminal = true };
        var ended = run.RunAsync(hub, "attach", "n1");
        await redrawn.Task.WaitAsync(CliRun.Patience);
        await run.Output.SeenAsync("fresh");
        await run.TypeAsync("\u001d");
        (await ended).ShouldBe(0);
        sizes.ShouldBe([new TerminalSize { Cols = 100, Rows = 29 }, Mine]);
        run.OutputText.ShouldContain("\e[?1049hscreen");
        run.OutputText.ShouldContain("\e[5nfresh");
        run.OutputText.ShouldContain("\e[?1049l");
    }

    [Fact]
    public async Task The_modes_of_a_program_are_off_when_the_terminal_begins_anew()
    {
        await using var hub = await HubWith(async (r, w, _) =>
        {
            await StartAsync(r, w);
            await w.WriteAsync(History(FakeHub.Output(0, "\e[?1003hold")));
            await w.WriteAsync(History(new HistoryRecord { Restart = new HistoryRestart() }, FakeHub.Output(0, "new")));
            await r.MoveNext();
        });
        await using var run = new CliRun { Terminal = true };
        var ended = run.RunAsync(hub, "attach", "n1");
        await run.Output.SeenAsync("new");
        var text = run.OutputText;
        text.IndexOf("\e[?1003l", StringComparison.Ordinal).ShouldBeInRange(text.IndexOf("old", StringComparison.Ordinal), text.IndexOf("new", StringComparison.Ordinal));
        await run.TypeAsync("\u001d");
        (await ended).ShouldBe(0);
    }

    [Fact]
    public async Task Another_size_that_somebody_else_set_is_said_once_and_ones_own_is_not()
    {
        var other = new TerminalSize { Cols = 80, Rows = 24 };
        await using var hub = await HubWith(async (r, w, c) =>
        {
            await StartAsync(r, w);
            await w.WriteAsync(History(FakeHub.Output(0, "$ "), Resized(2, other)));
            await foreach (var message in r.ReadAllAsync(c.CancellationToken))
            {
                if (message.MessageCase == AttachTerminalRequest.MessageOneofCase.Size)
                    await w.WriteAsync(History(Resized(2, message.Size), Resized(2, other), Resized(2, other), FakeHub.Output(2, "done")));
            }
        });
        await using var run = new CliRun { Terminal = true };
        var ended = run.RunAsync(hub, "attach", "n1");
        await run.Output.SeenAsync("$ ");
        run.ErrorText.ShouldBeEmpty("the replay tells what was");
        run.Resize(90, 20);
        await run.Output.SeenAsync("done");
        await run.TypeAsync("\u001d");
        (await ended).ShouldBe(0);
        run.ErrorText.Split('\n').Count(l => l.Contains("as somebody else has it")).ShouldBe(1);
        run.ErrorText.ShouldContain("the terminal is 80x24 now, as somebody else has it; this one is 90x20");
    }

    [Fact]
    public async Task Read_only_nothing_is_sent()
    {
        await using var hub = await HubWith(async (r, w, c) =>
        {
            await StartAsync(r, w);
            await w.WriteAsync(History(FakeHub.Output(0, "look")));
            await foreach (var _ in r.ReadAllAsync(c.CancellationToken))
            {
            }
        });
        await using var run = new CliRun { Terminal = true };
        var ended = run.RunAsync(hub, "attach", "n1", "--read-only");
        await run.Output.SeenAsync("look");
        await run.TypeAsync("x");
        run.Resize(10, 10);
        await run.TypeAsync("\u0003");
        (await ended).ShouldBe(0);
        var only = hub.Script.Asked<AttachTerminalRequest>().ShouldHaveSingleItem();
        only.Start.ReadOnly.ShouldBeTrue();
        only.Start.Size.ShouldBeNull();
    }

    [Fact]
    public async Task An_offline_node_is_said()
    {
        await using var hub = await FakeHub.StartAsync();
        hub.Script.On<GetNodeRequest>(_ => new GetNodeResponse { Node = new NodeInfo { Name = "nodes/n1", State = NodeState.Offline } });
        await using var run = new CliRun { Terminal = true };
        (await run.RunAsync(hub, "attach", "n1")).ShouldBe(1);
        run.ErrorText.ShouldStartWith("hub: node n1 is offline");
        run.RawEntered.ShouldBe(0);
    }

    [Fact]
    public async Task Without_a_terminal_it_says_what_to_use()
    {
        await using var run = new CliRun();
        (await run.RunAsync("attach", "n1")).ShouldBe(1);
        run.ErrorText.ShouldContain("hub logs -f");
    }

    [Theory]
    [InlineData("ctrl-]", "abc", false, "abc")]
    [InlineData("ctrl-]", "a\u001db", true, "a")]
    [InlineData("ctrl-p,ctrl-q", "\u0010x", false, "\u0010x")]
    [InlineData("ctrl-p,ctrl-q", "\u0010\u0010\u0011", true, "\u0010")]
    [InlineData("a,a,b", "aaab", true, "a")]
    [InlineData("~", "x~y", true, "x")]
    public void Detach_keys_are_found(string keys, string typed, bool found, string passed)
    {
        DetachKeys.TryParse(keys, out var parsed).ShouldBeTrue();
        var rest = new List<byte>();
        var hit = false;
        foreach (var b in Encoding.Latin1.GetBytes(typed))
            hit = hit || parsed!.Scan([b], rest);
        hit.ShouldBe(found);
        Encoding.Latin1.GetString([.. rest]).ShouldBe(passed);
    }

    [Theory]
    [InlineData("ctrl-]", "a\e[27;5;93~b", true, "a")]
    [InlineData("ctrl-]", "a\e[93;5ub", true, "a")]
    [InlineData("ctrl-]", "\e[93;5:1u", true, "")]
    [InlineData("ctrl-]", "\e[93::93;69u", true, "")]
    [InlineData("ctrl-]", "\e[93;5:3u", false, "\e[93;5:3u")]
    [InlineData("ctrl-]", "\e[93;7u", false, "\e[93;7u")]
    [InlineData("ctrl-]", "\e[93u", false, "\e[93u")]
    [InlineData("ctrl-]", "\e\e[A\e[27;5", false, "\e\e[A\e[27;5")]
    [InlineData("ctrl-p,ctrl-q", "\e[112;5u\e[112;5:3u\e[57442;5u\e[113;5u", true, "")]
    [InlineData("ctrl-p,ctrl-q", "\e[112;5u\e[112;5:3ux", false, "\e[112;5u\e[112;5:3ux")]
    [InlineData("~", "\e[15~\e[126u", true, "\e[15~")]
    public void Detach_keys_are_found_as_programs_make_the_terminal_send_them(string keys, string typed, bool found, string passed)
    {
        DetachKeys.TryParse(keys, out var parsed).ShouldBeTrue();
        var rest = new List<byte>();
        parsed!.Scan(Encoding.Latin1.GetBytes(typed), rest).ShouldBe(found);
        Encoding.Latin1.GetString([.. rest]).ShouldBe(passed);
    }

    [Theory]
    [InlineData("\e[>4;2m", "\e[>4m")]
    [InlineData("\e[>1u\e[>5u", "\e[<2u")]
    [InlineData("\e[>1u\e[<u", "")]
    [InlineData("\e[=5;1u", "\e[=0u")]
    [InlineData("\e[?1049h\e[>1u", "\e[<1u\e[?1049l")]
    public void Keyboard_modes_are_undone_as_far_as_they_were_switched_on(string shown, string undone)
    {
        var modes = new ScreenModes();
        modes.Filter(Encoding.UTF8.GetBytes(shown), replay: false, []);
        modes.Reset().ShouldBe(undone + "\e[!p\e[?25h\e[?7h\e[0m\e(B\e>");
    }

    [Theory]
    [InlineData("\e[c")]
    [InlineData("\e[>c")]
    [InlineData("\e[6n")]
    [InlineData("\e[?2026$p")]
    [InlineData("\e[>q")]
    [InlineData("\e[18t")]
    [InlineData("\e[?u")]
    [InlineData("\e]11;?\a")]
    [InlineData("\e]11;?\e\\")]
    [InlineData("\eP+q544e\e\\")]
    [InlineData("\eP$qm\e\\")]
    [InlineData("\eZ")]
    [InlineData("\u0005")]
    public void A_question_is_left_out_of_a_replay_only(string question)
    {
        Filtered("a" + question + "b", replay: true).ShouldBe("ab");
        Filtered("a" + question + "b", replay: false).ShouldBe("a" + question + "b");
    }

    [Theory]
    [InlineData("plain\r\n\t")]
    [InlineData("\e[31m\e[2J\e[?25l\e[1;5r")]
    [InlineData("\e]0;title\a\e(B\e7\e8\e=")]
    [InlineData("\e[!p\e[2 q\e[22;0t\e[>4;2m")]
    [InlineData("\eP0;1q#0;2;0;0;0\e\\")]
    public void What_asks_nothing_passes(string text) => Filtered(text, replay: true).ShouldBe(text);

    private static string Filtered(string text, bool replay)
    {
        var modes = new ScreenModes();
        var target = new List<byte>();
        foreach (var b in Encoding.UTF8.GetBytes(text))
            modes.Filter([b], replay, target);
        return Encoding.UTF8.GetString([.. target]);
    }

    private static async Task<AttachTerminalRequest> StartAsync(IAsyncStreamReader<AttachTerminalRequest> reader, IServerStreamWriter<AttachTerminalResponse> writer)
    {
        (await reader.MoveNext()).ShouldBeTrue();
        await writer.WriteAsync(new AttachTerminalResponse { Attached = new Terminal { Name = reader.Current.Start.Name, Size = Mine, State = TerminalState.Live } });
        return reader.Current;
    }

    private static AttachTerminalResponse History(params HistoryRecord[] records) => new() { History = FakeHub.Part(TerminalState.Live, records) };

    private static HistoryRecord Resized(long offset, TerminalSize size) => new() { Resize = new HistoryResize { Offset = offset, Size = size } };

    private static Script Answers(Script script) =>
        script.On<GetNodeRequest>(r => new GetNodeResponse { Node = new NodeInfo { Name = r.Name, State = NodeState.Online } });

    private static Task<FakeHub> HubWith(Func<IAsyncStreamReader<AttachTerminalRequest>, IServerStreamWriter<AttachTerminalResponse>, ServerCallContext, Task> attach)
    {
        var script = Answers(new Script());
        script.Attach = attach;
        return FakeHub.StartAsync(script);
    }
}
