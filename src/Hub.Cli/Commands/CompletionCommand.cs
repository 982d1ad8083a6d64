using System.CommandLine;
using AkkaHub.V1;
using Grpc.Core;
using Hub.Cli.Connection;
using Hub.Protocol;
using Command = System.CommandLine.Command;

namespace Hub.Cli.Commands;

/// <summary><c>hub completion</c>: what a shell needs to complete this program's commands, options and node names.</summary>
internal static class CompletionCommand
{
    private const string Bash = """
        # hub completion for bash. In ~/.bashrc: source <(hub completion bash)
        _hub_complete() {
            local line="${COMP_LINE#*[[:space:]]}" cut
            cut=$(( ${#COMP_LINE} - ${#line} ))
            local IFS=$'\n'
            COMPREPLY=( $(compgen -W "$("${COMP_WORDS[0]}" "[suggest:$(( COMP_POINT - cut ))]" "$line" 2>/dev/null)" -- "${COMP_WORDS[COMP_CWORD]}") )
        }
        complete -F _hub_complete hub

        """;

    private const string Zsh = """
        #compdef hub
        # hub completion for zsh. In ~/.zshrc, after compinit: source <(hub completion zsh)
        _hub() {
            local -a found
            local line="${words[2,-1]}"
            found=("${(@f)$(${words[1]} "[suggest:${#${(j: :)words[2,CURRENT]}}]" "$line" 2>/dev/null)}")
            compadd -- $found
        }
        compdef _hub hub

        """;

    private const string Fish = """
        # hub completion for fish. In ~/.config/fish/config.fish: hub completion fish | source
        function __hub_complete
            set -l words (commandline -opc) (commandline -ct)
            set -l line (string join ' ' -- $words[2..-1])
            $words[1] "[suggest:"(string length -- "$line")"]" "$line" 2>/dev/null
        end
        complete -c hub -f -a '(__hub_complete)'

        """;

    /// <summary>The command.</summary>
    public static Command Create(Bind bind)
    {
        var shell = new Argument<string>("SHELL") { Description = "bash, zsh or fish" };
        shell.AcceptOnlyFromAmong("bash", "zsh", "fish");
        var command = new Command("completion", "Print the completion script of a shell") { shell };
        bind(command, async run =>
        {
            await run.WriteAsync(run.Get(shell) switch { "bash" => Bash, "zsh" => Zsh, _ => Fish }).ConfigureAwait(false);
            return ExitCodes.Success;
        });
        return command;
    }
}

/// <summary>Completes NODE by asking the hub, briefly; a hub that does not answer completes nothing.</summary>
internal static class NodeCompletion
{
    private static readonly TimeSpan Patience = TimeSpan.FromMilliseconds(800);

    /// <summary>Adds it to every NODE below a command.</summary>
    public static void Attach(Command command, GlobalOptions options, CliEnvironment environment)
    {
        foreach (var argument in command.Arguments.Where(a => a.Name == "NODE"))
            argument.CompletionSources.Add(context => Names(context.ParseResult, options, environment));
        foreach (var child in command.Subcommands)
            Attach(child, options, environment);
    }

    private static IEnumerable<string> Names(ParseResult parse, GlobalOptions options, CliEnvironment environment)
    {
        try
        {
            var settings = ConnectionSettings.Resolve(
                parse.GetValue(options.Hub), parse.GetValue(options.Token), parse.GetValue(options.DataDirectory), environment.Variable, parse.GetValue(options.Authority));
            var hub = new HubConnection(settings, environment);
            var deadline = TimeProvider.System.GetUtcNow().UtcDateTime + Patience;
            // The parser's completion is synchronous, and so is this call.
            var nodes = hub.Client.ListNodes(new ListNodesRequest { PageSize = 200 }, deadline: deadline).Nodes;
            return [.. nodes.Select(n => Output.Short.Node(n.Name)).Where(Hub.Protocol.Names.IsNodeName)];
        }
        catch (Exception e) when (e is RpcException or CliException or InvalidOperationException)
        {
            return [];
        }
    }
}
