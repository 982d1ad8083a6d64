using AkkaHub.V1;
using Grpc.Core;
using Hub.Cli.Commands;
using Hub.Cli.Tests.Fakes;
using Hub.Protocol;

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

    [Fact]
    public async Task A_command_that_runs_is_not_purged_and_how_to_end_it_is_said()
    {
        await using var hub = await FakeHub.StartAsync();
        hub.Script.On<PurgeTerminalRequest>(_ => throw FakeHub.Error(StatusCode.FailedPrecondition, ErrorReasons.CommandRunning, "Command 'c1' of node 'n1' has not ended. Cancel it first."));
        await using var run = new CliRun();
        (await run.RunAsync(hub, "purge", "n1", "-t", "cmd/c1")).ShouldBe(1);
        run.ErrorText.ShouldBe("hub: Command 'c1' of node 'n1' has not ended. Cancel it first.\nend it with 'hub cancel NODE COMMAND_ID'\n");
    }

    [Fact]
    public async Task A_command_is_cancelled_by_its_id()
    {
        await using var hub = await FakeHub.StartAsync();
        hub.Script.On<CancelCommandRequest>(_ => new CancelCommandResponse());
        (await NoteOf(hub, "cancel", "n1", "c1")).ShouldBe("hub: command c1 is ending or has ended; see how: hub describe command n1 c1\n");
        hub.Script.Asked<CancelCommandRequest>().ShouldHaveSingleItem().Name.ShouldBe("nodes/n1/commands/c1");
    }

    [Theory]
    [InlineData("KILL", Signal.Kill)]
    [InlineData("sigusr1", Signal.Usr1)]
    public async Task A_command_is_sent_a_signal_instead(string text, Signal signal)
    {
        await using var hub = await FakeHub.StartAsync();
        hub.Script.On<SignalTerminalRequest>(_ => new SignalTerminalResponse());
        (await NoteOf(hub, "cancel", "n1", "c1", "--signal", text)).ShouldBe($"hub: signal {signal.ToString().ToUpperInvariant()} is sent to command c1\n");
        hub.Script.Asked<SignalTerminalRequest>().ShouldHaveSingleItem().ShouldBe(new SignalTerminalRequest { Name = "nodes/n1/terminals/cmd/c1", Signal = signal });
        hub.Script.Asked<CancelCommandRequest>().ShouldBeEmpty();
    }

    [Fact]
    public async Task A_command_that_has_ended_takes_no_signal()
    {
        await using var hub = await FakeHub.StartAsync();
        hub.Script.On<SignalTerminalRequest>(_ => throw FakeHub.Error(StatusCode.FailedPrecondition, ErrorReasons.TerminalClosed, "Open it again first."));
        await using var run = new CliRun();
        (await run.RunAsync(hub, "cancel", "n1", "c1", "--signal", "INT")).ShouldBe(1);
        run.ErrorText.ShouldBe("hub: command c1 has ended\nsee how: hub describe command n1 c1\n");
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_node_is_forgotten_by_force_only_when_told_so(bool force)
    {
        await using var hub = await FakeHub.StartAsync();
        hub.Script.On<ForgetNodeRequest>(_ => new ForgetNodeResponse());
        (await NoteOf(hub, ["forget", "n1", .. force ? ["--force"] : (string[])[]])).ShouldBe("hub: node n1 is forgotten\n");
        hub.Script.Asked<ForgetNodeRequest>().ShouldHaveSingleItem().ShouldBe(new ForgetNodeRequest { Name = "nodes/n1", Force = force });
    }

    [Fact]
    public async Task A_node_that_is_connected_is_not_forgotten_without_a_word()
    {
        await using var hub = await FakeHub.StartAsync();
        hub.Script.On<ForgetNodeRequest>(_ => throw FakeHub.Error(StatusCode.FailedPrecondition, ErrorReasons.NodeConnected, "node n1 is connected"));
        await using var run = new CliRun();
        (await run.RunAsync(hub, "forget", "n1")).ShouldBe(1);
        run.ErrorText.ShouldBe("hub: node n1 is connected\nadd --force to end its session first\n");
    }

    [Theory]
    [InlineData(false, "hub: node n1 takes no new work\n")]
    [InlineData(true, "hub: node n1 takes work again\n")]
    public async Task A_node_is_drained_and_taken_back(bool off, string note)
    {
        await using var hub = await FakeHub.StartAsync();
        hub.Script.On<DrainNodeRequest>(_ => new DrainNodeResponse());
        (await NoteOf(hub, ["drain", "n1", .. off ? ["--off"] : (string[])[]])).ShouldBe(note);
        hub.Script.Asked<DrainNodeRequest>().ShouldHaveSingleItem().ShouldBe(new DrainNodeRequest { Name = "nodes/n1", On = !off });
    }

    [Fact]
    public async Task A_token_is_revoked_by_its_id()
    {
        await using var hub = await FakeHub.StartAsync();
        hub.Script.On<RevokeTokenRequest>(r => r.Id == "abc"
            ? new RevokeTokenResponse()
            : throw FakeHub.Error(StatusCode.NotFound, ErrorReasons.TokenUnknown, "no token of this id"));
        (await NoteOf(hub, "token", "revoke", "abc")).ShouldBe("hub: token abc is revoked\n");
        await using var run = new CliRun();
        (await run.RunAsync(hub, "token", "revoke", "xyz")).ShouldBe(1);
        run.ErrorText.ShouldBe("hub: no token of this id\nsee 'hub token list'\n");
    }

    [Fact]
    public async Task Versions_are_this_programs_and_the_hubs()
    {
        await using var hub = await FakeHub.StartAsync();
        hub.Script.On<GetHubRequest>(_ => new GetHubResponse { Version = "9.8", Member = "akka://hub", Nodes = 3, NodesOnline = 2 });
        await using var run = new CliRun();
        (await run.RunAsync(hub, "version")).ShouldBe(0);
        run.OutputText.ShouldBe($"hub {BuildVersion.Text}\nhub server 9.8 at akka://hub, 2 of 3 nodes online\n");
        await using var json = new CliRun();
        (await json.RunAsync(hub, "version", "-o", "json")).ShouldBe(0);
        json.OutputText.ShouldContain("\"hub\": {\n    \"version\": \"9.8\",\n");
    }

    [Fact]
    public async Task This_programs_version_is_shown_without_a_hub()
    {
        var gone = await FakeHub.StartAsync();
        var address = gone.Address;
        await gone.DisposeAsync();
        await using var run = new CliRun();
        (await run.RunAsync("--hub", address, "version", "--client")).ShouldBe(0);
        run.OutputText.ShouldBe($"hub {BuildVersion.Text}\n");
        run.ErrorText.ShouldBeEmpty();
        await using var both = new CliRun();
        (await both.RunAsync("--hub", address, "version")).ShouldBe(1);
        both.OutputText.ShouldBe(run.OutputText);
        both.ErrorText.ShouldStartWith("hub: no hub answers at ");
    }

    private static async Task<string> NoteOf(FakeHub hub, params string[] args)
    {
        await using var run = new CliRun();
        (await run.RunAsync(hub, args)).ShouldBe(0);
        run.OutputText.ShouldBeEmpty();
        return run.ErrorText;
    }
}
