using System.Collections.Concurrent;
using AkkaHub.V1;
using Grpc.Core;

namespace Hub.Load.Watching;

/// <summary>Watches all nodes through one member, over its restarts, and keeps who was said to be gone.</summary>
internal sealed class NodeStateWatcher : IAsyncDisposable
{
    private readonly CancellationTokenSource _stop = new();
    private readonly MemberAccess _access;
    private readonly Task _running;

    /// <summary>Begins to watch.</summary>
    public NodeStateWatcher(MemberAccess access, int member)
    {
        _access = access;
        _running = RunAsync(member);
    }

    /// <summary>Changes received.</summary>
    public long Changes { get; private set; }

    /// <summary>Who was said to be offline, and since when.</summary>
    public ConcurrentDictionary<string, string> Offline { get; } = new();

    /// <summary>Ends.</summary>
    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync().ConfigureAwait(false);
        await _running.ConfigureAwait(false);
        _stop.Dispose();
    }

    private async Task RunAsync(int member)
    {
        while (!_stop.IsCancellationRequested)
        {
            using var channel = _access.OpenChannel(member);
            try
            {
                using var call = new HubService.HubServiceClient(channel).WatchNodes(new WatchNodesRequest(), _access.Headers, cancellationToken: _stop.Token);
                while (await call.ResponseStream.MoveNext(_stop.Token).ConfigureAwait(false))
                {
                    Changes++;
                    if (call.ResponseStream.Current.Node is { State: NodeState.Offline } node)
                        Offline[node.Name] = node.StateTime?.ToString() ?? "";
                }
            }
            catch (Exception e) when (e is RpcException or OperationCanceledException)
            {
                // The member is away.
            }

            await MemberAccess.PauseAsync(_stop.Token).ConfigureAwait(false);
        }
    }
}
