using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;
using System.Text;
using Grpc.Core;
using Hub.Cli.Commands;
using Hub.Cli.Connection;

namespace Hub.Cli;

/// <summary>The program: its commands, and how a run of one ends.</summary>
internal sealed class HubCli
{
    private readonly CliEnvironment _environment;
    private readonly Interrupts _interrupts;
    private readonly GlobalOptions _options = new();

    private HubCli(CliEnvironment environment, Interrupts interrupts) => (_environment, _interrupts) = (environment, interrupts);

    /// <summary>Runs one command line and returns the exit code.</summary>
    public static async Task<int> RunAsync(IReadOnlyList<string> args, CliEnvironment environment)
    {
        if (NodeCommands.IsAgent(args))
            return await RunAgentAsync(args, environment).ConfigureAwait(false);
        using var interrupts = new Interrupts(environment.Signals);
        return await new HubCli(environment, interrupts).RunAsync(args).ConfigureAwait(false);
    }

    /// <summary>The agent minds signals and output itself, as its own program does.</summary>
    private static async Task<int> RunAgentAsync(IReadOnlyList<string> args, CliEnvironment environment)
    {
        var root = new RootCommand();
        root.Add(NodeCommands.Node());
        var parse = root.Parse(args, ParserSettings());
        if (parse.Action is ParseErrorAction)
            return UsageFault(parse, environment);
        return await parse.InvokeAsync(new InvocationConfiguration { ProcessTerminationTimeout = null }).ConfigureAwait(false);
    }

    private async Task<int> RunAsync(IReadOnlyList<string> args)
    {
        var root = Root();
        var parse = root.Parse(args.Count == 0 ? ["--help"] : args, ParserSettings());
        if (parse.Action is ParseErrorAction)
            return UsageFault(parse, _environment);
        if (PathOf(parse.CommandResult.Command) == "hub node run" && parse.Action is not HelpAction)
        {
            // The agent has options of these names of its own; one given before 'node' would be lost without a word.
            _environment.Note("give the agent's options after 'hub node run'");
            return ExitCodes.Usage;
        }

        // The parser's own words: help and suggestions. It names the assembly, where the person typed 'hub'.
        using var words = new StringWriter { NewLine = "\n" };
        try
        {
            var exitCode = await parse.InvokeAsync(
                new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null, Output = words },
                CancellationToken.None).ConfigureAwait(false);
            var text = words.ToString().Replace("  " + RootCommand.ExecutableName + " ", "  hub ", StringComparison.Ordinal);
            if (text.Length > 0)
                await _environment.Output.WriteAsync(Encoding.UTF8.GetBytes(text)).ConfigureAwait(false);
            return exitCode;
        }
        catch (BrokenPipeException)
        {
            return ExitCodes.BrokenPipe;
        }
    }

    private static ParserConfiguration ParserSettings() => new()
    {
        // '@name' is text here, not a file of arguments.
        ResponseFileTokenReplacer = null,
    };

    private static int UsageFault(ParseResult parse, CliEnvironment environment)
    {
        foreach (var error in parse.Errors.Select(e => e.Message).Distinct())
            environment.Note(error);
        environment.WriteError($"see '{PathOf(parse.CommandResult.Command)} --help'");
        return ExitCodes.Usage;
    }

    private static string PathOf(System.CommandLine.Command command)
    {
        var names = new List<string>();
        for (Symbol? at = command; at is not null and not RootCommand; at = at.Parents.FirstOrDefault())
            names.Add(at.Name);
        names.Add("hub");
        names.Reverse();
        return string.Join(' ', names);
    }

    /// <summary>All commands.</summary>
    private RootCommand Root()
    {
        var root = new RootCommand("AkkaHub: the terminals of a mesh of machines, durable, through one hub.");
        root.Add(_options.Hub);
        root.Add(_options.Token);
        root.Add(_options.DataDirectory);
        root.Add(_options.Authority);
        Add(root, GetCommands.Create(Bind), DescribeCommands.Create(Bind), LogsCommand.Create(Bind), ExecCommand.Create(Bind), CancelCommand.Create(Bind),
            AttachCommand.Create(Bind), TerminalCommands.Open(Bind), TerminalCommands.Close(Bind), TerminalCommands.Send(Bind),
            TerminalCommands.Purge(Bind), NodeCommands.Forget(Bind), NodeCommands.Drain(Bind), NodeCommands.Node(), TokenCommands.Create(Bind), ClusterCommands.Create(Bind),
            HubCommands.Stop(Bind), HubCommands.Version(Bind), CompletionCommand.Create(Bind));
        if (root.Options.OfType<HelpOption>().FirstOrDefault() is { } help)
        {
            help.Description = "Show help and usage";
            foreach (var alias in help.Aliases.Where(a => a is not "-h").ToArray())
                help.Aliases.Remove(alias);
        }

        // 'hub version' speaks of the hub too.
        if (root.Options.FirstOrDefault(o => o is VersionOption) is { } version)
            root.Options.Remove(version);
        NodeCompletion.Attach(root, _options, _environment);
        return root;
    }

    private static void Add(RootCommand root, params System.CommandLine.Command[] commands)
    {
        foreach (var command in commands)
            root.Add(command);
    }

    /// <summary>Gives a command what it does, and every failure one way out.</summary>
    private void Bind(System.CommandLine.Command command, Func<Invocation, Task<int>> run) => command.SetAction(async (parse, _) =>
    {
        await using var invocation = new Invocation(parse, _environment, _options, _interrupts);
        try
        {
            return await run(invocation).ConfigureAwait(false);
        }
        catch (BrokenPipeException)
        {
            return ExitCodes.BrokenPipe;
        }
        catch (Exception e) when (_interrupts.ExitCode != ExitCodes.Success && e is OperationCanceledException or RpcException { StatusCode: StatusCode.Cancelled })
        {
            return _interrupts.ExitCode;
        }
        catch (CliException e)
        {
            _environment.Note(e.Message);
            return e.ExitCode;
        }
        catch (RpcException e)
        {
            var (message, exitCode) = Faults.Explain(e);
            _environment.Note(message);
            return exitCode;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            _environment.Note(e.Message);
            return ExitCodes.Failure;
        }
    });
}

/// <summary>Gives a command what it does.</summary>
internal delegate void Bind(System.CommandLine.Command command, Func<Invocation, Task<int>> run);
