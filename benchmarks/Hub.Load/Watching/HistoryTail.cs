using AkkaHub.V1;
using Grpc.Core;
using Hub.Load.Nodes;
using Hub.Protocol;

namespace Hub.Load.Watching;

/// <summary>Follows the terminal of a simulated node from its beginning, over losses of members: it comes back at another with its cursor.</summary>
internal sealed class HistoryTail : IAsyncDisposable
{
    private readonly CancellationTokenSource _stop = new();
    private readonly MemberAccess _access;
    private readonly SimulatedNode _node;
    private readonly Task _running;

    /// <summary>Begins to follow.</summary>
    public HistoryTail(MemberAccess access, SimulatedNode node, int firstMember)
    {
        _access = access;
        _node = node;
        Check = new HistoryCheck(node.Stream!);
        _running = RunAsync(firstMember);
    }

    /// <summary>Whom it follows.</summary>
    public SimulatedNode Node => _node;

    /// <summary>What it was given. To be looked at when it has ended.</summary>
    public HistoryCheck Check { get; }

    /// <summary>How far it is. Safe from any thread.</summary>
    public long Position => Volatile.Read(ref _position);

    private long _position;

    /// <summary>Ends.</summary>
    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync().ConfigureAwait(false);
        await _running.ConfigureAwait(false);
        _stop.Dispose();
    }

    private async Task RunAsync(int member)
    {
        var request = new FollowHistoryRequest { Name = Names.Terminal(_node.Name, SimulatedNode.TerminalName) };
        while (!_stop.IsCancellationRequested)
        {
            using var channel = _access.OpenChannel(member++);
            try
            {
                using var call = new HubService.HubServiceClient(channel).FollowHistory(request, _access.Headers, cancellationToken: _stop.Token);
                while (await call.ResponseStream.MoveNext(_stop.Token).ConfigureAwait(false))
                {
                    var part = call.ResponseStream.Current;
                    foreach (var record in part.Records)
                        Check.Take(record);
                    Volatile.Write(ref _position, Check.Position);
                    if (part.NextCursor.Length > 0)
                        request.Start = new HistoryStart { Cursor = part.NextCursor };
                }
            }
            catch (Exception e) when (e is RpcException or OperationCanceledException)
            {
                // The member is away, or the node's history is on its way to another.
            }

            await MemberAccess.PauseAsync(_stop.Token).ConfigureAwait(false);
        }
    }
}
