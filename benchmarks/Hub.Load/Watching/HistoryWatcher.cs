using AkkaHub.V1;
using Grpc.Core;
using Grpc.Net.Client;
using Hub.Load.Measuring;
using Hub.Load.Nodes;
using Hub.Protocol;

namespace Hub.Load.Watching;

/// <summary>
/// Follows the terminal of one simulated node from now on, checks every byte, and records how long each chunk took from its
/// due time until it was here.
/// </summary>
public sealed class HistoryWatcher(Uri hub, string? token, SimulatedNode node, int chunkBytes, FleetMeters meters, TimeProvider time)
    : IAsyncDisposable
{
    private readonly CancellationTokenSource _stop = new();
    private GrpcChannel? _channel;
    private Task _running = Task.CompletedTask;

    /// <summary>From due time to arrival, of chunks that came while the fleet's meters record.</summary>
    public LatencyHistogram Latency { get; } = new();
    /// <summary>Bytes received.</summary>
    public long Bytes { get; private set; }
    /// <summary>Offset of the first byte or gap received; -1 before.</summary>
    public long First { get; private set; } = -1;
    /// <summary>One past the last byte or gap received; 0 before the first.</summary>
    public long Position { get; private set; }
    /// <summary>Gap records received.</summary>
    public int Gaps { get; private set; }
    /// <summary>What was wrong, if anything: bytes that are not the node's, or a hole without a gap record.</summary>
    public string? Fault { get; private set; }

    /// <summary>Begins to follow.</summary>
    public void Start()
    {
        _channel = NodeFleet.OpenChannel(hub);
        _running = RunAsync(new HubService.HubServiceClient(_channel));
    }

    /// <summary>Ends.</summary>
    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync().ConfigureAwait(false);
        await _running.ConfigureAwait(false);
        _channel?.Dispose();
        _stop.Dispose();
    }

    private async Task RunAsync(HubService.HubServiceClient client)
    {
        try
        {
            Metadata headers = token is null ? [] : new Metadata { { "authorization", "Bearer " + token } };
            using var call = client.FollowHistory(new FollowHistoryRequest
            {
                Name = Names.Terminal(node.Name, SimulatedNode.TerminalName),
                Start = new HistoryStart { Now = true },
            }, headers, cancellationToken: _stop.Token);
            var next = -1L;
            while (await call.ResponseStream.MoveNext(_stop.Token).ConfigureAwait(false))
            {
                var now = time.GetTimestamp();
                foreach (var record in call.ResponseStream.Current.Records)
                    next = Take(record, next, now);
            }

            Fault ??= "the stream ended";
        }
        catch (Exception e) when (_stop.IsCancellationRequested && e is OperationCanceledException or RpcException { StatusCode: StatusCode.Cancelled })
        {
            // Asked to end.
        }
        catch (RpcException e)
        {
            Fault ??= e.Status.ToString();
        }
    }

    private long Take(HistoryRecord record, long next, long now)
    {
        if (record.Gap is { } gap)
        {
            Gaps++;
            Received(gap.FromOffset, gap.ToOffset);
            return gap.ToOffset;
        }

        if (record.Output is not { } output)
            return next;
        if (next >= 0 && output.Offset != next)
            Fault ??= $"{node.Name}: bytes from {output.Offset} after {next}";
        if (!node.Stream!.Matches(output.Offset, output.Data.Span))
            Fault ??= $"{node.Name}: wrong bytes at {output.Offset}";
        var end = output.Offset + output.Data.Length;
        Bytes += output.Data.Length;
        Received(output.Offset, end);
        if (meters.IsRecording)
        {
            for (var chunk = output.Offset / chunkBytes; (chunk + 1) * chunkBytes <= end; chunk++)
            {
                if (node.TryGetDue(chunk, out var due))
                    Latency.Record(time, due, now);
            }
        }

        return end;
    }

    private void Received(long from, long to)
    {
        if (First < 0)
            First = from;
        Position = to;
    }
}
