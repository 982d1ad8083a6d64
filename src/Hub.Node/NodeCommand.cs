using System.CommandLine;
using System.Runtime.Versioning;
using Hub.Node.Logging;
using Hub.Node.Pty;
using Hub.Node.State;
using Hub.Protocol;

namespace Hub.Node;

/// <summary>
/// The command that runs a node agent, for this program and for the command line of the hub. The agent handles SIGTERM, SIGINT
/// and SIGHUP itself and takes up to about 10 s to leave in order, so the invocation must be configured with
/// <c>ProcessTerminationTimeout = null</c>.
/// </summary>
public static class NodeCommand
{
    private const long MaxLogBytes = 4 * 1024 * 1024;

    /// <summary>Makes the command <c>run</c>.</summary>
    public static Command Create()
    {
        var command = new Command("run", "Run a node agent: connects this machine and its terminals to a hub.");
        AddTo(command);
        return command;
    }

    /// <summary>Gives a command the agent's options and its action.</summary>
    internal static void AddTo(Command command)
    {
        var hub = new Option<string?>("--hub") { Description = "Members of the hub, HOST[:PORT] or http(s)://HOST[:PORT], tried in turn [AKKAHUB_ADDR; else the hub of this machine's data directory]", HelpName = "ADDR[,ADDR…]" };
        var name = new Option<string?>("--name") { Description = "The node's name, its identity at the hub [the host's name]", HelpName = "NAME" };
        var label = new Option<string[]>("--label", "-l") { Description = "A label; may be repeated", HelpName = "KEY=VALUE", Arity = ArgumentArity.OneOrMore };
        var allow = new Option<string[]>("--allow") { Description = "What the hub may do here: exec, terminal, none [exec,terminal]", HelpName = "WHAT[,WHAT]", Arity = ArgumentArity.OneOrMore };
        var state = new Option<string?>("--state-dir") { Description = "Where the claim to the name is kept [~/.local/state/akkahub/node-NAME]", HelpName = "DIR" };
        var token = new Option<string?>("--token") { Description = "The credential; others can see it in the process list, so prefer AKKAHUB_TOKEN or --token-file [AKKAHUB_TOKEN; else the local hub's owner-only token]", HelpName = "TOKEN" };
        var tokenFile = new Option<string?>("--token-file") { Description = "File with the credential, read before each dial", HelpName = "FILE" };
        var authority = new Option<string?>("--ca") { Description = "Authority that the hub's certificate must be of, PEM, for https:// addresses; read before each dial [AKKAHUB_CA; else the system's]", HelpName = "FILE" };
        var takeOver = new Option<bool>("--take-over") { Description = "End another live agent that holds this name, instead of waiting for it" };
        var buffer = new Option<string?>("--buffer-bytes") { Description = $"Output kept for each terminal until the hub has it, bytes, 65536 to 1073741824 [{NodeOptions.DefaultBufferBytes}]", HelpName = "BYTES" };
        var offline = new Option<string?>("--when-offline") { Description = "What a full buffer does without a hub: drop the oldest output, or let programs wait [drop]", HelpName = "drop|wait" };
        var shell = new Option<string?>("--shell") { Description = "Shell of terminals [the user's login shell]", HelpName = "PATH" };
        var noMain = new Option<bool>("--no-main-terminal") { Description = "Do not open the terminal 'main' at the start" };
        var dataDir = new Option<string?>("--hub-data-dir") { Description = "Data directory of a hub on this machine: its address and token are read there before each dial [AKKAHUB_DATA_DIR; else ~/.local/share/akkahub]", HelpName = "DIR" };
        var detach = new Option<bool>("--detach") { Description = "Leave this terminal and session; the log goes to agent.log in the state directory" };
        var level = new Option<string?>("--log-level") { Description = "trace, debug, information, warning or error [information]", HelpName = "LEVEL" };
        foreach (Option option in new Option[] { hub, name, label, allow, state, token, tokenFile, authority, takeOver, buffer, offline, shell, noMain, dataDir, detach, level })
            command.Add(option);
        command.Description += " Its shells and commands end when the agent ends, and go on through anything that happens to the hub.";
        command.SetAction((parsed, cancellationToken) => RunAsync(
            new RawNodeOptions
            {
                Hub = parsed.GetValue(hub),
                Name = parsed.GetValue(name),
                Labels = parsed.GetValue(label) ?? [],
                Allow = parsed.GetValue(allow) ?? [],
                StateDirectory = parsed.GetValue(state),
                Token = parsed.GetValue(token),
                TokenFile = parsed.GetValue(tokenFile),
                Authority = parsed.GetValue(authority),
                TakeOver = parsed.GetValue(takeOver),
                BufferBytes = parsed.GetValue(buffer),
                WhenOffline = parsed.GetValue(offline),
                Shell = parsed.GetValue(shell),
                NoMainTerminal = parsed.GetValue(noMain),
                HubDataDirectory = parsed.GetValue(dataDir),
                Detach = parsed.GetValue(detach),
                LogLevel = parsed.GetValue(level),
            },
            parsed.InvocationConfiguration.Error,
            cancellationToken));
    }

    /// <summary>Checks the options and runs the agent.</summary>
    internal static async Task<int> RunAsync(RawNodeOptions raw, TextWriter error, CancellationToken cancellationToken)
    {
        if (!OperatingSystem.IsLinux())
        {
            await error.WriteLineAsync("The node agent runs on Linux only: its terminals need posix_spawn, pidfd and /proc.").ConfigureAwait(false);
            return ExitCodes.Failure;
        }

        var errors = new List<string>();
        if (NodeOptionsReader.Read(raw, Environment.GetEnvironmentVariable, errors) is not { } options)
        {
            foreach (var line in errors)
                await error.WriteLineAsync(line).ConfigureAwait(false);
            return ExitCodes.Usage;
        }

        return await StartAsync(options, error, cancellationToken).ConfigureAwait(false);
    }

    [SupportedOSPlatform("linux")]
    private static async Task<int> StartAsync(NodeOptions options, TextWriter error, CancellationToken cancellationToken)
    {
        // Its standard error is nobody's: what it has to say goes to its log from the beginning.
        Action<string> write = options.Detach && Detaching.IsDetached
            ? new RotatingFile(Path.Combine(options.StateDirectory, Detaching.LogFileName), MaxLogBytes).Write
            : error.Write;
        try
        {
            if (options.Detach && !Detaching.IsDetached)
            {
                if (AgentPresence.Inspect(options.StateDirectory) is { IsRunning: true } other)
                    throw new StateDirectoryException($"another agent (process {other.Pid}) runs on the state directory '{options.StateDirectory}'", ExitCodes.AlreadyRunning);
                return await Detaching.StartAsync(options.StateDirectory, error, TimeProvider.System, cancellationToken).ConfigureAwait(false);
            }

            using var state = await StateDirectory.OpenAsync(options.StateDirectory, TimeProvider.System, cancellationToken).ConfigureAwait(false);
            await using var lines = new LogWriter(write, TimeProvider.System);
            var log = new AgentLogger(lines.Add, options.LogLevel, TimeProvider.System);
            return await NodeAgent.RunAsync(options, state, TimeProvider.System, log, cancellationToken).ConfigureAwait(false);
        }
        catch (Exception e) when (e is StateDirectoryException or SpawnException or IOException)
        {
            write(e.Message + "\n");
            return e is StateDirectoryException refused ? refused.ExitCode : ExitCodes.Failure;
        }
    }
}
