using System.Threading.Channels;
using AkkaHub.V1;
using Grpc.Core;
using Hub.Actors;
using Hub.Actors.Bridge;
using Hub.Actors.Telemetry;

namespace Hub.Host.Services;

/// <summary>
/// A node's gRPC stream as its bridge sees it: one bounded queue that one loop writes, and a bound on what was read and is
/// not dealt with yet. A full queue is the bridge's affair (acknowledgements are kept and merged there, control ends the stream).
/// </summary>
internal sealed class NodeStream(IServerStreamWriter<ConnectResponse> writer, HubRuntime hub, Action welcomed) : INodeOutbound
{
    private const int MaxQueued = 1024;
    private const int MaxUnprocessed = 1024;

    private readonly Channel<ConnectResponse> _queue = Channel.CreateBounded<ConnectResponse>(new BoundedChannelOptions(MaxQueued)
    {
        SingleReader = true,
        FullMode = BoundedChannelFullMode.Wait,
    });

    private readonly SemaphoreSlim _unprocessed = new(MaxUnprocessed);
    private Failure? _failure;
    private int _completed;
    private int _placeGiven;
    private int _inbound;

    /// <summary>Why the stream ends, if it does not end in order.</summary>
    public Failure? Failure => Volatile.Read(ref _failure);

    public bool TryWrite(ConnectResponse message)
    {
        if (!_queue.Writer.TryWrite(message))
            return false;
        hub.Metrics.QueueDepth(HubQueue.BridgeOutbound, 1);
        return true;
    }

    public void Processed()
    {
        _unprocessed.Release();
        if (Interlocked.Decrement(ref _inbound) >= 0)
            hub.Metrics.QueueDepth(HubQueue.BridgeInbound, -1);
    }

    public void Waits()
    {
        if (Interlocked.Exchange(ref _placeGiven, 1) == 0)
            welcomed();
    }

    public void Complete(Failure? failure)
    {
        if (Interlocked.Exchange(ref _completed, 1) != 0)
            return;
        Volatile.Write(ref _failure, failure);
        _queue.Writer.TryComplete();
    }

    /// <summary>Waits until another message may be read.</summary>
    public Task MayReadAsync(CancellationToken cancellationToken) => _unprocessed.WaitAsync(cancellationToken);

    /// <summary>A message goes to the bridge.</summary>
    public void HasRead()
    {
        Interlocked.Increment(ref _inbound);
        hub.Metrics.QueueDepth(HubQueue.BridgeInbound, 1);
    }

    /// <summary>Nothing more is read. What the bridge left unread counts no longer, and if it still reads some, not twice.</summary>
    public void HasReadAll() => hub.Metrics.QueueDepth(HubQueue.BridgeInbound, -Interlocked.Exchange(ref _inbound, int.MinValue / 2));

    /// <summary>The one loop that writes the stream; ends when the stream is completed and the queue is written.</summary>
    public async Task WriteAsync(CancellationToken cancellationToken)
    {
        try
        {
            await foreach (var message in _queue.Reader.ReadAllAsync(cancellationToken).ConfigureAwait(false))
            {
                hub.Metrics.QueueDepth(HubQueue.BridgeOutbound, -1);
                await writer.WriteAsync(message, cancellationToken).ConfigureAwait(false);
                if (message.MessageCase == ConnectResponse.MessageOneofCase.Welcome)
                    Waits();
            }
        }
        finally
        {
            _queue.Writer.TryComplete();
            while (_queue.Reader.TryRead(out _))
                hub.Metrics.QueueDepth(HubQueue.BridgeOutbound, -1);
        }
    }
}
