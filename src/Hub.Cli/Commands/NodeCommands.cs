using System.CommandLine;
using AkkaHub.V1;
using Hub.Cli.Connection;
using Hub.Node;
using Hub.Protocol;
using Command = System.CommandLine.Command;

namespace Hub.Cli.Commands;

/// <summary><c>forget</c>, <c>drain</c> and <c>node</c>.</summary>
internal static class NodeCommands
{
    /// <summary><c>hub forget</c>.</summary>
    public static Command Forget(Bind bind)
    {
        var node = Arguments.Node();
        var force = new Option<bool>("--force") { Description = "Also while it is connected: its session ends first" };
        var command = new Command("forget", "Forget a node: its history, its commands and the claim on its name") { node, force };
        bind(command, async run =>
        {
            var request = new ForgetNodeRequest { Name = Names.Node(run.Get(node)!), Force = run.Get(force) };
            await run.Hub.CallAsync((c, o) => c.ForgetNodeAsync(request, o), Repeat.AtMostOnce, run.Cancellation).ConfigureAwait(false);
            run.Environment.Note($"node {run.Get(node)} is forgotten");
            return ExitCodes.Success;
        });
        return command;
    }

    /// <summary><c>hub drain</c>.</summary>
    public static Command Drain(Bind bind)
    {
        var node = Arguments.Node();
        var off = new Option<bool>("--off") { Description = "Take work again" };
        var command = new Command("drain", "Ask a node to take no new work; what runs goes on") { node, off };
        bind(command, async run =>
        {
            var request = new DrainNodeRequest { Name = Names.Node(run.Get(node)!), On = !run.Get(off) };
            await run.Hub.CallAsync((c, o) => c.DrainNodeAsync(request, o), Repeat.Safe, run.Cancellation).ConfigureAwait(false);
            run.Environment.Note(request.On ? $"node {run.Get(node)} takes no new work" : $"node {run.Get(node)} takes work again");
            return ExitCodes.Success;
        });
        return command;
    }

    /// <summary><c>hub node</c>: the agent itself.</summary>
    public static Command Node()
    {
        var node = new Command("node", "The node agent");
        node.Add(NodeCommand.Create());
        return node;
    }

    /// <summary>Whether a command line is the agent's: it is not this program's client and minds signals itself.</summary>
    public static bool IsAgent(IReadOnlyList<string> args) => args.Count >= 2 && args[0] == "node" && args[1] == "run" && !args.Contains("--help") && !args.Contains("-h");
}
