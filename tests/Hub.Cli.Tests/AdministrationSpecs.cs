using AkkaHub.V1;
using Hub.Cli.Tests.Fakes;

namespace Hub.Cli.Tests;

/// <summary>Commands that change what the hub keeps or admits: one request each, and a line that says what was done.</summary>
public sealed class AdministrationSpecs
{
    [Theory]
    [InlineData("main", "nodes/n1/terminals/main")]
    [InlineData("cmd/c1", "nodes/n1/terminals/cmd/c1")]
    public async Task Purge_deletes_one_terminal(string terminal, string name)
    {
        await using var hub = await FakeHub.StartAsync();
        hub.Script.On<PurgeTerminalRequest>(_ => new PurgeTerminalResponse { Bytes = 2048 });
        (await NoteOf(hub, "purge", "n1", "-t", terminal)).ShouldBe("hub: 2 KiB of history deleted in 1 terminal\n");
        hub.Script.Asked<PurgeTerminalRequest>().ShouldHaveSingleItem().Name.ShouldBe(name);
        hub.Script.Asked<ListTerminalsRequest>().ShouldBeEmpty();
    }

    [Fact]
    public async Task Purge_deletes_all_terminals_only_when_told_so()
    {
        await using var hub = await FakeHub.StartAsync();
        hub.Script.On<PurgeTerminalRequest>(_ => new PurgeTerminalResponse { Bytes = 100 }).On<ListTerminalsRequest>(_ => new ListTerminalsResponse
        {
            Terminals = { new Terminal { Name = "nodes/n1/terminals/a" }, new Terminal { Name = "nodes/n1/terminals/main" } },
        });
        await using var run = new CliRun();
        (await run.RunAsync(hub, "purge", "n1")).ShouldBe(2);
        run.ErrorText.ShouldStartWith("hub: give either -t TERMINAL or --all");
        hub.Script.Asked<PurgeTerminalRequest>().ShouldBeEmpty();
        (await NoteOf(hub, "purge", "n1", "--all")).ShouldBe("hub: 200 B of history deleted in 2 terminals\n");
        hub.Script.Asked<PurgeTerminalRequest>().Select(r => r.Name).ShouldBe(["nodes/n1/terminals/a", "nodes/n1/terminals/main"]);
    }

    private static async Task<string> NoteOf(FakeHub hub, params string[] args)
    {
        await using var run = new CliRun();
        (await run.RunAsync(hub, args)).ShouldBe(0);
        run.OutputText.ShouldBeEmpty();
        return run.ErrorText;
    }
}
