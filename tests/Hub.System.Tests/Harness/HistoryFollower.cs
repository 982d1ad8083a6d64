using AkkaHub.V1;
using Grpc.Core;
using Hub.Load.Nodes;
using Hub.Load.Processes;

namespace Hub.SystemTests.Harness;

/// <summary>Follows a terminal from its beginning, and comes back with its cursor whenever the stream breaks.</summary>
public sealed class HistoryFollower : IAsyncDisposable
{
    private readonly CancellationTokenSource _stop = new();
    private readonly HubProcess _hub;
    private readonly string _terminal;
    private readonly Uri _address;
    private readonly Lock _gate = new();
    private readonly Task _running;
    private readonly List<(Func<TerminalRecord, bool> Wanted, TaskCompletionSource Reached)> _waiting = [];

    internal HistoryFollower(HubProcess hub, string terminal, Uri address)
    {
        _hub = hub;
        _terminal = terminal;
        _address = address;
        _running = RunAsync();
    }

    /// <summary>What it was given.</summary>
    public TerminalRecord Record { get; } = new();

    /// <summary>How often it came back with a cursor.</summary>
    public int Returns { get; private set; }

    /// <summary>Statuses that ended its stream, for the test's output.</summary>
    public List<string> Endings { get; } = [];

    /// <summary>Waits until it was given what is wanted.</summary>
    /// <exception cref="TimeoutException">It was not in time.</exception>
    public async Task WaitForAsync(Func<TerminalRecord, bool> wanted, TimeSpan timeout)
    {
        TaskCompletionSource reached = new(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (_gate)
        {
            if (wanted(Record))
                return;
            _waiting.Add((wanted, reached));
        }

        try
        {
            await reached.Task.WaitAsync(timeout);
        }
        catch (TimeoutException)
        {
            lock (_gate)
            {
                throw new TimeoutException($"the follower of {_terminal} has {Record.Incarnations.Count} incarnations, the last up to "
                    + $"{(Record.Incarnations.Count > 0 ? Record.Last.End : 0)}; streams ended: {string.Join("; ", Endings)}");
            }
        }
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
        var cursor = "";
        while (!_stop.IsCancellationRequested)
        {
            using var channel = NodeFleet.OpenChannel(_address);
            try
            {
                var request = new FollowHistoryRequest { Name = _terminal };
                if (cursor.Length > 0)
                    request.Start = new HistoryStart { Cursor = cursor };
                using var call = new HubService.HubServiceClient(channel).FollowHistory(request, _hub.Authorization, cancellationToken: _stop.Token);
                while (await call.ResponseStream.MoveNext(_stop.Token))
                {
                    if (call.ResponseStream.Current.NextCursor.Length > 0)
                        cursor = call.ResponseStream.Current.NextCursor;
                    Take(call.ResponseStream.Current);
                }

                lock (_gate)
                    Endings.Add("ended by the hub");
            }
            catch (Exception e) when (e is RpcException or OperationCanceledException)
            {
                lock (_gate)
                    Endings.Add(e is RpcException rpc ? $"{rpc.StatusCode} {rpc.Status.Detail}" : "cancelled");
            }

            Returns++;
            try
            {
                await Task.Delay(TimeSpan.FromMilliseconds(100), _stop.Token);
            }
            catch (OperationCanceledException)
            {
                return;
            }
        }
    }

    private void Take(FollowHistoryResponse response)
    {
        lock (_gate)
        {
            foreach (var record in response.Records)
                Record.Take(record);
            for (var i = _waiting.Count - 1; i >= 0; i--)
            {
                if (!_waiting[i].Wanted(Record))
                    continue;
                _waiting[i].Reached.SetResult();
                _waiting.RemoveAt(i);
            }
        }
    }
}
