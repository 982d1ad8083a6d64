using System.CommandLine;
using System.Globalization;
using System.Text;
using AkkaHub.V1;
using Hub.Cli.Connection;
using Hub.Cli.Output;
using Hub.Protocol;
using Command = System.CommandLine.Command;
using NodeInfo = AkkaHub.V1.Node;

namespace Hub.Cli.Commands;

/// <summary><c>hub describe …</c>: one thing with all that is known of it.</summary>
internal static class DescribeCommands
{
    private const int RecentCommands = 10;

    /// <summary>The command with its subcommands.</summary>
    public static Command Create(Bind bind)
    {
        var describe = new Command("describe", "Show a node, a terminal or a command with all that is known of it");
        describe.Add(DescribeNode(bind));
        describe.Add(DescribeTerminal(bind));
        describe.Add(DescribeCommand(bind));
        return describe;
    }

    private static Command DescribeNode(Bind bind)
    {
        var node = Arguments.Node();
        var output = Arguments.Output("text", "json", "yaml");
        var command = new Command("node", "Show a node, its terminals and its newest commands") { node, output };
        bind(command, async run =>
        {
            var name = Names.Node(run.Get(node)!);
            var it = (await run.Hub.CallAsync((c, o) => c.GetNodeAsync(new GetNodeRequest { Name = name }, o), Repeat.Safe, run.Cancellation).ConfigureAwait(false)).Node;
            var terminals = (await run.Hub.CallAsync(
                (c, o) => c.ListTerminalsAsync(new ListTerminalsRequest { Parent = name }, o), Repeat.Safe, run.Cancellation).ConfigureAwait(false)).Terminals;
            var list = await run.Hub.CallAsync(
                (c, o) => c.ListCommandsAsync(new ListCommandsRequest { Parent = name }, o), Repeat.Safe, run.Cancellation).ConfigureAwait(false);
            var commands = list.Commands;
            var format = run.Get(output)!;
            if (format != "text")
            {
                var document = new NodeDescription(
                    NodeDocument.From(it), [.. terminals.Select(TerminalDocument.From)], [.. commands.Select(CommandDocument.From)], Json.Set(list.Omitted));
                await run.WriteAsync(format == "json" ? Json.Document(document) : Json.Yaml(document)).ConfigureAwait(false);
                GetCommands.NoteOmitted(run, list.Omitted);
                return ExitCodes.Success;
            }

            var clock = run.Environment.Time;
            var color = run.Environment.Color;
            var total = commands.Count + list.Omitted;
            Cell[][] shown = [.. commands.Take(RecentCommands).Select(c => CommandTable.Row(c, false, clock))];
            var text = new StringBuilder(Tables.Pairs(NodePairs(it, clock), color));
            text.Append("\nTerminals:\n");
            text.Append(terminals.Count == 0 ? "  none\n" : Indent(Tables.Render(TerminalTable.Headings(false), [.. terminals.Select(t => TerminalTable.Row(t, false, clock))], color)));
            text.Append(total > shown.Length ? $"\nNewest {shown.Length} of {total} commands:\n" : "\nCommands:\n");
            text.Append(total == 0 ? "  none\n" : Indent(Tables.Render(CommandTable.Headings(false), shown, color)));
            await run.WriteAsync(text.ToString()).ConfigureAwait(false);
            return ExitCodes.Success;
        });
        return command;
    }

    private static Command DescribeTerminal(Bind bind)
    {
        var node = Arguments.Node();
        var terminal = Arguments.Terminal(commands: false);
        var output = Arguments.Output("text", "json", "yaml");
        var command = new Command("terminal", "Show a terminal") { node, terminal, output };
        bind(command, async run =>
        {
            var name = Names.Terminal(run.Get(node)!, run.Get(terminal)!);
            var answer = await run.Hub.CallAsync(
                (c, o) => c.ListTerminalsAsync(new ListTerminalsRequest { Parent = Names.Node(run.Get(node)!) }, o), Repeat.Safe, run.Cancellation).ConfigureAwait(false);
            var it = answer.Terminals.FirstOrDefault(t => t.Name == name)
                ?? throw new CliException($"node {run.Get(node)} has no terminal {run.Get(terminal)}\nsee 'hub get terminals {run.Get(node)}'");
            await run.WriteAsync(run.Get(output) switch
            {
                "json" => Json.Document(TerminalDocument.From(it)),
                "yaml" => Json.Yaml(TerminalDocument.From(it)),
                _ => Tables.Pairs(TerminalPairs(it, answer.NodeState, run.Environment.Time), run.Environment.Color),
            }).ConfigureAwait(false);
            return ExitCodes.Success;
        });
        return command;
    }

    private static Command DescribeCommand(Bind bind)
    {
        var node = Arguments.Node();
        var id = Arguments.CommandId();
        var output = Arguments.Output("text", "json", "yaml");
        var command = new Command("command", "Show a command; unlike a list all of its arguments") { node, id, output };
        bind(command, async run =>
        {
            var request = new GetCommandRequest { Name = Names.Command(run.Get(node)!, run.Get(id)!) };
            var it = (await run.Hub.CallAsync((c, o) => c.GetCommandAsync(request, o), Repeat.Safe, run.Cancellation).ConfigureAwait(false)).Command;
            await run.WriteAsync(run.Get(output) switch
            {
                "json" => Json.Document(CommandDocument.From(it)),
                "yaml" => Json.Yaml(CommandDocument.From(it)),
                _ => Tables.Pairs(CommandPairs(it, run.Environment.Time), run.Environment.Color),
            }).ConfigureAwait(false);
            return ExitCodes.Success;
        });
        return command;
    }

    private static List<(string, Cell)> NodePairs(NodeInfo n, TimeProvider clock)
    {
        var pairs = new List<(string, Cell)>
        {
            ("Name", Short.Node(n.Name)),
            ("State", NodeTable.State(n.State)),
            ("In this state since", Humanize.Moment(n.StateTime, clock)),
            ("Last seen", Humanize.Moment(n.LastSeenTime, clock)),
            ("Registered", Humanize.Moment(n.CreateTime, clock)),
            ("Labels", NodeTable.Labels(n)),
            ("Allows", string.Join(", ", n.Capabilities.Select(c => Json.Word(c)))),
            ("Agent", n.AgentVersion),
        };
        if (n.Platform is { } p)
        {
            pairs.Add(("Host", p.Host));
            pairs.Add(("System", $"{p.Os} ({p.Arch}, {p.Cpus} processors, {Humanize.Bytes(p.MemoryBytes)})"));
            pairs.Add(("User", p.User));
        }

        if (n.Figures is { } f)
        {
            pairs.Add(("Processor", Humanize.Percent(f.Cpu)));
            pairs.Add(("Load", $"{Humanize.Load(f.Load1)} {Humanize.Load(f.Load5)} {Humanize.Load(f.Load15)}"));
            pairs.Add(("Memory", NodeTable.Share(f.MemoryUsedBytes, f.MemoryTotalBytes)));
            pairs.Add(("Disk", NodeTable.Share(f.DiskUsedBytes, f.DiskTotalBytes)));
            pairs.Add(("Up", Humanize.Span(Clamping.Seconds(f.UptimeSeconds))));
        }

        pairs.Add(("Session", n.SessionEpoch.ToString(CultureInfo.InvariantCulture)));
        pairs.Add(("Lag", Humanize.Bytes(n.UnacknowledgedBytes)));
        if (n.ClockSkew is { } skew)
            pairs.Add(("Clock skew", string.Create(CultureInfo.InvariantCulture, $"{skew.Clamped().TotalMilliseconds:0} ms")));
        if (n.LastSessionEnd is { } e)
        {
            pairs.Add(("Last session ended", $"{e.Cause}{(e.Message.Length > 0 ? $" ({e.Message})" : "")}, {Humanize.Moment(e.Time, clock)}"));
            pairs.Add(("  durable by then", Humanize.Bytes(e.LastOffset)));
            pairs.Add(("  not acknowledged", Humanize.Bytes(e.UnacknowledgedBytes)));
        }

        return pairs;
    }

    private static List<(string, Cell)> TerminalPairs(Terminal t, NodeState nodeState, TimeProvider clock) =>
    [
        ("Name", Short.Terminal(t.Name).Terminal),
        ("Node", Short.Terminal(t.Name).Node),
        ("Node's state", NodeTable.State(nodeState)),
        ("State", Json.Word(t.State)),
        ("Command", t.CommandLine),
        ("Size", t.Size is null ? "-" : $"{t.Size.Cols}x{t.Size.Rows}"),
        ("Started", Humanize.Moment(t.StartTime, clock)),
        ("Last output", Humanize.Moment(t.LastOutputTime, clock)),
        ("Ended", Humanize.Moment(t.EndTime, clock)),
        ("End", TerminalTable.End(t.State == TerminalState.Closed, t.Exit, t.EndCause)),
        ("Incarnation", t.Incarnation),
        ("Shown", Humanize.Bytes(t.EndOffset)),
        ("Kept", $"{Humanize.Bytes(t.RetainedBytes)} in {t.RetainedChunks} chunks"),
        ("First cursor", t.FirstCursor),
        ("End cursor", t.EndCursor),
    ];

    private static List<(string, Cell)> CommandPairs(AkkaHub.V1.Command c, TimeProvider clock)
    {
        var (node, id) = Short.Command(c.Name);
        return
        [
            ("Id", id),
            ("Node", node),
            ("State", CommandTable.State(c)),
            ("Command", CommandTable.CommandLine(c.Argv)),
            ("Directory", c.Cwd),
            ("Terminal", c.Pty ? "yes" : "no"),
            ("Request", c.RequestId),
            ("Accepted", Humanize.Moment(c.CreateTime, clock)),
            ("Started", Humanize.Moment(c.StartTime, clock)),
            ("Ended", Humanize.Moment(c.EndTime, clock)),
            ("Took", CommandTable.Took(c, clock)),
            ("End", TerminalTable.End(c.Exit is not null, c.Exit, "")),
            ("Message", c.Message),
            ("Output", $"{Humanize.Bytes(c.OutputBytes)}, see: hub logs {node} -t {Names.CommandStream(id)}"),
        ];
    }

    private static string Indent(string table) =>
        string.Concat(table.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(l => "  " + l + "\n"));
}
