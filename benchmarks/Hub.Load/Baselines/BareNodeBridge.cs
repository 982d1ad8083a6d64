using System.Collections.Concurrent;
using AkkaHub.V1;
using Google.Protobuf;
using Grpc.Core;
using Hub.Load.Nodes;

namespace Hub.Load.Baselines;

/// <summary>Takes the chunks of one stream and acknowledges them some time later, from any thread.</summary>
internal interface IChunkSink
{
    /// <summary>A chunk has come.</summary>
    void Take(long offset, ByteString data);

    /// <summary>The stream is over.</summary>
    void Close();
}

/// <summary>Acknowledges at once.</summary>
internal sealed class EchoSink(Action<long> acknowledge) : IChunkSink
{
    public void Take(long offset, ByteString data) => acknowledge(offset + data.Length);

    public void Close()
    {
    }
}

/// <summary>
/// The node bridge of the bare server. It reads as fast as it can. Acknowledgements go out when a quarter of a stream's window
/// waits for one, and four times a second: the hub's are gathered by its store's writes, as coarsely or more so, and a server
/// that acknowledged each chunk apart would spend its time on that and be no upper limit.
/// </summary>
internal sealed class BareNodeBridge : NodeBridgeService.NodeBridgeServiceBase, IDisposable
{
    // The hub's largest window, so that the wait for acknowledgements is not what is measured.
    private const int WindowBytes = 512 * 1024;
    private const int WindowMessages = 1024;

    private static readonly TimeSpan Round = TimeSpan.FromMilliseconds(250);

    private readonly Func<Action<long>, IChunkSink> _open;
    private readonly ConcurrentDictionary<string, Action> _rounds = new();
    private readonly Timer _timer;
    private long _epoch;

    public BareNodeBridge(Func<Action<long>, IChunkSink> open)
    {
        _open = open;
        _timer = new Timer(_ =>
        {
            foreach (var (_, round) in _rounds)
                round();
        }, null, Round, Round);
    }

    public void Dispose() => _timer.Dispose();

    public override async Task Connect(IAsyncStreamReader<ConnectRequest> requestStream,
        IServerStreamWriter<ConnectResponse> responseStream, ServerCallContext context)
    {
        if (!await requestStream.MoveNext(context.CancellationToken).ConfigureAwait(false) || requestStream.Current.Hello is not { } hello)
            throw new RpcException(new Status(StatusCode.FailedPrecondition, "hello expected"));
        var incarnation = hello.Streams.Count > 0 ? hello.Streams[0].Incarnation : ByteString.Empty;
        var flow = new StreamFlow { Incarnation = incarnation, LimitOffset = WindowBytes, LimitMessages = WindowMessages };
        if (hello.Streams.Count > 0)
        {
            // It keeps nothing, so it takes the node's word for what it had.
            flow.AckOffset = hello.Streams[0].FirstOffset;
            flow.LimitOffset += flow.AckOffset;
        }

        var welcome = new NodeWelcome { SessionEpoch = Interlocked.Increment(ref _epoch), HeartbeatIntervalMs = 5_000, HubMember = "bare" };
        if (hello.Streams.Count > 0)
            welcome.Streams.Add(flow.Clone());
        await responseStream.WriteAsync(new ConnectResponse { Welcome = welcome }, context.CancellationToken).ConfigureAwait(false);

        var wakeUp = new WakeUp();
        var acknowledged = flow.AckOffset;
        var told = flow.AckOffset;
        long messages = 0;
        long toldMessages = 0;
        var sink = _open(offset =>
        {
            var count = Interlocked.Increment(ref messages);
            Volatile.Write(ref acknowledged, offset);
            if (offset - Volatile.Read(ref told) >= WindowBytes / 4 || count - Volatile.Read(ref toldMessages) >= WindowMessages / 4)
                wakeUp.Set();
        });
        var id = hello.Name;
        _rounds[id] = () =>
        {
            if (Volatile.Read(ref acknowledged) > Volatile.Read(ref told))
                wakeUp.Set();
        };
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(context.CancellationToken);
        var writing = WriteAsync();
        try
        {
            while (await requestStream.MoveNext(context.CancellationToken).ConfigureAwait(false))
            {
                if (requestStream.Current.TerminalOutput is { } output)
                    sink.Take(output.Offset, output.Data);
            }
        }
        catch (Exception e) when (e is IOException or OperationCanceledException)
        {
            // The node is gone; there is nothing to clean up but the stream itself.
        }
        finally
        {
            _rounds.TryRemove(id, out _);
            sink.Close();
            await ended.CancelAsync().ConfigureAwait(false);
            await writing.ConfigureAwait(false);
        }

        async Task WriteAsync()
        {
            var update = new ConnectResponse { FlowUpdate = new FlowUpdate { Streams = { flow } } };
            try
            {
                while (true)
                {
                    await wakeUp.WaitAsync(ended.Token).ConfigureAwait(false);
                    flow.AckOffset = Volatile.Read(ref acknowledged);
                    Volatile.Write(ref told, flow.AckOffset);
                    flow.LimitOffset = flow.AckOffset + WindowBytes;
                    var count = Volatile.Read(ref messages);
                    Volatile.Write(ref toldMessages, count);
                    flow.LimitMessages = count + WindowMessages;
                    await responseStream.WriteAsync(update, ended.Token).ConfigureAwait(false);
                }
            }
            catch (Exception e) when (e is OperationCanceledException or InvalidOperationException or IOException)
            {
                // The reading side ends the call.
            }
        }
    }
}
