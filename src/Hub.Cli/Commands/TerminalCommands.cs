using System.CommandLine;
using System.Text;
using AkkaHub.V1;
using Google.Protobuf;
using Hub.Cli.Connection;
using Hub.Cli.Output;
using Hub.Protocol;
using Command = System.CommandLine.Command;

namespace Hub.Cli.Commands;

/// <summary><c>open</c>, <c>close</c>, <c>send</c> and <c>purge</c>.</summary>
internal static class TerminalCommands
{
    private const int MaxInput = 64 * 1024;

    /// <summary><c>hub open</c>.</summary>
    public static Command Open(Bind bind)
    {
        var node = Arguments.Node();
        var terminal = Arguments.Terminal(required: true, commands: false);
        var size = Arguments.Size();
        var cwd = Arguments.Directory();
        var env = Arguments.Variables();
        var argv = new Argument<string[]>("CMD") { Description = "Program and arguments, after '--' [default: the user's shell]", Arity = ArgumentArity.ZeroOrMore };
        var command = new Command("open", "Open a terminal on a node; one of this name that is live stays as it is") { node, argv, terminal, size, cwd, env };
        bind(command, async run =>
        {
            var request = new OpenTerminalRequest
            {
                Name = Names.Terminal(run.Get(node)!, run.Get(terminal)!),
                Size = run.Get(size),
                Argv = { run.Get(argv) ?? [] },
                Cwd = run.Get(cwd) ?? "",
            };
            foreach (var (name, value) in Arguments.ReadVariables(run.Get(env), run.Environment.Variable))
                request.Env[name] = value;
            var opened = await run.Hub.CallAsync((c, o) => c.OpenTerminalAsync(request, o), Repeat.Safe, run.Cancellation).ConfigureAwait(false);
            var it = opened.Terminal is null ? run.Get(terminal)! : TextSanitizer.Line(Short.Terminal(opened.Terminal.Name).Terminal);
            run.Environment.Note($"terminal {it} is open; come in with: hub attach {run.Get(node)} -t {it}");
            return ExitCodes.Success;
        });
        return command;
    }

    /// <summary><c>hub close</c>.</summary>
    public static Command Close(Bind bind)
    {
        var node = Arguments.Node();
        var terminal = Arguments.Terminal(required: true, commands: false);
        var command = new Command("close", "End a terminal; its history stays") { node, terminal };
        bind(command, async run =>
        {
            var request = new CloseTerminalRequest { Name = Names.Terminal(run.Get(node)!, run.Get(terminal)!) };
            await run.Hub.CallAsync((c, o) => c.CloseTerminalAsync(request, o), Repeat.Safe, run.Cancellation).ConfigureAwait(false);
            run.Environment.Note($"terminal {run.Get(terminal)} is being ended; its history stays");
            return ExitCodes.Success;
        });
        return command;
    }

    /// <summary><c>hub send</c>.</summary>
    public static Command Send(Bind bind)
    {
        var node = Arguments.Node();
        var terminal = Arguments.Terminal();
        var text = new Argument<string[]>("TEXT") { Description = "Typed as it is; several arguments are joined by a space", Arity = ArgumentArity.ZeroOrMore };
        var enter = new Option<bool>("--enter", "-e") { Description = "Press Enter after the text" };
        var keys = new Option<string[]>("--key", "-k")
        {
            Description = "Key pressed after the text: enter, tab, escape, up, f1, ctrl-c, alt-x, …; several are joined by commas",
            HelpName = "KEY",
            Arity = ArgumentArity.OneOrMore,
            AllowMultipleArgumentsPerToken = false,
        };
        var command = new Command("send", "Type text or keys into a terminal") { node, text, terminal, enter, keys };
        command.Validators.Add(result =>
        {
            if (result.GetResult(text) is not { Tokens.Count: > 0 } && result.GetResult(keys) is null && !result.GetValue(enter))
                result.AddError("give TEXT, --key or --enter");
        });
        bind(command, async run =>
        {
            var name = Names.Terminal(run.Get(node)!, run.Get(terminal)!);
            // Enter is what the key sends: a carriage return.
            var typed = Encoding.UTF8.GetBytes(string.Join(' ', run.Get(text) ?? []) + (run.Get(enter) ? "\r" : ""));
            for (var at = 0; at < typed.Length; at += MaxInput)
            {
                var part = new SendInputRequest { Name = name, Data = ByteString.CopyFrom(typed.AsSpan(at, Math.Min(MaxInput, typed.Length - at))) };
                await run.Hub.CallAsync((c, o) => c.SendInputAsync(part, o), Repeat.AtMostOnce, run.Cancellation).ConfigureAwait(false);
            }

            string[] pressed = [.. (run.Get(keys) ?? []).SelectMany(k => k == "," ? [k] : k.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))];
            if (pressed.Length > 0)
            {
                var request = new SendKeysRequest { Name = name, Keys = { pressed } };
                await run.Hub.CallAsync((c, o) => c.SendKeysAsync(request, o), Repeat.AtMostOnce, run.Cancellation).ConfigureAwait(false);
            }

            return ExitCodes.Success;
        });
        return command;
    }

    /// <summary><c>hub purge</c>.</summary>
    public static Command Purge(Bind bind)
    {
        var node = Arguments.Node();
        var terminal = Arguments.Terminal();
        terminal.Description = "Only this terminal, or cmd/ID for a command that has ended";
        terminal.DefaultValueFactory = null;
        var all = new Option<bool>("--all") { Description = "Every terminal of the node" };
        var command = new Command("purge", "Delete history; a terminal that has ended is gone then") { node, terminal, all };
        command.Validators.Add(result =>
        {
            // What is deleted is gone: which terminals is said, never guessed.
            if ((result.GetResult(terminal) is null) != result.GetValue(all))
                result.AddError("give either -t TERMINAL or --all, for every terminal of the node");
        });
        bind(command, async run =>
        {
            var parent = run.Get(node)!;
            var bytes = 0L;
            string[] names;
            if (run.Get(terminal) is { } one)
            {
                names = [Names.Terminal(parent, one)];
            }
            else
            {
                var list = await run.Hub.CallAsync(
                    (c, o) => c.ListTerminalsAsync(new ListTerminalsRequest { Parent = Names.Node(parent) }, o), Repeat.Safe, run.Cancellation).ConfigureAwait(false);
                names = [.. list.Terminals.Select(t => t.Name)];
            }

            foreach (var name in names)
            {
                var answer = await run.Hub.CallAsync(
                    (c, o) => c.PurgeTerminalAsync(new PurgeTerminalRequest { Name = name }, o), Repeat.AtMostOnce, run.Cancellation).ConfigureAwait(false);
                bytes += answer.Bytes;
            }

            run.Environment.Note($"{Humanize.Bytes(bytes)} of history deleted in {names.Length} terminal{(names.Length == 1 ? "" : "s")}");
            return ExitCodes.Success;
        });
        return command;
    }
}
