using System.CommandLine;
using AkkaHub.V1;
using Hub.Cli.Connection;
using Hub.Cli.Output;
using Hub.Protocol;
using Command = System.CommandLine.Command;
using NodeInfo = AkkaHub.V1.Node;

namespace Hub.Cli.Commands;

/// <summary><c>hub get …</c>: lists.</summary>
internal static class GetCommands
{
    private const int PageSize = 500;

    /// <summary>The command with its subcommands.</summary>
    public static Command Create(Bind bind)
    {
        var get = new Command("get", "List nodes, terminals, commands or events");
        get.Add(Nodes(bind));
        get.Add(Terminals(bind));
        get.Add(Commands(bind));
        get.Add(EventsCommand.Create(bind));
        return get;
    }

    private static Command Nodes(Bind bind)
    {
        var selector = Arguments.Selector();
        var output = Arguments.Output("table", "wide", "json", "yaml", "name");
        var watch = new Option<bool>("--watch", "-w") { Description = "Go on with each change" };
        var command = new Command("nodes", "List nodes") { selector, output, watch };
        command.Aliases.Add("node");
        bind(command, async run =>
        {
            var format = run.Get(output)!;
            if (run.Get(watch))
                return await new NodeWatch(run, format, run.Get(selector) ?? "").RunAsync().ConfigureAwait(false);
            var list = await ListAsync(run, run.Get(selector) ?? "").ConfigureAwait(false);
            var nodes = list.Nodes;
            switch (format)
            {
                case "json":
                    await run.WriteAsync(Json.Document(NodesDocument.From(list))).ConfigureAwait(false);
                    break;
                case "yaml":
                    await run.WriteAsync(Json.Yaml(NodesDocument.From(list))).ConfigureAwait(false);
                    break;
                case "name":
                    await run.WriteAsync(string.Concat(nodes.Select(n => TextSanitizer.Line(Short.Node(n.Name)) + "\n"))).ConfigureAwait(false);
                    break;
                default:
                    var wide = format == "wide";
                    await run.WriteTableAsync(NodeTable.Headings(wide), [.. nodes.Select(n => NodeTable.Row(n, wide, run.Environment.Time))], "no nodes").ConfigureAwait(false);
                    break;
            }

            NoteUnreachable(run, list.UnreachablePartitions, "nodes are not listed");

            return ExitCodes.Success;
        });
        return command;
    }

    /// <summary>All nodes, page by page.</summary>
    private static async Task<ListNodesResponse> ListAsync(Invocation run, string selector)
    {
        var all = new ListNodesResponse();
        var request = new ListNodesRequest { LabelSelector = selector, PageSize = PageSize };
        do
        {
            var page = await run.Hub.CallAsync((c, o) => c.ListNodesAsync(request, o), Repeat.Safe, run.Cancellation).ConfigureAwait(false);
            all.Nodes.Add(page.Nodes);
            all.UnreachablePartitions.Add(page.UnreachablePartitions.Except(all.UnreachablePartitions).ToArray());
            request.PageToken = page.NextPageToken;
        }
        while (request.PageToken.Length > 0);
        return all;
    }

    private static Command Terminals(Bind bind)
    {
        var node = Arguments.Node();
        var output = Arguments.Output("table", "wide", "json", "yaml", "name");
        var command = new Command("terminals", "List the terminals of a node") { node, output };
        command.Aliases.Add("terminal");
        bind(command, async run =>
        {
            var answer = await run.Hub.CallAsync(
                (c, o) => c.ListTerminalsAsync(new ListTerminalsRequest { Parent = Names.Node(run.Get(node)!) }, o), Repeat.Safe, run.Cancellation).ConfigureAwait(false);
            var format = run.Get(output)!;
            var document = new TerminalsDocument(Json.Word(answer.NodeState), [.. answer.Terminals.Select(TerminalDocument.From)]);
            switch (format)
            {
                case "json":
                    await run.WriteAsync(Json.Document(document)).ConfigureAwait(false);
                    break;
                case "yaml":
                    await run.WriteAsync(Json.Yaml(document)).ConfigureAwait(false);
                    break;
                case "name":
                    await run.WriteAsync(string.Concat(document.Terminals.Select(t => TextSanitizer.Line(t.Name) + "\n"))).ConfigureAwait(false);
                    break;
                default:
                    var wide = format == "wide";
                    await run.WriteTableAsync(TerminalTable.Headings(wide), [.. answer.Terminals.Select(t => TerminalTable.Row(t, wide, run.Environment.Time))], "no terminals").ConfigureAwait(false);
                    break;
            }

            return ExitCodes.Success;
        });
        return command;
    }

    /// <summary>Says that something is missing because partitions of the registry do not answer.</summary>
    public static void NoteUnreachable(Invocation run, IReadOnlyCollection<int> partitions, string what)
    {
        if (partitions.Count > 0)
            run.Environment.Note($"partition{(partitions.Count == 1 ? "" : "s")} {string.Join(", ", partitions.Order())} of the registry did not answer: their {what}; try again in some seconds, or see 'hub cluster show'");
    }

    /// <summary>Says that a list of commands is not all there is.</summary>
    public static void NoteOmitted(Invocation run, int omitted)
    {
        if (omitted > 0)
            run.Environment.Note($"{omitted} older command{(omitted == 1 ? " is" : "s are")} not listed, for the list would be too long; 'hub describe command' still finds them");
    }

    private static Command Commands(Bind bind)
    {
        var node = Arguments.Node();
        var output = Arguments.Output("table", "wide", "json", "yaml", "name");
        var command = new Command("commands", "List the commands of a node, newest first") { node, output };
        command.Aliases.Add("command");
        bind(command, async run =>
        {
            var answer = await run.Hub.CallAsync(
                (c, o) => c.ListCommandsAsync(new ListCommandsRequest { Parent = Names.Node(run.Get(node)!) }, o), Repeat.Safe, run.Cancellation).ConfigureAwait(false);
            var format = run.Get(output)!;
            var document = new CommandsDocument([.. answer.Commands.Select(CommandDocument.From)], Json.Set(answer.Omitted));
            switch (format)
            {
                case "json":
                    await run.WriteAsync(Json.Document(document)).ConfigureAwait(false);
                    break;
                case "yaml":
                    await run.WriteAsync(Json.Yaml(document)).ConfigureAwait(false);
                    break;
                case "name":
                    await run.WriteAsync(string.Concat(document.Commands.Select(c => TextSanitizer.Line(c.Id) + "\n"))).ConfigureAwait(false);
                    break;
                default:
                    var wide = format == "wide";
                    await run.WriteTableAsync(CommandTable.Headings(wide), [.. answer.Commands.Select(c => CommandTable.Row(c, wide, run.Environment.Time))], "no commands").ConfigureAwait(false);
                    break;
            }

            NoteOmitted(run, answer.Omitted);
            return ExitCodes.Success;
        });
        return command;
    }
}
