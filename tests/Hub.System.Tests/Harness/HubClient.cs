using AkkaHub.V1;
using Grpc.Core;
using Grpc.Net.Client;
using Hub.Load.Nodes;
using Hub.Load.Processes;
using Hub.Protocol;

namespace Hub.SystemTests.Harness;

/// <summary>A client of a hub under test. Calls are repeated while the hub is away, within a bound.</summary>
public sealed class HubClient : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly HubProcess _hub;
    private readonly GrpcChannel _channel;

    /// <summary>A client with a connection of its own.</summary>
    public HubClient(HubProcess hub)
    {
        _hub = hub;
        _channel = NodeFleet.OpenChannel(hub.Grpc);
        Service = new HubService.HubServiceClient(_channel);
    }

    /// <summary>The service, without repetition.</summary>
    public HubService.HubServiceClient Service { get; }

    /// <summary>The owner-only token as call metadata.</summary>
    public Metadata Headers => _hub.Authorization;

    /// <summary>Calls until the hub answers; other errors than UNAVAILABLE are thrown at once.</summary>
    public async Task<T> CallAsync<T>(Func<HubService.HubServiceClient, Metadata, AsyncUnaryCall<T>> call)
    {
        using var late = new CancellationTokenSource(Patience);
        using var again = new PeriodicTimer(TimeSpan.FromMilliseconds(100));
        while (true)
        {
            try
            {
                return await call(Service, Headers);
            }
            catch (RpcException e) when (e.StatusCode == StatusCode.Unavailable && !late.IsCancellationRequested)
            {
                await again.WaitForNextTickAsync(CancellationToken.None);
            }
        }
    }

    /// <summary>Runs a command to its end, once: asked again under the same id when the hub or the node cannot be reached.</summary>
    public async Task RunAsync(string node, string requestId, params string[] argv)
    {
        using var late = new CancellationTokenSource(Patience);
        using var again = new PeriodicTimer(TimeSpan.FromMilliseconds(100));
        var request = new RunCommandRequest { Parent = Names.Node(node), RequestId = requestId };
        request.Argv.Add(argv);
        while (true)
        {
            try
            {
                using var call = Service.RunCommand(request, Headers, cancellationToken: late.Token);
                while (await call.ResponseStream.MoveNext(late.Token))
                {
                }

                return;
            }
            catch (RpcException e) when (e.StatusCode is StatusCode.Unavailable or StatusCode.Aborted && !late.IsCancellationRequested)
            {
                await again.WaitForNextTickAsync(CancellationToken.None);
            }
        }
    }

    /// <summary>Waits until a node is as wanted.</summary>
    /// <exception cref="TimeoutException">It was not in time.</exception>
    public async Task<Node> WaitForNodeAsync(string node, NodeState state, TimeSpan timeout)
    {
        Node? seen = null;
        using var late = new CancellationTokenSource(timeout);
        using var again = new PeriodicTimer(TimeSpan.FromMilliseconds(50));
        while (!late.IsCancellationRequested)
        {
            try
            {
                seen = (await Service.GetNodeAsync(new GetNodeRequest { Name = Names.Node(node) }, Headers, cancellationToken: late.Token)).Node;
                if (seen.State == state)
                    return seen;
            }
            catch (RpcException e) when (e.StatusCode is StatusCode.NotFound or StatusCode.Unavailable or StatusCode.Cancelled)
            {
                // Not yet known, or the hub is away.
            }

            await again.WaitForNextTickAsync(CancellationToken.None);
        }

        throw new TimeoutException($"node {node} was not {state} after {timeout}, but {seen?.State.ToString() ?? "unknown"}");
    }

    /// <summary>Opens a terminal with a program in it.</summary>
    public async Task<Terminal> OpenAsync(string node, string terminal, params string[] argv)
    {
        var request = new OpenTerminalRequest { Name = Names.Terminal(node, terminal), Env = { ["TERM"] = "dumb" } };
        request.Argv.AddRange(argv);
        return (await CallAsync((s, h) => s.OpenTerminalAsync(request, h))).Terminal;
    }

    /// <summary>A terminal as the hub knows it; null if it does not.</summary>
    public async Task<Terminal?> FindTerminalAsync(string node, string terminal)
    {
        var list = await CallAsync((s, h) => s.ListTerminalsAsync(new ListTerminalsRequest { Parent = Names.Node(node) }, h));
        return list.Terminals.FirstOrDefault(t => t.Name == Names.Terminal(node, terminal));
    }

    /// <summary>Waits until what the hub knows of a terminal is as wanted.</summary>
    /// <exception cref="TimeoutException">It was not in time.</exception>
    public async Task<Terminal> WaitForTerminalAsync(string node, string terminal, Func<Terminal, bool> wanted, TimeSpan timeout)
    {
        Terminal? seen = null;
        using var late = new CancellationTokenSource(timeout);
        using var again = new PeriodicTimer(TimeSpan.FromMilliseconds(100));
        while (!late.IsCancellationRequested)
        {
            seen = await FindTerminalAsync(node, terminal);
            if (seen is not null && wanted(seen))
                return seen;
            await again.WaitForNextTickAsync(CancellationToken.None);
        }

        throw new TimeoutException($"terminal {terminal} was not as wanted after {timeout}: {seen}");
    }

    /// <summary>Reads all the history there is, page by page.</summary>
    public async Task<TerminalRecord> ReadAllAsync(string node, string terminal)
    {
        var record = new TerminalRecord();
        var request = new ReadHistoryRequest { Name = Names.Terminal(node, terminal), MaxBytes = 1024 * 1024 };
        while (true)
        {
            var page = await CallAsync((s, h) => s.ReadHistoryAsync(request, h));
            foreach (var part in page.Records)
                record.Take(part);
            if (page.AtEnd)
                return record;
            page.NextCursor.ShouldNotBe(request.Start?.Cursor ?? "", "a page that is not the last must lead on");
            request.Start = new HistoryStart { Cursor = page.NextCursor };
        }
    }

    /// <summary>Follows a history.</summary>
    public HistoryFollower Follow(string node, string terminal, Uri? address = null) => new(_hub, Names.Terminal(node, terminal), address ?? _hub.Grpc);

    /// <summary>Closes the connection.</summary>
    public void Dispose() => _channel.Dispose();
}
