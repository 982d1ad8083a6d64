using System.CommandLine;
using System.Text;
using Hub.Cli.Connection;
using Hub.Cli.Output;

namespace Hub.Cli;

/// <summary>One run of one command: its arguments, the world, and the connection once it is needed.</summary>
internal sealed class Invocation(ParseResult parse, CliEnvironment environment, GlobalOptions options, Interrupts interrupts) : IAsyncDisposable
{
    private HubConnection? _connection;

    /// <summary>The world.</summary>
    public CliEnvironment Environment => environment;

    /// <summary>Ctrl+C and its like.</summary>
    public Interrupts Interrupts => interrupts;

    /// <summary>Cancelled when the person wants out.</summary>
    public CancellationToken Cancellation => interrupts.Token;

    /// <summary>The hub.</summary>
    /// <exception cref="CliException">The addresses cannot be read.</exception>
    public HubConnection Hub => _connection ??= new HubConnection(Settings(), environment);

    /// <summary>Where the hub is.</summary>
    public ConnectionSettings Settings() =>
        ConnectionSettings.Resolve(parse.GetValue(options.Hub), parse.GetValue(options.Token), parse.GetValue(options.DataDirectory), environment.Variable, parse.GetValue(options.Authority));

    /// <summary>An option's value.</summary>
    public T? Get<T>(Option<T> option) => parse.GetValue(option);

    /// <summary>An argument's value.</summary>
    public T? Get<T>(Argument<T> argument) => parse.GetValue(argument);

    /// <summary>Writes data to standard output.</summary>
    public ValueTask WriteAsync(string text) => environment.Output.WriteAsync(Encoding.UTF8.GetBytes(text), Cancellation);

    /// <summary>Writes a table to standard output; with no rows a line on standard error instead.</summary>
    public async ValueTask WriteTableAsync(IReadOnlyList<string> headings, IReadOnlyList<IReadOnlyList<Cell>> rows, string empty)
    {
        if (rows.Count == 0)
            environment.Note(empty);
        else
            await WriteAsync(Tables.Render(headings, rows, environment.Color)).ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => _connection?.DisposeAsync() ?? ValueTask.CompletedTask;
}

/// <summary>Options of every command.</summary>
internal sealed class GlobalOptions
{
    /// <summary>Addresses of the hub.</summary>
    public Option<string> Hub { get; } = new("--hub")
    {
        Description = "Members of the hub, tried in order [AKKAHUB_ADDR; else the local hub; else 127.0.0.1:5100]",
        HelpName = "ADDR[,ADDR…]",
        Recursive = true,
    };

    /// <summary>The credential.</summary>
    public Option<string> Token { get; } = new("--token")
    {
        Description = "Token [AKKAHUB_TOKEN; else the local hub's owner-only token]",
        HelpName = "TOKEN",
        Recursive = true,
    };

    /// <summary>Whose certificates are trusted.</summary>
    public Option<string> Authority { get; } = new("--ca")
    {
        Description = "Authority that the hub's certificate must be of, PEM, for https:// addresses [AKKAHUB_CA; else the system's]",
        HelpName = "FILE",
        Recursive = true,
    };

    /// <summary>The data directory of a local hub.</summary>
    public Option<string> DataDirectory { get; } = new("--data-dir")
    {
        Description = "Where to find a local hub and its token [AKKAHUB_DATA_DIR; else ~/.local/share/akkahub]",
        HelpName = "DIR",
        Recursive = true,
    };
}
