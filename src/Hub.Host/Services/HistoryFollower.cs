using AkkaHub.V1;
using Google.Protobuf.WellKnownTypes;
using Hub.Actors;
using Hub.Actors.Registry;
using Hub.Protocol;

namespace Hub.Host.Services;

/// <summary>
/// Follows a history by pulling: one bounded read is under way, the next is asked for only when the last was written to the
/// client. A client that reads slowly, or not at all, costs one slice; what leaves the ring meanwhile reaches it as a gap.
/// </summary>
public sealed class HistoryFollower(NodeRegistry registry, HubRuntime hub)
{
    private const int SliceBytes = 64 * 1024;
    private static readonly TimeSpan Wait = TimeSpan.FromSeconds(25);
    // Beside others: a question that died with its member is missed that much later (see NodeRegistry).
    private static readonly TimeSpan SharedWait = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan CallerWait = TimeSpan.FromSeconds(4);
    // A node's actor that restarts, or a store that stalls, is waited for this long before the client is told.
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    /// <summary>Reads from <paramref name="start"/> on and gives each part to <paramref name="write"/> until that says to stop.</summary>
    /// <param name="name">The terminal's resource name.</param>
    /// <param name="start">Where to begin.</param>
    /// <param name="write">Takes a part; false to stop.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <param name="caller">The RunCommand call this reads for, which the command waits for; 0 for none.</param>
    public async Task FollowAsync(string name, HistoryStart? start, Func<FollowHistoryResponse, Task<bool>> write, CancellationToken cancellationToken, long caller = 0)
    {
        Names.TryParseTerminal(name, out var node, out _);
        // A caller that waits asks often enough to be known to be there (see CallerHolds).
        var wait = (caller != 0 ? CallerWait : hub.Fence.IsShared ? SharedWait : Wait).ToDuration();
        var request = new ReadHistoryRequest { Name = name, Start = start, MaxBytes = SliceBytes, Wait = wait };
        hub.Metrics.ReaderStarted();
        try
        {
            while (!cancellationToken.IsCancellationRequested)
            {
                var part = await ReadAsync(node!, request, caller, cancellationToken).ConfigureAwait(false);
                var response = new FollowHistoryResponse
                {
                    NextCursor = part.NextCursor,
                    AtEnd = part.AtEnd,
                    TerminalState = part.TerminalState,
                    NodeState = part.NodeState,
                };
                response.Records.Add(part.Records);
                if (!await write(response).ConfigureAwait(false))
                    return;
                // A message that was sent is never changed: the next question is a new one.
                request = new ReadHistoryRequest
                {
                    Name = name,
                    MaxBytes = SliceBytes,
                    Wait = wait,
                    Start = part.NextCursor.Length > 0 ? new HistoryStart { Cursor = part.NextCursor } : start,
                };
            }
        }
        finally
        {
            hub.Metrics.ReaderStopped();
        }
    }

    private async Task<ReadHistoryResponse> ReadAsync(string node, ReadHistoryRequest request, long caller, CancellationToken cancellationToken)
    {
        var started = hub.Time.GetTimestamp();
        while (true)
        {
            try
            {
                return await registry.AskAsync<ReadHistoryResponse>(node, request, cancellationToken, caller).ConfigureAwait(false);
            }
            catch (NodeRequestFailedException e) when (IsPassing(e.Failure) && hub.Time.GetElapsedTime(started) < Patience)
            {
                // Reading changes nothing, so it may be asked again.
                await Task.Delay(TimeSpan.FromMilliseconds(Random.Shared.Next(100, 400)), hub.Time, cancellationToken).ConfigureAwait(false);
            }
        }
    }

    private static bool IsPassing(Actors.Failure failure) =>
        failure.Reason is ErrorReasons.StoreUnavailable or ErrorReasons.NotReady or ErrorReasons.DeliveryUnknown;
}
