using System.Collections.Concurrent;
using Hub.Load.Measuring;

namespace Hub.Load.Nodes;

/// <summary>What a fleet counts. Safe for many threads.</summary>
public sealed class FleetMeters
{
    private long _chunks;
    private long _bytes;
    private long _flowUpdates;
    private long _welcomes;
    private long _rewinds;
    private long _refusedChunks;
    private volatile bool _recording;
    private LatencyHistogram _latency = new();

    /// <summary>Chunks acknowledged as durable.</summary>
    public long Chunks => Volatile.Read(ref _chunks);
    /// <summary>Bytes acknowledged as durable.</summary>
    public long Bytes => Volatile.Read(ref _bytes);
    /// <summary>Flow updates received: how far acknowledgements are coalesced.</summary>
    public long FlowUpdates => Volatile.Read(ref _flowUpdates);
    /// <summary>Sessions begun.</summary>
    public long Welcomes => Volatile.Read(ref _welcomes);
    /// <summary>Rewinds received.</summary>
    public long Rewinds => Volatile.Read(ref _rewinds);
    /// <summary>Chunks that were due while a node already had too many in flight: the pace was not kept.</summary>
    public long RefusedChunks => Volatile.Read(ref _refusedChunks);

    /// <summary>From due time to durable acknowledgement, of chunks acknowledged since <see cref="StartRecording"/>.</summary>
    public LatencyHistogram Latency => Volatile.Read(ref _latency);
    /// <summary>How late the generator itself was: from due time to the moment the chunk was handed to its node.</summary>
    public LatencyHistogram Lateness { get; private set; } = new();
    /// <summary>From dialling to welcome.</summary>
    public LatencyHistogram Connect { get; } = new();
    /// <summary>Why sessions failed or ended: status and reason, and how often.</summary>
    public ConcurrentDictionary<string, long> Endings { get; } = new();
    /// <summary>What broke the protocol, at most the first 20.</summary>
    public ConcurrentQueue<string> Violations { get; } = new();

    /// <summary>Whether latencies are recorded now.</summary>
    public bool IsRecording => _recording;

    /// <summary>Begins a measurement with empty histograms.</summary>
    public void StartRecording()
    {
        Volatile.Write(ref _latency, new LatencyHistogram());
        Lateness = new LatencyHistogram();
        _recording = true;
    }

    /// <summary>Ends a measurement.</summary>
    public void StopRecording() => _recording = false;

    internal void Acknowledged(int chunks, long bytes)
    {
        Interlocked.Add(ref _chunks, chunks);
        Interlocked.Add(ref _bytes, bytes);
    }

    internal void FlowUpdated() => Interlocked.Increment(ref _flowUpdates);

    internal void Welcomed() => Interlocked.Increment(ref _welcomes);

    internal void Rewound() => Interlocked.Increment(ref _rewinds);

    internal void ChunkRefused() => Interlocked.Increment(ref _refusedChunks);

    internal void Ended(string why) => Endings.AddOrUpdate(why, 1, static (_, count) => count + 1);

    internal void Violated(string node, string what)
    {
        if (Violations.Count < 20)
            Violations.Enqueue($"{node}: {what}");
    }
}
