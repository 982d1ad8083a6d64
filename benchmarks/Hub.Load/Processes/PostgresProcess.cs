using System.Diagnostics;

namespace Hub.Load.Processes;

/// <summary>
/// A PostgreSQL server of one run: its own data, reached through a socket in its directory and by no network, so that members in network
/// namespaces reach it, too. It synchronises its log as in production. The server does not run as root, so root runs it as the user 'postgres'.
/// </summary>
public sealed class PostgresProcess : IAsyncDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly string _programs;
    private readonly string _directory;
    private readonly bool _asRoot = Environment.UserName == "root";
    private Process? _server;

    private PostgresProcess(string programs, string directory)
    {
        _programs = programs;
        _directory = directory;
    }

    /// <summary>How its database is reached.</summary>
    public string ConnectionString => $"Host={_directory};Database=postgres;Username=postgres";

    /// <summary>The server's process id.</summary>
    public int ProcessId => _server?.Id ?? throw new InvalidOperationException("the server was not started");

    /// <summary>Makes a cluster in an empty directory, which the server's user must be able to enter, and starts its server.</summary>
    /// <exception cref="InvalidOperationException">PostgreSQL 15 or newer is not there, or did not start.</exception>
    public static async Task<PostgresProcess> StartNewAsync(string directory)
    {
        var server = new PostgresProcess(FindPrograms() ?? throw new InvalidOperationException("PostgreSQL 15 or newer is not installed"), directory);
        if (server._asRoot)
            await Programs.RunAsync("chown", "postgres", directory).ConfigureAwait(false);
        await server.RunAsync("initdb", "-D", server.Data, "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "--no-sync").ConfigureAwait(false);
        await server.StartAsync().ConfigureAwait(false);
        return server;
    }

    /// <summary>Starts the server, again; ends when it answers.</summary>
    public async Task StartAsync()
    {
        var start = Command("postgres", "-D", Data, "-h", "", "-k", _directory, "-c", "shared_buffers=64MB", "-c", "logging_collector=off");
        // What it says goes nowhere: a pipe that nobody reads would stop it.
        start.RedirectStandardError = start.RedirectStandardOutput = true;
        _server = Process.Start(start)!;
        _server.BeginErrorReadLine();
        _server.BeginOutputReadLine();
        using var late = new CancellationTokenSource(Patience);
        while ((await Programs.TryRunAsync(Command("pg_isready", "-q", "-h", _directory, "-d", "postgres", "-U", "postgres")).ConfigureAwait(false)).Code != 0)
        {
            if (_server.HasExited)
                throw new InvalidOperationException("PostgreSQL ended while it started");
            await Task.Delay(TimeSpan.FromMilliseconds(100), late.Token).ConfigureAwait(false);
        }
    }

    /// <summary>Ends the server as a crash does: it recovers at the next start.</summary>
    public async Task StopAsync()
    {
        if (_server is not { } server)
            return;
        if (!server.HasExited)
            await Programs.TryRunAsync(Command("pg_ctl", "-D", Data, "-m", "immediate", "stop")).ConfigureAwait(false);
        using var late = new CancellationTokenSource(Patience);
        await server.WaitForExitAsync(late.Token).ConfigureAwait(false);
        server.Dispose();
        _server = null;
    }

    /// <summary>Runs one statement and gives what it prints, without headers.</summary>
    public async Task<string> QueryAsync(string sql) =>
        (await RunAsync("psql", "-h", _directory, "-U", "postgres", "-d", "postgres", "-v", "ON_ERROR_STOP=1", "-At", "-c", sql).ConfigureAwait(false)).Trim();

    /// <summary>Ends it; the directory stays with whoever made it.</summary>
    public async ValueTask DisposeAsync() => await StopAsync().ConfigureAwait(false);

    private string Data => Path.Combine(_directory, "data");

    private async Task<string> RunAsync(string program, params string[] arguments)
    {
        var (code, output, error) = await Programs.TryRunAsync(Command(program, arguments)).ConfigureAwait(false);
        return code == 0 ? output : throw new InvalidOperationException($"{program} ended with {code}: {error.Trim()}");
    }

    private ProcessStartInfo Command(string program, params string[] arguments)
    {
        var path = Path.Combine(_programs, program);
        return _asRoot
            ? new ProcessStartInfo("setpriv", ["--reuid=postgres", "--regid=postgres", "--clear-groups", path, .. arguments]) { WorkingDirectory = _directory }
            : new ProcessStartInfo(path, arguments) { WorkingDirectory = _directory };
    }

    // Debian keeps the server's programs apart from the path, by version.
    private static string? FindPrograms()
    {
        var debian = Directory.Exists("/usr/lib/postgresql")
            ? Directory.EnumerateDirectories("/usr/lib/postgresql").Where(d => int.TryParse(Path.GetFileName(d), out var version) && version >= 15).Select(d => Path.Combine(d, "bin"))
            : [];
        return debian.Concat((Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator))
            .FirstOrDefault(d => File.Exists(Path.Combine(d, "initdb")) && File.Exists(Path.Combine(d, "postgres")));
    }
}
