using System.Net;
using AkkaHub.V1;
using Grpc.Core;
using Grpc.Net.Client;
using Hub.Protocol;

namespace Hub.Load.Nodes;

/// <summary>
/// Many simulated nodes and the clock that drives them: one timer paces all chunks and one all heartbeats, whatever their
/// number. Dispose ends them all.
/// </summary>
public sealed class NodeFleet : IAsyncDisposable
{
    private readonly FleetOptions _options;
    private readonly TimeProvider _time;
    private readonly CancellationTokenSource _stop = new();
    private readonly CancellationTokenSource _stopPacing = new();
    private readonly List<NodeConnection> _connections = [];
    private readonly List<Task> _running = [];
    private readonly Lock _gate = new();
    private readonly List<(int Count, TaskCompletionSource Reached)> _waiting = [];
    private readonly SemaphoreSlim? _dials;
    private int _online;

    /// <summary>Makes the nodes; none of them dials yet.</summary>
    public NodeFleet(FleetOptions options, TimeProvider? time = null)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(options.Nodes);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(options.ChunkBytes);
        _options = options;
        _time = time ?? TimeProvider.System;
        _dials = options.ConcurrentDials > 0 ? new SemaphoreSlim(options.ConcurrentDials) : null;
        var connections = options.Connections > 0 ? Math.Min(options.Connections, options.Nodes) : options.Nodes;
        IReadOnlyList<Uri> members = options.Members.Count > 0 ? options.Members : [options.Hub];
        for (var i = 0; i < connections; i++)
            _connections.AddRange(members.Select(m => new NodeConnection(m, connections < options.Nodes, options.AuthorityFile, members.Count > 1)));
        Nodes = [.. Enumerable.Range(0, options.Nodes).Select(i => new SimulatedNode(i, options, Meters, _time,
            _connections.GetRange(i % connections * members.Count, members.Count), OnlineChanged))];
    }

    /// <summary>The nodes.</summary>
    public IReadOnlyList<SimulatedNode> Nodes { get; }

    /// <summary>What they count.</summary>
    public FleetMeters Meters { get; } = new();

    /// <summary>Nodes with a session now.</summary>
    public int Online => Volatile.Read(ref _online);

    /// <summary>A channel to a hub's listener, with a connection of its own.</summary>
    /// <param name="hub">Its address.</param>
    /// <param name="connect">Makes the connection; null for the ordinary way.</param>
    /// <param name="authorityFile">As in <see cref="FleetOptions.AuthorityFile"/>.</param>
    /// <param name="ofSeveral">It is one of several members: given up as soon as the shipped agent does, after 3 s without a connection and 15 s of silence.</param>
    public static GrpcChannel OpenChannel(Uri hub, Func<SocketsHttpConnectionContext, CancellationToken, ValueTask<Stream>>? connect = null,
        string? authorityFile = null, bool ofSeveral = false) => GrpcChannel.ForAddress(hub, new GrpcChannelOptions
        {
            HttpHandler = new SocketsHttpHandler
            {
                SslOptions = HubTrust.OfAuthority(authorityFile),
                ConnectTimeout = TimeSpan.FromSeconds(ofSeveral ? 3 : 10),
                ConnectCallback = connect,
                PooledConnectionIdleTimeout = Timeout.InfiniteTimeSpan,
                KeepAlivePingDelay = TimeSpan.FromSeconds(ofSeveral ? 10 : 30),
                KeepAlivePingTimeout = TimeSpan.FromSeconds(ofSeveral ? 5 : 20),
                UseProxy = false,
                ActivityHeadersPropagator = null,
            },
            MaxReceiveMessageSize = 16 * 1024 * 1024,
            HttpVersion = HttpVersion.Version20,
        });

    /// <summary>All nodes begin to dial, at most the configured number at a time until each was welcome or refused once.</summary>
    public void Start()
    {
        foreach (var node in Nodes)
            _running.Add(RunAsync(node));
        if (_options.Heartbeats)
            _running.Add(BeatAsync());
    }

    /// <summary>
    /// Begins to pace the chunks of all nodes, evenly spread over time. A chunk that comes late keeps its due time, so a
    /// stall counts for every chunk it delays.
    /// </summary>
    public void StartPacing() => _running.Add(PaceAsync());

    /// <summary>No chunk falls due any more.</summary>
    public Task StopPacingAsync() => _stopPacing.CancelAsync();

    /// <summary>Completes when at least this many nodes have a session.</summary>
    /// <exception cref="TimeoutException">It took longer.</exception>
    public async Task WaitForOnlineAsync(int count, TimeSpan timeout)
    {
        TaskCompletionSource reached = new(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (_gate)
        {
            if (_online >= count)
                return;
            _waiting.Add((count, reached));
        }

        try
        {
            await reached.Task.WaitAsync(timeout, _time).ConfigureAwait(false);
        }
        catch (TimeoutException)
        {
            throw new TimeoutException($"{Online} of {count} nodes have a session after {timeout}; sessions ended: {DescribeEndings()}");
        }
    }

    /// <summary>Why sessions ended, as text.</summary>
    public string DescribeEndings() => Meters.Endings.IsEmpty
        ? "none"
        : string.Join(", ", Meters.Endings.OrderByDescending(e => e.Value).Select(e => $"{e.Key} × {e.Value}"));

    /// <summary>Ends all nodes and closes their connections.</summary>
    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync().ConfigureAwait(false);
        await Task.WhenAll(_running).ConfigureAwait(false);
        foreach (var connection in _connections)
            connection.Dispose();
        _dials?.Dispose();
        _stopPacing.Dispose();
        _stop.Dispose();
    }

    private async Task RunAsync(SimulatedNode node)
    {
        if (_dials is null)
        {
            await node.RunAsync(_stop.Token).ConfigureAwait(false);
            return;
        }

        try
        {
            await _dials.WaitAsync(_stop.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            return;
        }

        // The place is free again when the first try has come to an end, well or not; the node then goes on alone.
        var run = node.RunAsync(_stop.Token);
        try
        {
            await node.FirstDial.ConfigureAwait(false);
        }
        finally
        {
            _dials.Release();
        }

        await run.ConfigureAwait(false);
    }

    private async Task PaceAsync()
    {
        var period = _time.TimestampFrequency / (_options.ChunksPerSecond * Nodes.Count);
        var start = _time.GetTimestamp();
        long chunk = 0;
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(1), _time);
        while (!_stopPacing.IsCancellationRequested && await TickAsync(timer).ConfigureAwait(false))
        {
            var now = _time.GetTimestamp();
            for (var due = start + (long)(chunk * period); due <= now; due = start + (long)(++chunk * period))
            {
                if (Meters.IsRecording)
                    Meters.Lateness.Record(_time, due, now);
                Nodes[(int)(chunk % Nodes.Count)].Produce(due);
            }
        }
    }

    private async Task BeatAsync()
    {
        using var timer = new PeriodicTimer(TimeSpan.FromMilliseconds(50), _time);
        while (await TickAsync(timer).ConfigureAwait(false))
        {
            var now = _time.GetTimestamp();
            foreach (var node in Nodes)
            {
                if (!node.IsOnline || node.NextHeartbeat > now)
                    continue;
                node.NextHeartbeat = now + (long)(node.HeartbeatInterval.TotalSeconds * _time.TimestampFrequency);
                node.Beat();
            }
        }
    }

    private async ValueTask<bool> TickAsync(PeriodicTimer timer)
    {
        try
        {
            return await timer.WaitForNextTickAsync(_stop.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            return false;
        }
    }

    private void OnlineChanged(SimulatedNode node, bool online)
    {
        lock (_gate)
        {
            _online += online ? 1 : -1;
            for (var i = _waiting.Count - 1; i >= 0; i--)
            {
                if (_online < _waiting[i].Count)
                    continue;
                _waiting[i].Reached.SetResult();
                _waiting.RemoveAt(i);
            }
        }
    }
}
