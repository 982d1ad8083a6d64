using System.Collections.Concurrent;
using AkkaHub.V1;
using Grpc.Core;
using Hub.Load.Nodes;

namespace Hub.Load.Watching;

/// <summary>Counts mesh events by kind, over restarts of the hub: it comes back at once and goes on from its cursor.</summary>
public sealed class EventWatcher : IAsyncDisposable
{
    private readonly CancellationTokenSource _stop = new();
    private readonly Uri _hub;
    private readonly string? _token;
    private readonly string? _mayLeave;
    private readonly string? _authorityFile;
    private Task _running = Task.CompletedTask;

    /// <summary>Makes a watcher that does not watch yet.</summary>
    /// <param name="hub">The hub's address.</param>
    /// <param name="token">Bearer token; null sends none.</param>
    /// <param name="mayLeave">Subjects of nodes that may go offline start with this; null for none.</param>
    /// <param name="authorityFile">As in <see cref="FleetOptions.AuthorityFile"/>.</param>
    public EventWatcher(Uri hub, string? token, string? mayLeave = null, string? authorityFile = null)
    {
        _authorityFile = authorityFile;
        _mayLeave = mayLeave;
        _hub = hub;
        _token = token;
    }

    /// <summary>Events seen, by kind.</summary>
    public ConcurrentDictionary<MeshEventType, long> Counts { get; } = new();

    /// <summary>Offline events of nodes that are expected to stay.</summary>
    public long FalseOffline { get; private set; }

    /// <summary>Times the hub said that the cursor was too old, so that events may have been missed.</summary>
    public int Missed { get; private set; }

    /// <summary>Events of a kind.</summary>
    public long Count(MeshEventType type) => Counts.GetValueOrDefault(type);

    /// <summary>Begins to watch from the newest event on.</summary>
    public async Task StartAsync()
    {
        string cursor;
        using (var channel = NodeFleet.OpenChannel(_hub, authorityFile: _authorityFile))
        {
            var hub = await new HubService.HubServiceClient(channel).GetHubAsync(new GetHubRequest(), Headers(),
                deadline: TimeProvider.System.GetUtcNow().UtcDateTime.AddSeconds(30)).ConfigureAwait(false);
            cursor = hub.EventCursor;
        }

        _running = RunAsync(cursor);
    }

    /// <summary>Ends.</summary>
    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync().ConfigureAwait(false);
        await _running.ConfigureAwait(false);
        _stop.Dispose();
    }

    private async Task RunAsync(string cursor)
    {
        while (!_stop.IsCancellationRequested)
        {
            using var channel = NodeFleet.OpenChannel(_hub, authorityFile: _authorityFile);
            try
            {
                using var call = new HubService.HubServiceClient(channel).WatchEvents(
                    new WatchEventsRequest { Cursor = cursor, Follow = true }, Headers(), cancellationToken: _stop.Token);
                while (await call.ResponseStream.MoveNext(_stop.Token).ConfigureAwait(false))
                {
                    cursor = call.ResponseStream.Current.NextCursor;
                    foreach (var happened in call.ResponseStream.Current.Events)
                        Take(happened);
                }
            }
            catch (Exception e) when (e is RpcException or OperationCanceledException)
            {
                if (e is RpcException { StatusCode: StatusCode.OutOfRange or StatusCode.InvalidArgument })
                {
                    // More happened than is kept, while this could not read: what is left is still to be had.
                    Missed++;
                    cursor = "";
                }
            }

            try
            {
                await Task.Delay(TimeSpan.FromMilliseconds(200), _stop.Token).ConfigureAwait(false);
            }
            catch (OperationCanceledException)
            {
                return;
            }
        }
    }

    private void Take(MeshEvent happened)
    {
        Counts.AddOrUpdate(happened.Type, 1, static (_, count) => count + 1);
        if (happened.Type == MeshEventType.NodeOffline && (_mayLeave is null || !happened.Subject.StartsWith(_mayLeave, StringComparison.Ordinal)))
            FalseOffline++;
    }

    private Metadata Headers() => _token is null ? [] : new Metadata { { "authorization", "Bearer " + _token } };
}
