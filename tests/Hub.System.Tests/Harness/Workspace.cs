using System.Diagnostics;
using System.Globalization;
using Hub.Load.Processes;
using Xunit.Abstractions;

namespace Hub.SystemTests.Harness;

/// <summary>
/// A directory of one test and every process that was started in it. At the end, also of a failed test, processes whose
/// command line names the directory are ended by their process ids, and the directory is removed.
/// </summary>
public sealed class Workspace : IAsyncDisposable
{
    private readonly List<IAsyncDisposable> _processes = [];
    private readonly ITestOutputHelper _output;

    /// <summary>Makes the directory.</summary>
    public Workspace(ITestOutputHelper output)
    {
        _output = output;
        Root = Directory.CreateTempSubdirectory("akkahub-test-").FullName;
        output.WriteLine($"directory {Root}");
    }

    /// <summary>The directory.</summary>
    public string Root { get; }

    /// <summary>A path below it.</summary>
    public string PathOf(string name) => Path.Combine(Root, name);

    /// <summary>Adds a line to the test's output.</summary>
    public void Say(string text) => _output.WriteLine(text);

    /// <summary>A hub with a data directory of its own, not started yet. Ended with the workspace.</summary>
    public HubProcess NewHub(Dictionary<string, string?>? environment = null, bool localNode = false, IReadOnlyList<string>? launcher = null,
        string name = "hub")
    {
        var hub = new HubProcess(new HubProcessOptions
        {
            Directory = PathOf(name),
            HubAssembly = RepositoryPaths.Program("Hub.Host"),
            Environment = environment ?? [],
            LocalNode = localNode,
            Launcher = launcher ?? [],
        });
        _processes.Add(hub);
        return hub;
    }

    /// <summary>Starts a node agent that dials the given address. Ended with the workspace.</summary>
    public AgentProcess StartAgent(HubProcess hub, AgentOptions options)
    {
        var agent = AgentProcess.Start(hub, PathOf(options.Name), options);
        _processes.Add(agent);
        return agent;
    }

    /// <summary>Runs <c>hub node run</c> with nothing of the environment's own. Ended with the workspace.</summary>
    public ChildProcess StartNode(IEnumerable<string> arguments, IReadOnlyDictionary<string, string?> environment)
    {
        var all = new Dictionary<string, string?>
        {
            ["HOME"] = Root,
            ["XDG_STATE_HOME"] = null,
            ["XDG_DATA_HOME"] = null,
            ["AKKAHUB_DATA_DIR"] = null,
            ["AKKAHUB_ADDR"] = null,
            ["AKKAHUB_TOKEN"] = null,
        };
        foreach (var (name, value) in environment)
            all[name] = value;
        var node = ChildProcess.Start("dotnet", [RepositoryPaths.Program("Hub.Cli"), "node", "run", .. arguments], all, PathOf("node.log"), Root);
        _processes.Add(node);
        return node;
    }

    /// <summary>Runs the command line as on a person's machine: the hub is found by its data directory, with the owner's token.</summary>
    public Task<(int ExitCode, string Output, string Error)> HubCommandAsync(HubProcess hub, params string[] arguments) =>
        RunAsync("Hub.Cli", arguments, new Dictionary<string, string?>
        {
            ["AKKAHUB_DATA_DIR"] = hub.DataDirectory,
            ["AKKAHUB_ADDR"] = null,
            ["AKKAHUB_TOKEN"] = null,
            ["NO_COLOR"] = "1",
        });

    /// <summary>Runs a program of this repository to its end.</summary>
    public async Task<(int ExitCode, string Output, string Error)> RunAsync(string project, IEnumerable<string> arguments,
        IReadOnlyDictionary<string, string?>? environment = null, TimeSpan? timeout = null, string? assembly = null)
    {
        var start = new ProcessStartInfo("dotnet")
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = Root,
        };
        start.ArgumentList.Add(RepositoryPaths.Program(project, assembly));
        foreach (var argument in arguments)
            start.ArgumentList.Add(argument);
        foreach (var (name, value) in environment ?? new Dictionary<string, string?>())
        {
            if (value is null)
                start.Environment.Remove(name);
            else
                start.Environment[name] = value;
        }

        using var process = Process.Start(start) ?? throw new InvalidOperationException($"{project} did not start");
        process.StandardInput.Close();
        var output = process.StandardOutput.ReadToEndAsync();
        var error = process.StandardError.ReadToEndAsync();
        using var late = new CancellationTokenSource(timeout ?? TimeSpan.FromSeconds(60));
        try
        {
            await process.WaitForExitAsync(late.Token);
        }
        catch (OperationCanceledException)
        {
            process.Kill();
            throw new TimeoutException($"{project} {string.Join(' ', arguments)} did not end; it said:\n{await output}\n{await error}");
        }

        return (process.ExitCode, await output, await error);
    }

    /// <summary>Ends what still runs and removes the directory.</summary>
    public async ValueTask DisposeAsync()
    {
        for (var i = _processes.Count - 1; i >= 0; i--)
            await _processes[i].DisposeAsync();
        await EndStrayProcessesAsync();
        if (!TestSettings.Keep)
            Directory.Delete(Root, recursive: true);
    }

    // What a hub or an agent started may outlive it on purpose: the local node, and what runs in its terminals.
    private async Task EndStrayProcessesAsync()
    {
        for (var round = 0; round < 50 && StrayProcesses() is { Count: > 0 } strays; round++)
        {
            foreach (var pid in strays)
                ChildProcess.Send(pid, 9);
            await Task.Delay(TimeSpan.FromMilliseconds(20));
        }
    }

    private List<int> StrayProcesses()
    {
        var found = new List<int>();
        foreach (var directory in Directory.EnumerateDirectories("/proc"))
        {
            if (!int.TryParse(Path.GetFileName(directory), CultureInfo.InvariantCulture, out var pid) || pid == Environment.ProcessId)
                continue;
            try
            {
                if (File.ReadAllText(Path.Combine(directory, "cmdline")).Contains(Root, StringComparison.Ordinal))
                    found.Add(pid);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // It ended meanwhile, or is somebody else's.
            }
        }

        return found;
    }
}
