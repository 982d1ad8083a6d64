using System.Diagnostics;
using System.Globalization;
using System.Net;
using Grpc.Core;
using Grpc.Net.Client;
using Hub.Load.Nodes;
using Hub.Protocol;

namespace Hub.Load.Processes;

/// <summary>How a hub is started.</summary>
public sealed record HubProcessOptions
{
    /// <summary>Directory for its data and log; the data survives restarts.</summary>
    public required string Directory { get; init; }
    /// <summary>The hub's assembly.</summary>
    public required string HubAssembly { get; init; }
    /// <summary>Settings, by their environment names, beside ports and data directory.</summary>
    public IReadOnlyDictionary<string, string?> Environment { get; init; } = new Dictionary<string, string?>();
    /// <summary>A program and arguments to start it under, such as a tracer; empty for none.</summary>
    public IReadOnlyList<string> Launcher { get; init; } = [];
    /// <summary>By what this process reaches it. Other than loopback only with <see cref="AuthorityFile"/>.</summary>
    public string Host { get; init; } = "127.0.0.1";
    /// <summary>File of the authority of its certificate, which it is given among the settings; null if it speaks clear text.</summary>
    public string? AuthorityFile { get; init; }
    /// <summary>Whether it starts its own local node.</summary>
    public bool LocalNode { get; init; }
}

/// <summary>
/// A real hub as a child process with ports of its own. It can be killed and started again on the same data and the same
/// ports. Dispose kills it; the directory stays with whoever made it.
/// </summary>
public sealed class HubProcess : IAsyncDisposable
{
    private readonly HubProcessOptions _options;
    private readonly HttpClient _http;
    private ChildProcess? _child;

    /// <summary>Chooses ports; starts nothing yet.</summary>
    public HubProcess(HubProcessOptions options)
    {
        _options = options;
        System.IO.Directory.CreateDirectory(options.Directory);
        HubAssembly = options.HubAssembly;
        DataDirectory = Path.Combine(options.Directory, "data");
        LogFile = Path.Combine(options.Directory, "hub.log");
        GrpcPort = Ports.Free();
        HttpPort = Ports.Free();
        RemotePort = Ports.Free();
        _http = new HttpClient(new SocketsHttpHandler
        {
            UseProxy = false,
            PooledConnectionLifetime = TimeSpan.FromSeconds(1),
            SslOptions = HubTrust.OfAuthority(options.AuthorityFile),
        })
        {
            BaseAddress = new Uri($"{Scheme}://{options.Host}:{HttpPort}"),
            Timeout = TimeSpan.FromSeconds(5),
        };
    }

    /// <summary>The hub's assembly, from the next start on.</summary>
    public string HubAssembly { get; set; }
    /// <summary>Its data directory.</summary>
    public string DataDirectory { get; }
    /// <summary>All it ever wrote to standard output and error, over restarts.</summary>
    public string LogFile { get; }
    /// <summary>Port of its gRPC listener.</summary>
    public int GrpcPort { get; }
    /// <summary>Port of its HTTP listener.</summary>
    public int HttpPort { get; }
    /// <summary>Port of Akka.Remote.</summary>
    public int RemotePort { get; }
    /// <summary>Address of its gRPC listener.</summary>
    public Uri Grpc => new($"{Scheme}://{_options.Host}:{GrpcPort}");
    /// <summary>As in the options.</summary>
    public string? AuthorityFile => _options.AuthorityFile;
    /// <summary>The process; started under a launcher this is the launcher's.</summary>
    public ChildProcess Child => _child ?? throw new InvalidOperationException("the hub was not started");
    /// <summary>The hub's own process id, also under a launcher.</summary>
    public int ProcessId => _options.Launcher.Count == 0 ? Child.Id : LocalHub.TryRead(DataDirectory)?.Pid ?? Child.Id;

    /// <summary>The owner-only token; null before the first start made it.</summary>
    public string? Token => LocalHub.TryReadToken(DataDirectory);

    /// <summary>Call metadata with the owner-only token.</summary>
    public Metadata Authorization => new() { { "authorization", "Bearer " + Token } };

    /// <summary>Starts the process, without waiting for it.</summary>
    /// <param name="more">Settings for this start only.</param>
    public void Start(IReadOnlyDictionary<string, string?>? more = null)
    {
        if (_child is { HasExited: false })
            throw new InvalidOperationException("the hub runs already");
        var environment = new Dictionary<string, string?>(StringComparer.Ordinal)
        {
            ["AKKAHUB_GRPC_PORT"] = GrpcPort.ToString(CultureInfo.InvariantCulture),
            ["AKKAHUB_HTTP_PORT"] = HttpPort.ToString(CultureInfo.InvariantCulture),
            ["AKKAHUB_REMOTE_PORT"] = RemotePort.ToString(CultureInfo.InvariantCulture),
            ["AKKAHUB_LOCAL_NODE"] = _options.LocalNode ? "on" : "off",
            // What is set where the tests run must not decide what the hub does here.
            ["AKKAHUB_DATA_DIR"] = null,
            ["AKKAHUB_ADDR"] = null,
            ["AKKAHUB_TOKEN"] = null,
        };
        foreach (var (name, value) in _options.Environment)
            environment[name] = value;
        foreach (var (name, value) in more ?? new Dictionary<string, string?>())
            environment[name] = value;
        string[] command = [.. _options.Launcher, "dotnet", HubAssembly, "--data-dir", DataDirectory];
        _child = ChildProcess.Start(command[0], command[1..], environment, LogFile, _options.Directory);
    }

    /// <summary>Starts it and waits until it says it is ready. Gives the time that took.</summary>
    /// <exception cref="TimeoutException">It was not ready in time.</exception>
    /// <exception cref="InvalidOperationException">It ended.</exception>
    public async Task<TimeSpan> StartAndWaitAsync(TimeSpan? timeout = null, IReadOnlyDictionary<string, string?>? more = null)
    {
        var watch = Stopwatch.StartNew();
        Start(more);
        await WaitForReadyAsync(timeout ?? TimeSpan.FromSeconds(60)).ConfigureAwait(false);
        return watch.Elapsed;
    }

    /// <summary>Waits until <c>/readyz</c> answers 200.</summary>
    /// <exception cref="TimeoutException">It was not ready in time.</exception>
    /// <exception cref="InvalidOperationException">It ended.</exception>
    public async Task WaitForReadyAsync(TimeSpan timeout)
    {
        using var late = new CancellationTokenSource(timeout);
        using var poll = new PeriodicTimer(TimeSpan.FromMilliseconds(25));
        try
        {
            do
            {
                if (Child.HasExited)
                    throw new InvalidOperationException($"the hub ended with {Child.ExitCode} before it was ready:\n{DescribeTail()}");
                if (await IsReadyAsync(late.Token).ConfigureAwait(false))
                    return;
            }
            while (await poll.WaitForNextTickAsync(late.Token).ConfigureAwait(false));
        }
        catch (OperationCanceledException)
        {
            throw new TimeoutException($"the hub was not ready after {timeout}:\n{DescribeTail()}");
        }
    }

    /// <summary>Whether it says it is ready.</summary>
    public async Task<bool> IsReadyAsync(CancellationToken cancellation = default)
    {
        try
        {
            using var answer = await _http.GetAsync("/readyz", cancellation).ConfigureAwait(false);
            return answer.StatusCode == HttpStatusCode.OK;
        }
        catch (Exception e) when (e is HttpRequestException || (e is OperationCanceledException && !cancellation.IsCancellationRequested))
        {
            return false;
        }
    }

    /// <summary>Kills it (SIGKILL), the hub itself also when it runs under a launcher.</summary>
    public async Task KillAsync()
    {
        if (_child is null)
            return;
        if (_options.Launcher.Count > 0 && !_child.HasExited && LocalHub.TryRead(DataDirectory)?.Pid is { } pid && pid != _child.Id)
            ChildProcess.Send(pid, 9);
        await _child.KillAsync().ConfigureAwait(false);
    }

    /// <summary>Asks it to stop (SIGTERM) and gives its exit code.</summary>
    /// <exception cref="TimeoutException">It did not stop in time.</exception>
    public Task<int> TerminateAsync(TimeSpan timeout) => Child.TerminateAsync(timeout);

    /// <summary>A channel to it with a connection of its own.</summary>
    public GrpcChannel OpenChannel() => NodeFleet.OpenChannel(Grpc, authorityFile: AuthorityFile);

    private string Scheme => _options.AuthorityFile is null ? "http" : "https";

    /// <summary>The last lines it wrote.</summary>
    public string DescribeTail() => string.Join('\n', Child.Tail.TakeLast(40));

    /// <summary>Kills it if it still runs.</summary>
    public async ValueTask DisposeAsync()
    {
        await KillAsync().ConfigureAwait(false);
        if (_child is not null)
            await _child.DisposeAsync().ConfigureAwait(false);
        _http.Dispose();
    }
}
