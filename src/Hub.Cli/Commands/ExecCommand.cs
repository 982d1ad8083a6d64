using System.CommandLine;
using AkkaHub.V1;
using Google.Protobuf.WellKnownTypes;
using Grpc.Core;
using Hub.Cli.Connection;
using Hub.Cli.Output;
using Hub.Protocol;
using Command = System.CommandLine.Command;

namespace Hub.Cli.Commands;

/// <summary><c>hub exec</c>: runs a command on a node as if it ran here.</summary>
internal static class ExecCommand
{
    /// <summary>The command.</summary>
    public static Command Create(Bind bind)
    {
        var node = Arguments.Node();
        var argv = new Argument<string[]>("CMD") { Description = "Program and arguments, after '--'", Arity = ArgumentArity.OneOrMore };
        var tty = new Option<bool>("--tty") { Description = "Give it a terminal of this one's size; standard error is not apart then" };
        var noInput = new Option<bool>("--no-stdin", "-n") { Description = "Its standard input is empty" };
        var cwd = Arguments.Directory();
        var env = Arguments.Variables();
        var timeout = Arguments.Duration("--timeout", "End it after this time (10s, 5m; a bare number is seconds); exit code 124");
        timeout.CustomParser = result =>
        {
            var text = result.Tokens[^1].Value;
            if (Arguments.TryDuration(text.Length > 0 && text.All(char.IsAsciiDigit) ? text + "s" : text, out var span))
                return span;
            result.AddError($"'{text}' is not a time such as 30, 30s or 10m");
            return null;
        };
        var detach = new Option<bool>("--detach") { Description = "Only start it, and print its id" };
        var requestId = new Option<string>("--request-id") { Description = "Makes the call idempotent: the same id again joins the same command", HelpName = "ID" };
        requestId.Validators.Add(r => Arguments.Check(r, Names.IsTerminalName, "is not an id (1 to 64 of letters, digits, '.', '_', '-')"));
        var command = new Command("exec", "Run a command on a node: standard input, output, error, Ctrl+C and exit code as if it ran here")
        {
            node, argv, tty, noInput, cwd, env, timeout, detach, requestId,
        };
        bind(command, async run =>
        {
            var withTerminal = run.Get(tty);
            var request = new RunCommandRequest
            {
                Parent = Names.Node(run.Get(node)!),
                // Always chosen here: only so a call that broke off can be made again without running the command twice.
                RequestId = run.Get(requestId) ?? Guid.NewGuid().ToString("N"),
                Argv = { run.Get(argv)! },
                Cwd = run.Get(cwd) ?? "",
                Detach = run.Get(detach),
                Stdin = !run.Get(noInput) && !run.Get(detach),
            };
            foreach (var (name, value) in Arguments.ReadVariables(run.Get(env), run.Environment.Variable))
                request.Env[name] = value;
            if (run.Get(timeout) is { } limit)
                request.Timeout = Duration.FromTimeSpan(limit);
            if (withTerminal)
                request.Pty = run.Environment.Terminal.Size ?? new TerminalSize { Cols = 80, Rows = 24 };
            if (withTerminal && !request.Env.ContainsKey("TERM") && run.Environment.Variable("TERM") is { Length: > 0 } term)
                request.Env["TERM"] = term;
            return request.Detach
                ? await DetachAsync(run, request).ConfigureAwait(false)
                : await new ExecSession(run, request).RunAsync().ConfigureAwait(false);
        });
        return command;
    }

    private static async Task<int> DetachAsync(Invocation run, RunCommandRequest request)
    {
        AkkaHub.V1.Command? accepted = null;
        await new Reconnector(run.Hub, run.Environment, "starting the command").RunAsync(async (client, alive, cancellation) =>
        {
            using var call = client.RunCommand(request, deadline: TimeProvider.System.GetUtcNow().UtcDateTime + HubConnection.CallTimeout, cancellationToken: cancellation);
            await foreach (var part in call.ResponseStream.ReadAllAsync(cancellation).ConfigureAwait(false))
            {
                alive();
                if (part.MessageCase != RunCommandResponse.MessageOneofCase.Command)
                    continue;
                accepted = part.Command;
                return;
            }

            throw Faults.EndedEarly();
        }, run.Cancellation).ConfigureAwait(false);

        var (node, id) = Short.Command(accepted!.Name);
        await run.WriteAsync(TextSanitizer.Line(id) + "\n").ConfigureAwait(false);
        run.Environment.Note($"follow it with: hub logs {node} -t {Names.CommandStream(id)} -f\nend it with: hub cancel {node} {id}");
        return ExitCodes.Success;
    }
}
