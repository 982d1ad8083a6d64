using System.CommandLine;
using AkkaHub.V1;
using Grpc.Core;
using Hub.Cli.Connection;
using Hub.Protocol;
using Command = System.CommandLine.Command;

namespace Hub.Cli.Commands;

/// <summary><c>hub cancel</c>: ends a command that nobody waits for here, or sends it a signal.</summary>
internal static class CancelCommand
{
    /// <summary>The command.</summary>
    public static Command Create(Bind bind)
    {
        var node = Arguments.Node();
        var id = Arguments.CommandId();
        var signal = Arguments.Signal();
        var command = new Command("cancel", "End a command: terminate to its process group, kill after 5 s; its output stays") { node, id, signal };
        bind(command, async run =>
        {
            var (parent, it) = (run.Get(node)!, run.Get(id)!);
            if (run.Get(signal) is { } only)
            {
                var request = new SignalTerminalRequest { Name = Names.Terminal(parent, Names.CommandStream(it)), Signal = only };
                try
                {
                    await run.Hub.CallAsync((c, o) => c.SignalTerminalAsync(request, o), Repeat.AtMostOnce, run.Cancellation).ConfigureAwait(false);
                }
                catch (RpcException e) when (Faults.Reason(e) == ErrorReasons.TerminalClosed)
                {
                    // The hub's own words are a terminal's, which can be opened again.
                    throw new CliException($"command {it} has ended\nsee how: hub describe command {parent} {it}", ExitCodes.Failure, e);
                }

                run.Environment.Note($"signal {only.ToString().ToUpperInvariant()} is sent to command {it}");
            }
            else
            {
                var request = new CancelCommandRequest { Name = Names.Command(parent, it) };
                await run.Hub.CallAsync((c, o) => c.CancelCommandAsync(request, o), Repeat.Safe, run.Cancellation).ConfigureAwait(false);
                run.Environment.Note($"command {it} is ending or has ended; see how: hub describe command {parent} {it}");
            }

            return ExitCodes.Success;
        });
        return command;
    }
}
