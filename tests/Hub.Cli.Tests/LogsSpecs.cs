using System.Runtime.InteropServices;
using AkkaHub.V1;
using Grpc.Core;
using Hub.Cli.Tests.Fakes;
using Hub.Protocol;

namespace Hub.Cli.Tests;

public sealed class LogsSpecs
{
    private const string Stream = "nodes/n1/terminals/main";

    [Fact]
    public async Task The_whole_history_is_read_part_by_part_as_harmless_text()
    {
        await using var hub = await FakeHub.StartAsync();
        hub.Script.On<ReadHistoryRequest>(r => r.Start.StartCase == HistoryStart.StartOneofCase.None
            ? new ReadHistoryResponse { Records = { FakeHub.Output(0, [.. "a\e["u8, 0x33]), }, NextCursor = "c4" }
            : new ReadHistoryResponse { Records = { FakeHub.Output(4, [.. "1mb "u8, 0xe2, 0x82]), FakeHub.Output(10, [0xac, (byte)'\r', (byte)'\n']) }, NextCursor = "c13", AtEnd = true });
        await using var run = new CliRun();
        (await run.RunAsync(hub, "logs", "n1", "--show-cursor")).ShouldBe(0);
        run.OutputText.ShouldBe("ab €\n");
        run.ErrorText.ShouldBe("hub: cursor c13\n");
        hub.Script.Asked<ReadHistoryRequest>().Select(r => (r.Name, r.Start.Cursor)).ShouldBe([(Stream, ""), (Stream, "c4")]);
    }

    [Fact]
    public async Task Raw_bytes_are_as_they_are()
    {
        await using var hub = await FakeHub.StartAsync();
        byte[] bytes = [0x1b, (byte)'[', (byte)'m', 0xff, 0x00, (byte)'\r'];
        hub.Script.On<ReadHistoryRequest>(_ => new ReadHistoryResponse { Records = { FakeHub.Output(0, bytes) }, AtEnd = true });
        await using var run = new CliRun();
        (await run.RunAsync(hub, "logs", "n1", "--raw")).ShouldBe(0);
        run.Output.Bytes.ShouldBe(bytes);
    }

    [Fact]
    public async Task Gaps_restarts_and_ends_are_told_apart_from_the_data()
    {
        await using var hub = await FakeHub.StartAsync();
        hub.Script.On<ReadHistoryRequest>(_ => new ReadHistoryResponse
        {
            Records =
            {
                new HistoryRecord { Restart = new HistoryRestart() },
                FakeHub.Output(0, "a\n"),
                new HistoryRecord { Gap = new HistoryGap { FromOffset = 2, ToOffset = 12347, Cause = GapCause.Evicted } },
                new HistoryRecord { Gap = new HistoryGap { Unknown = true, Cause = GapCause.AgentLost } },
                new HistoryRecord { Closed = new HistoryClosed { Exit = new ProcessExit { Code = 2 } } },
                new HistoryRecord { Restart = new HistoryRestart() },
                FakeHub.Output(0, "b\n"),
            },
            AtEnd = true,
        });
        await using var run = new CliRun();
        (await run.RunAsync(hub, "logs", "n1")).ShouldBe(0);
        run.OutputText.ShouldBe("a\nb\n");
        run.ErrorText.ShouldBe(
            """
            hub: 12345 bytes are missing here (evicted)
            hub: bytes are missing here, how many is not known (agent-lost)
            hub: --- terminal ended (exit 2) ---
            hub: --- terminal restarted ---

            """);
    }

    [Theory]
    [InlineData("--tail", "5", HistoryStart.StartOneofCase.TailLines)]
    [InlineData("--tail", "0", HistoryStart.StartOneofCase.Now)]
    [InlineData("--since", "10m", HistoryStart.StartOneofCase.Since)]
    [InlineData("--since", "2026-01-31T12:00:00Z", HistoryStart.StartOneofCase.Since)]
    [InlineData("--cursor", "abc", HistoryStart.StartOneofCase.Cursor)]
    public async Task Where_to_begin_is_passed_on(string option, string value, HistoryStart.StartOneofCase start)
    {
        await using var hub = await FakeHub.StartAsync();
        hub.Script.On<ReadHistoryRequest>(_ => new ReadHistoryResponse { AtEnd = true });
        await using var run = new CliRun();
        (await run.RunAsync(hub, "logs", "n1", "-t", "cmd/x1", option, value)).ShouldBe(0);
        var request = hub.Script.Asked<ReadHistoryRequest>().ShouldHaveSingleItem();
        request.Name.ShouldBe("nodes/n1/terminals/cmd/x1");
        request.Start.StartCase.ShouldBe(start);
    }

    [Fact]
    public async Task A_follower_goes_on_after_its_cursor_when_the_hub_was_killed()
    {
        var script = new Script
        {
            Follow = async (r, w, c) =>
            {
                if (r.Start.Cursor.Length == 0)
                    await w.WriteAsync(FakeHub.Part(TerminalState.Live, FakeHub.Output(0, "one ")));
                else if (r.Start.Cursor == "c4")
                    await w.WriteAsync(FakeHub.Part(TerminalState.Live, FakeHub.Output(4, "two ")));
                await Task.Delay(Timeout.Infinite, c.CancellationToken);
            },
        };
        var hub = await FakeHub.StartAsync(script);
        await using var run = new CliRun();
        var ended = run.RunAsync(hub, "logs", "n1", "-f");
        await run.Output.SeenAsync("one ");
        var port = hub.Port;
        await hub.DisposeAsync();
        await run.Error.SeenAsync("the connection to the hub is lost");
        await using var back = await FakeHub.StartAsync(script, port);
        await run.Output.SeenAsync("two ");
        run.Raise(PosixSignal.SIGINT);
        (await ended).ShouldBe(130);
        run.OutputText.ShouldBe("one two ");
    }

    [Fact]
    public async Task Following_a_command_ends_with_it()
    {
        await using var hub = await FakeHub.StartAsync();
        hub.Script.Follow = async (_, w, c) =>
        {
            await w.WriteAsync(FakeHub.Part(TerminalState.Closed, FakeHub.Output(0, "done\n")));
            await Task.Delay(Timeout.Infinite, c.CancellationToken);
        };
        await using var run = new CliRun();
        (await run.RunAsync(hub, "logs", "n1", "-t", "cmd/c1", "-f")).ShouldBe(0);
        run.OutputText.ShouldBe("done\n");
    }

    [Fact]
    public async Task It_ends_without_a_word_when_its_reader_has_gone()
    {
        await using var hub = await FakeHub.StartAsync();
        hub.Script.On<ReadHistoryRequest>(_ => new ReadHistoryResponse { Records = { FakeHub.Output(0, "text\n") }, AtEnd = true });
        await using var run = new CliRun();
        run.Output.Gone = true;
        (await run.RunAsync(hub, "logs", "n1")).ShouldBe(141);
        run.ErrorText.ShouldBeEmpty();
    }

    [Fact]
    public async Task A_cursor_that_is_too_old_names_the_first_that_is_left()
    {
        await using var hub = await FakeHub.StartAsync();
        hub.Script.On<ReadHistoryRequest>(_ => throw FakeHub.Error(StatusCode.OutOfRange, ErrorReasons.CursorTooOld, "gone", ("first_available_cursor", "c99")));
        await using var run = new CliRun();
        (await run.RunAsync(hub, "logs", "n1", "--cursor", "c1")).ShouldBe(1);
        run.ErrorText.ShouldContain("c99");
    }
}
