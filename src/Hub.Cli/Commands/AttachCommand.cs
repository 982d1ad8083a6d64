using System.CommandLine;
using AkkaHub.V1;
using Hub.Cli.Connection;
using Hub.Cli.Output;
using Hub.Cli.Terminals;
using Hub.Protocol;
using Command = System.CommandLine.Command;

namespace Hub.Cli.Commands;

/// <summary><c>hub attach</c>: a terminal of a node in this one.</summary>
internal static class AttachCommand
{
    /// <summary>The command.</summary>
    public static Command Create(Bind bind)
    {
        var node = Arguments.Node();
        var terminal = Arguments.Terminal();
        var readOnly = new Option<bool>("--read-only") { Description = "Only look: nothing is typed, the size stays" };
        var keys = new Option<DetachKeys>("--detach-keys")
        {
            Description = $"Keys that leave, the terminal goes on: ctrl-X or a character, joined by commas [default: {DetachKeys.Default}]",
            HelpName = "KEYS",
            CustomParser = result =>
            {
                if (DetachKeys.TryParse(result.Tokens[^1].Value, out var parsed))
                    return parsed;
                result.AddError($"'{result.Tokens[^1].Value}' are no keys; give such as ctrl-] or ctrl-p,ctrl-q");
                return null;
            },
        };
        var command = new Command("attach", "Show a terminal of a node in this one and type into it") { node, terminal, readOnly, keys };
        bind(command, async run =>
        {
            if (!run.Environment.InputIsTerminal || !run.Environment.OutputIsTerminal)
                throw new CliException("attach needs a terminal; without one use 'hub logs -f' to read and 'hub send' to type");
            var (nodeName, name) = (run.Get(node)!, run.Get(terminal)!);
            var state = (await run.Hub.CallAsync(
                (c, o) => c.GetNodeAsync(new GetNodeRequest { Name = Names.Node(nodeName) }, o), Repeat.Safe, run.Cancellation).ConfigureAwait(false)).Node;
            if (state.State == NodeState.Offline && !run.Get(readOnly))
            {
                var cause = state.LastSessionEnd is { } end ? $" since {Humanize.Moment(end.Time, run.Environment.Time)}: {end.Cause}" : "";
                throw new CliException($"node {nodeName} is offline{cause}\nits history can still be read with 'hub logs {nodeName} -t {name}'");
            }

            using var session = new AttachSession(run, Names.Terminal(nodeName, name), run.Get(readOnly), run.Get(keys) ?? Default());
            var how = await session.RunAsync().ConfigureAwait(false);
            run.Environment.Note(session.Detached
                ? $"detached; {name} goes on. Come back with: hub attach {nodeName}{(name == Arguments.DefaultTerminal ? "" : $" -t {name}")}"
                : $"terminal {name} of {nodeName} has ended ({how})");
            return ExitCodes.Success;
        });
        return command;
    }

    private static DetachKeys Default() => DetachKeys.TryParse(DetachKeys.Default, out var keys) ? keys! : throw new InvalidOperationException();
}
