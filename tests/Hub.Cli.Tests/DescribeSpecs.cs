using AkkaHub.V1;
using Google.Protobuf.WellKnownTypes;
using Hub.Cli.Output;
using Hub.Cli.Tests.Fakes;
using Command = AkkaHub.V1.Command;
using NodeInfo = AkkaHub.V1.Node;

namespace Hub.Cli.Tests;

/// <summary>One thing with all that is known of it.</summary>
public sealed class DescribeSpecs
{
    private static readonly Timestamp At = Timestamp.FromDateTimeOffset(new DateTimeOffset(2026, 1, 31, 12, 0, 0, TimeSpan.Zero));

    [Fact]
    public async Task A_node_is_shown_with_its_terminals_and_newest_commands()
    {
        await using var hub = await HubAsync(new NodeInfo
        {
            Name = "nodes/n1",
            State = NodeState.Online,
            Figures = new MachineFigures { Cpu = 0.25, Load1 = 1, Load5 = 2, Load15 = 3, UptimeSeconds = 90 },
        });
        hub.Script.On<ListCommandsRequest>(_ => new ListCommandsResponse
        {
            Commands = { Enumerable.Range(0, 12).Select(i => new Command { Name = $"nodes/n1/commands/c{i:00}", State = CommandState.Running, Argv = { "ls", "a b" } }) },
        });
        var text = await OutputOf(hub, "describe", "node", "n1");
        text.ShouldContain("\nProcessor:             25%\nLoad:                  1.00 2.00 3.00\n");
        text.ShouldContain("\nUp:                    90s\n");
        text.ShouldContain("\nTerminals:\n  NAME   STATE ");
        text.ShouldContain("\n  main   live ");
        text.ShouldContain("\nNewest 10 of 12 commands:\n  ID    STATE ");
        text.ShouldContain("\n  c09   running ");
        text.ShouldNotContain("c10");
        text.ShouldEndWith(" ls 'a b'\n");
        hub.Script.Asked<GetNodeRequest>().ShouldHaveSingleItem().Name.ShouldBe("nodes/n1");
        hub.Script.Asked<ListTerminalsRequest>().ShouldHaveSingleItem().Parent.ShouldBe("nodes/n1");
    }

    [Fact]
    public async Task A_node_is_one_document_with_all_it_has()
    {
        await using var hub = await HubAsync(new NodeInfo { Name = "nodes/n1", State = NodeState.Offline });
        (await OutputOf(hub, "describe", "node", "n1", "-o", "yaml")).ShouldBe(
            """
            node:
              name: n1
              state: offline
              labels: {}
              sessionEpoch: 0
              unacknowledgedBytes: 0
              capabilities: []
            terminals:
            - name: main
              node: n1
              state: live
              size:
                cols: 80
                rows: 24
              startTime: "2026-01-31T12:00:00.000Z"
              endOffset: 0
              retainedBytes: 0
              retainedChunks: 0
            commands: []

            """);
    }

    [Fact]
    public async Task Commands_a_list_had_no_room_for_are_told_of()
    {
        await using var hub = await HubAsync(new NodeInfo { Name = "nodes/n1" });
        hub.Script.On<ListCommandsRequest>(_ => new ListCommandsResponse { Commands = { new Command { Name = "nodes/n1/commands/c9" } }, Omitted = 3 });
        foreach (var format in (string[])["table", "wide", "name", "json", "yaml"])
        {
            await using var run = new CliRun();
            (await run.RunAsync(hub, "get", "commands", "n1", "-o", format)).ShouldBe(0);
            run.ErrorText.ShouldStartWith("hub: 3 older commands are not listed");
            run.OutputText.Contains("omitted").ShouldBe(format is "json" or "yaml");
        }

        await using var document = new CliRun();
        (await document.RunAsync(hub, "describe", "node", "n1", "-o", "yaml")).ShouldBe(0);
        document.OutputText.ShouldEndWith("\ncommandsOmitted: 3\n");
        document.ErrorText.ShouldStartWith("hub: 3 older commands are not listed");
        (await OutputOf(hub, "describe", "node", "n1")).ShouldContain("\nNewest 1 of 4 commands:\n");
    }

    [Fact]
    public async Task Figures_and_times_that_cannot_be_are_borne()
    {
        var node = new NodeInfo
        {
            Name = "nodes/n1",
            State = NodeState.Online,
            StateTime = new Timestamp { Seconds = long.MaxValue },
            LastSeenTime = new Timestamp { Seconds = long.MinValue, Nanos = -1 },
            Figures = new MachineFigures { Cpu = double.NaN, Load1 = double.PositiveInfinity, Load5 = 2, Load15 = double.NaN, UptimeSeconds = long.MaxValue },
            ClockSkew = new Duration { Seconds = long.MinValue, Nanos = int.MaxValue },
        };
        await using var hub = await HubAsync(node);
        hub.Script.On<ListNodesRequest>(_ => new ListNodesResponse { Nodes = { node } });
        var text = await OutputOf(hub, "describe", "node", "n1");
        text.ShouldContain("\nProcessor:             -\nLoad:                  - 2.00 -\n");
        text.ShouldContain("\nUp:                    3652500d\n");
        foreach (var format in (string[])["table", "wide", "json", "yaml"])
            (await OutputOf(hub, "get", "nodes", "-o", format)).ShouldContain("n1");
        foreach (var format in (string[])["json", "yaml"])
            (await OutputOf(hub, "describe", "node", "n1", "-o", format)).ShouldContain("load5");
    }

    [Fact]
    public async Task A_terminal_is_shown()
    {
        await using var hub = await HubAsync(new NodeInfo());
        var text = await OutputOf(hub, "describe", "terminal", "n1");
        text.ShouldStartWith("Name:           main\nNode:           n1\nNode's state:   online\nState:          live\n");
        text.ShouldContain("\nSize:           80x24\nStarted:        2026-01-31 12:00:00Z (");
        (await OutputOf(hub, "describe", "terminal", "n1", "-t", "main", "-o", "json")).ShouldStartWith("{\n  \"name\": \"main\",\n  \"node\": \"n1\",\n");
    }

    [Fact]
    public async Task A_terminal_that_is_not_there_is_said_with_where_to_look()
    {
        await using var hub = await HubAsync(new NodeInfo());
        await using var run = new CliRun();
        (await run.RunAsync(hub, "describe", "terminal", "n1", "-t", "build")).ShouldBe(1);
        run.OutputText.ShouldBeEmpty();
        run.ErrorText.ShouldBe("hub: node n1 has no terminal build\nsee 'hub get terminals n1'\n");
    }

    [Fact]
    public async Task A_command_is_shown_with_all_its_arguments()
    {
        await using var hub = await HubAsync(new NodeInfo());
        var it = new Command
        {
            Name = "nodes/n1/commands/c1",
            State = CommandState.Cancelled,
            Argv = { "sh", "-c", new string('x', 200) + "'\e[31m" },
            Cwd = "/srv",
            RequestId = "r1",
            CreateTime = At,
            StartTime = At,
            EndTime = Timestamp.FromDateTimeOffset(At.ToDateTimeOffset().AddSeconds(75)),
            Exit = new ProcessExit { Code = 143, Signal = 15 },
            OutputBytes = 1536,
        };
        hub.Script.On<GetCommandRequest>(_ => new GetCommandResponse { Command = it });
        var text = await OutputOf(hub, "describe", "command", "n1", "c1");
        text.ShouldStartWith($"Id:          c1\nNode:        n1\nState:       cancelled\nCommand:     sh -c '{new string('x', 200)}'\\'''\nDirectory:   /srv\n");
        text.ShouldContain("\nTook:        75s\nEnd:         signal 15\n");
        text.ShouldEndWith("\nOutput:      1.5 KiB, see: hub logs n1 -t cmd/c1\n");
        (await OutputOf(hub, "describe", "command", "n1", "c1", "-o", "json")).ShouldBe(Json.Document(CommandDocument.From(it)));
        (await OutputOf(hub, "describe", "command", "n1", "c1", "-o", "yaml")).ShouldStartWith("id: c1\nnode: n1\nstate: cancelled\nargv:\n- sh\n");
        hub.Script.Asked<GetCommandRequest>()[0].Name.ShouldBe("nodes/n1/commands/c1");
    }

    private static async Task<FakeHub> HubAsync(NodeInfo node)
    {
        var hub = await FakeHub.StartAsync();
        hub.Script.On<GetNodeRequest>(_ => new GetNodeResponse { Node = node })
            .On<ListTerminalsRequest>(_ => new ListTerminalsResponse
            {
                NodeState = NodeState.Online,
                Terminals = { new Terminal { Name = "nodes/n1/terminals/main", State = TerminalState.Live, Size = new TerminalSize { Cols = 80, Rows = 24 }, StartTime = At } },
            })
            .On<ListCommandsRequest>(_ => new ListCommandsResponse());
        return hub;
    }

    private static async Task<string> OutputOf(FakeHub hub, params string[] args)
    {
        await using var run = new CliRun();
        (await run.RunAsync(hub, args)).ShouldBe(0);
        run.ErrorText.ShouldBeEmpty();
        return run.OutputText;
    }
}
