using System.Diagnostics;
using System.Net;
using System.Net.Sockets;

namespace Hub.Testing;

/// <summary>
/// A PostgreSQL server of one test: its own cluster in its own directory, on a free port of the loopback interface, which anybody may enter.
/// It synchronises its log as in production. The server does not run as root, so root runs it as the user 'postgres'.
/// </summary>
internal sealed class PostgresServer : IAsyncDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly string _programs;
    private readonly string _directory;
    private readonly bool _asRoot = Environment.UserName == "root";
    private Process? _server;

    private PostgresServer(string programs, string directory, int port)
    {
        _programs = programs;
        _directory = directory;
        Port = port;
    }

    /// <summary>Its port.</summary>
    public int Port { get; }

    /// <summary>How one of its databases is reached.</summary>
    public string ConnectionString(string database = "postgres") => $"Host=127.0.0.1;Port={Port};Database={database};Username=postgres";

    /// <summary>Makes a cluster and starts its server, or skips the test (see <see cref="Prerequisite"/>).</summary>
    public static async Task<PostgresServer> StartNewAsync()
    {
        var programs = FindPrograms();
        Prerequisite.Require(programs is not null, "PostgreSQL 15 or newer is not installed");
        // Not below a test's own directory: that may be closed to the user 'postgres'.
        var directory = Directory.CreateTempSubdirectory("akkahub-pg-").FullName;
        var server = new PostgresServer(programs!, directory, FreePort());
        if (server._asRoot)
            await RunAsync(new ProcessStartInfo("chown", ["postgres", directory]));
        await RunAsync(server.Command("initdb", "-D", server.Data, "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "--no-sync"));
        await server.StartAsync();
        return server;
    }

    /// <summary>Starts the server, again; ends when it answers.</summary>
    public async Task StartAsync()
    {
        var start = Command("postgres", "-D", Data, "-p", $"{Port}", "-h", "127.0.0.1", "-k", _directory, "-c", "shared_buffers=64MB", "-c", "logging_collector=off");
        // What it says goes nowhere: a pipe that nobody reads would stop it.
        start.RedirectStandardError = start.RedirectStandardOutput = true;
        _server = Process.Start(start)!;
        _server.BeginErrorReadLine();
        _server.BeginOutputReadLine();
        using var late = new CancellationTokenSource(Patience);
        while (await TryRunAsync(Command("pg_isready", "-q", "-h", "127.0.0.1", "-p", $"{Port}", "-d", "postgres", "-U", "postgres")) != 0)
        {
            _server.HasExited.ShouldBeFalse("the server ended while it started");
            await Task.Delay(TimeSpan.FromMilliseconds(100), late.Token);
        }
    }

    /// <summary>Ends the server as a crash does: it recovers at the next start.</summary>
    public async Task StopAsync()
    {
        if (_server is not { } server)
            return;
        if (!server.HasExited)
            await TryRunAsync(Command("pg_ctl", "-D", Data, "-m", "immediate", "stop"));
        using var late = new CancellationTokenSource(Patience);
        await server.WaitForExitAsync(late.Token);
        server.Dispose();
        _server = null;
    }

    /// <summary>Runs one statement and gives what it prints, without headers.</summary>
    public async Task<string> QueryAsync(string sql, string database = "postgres")
    {
        var start = Command("psql", "-h", "127.0.0.1", "-p", $"{Port}", "-U", "postgres", "-d", database, "-v", "ON_ERROR_STOP=1", "-At", "-c", sql);
        start.RedirectStandardOutput = true;
        using var psql = Process.Start(start)!;
        var said = await psql.StandardOutput.ReadToEndAsync();
        await psql.WaitForExitAsync();
        psql.ExitCode.ShouldBe(0, sql);
        return said.Trim();
    }

    /// <summary>Ends it and removes all of it.</summary>
    public async ValueTask DisposeAsync()
    {
        await StopAsync();
        Directory.Delete(_directory, recursive: true);
    }

    private string Data => Path.Combine(_directory, "data");

    private ProcessStartInfo Command(string program, params string[] arguments)
    {
        var path = Path.Combine(_programs, program);
        return _asRoot
            ? new ProcessStartInfo("setpriv", ["--reuid=postgres", "--regid=postgres", "--clear-groups", path, .. arguments]) { WorkingDirectory = _directory }
            : new ProcessStartInfo(path, arguments) { WorkingDirectory = _directory };
    }

    private static async Task RunAsync(ProcessStartInfo start) => (await TryRunAsync(start)).ShouldBe(0, $"{start.FileName} {string.Join(' ', start.ArgumentList)}");

    private static async Task<int> TryRunAsync(ProcessStartInfo start)
    {
        start.RedirectStandardOutput = true;
        using var process = Process.Start(start)!;
        await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        return process.ExitCode;
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

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
