using System.Collections.Immutable;
using AkkaHub.V1;
using Google.Protobuf;

namespace Hub.Node.Streams;

/// <summary>
/// Every terminal and command the agent holds, ended ones included until the hub has their end. Bounded: what runs by the
/// limits of terminals and commands, what has ended by <see cref="MaxEnded"/> and <see cref="MaxEndedBytes"/>.
/// </summary>
internal sealed class StreamTable(TimeProvider time, bool dropWhenOffline)
{
    /// <summary>Most ended streams kept; beyond it the oldest is forgotten and the hub learns at the next hello that it is gone.</summary>
    public const int MaxEnded = 256;
    /// <summary>Most memory ended streams take, bytes; beyond it the oldest one's bytes become a gap (not when nothing may be lost).</summary>
    public const long MaxEndedBytes = 256L * 1024 * 1024;
    /// <summary>Most streams in all: what hello may carry.</summary>
    public const int MaxStreams = 512;

    private readonly Lock _gate = new();
    private ImmutableArray<NodeStream> _all = [];
    private ImmutableDictionary<ByteString, NodeStream> _byIncarnation = ImmutableDictionary<ByteString, NodeStream>.Empty;
    private bool _session;

    /// <summary>All streams at this moment, oldest first.</summary>
    public ImmutableArray<NodeStream> All
    {
        get
        {
            lock (_gate)
                return _all;
        }
    }

    /// <summary>The streams that have not ended.</summary>
    public IEnumerable<NodeStream> Live => All.Where(s => s.Exit is null);

    /// <summary>Bytes kept that are not acknowledged.</summary>
    public long UnacknowledgedBytes => All.Sum(s => s.UnacknowledgedBytes);

    /// <summary>Finds a stream.</summary>
    public NodeStream? Find(ByteString incarnation)
    {
        lock (_gate)
            return _byIncarnation.GetValueOrDefault(incarnation);
    }

    /// <summary>Finds the newest stream of a name.</summary>
    public NodeStream? FindNewest(string name) => All.LastOrDefault(s => s.Identity.Name == name);

    /// <summary>Adds a stream; in a session the hub is told of it before its output.</summary>
    public void Add(NodeStream stream)
    {
        lock (_gate)
        {
            _all = _all.Add(stream);
            _byIncarnation = _byIncarnation.Add(stream.Identity.Incarnation, stream);
            if (_session)
                stream.BeginSession();
        }
    }

    /// <summary>Forgets a stream.</summary>
    public void Remove(NodeStream stream)
    {
        lock (_gate)
        {
            _all = _all.Remove(stream);
            _byIncarnation = _byIncarnation.Remove(stream.Identity.Incarnation);
        }
    }

    /// <summary>
    /// Begins a session: streams of the welcome go on from their durable offset; streams it does not name (opened after hello
    /// was sent) are told of. One that the welcome calls closed is forgotten if it has ended; if it lives the hub does not
    /// take it (it has as many as it allows, or no record of the command), and nobody could reach it any more: it is ended.
    /// </summary>
    public void BeginSession(IEnumerable<StreamFlow> known)
    {
        List<NodeStream> refused = [];
        lock (_gate)
        {
            _session = true;
            var flows = known.ToDictionary(f => f.Incarnation);
            foreach (var stream in _all)
            {
                if (!flows.TryGetValue(stream.Identity.Incarnation, out var flow))
                    stream.BeginSession();
                else if (!flow.Closed)
                    stream.BeginSession(flow);
                else if (stream.Exit is null)
                    refused.Add(stream);
                else
                    Remove(stream);
            }
        }

        refused.ForEach(s => s.Refuse());
    }

    /// <summary>The session is over.</summary>
    public void EndSession()
    {
        lock (_gate)
        {
            _session = false;
            foreach (var stream in _all)
                stream.EndSession();
        }
    }

    /// <summary>Takes acknowledgements and grants; a stream whose end is durable is forgotten.</summary>
    public void Flow(FlowUpdate update)
    {
        foreach (var flow in update.Streams)
        {
            if (Find(flow.Incarnation) is not { } stream)
                continue;
            stream.Flow(flow);
            if (flow.Closed && stream.Exit is not null)
                Remove(stream);
        }
    }

    /// <summary>Holds the bounds of what has ended.</summary>
    public void TrimEnded()
    {
        var ended = All.Where(s => s.Exit is not null).ToList();
        foreach (var stream in ended.Take(Math.Max(0, ended.Count - MaxEnded)))
            Remove(stream);
        if (!dropWhenOffline)
            return;
        var bytes = ended.Sum(s => s.Cost);
        foreach (var stream in ended.TakeWhile(_ => bytes > MaxEndedBytes))
        {
            bytes -= stream.Cost;
            stream.Discard((time.GetUtcNow().UtcTicks - DateTimeOffset.UnixEpoch.UtcTicks) / TimeSpan.TicksPerMicrosecond);
        }
    }
}
