using AkkaHub.V1;
using Grpc.Core;
using Hub.Protocol;
using Hub.SystemTests.Harness;

namespace Hub.SystemTests.CrashProof;

/// <summary>
/// Purges a terminal of a node again and again, whether the hub is there or not: each purge makes the hub write a snapshot of
/// the whole node and delete what it covers.
/// </summary>
internal sealed class PurgeLoop : IAsyncDisposable
{
    private const string Terminal = "side";

    private readonly CancellationTokenSource _stop = new();
    private readonly HubClient _client;
    private readonly string _node;
    private readonly Task _running;

    private PurgeLoop(HubClient client, string node)
    {
        _client = client;
        _node = node;
        _running = RunAsync();
    }

    /// <summary>Purges that were answered.</summary>
    public int Purges { get; private set; }

    /// <summary>When the last of them was answered: a snapshot taken before then does not hold it.</summary>
    public DateTimeOffset LastPurge { get; private set; }

    /// <summary>Opens a terminal that shows a little and begins to purge it.</summary>
    public static async Task<PurgeLoop> StartAsync(HubClient client, string node)
    {
        await client.OpenAsync(node, Terminal, "/bin/sh", "-c", "while :; do date; sleep 0.1; done");
        return new PurgeLoop(client, node);
    }

    /// <summary>Ends.</summary>
    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _running;
        _stop.Dispose();
    }

    private async Task RunAsync()
    {
        using var again = new PeriodicTimer(TimeSpan.FromMilliseconds(200));
        try
        {
            while (await again.WaitForNextTickAsync(_stop.Token))
            {
                try
                {
                    await _client.Service.PurgeTerminalAsync(new PurgeTerminalRequest { Name = Names.Terminal(_node, Terminal) },
                        _client.Headers, cancellationToken: _stop.Token);
                    LastPurge = TimeProvider.System.GetUtcNow();
                    Purges++;
                }
                catch (RpcException) when (!_stop.IsCancellationRequested)
                {
                    // The hub is away, or was killed before it could answer.
                }
            }
        }
        catch (Exception e) when (e is OperationCanceledException or RpcException)
        {
            // Asked to end.
        }
    }
}
