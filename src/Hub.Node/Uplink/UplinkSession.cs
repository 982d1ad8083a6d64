using AkkaHub.V1;
using Grpc.Core;
using Hub.Node.Streams;

namespace Hub.Node.Uplink;

/// <summary>
/// One call to the hub, from hello to its end. One loop writes, one reads; output is pulled from the streams' buffers as credit
/// allows, so nothing is queued here but control messages, which always go first. Beats are made by a third, small loop.
/// </summary>
internal sealed class UplinkSession : IDisposable
{
    /// <summary>How long the hub may take to answer hello, or to say again that it still waits.</summary>
    public static readonly TimeSpan WelcomeTimeout = TimeSpan.FromSeconds(10);
    /// <summary>How long a hub that says so may let the node wait: longer than a dead member's partitions take to live elsewhere.</summary>
    public static readonly TimeSpan MostWaiting = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan FarewellTimeout = TimeSpan.FromSeconds(2);
    private const double BeatJitter = 0.1;

    private readonly AsyncDuplexStreamingCall<ConnectRequest, ConnectResponse> _call;
    private readonly StreamTable _table;
    private readonly TimeProvider _time;
    private readonly Func<NodeHeartbeat> _beat;
    private readonly Outbox _outbox = new();
    private readonly CancellationTokenSource _ending;
    private int _intervalMs;
    private int _maxOutputBytes;
    private int _turn;
    private readonly TaskCompletionSource _over = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile ConnectRequest? _lastWord;

    /// <summary>A session on a call that was just begun.</summary>
    public UplinkSession(AsyncDuplexStreamingCall<ConnectRequest, ConnectResponse> call, StreamTable table, TimeProvider time,
        Func<NodeHeartbeat> beat, CancellationToken cancellationToken)
    {
        _call = call;
        _table = table;
        _time = time;
        _beat = beat;
        _ending = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
    }

    /// <summary>Wakes the writer: there may be something to send.</summary>
    public void Pulse() => _outbox.Pulse();

    /// <summary>Sends a message before any output.</summary>
    public void Say(ConnectRequest message) => _outbox.Say(message);

    /// <summary>Says hello and waits for the welcome.</summary>
    /// <exception cref="RpcException">The hub refused, or the connection broke.</exception>
    /// <exception cref="TimeoutException">No welcome came in time.</exception>
    /// <exception cref="ProtocolException">Something else than a welcome came.</exception>
    public async Task<NodeWelcome> GreetAsync(NodeHello hello)
    {
        try
        {
            await WithinAsync(_call.RequestStream.WriteAsync(new ConnectRequest { Hello = hello }, _ending.Token)).ConfigureAwait(false);
        }
        catch (RpcException)
        {
            // A hub that refuses at once may reset the stream while hello is on its way; the status says why, and is read next.
        }

        var began = _time.GetTimestamp();
        while (true)
        {
            var next = _call.ResponseStream.MoveNext(_ending.Token);
            await WithinAsync(next).ConfigureAwait(false);
            if (!await next.ConfigureAwait(false))
                throw new ProtocolException("the hub ended the call without a welcome");
            if (_call.ResponseStream.Current.Waiting is null)
                break;
            if (_time.GetElapsedTime(began) > MostWaiting)
                throw new TimeoutException();
        }

        return _call.ResponseStream.Current switch
        {
            { Welcome: { } welcome } => welcome,
            { Disconnect: { } disconnect } => throw new DisconnectedException(disconnect),
            var other => throw new ProtocolException($"the hub said {other.MessageCase} instead of welcome"),
        };
    }

    /// <summary>Runs the session until it ends, however it ends.</summary>
    /// <param name="welcome">The hub's welcome.</param>
    /// <param name="handle">Handles what the hub says.</param>
    /// <exception cref="RpcException">The connection broke.</exception>
    public async Task<SessionEnd> RunAsync(NodeWelcome welcome, Func<ConnectResponse, Outbox, CancellationToken, ValueTask> handle)
    {
        _maxOutputBytes = (int)Math.Clamp(welcome.Limits?.MaxOutputBytes ?? 0, 1, StreamBuffer.MaxMessageBytes);
        if (welcome.Limits is not { MaxOutputBytes: > 0 })
            _maxOutputBytes = StreamBuffer.MaxMessageBytes;
        SetInterval(welcome.HeartbeatIntervalMs);
        _table.BeginSession(welcome.Streams);
        Task[] others = [];
        try
        {
            var read = ReadAsync(handle);
            var write = WriteAsync();
            var beat = BeatAsync();
            others = [read, write, beat];
            // The reader knows best why a call ended: when the writer fails first, its status is read.
            var first = await Task.WhenAny(read, write, beat).ConfigureAwait(false);
            if (first == write && write.IsCompletedSuccessfully)
            {
                // Cancelling now would reset the stream and might overtake the last word: the hub ends the call when it has it.
                await ((Task)read).WaitAsync(FarewellTimeout, _time).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                return new SessionEnd(Verdict.Stopped, "left in order");
            }

            if (first == beat)
                await beat.ConfigureAwait(false);
            return await read.WaitAsync(WelcomeTimeout, _time).ConfigureAwait(false);
        }
        finally
        {
            await _ending.CancelAsync().ConfigureAwait(false);
            _table.EndSession();
            _over.TrySetResult();
            await Task.WhenAll(others).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    /// <summary>Sends all that is left, then the last word, and ends the call. Completes when the session is over.</summary>
    public Task LeaveAsync(ConnectRequest lastWord)
    {
        _lastWord = lastWord;
        Pulse();
        return _over.Task;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _outbox.Dispose();
        _call.Dispose();
        _ending.Dispose();
    }

    private async Task<SessionEnd> ReadAsync(Func<ConnectResponse, Outbox, CancellationToken, ValueTask> handle)
    {
        await foreach (var message in _call.ResponseStream.ReadAllAsync(_ending.Token).ConfigureAwait(false))
        {
            switch (message.MessageCase)
            {
                case ConnectResponse.MessageOneofCase.Disconnect:
                    return SessionEnd.From(message.Disconnect);
                case ConnectResponse.MessageOneofCase.HeartbeatInterval:
                    SetInterval(message.HeartbeatInterval.IntervalMs);
                    break;
                case ConnectResponse.MessageOneofCase.Welcome:
                    return SessionEnd.Broken("the hub said welcome twice");
                case ConnectResponse.MessageOneofCase.Waiting:
                    break;
                default:
                    await handle(message, _outbox, _ending.Token).ConfigureAwait(false);
                    break;
            }
        }

        return SessionEnd.Broken("the hub ended the call");
    }

    private async Task WriteAsync()
    {
        while (true)
        {
            while (Take() is { } message)
                await _call.RequestStream.WriteAsync(message, _ending.Token).ConfigureAwait(false);
            if (_lastWord is { } last)
            {
                await _call.RequestStream.WriteAsync(last, _ending.Token).ConfigureAwait(false);
                await _call.RequestStream.CompleteAsync().ConfigureAwait(false);
                return;
            }

            await _outbox.WaitAsync(_ending.Token).ConfigureAwait(false);
        }
    }

    /// <summary>Control first; then the streams in turn, one message each, so that a busy one does not starve the others.</summary>
    private ConnectRequest? Take()
    {
        if (_outbox.TryTake(out var control))
            return control;
        var streams = _table.All;
        for (var i = 0; i < streams.Length; i++)
        {
            _turn = (_turn + 1) % streams.Length;
            if (streams[_turn].Next(_maxOutputBytes) is { } message)
                return message;
        }

        return null;
    }

    private async Task BeatAsync()
    {
        while (true)
        {
            _outbox.Say(new ConnectRequest { Heartbeat = _beat() });
            var interval = Volatile.Read(ref _intervalMs) * (1 - BeatJitter + 2 * BeatJitter * Random.Shared.NextDouble());
            await Task.Delay(TimeSpan.FromMilliseconds(interval), _time, _ending.Token).ConfigureAwait(false);
        }
    }

    private void SetInterval(uint milliseconds) =>
        Volatile.Write(ref _intervalMs, (int)Math.Clamp(milliseconds == 0 ? 5_000 : milliseconds, 100, 3_600_000));

    private async Task WithinAsync(Task task) => await task.WaitAsync(WelcomeTimeout, _time, _ending.Token).ConfigureAwait(false);
}

/// <summary>The hub broke the protocol; the message says how.</summary>
internal sealed class ProtocolException(string message) : Exception(message);

/// <summary>The hub sent the node away instead of a welcome.</summary>
internal sealed class DisconnectedException(HubDisconnect disconnect) : Exception(disconnect.Message)
{
    /// <summary>What it said.</summary>
    public HubDisconnect Disconnect { get; } = disconnect;
}
