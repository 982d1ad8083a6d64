using Hub.Load.Baselines;
using Hub.Load.Measuring;
using Hub.Load.Processes;

namespace Hub.Load.Scenarios;

/// <summary>What every scenario needs: options, the report, directories and child processes.</summary>
public sealed class BenchmarkContext(BenchmarkOptions options, Report report) : IDisposable
{
    private readonly List<string> _directories = [];

    /// <summary>Sizes and times.</summary>
    public BenchmarkOptions Options => options;

    /// <summary>Where figures go.</summary>
    public Report Report => report;

    /// <summary>What must hold did not: the run ends with an exit code other than 0.</summary>
    public bool HasFailed { get; private set; }

    /// <summary>Adds a figure that must be as wanted.</summary>
    public void Require(string scenario, string name, double value, string unit, double? atLeast = null, double? atMost = null)
    {
        report.Add(scenario, name, value, unit, atLeast, atMost);
        HasFailed |= report.Figures[^1].Met == false;
    }

    /// <summary>A new, empty directory below the data root.</summary>
    public string NewDirectory(string name)
    {
        var path = Path.Combine(options.DataRoot, $"akkahub-load-{Environment.ProcessId}-{_directories.Count}-{name}");
        Directory.CreateDirectory(path);
        _directories.Add(path);
        return path;
    }

    /// <summary>A hub with a data directory of its own, not started.</summary>
    /// <param name="name">Names its directory.</param>
    /// <param name="environment">Settings, which go before those of the run's options. Read at each start.</param>
    /// <param name="host">By what it is reached.</param>
    /// <param name="authorityFile">The authority of its certificate; null for clear text.</param>
    /// <param name="launcher">What it is started under; null for nothing.</param>
    public HubProcess NewHub(string name, Dictionary<string, string?>? environment = null, string host = "127.0.0.1", string? authorityFile = null,
        IReadOnlyList<string>? launcher = null)
    {
        var all = environment ?? [];
        foreach (var (key, value) in options.HubEnvironment)
            all.TryAdd(key, value);
        return new HubProcess(new HubProcessOptions
        {
            Directory = NewDirectory(name),
            HubAssembly = options.HubAssembly ?? RepositoryPaths.Program("Hub.Host"),
            Environment = all,
            Host = host,
            AuthorityFile = authorityFile,
            Launcher = launcher ?? [],
        });
    }

    /// <summary>Starts a bare server as a child process and waits until it listens.</summary>
    public async Task<(ChildProcess Child, Uri Address)> StartBareAsync(BareKind kind)
    {
        var port = Ports.Free();
        var log = Path.Combine(NewDirectory("bare"), "bare.log");
        var child = ChildProcess.Start("dotnet",
            [typeof(BenchmarkContext).Assembly.Location, "serve-bare", "--kind", kind.ToString(), "--port", $"{port}"],
            new Dictionary<string, string?>(), log);
        await child.WaitForLineAsync(line => line == BareServerReady, TimeSpan.FromSeconds(30)).ConfigureAwait(false);
        return (child, new Uri($"http://127.0.0.1:{port}"));
    }

    /// <summary>What a bare server says when it listens.</summary>
    internal const string BareServerReady = "ready";

    /// <summary>Removes the data of this run, unless it is to be kept.</summary>
    public void Dispose()
    {
        foreach (var directory in _directories)
        {
            if (options.KeepData)
                Console.Error.WriteLine($"kept: {directory}");
            else if (Directory.Exists(directory))
                Directory.Delete(directory, recursive: true);
        }
    }
}
