using AkkaHub.Internal.V1;
using AkkaHub.V1;
using Google.Protobuf;
using Hub.Actors.History;

namespace Hub.Actors.Nodes;

/// <summary>
/// What a node's actor has accepted and not written yet, in order. While one write is under way the next one grows here:
/// arrivals of a stream become one event, so a busy node writes few large rows and an idle one writes at once. Output is
/// bounded by the credit that was granted for it; all else is counted here, and the actor keeps it within its bound.
/// </summary>
public sealed class PendingEvents(int maxEventBytes)
{
    /// <summary>What an event, or someone who waits for one, counts beyond its own bytes.</summary>
    public const int EventOverhead = 48;

    private readonly Queue<PendingRow> _rows = new();
    private readonly Dictionary<IncarnationId, OutputBuilder> _open = [];
    // The size that was said last at a stream's end, while nothing came after it.
    private readonly Dictionary<IncarnationId, StreamResized> _resizes = [];
    private PendingRow? _row;
    private int _rowBytes;

    /// <summary>Nothing to write.</summary>
    public bool IsEmpty => _row is null && _rows.Count == 0;

    /// <summary>Bytes of output waiting.</summary>
    public long Bytes { get; private set; }

    /// <summary>About how many bytes wait that are not output.</summary>
    public long FactBytes { get; private set; }

    /// <summary>Adds a fact. Later output of the same stream comes after it. A size takes the place of one at the same offset.</summary>
    /// <param name="e">The fact.</param>
    /// <param name="stream">The stream it belongs to, if any.</param>
    /// <param name="durable">Run once the fact is durable and applied.</param>
    /// <param name="dropped">Run instead if the actor stops before it knows that.</param>
    public void Add(NodeEvent e, IncarnationId? stream = null, Action? durable = null, Action? dropped = null)
    {
        if (stream is { } id && _open.Remove(id, out var builder))
            builder.Seal();
        if (Replaces(e, stream))
            return;
        var size = EventOverhead + e.CalculateSize();
        var row = Row(size);
        row.Events.Events.Add(e);
        Charge(row, size);
        if (durable is not null)
            (row.Durable ??= []).Add(durable);
        if (dropped is not null)
            (row.Dropped ??= []).Add(dropped);
    }

    /// <summary>
    /// What comes next begins a row. For what deletes: of the rows a store is told to delete it may keep the newest, so that
    /// the sequence goes on from there, and that one must not hold what was to go.
    /// </summary>
    public void BeginRow() => CloseRow();

    /// <summary>Runs <paramref name="durable"/> once all that is waiting now is durable and applied. Something must be waiting.</summary>
    public void AfterLast(Action durable)
    {
        var row = _row ?? _rows.Last();
        (row.Durable ??= []).Add(durable);
        Charge(row, EventOverhead);
    }

    /// <summary>Adds bytes of a stream; they join the bytes before them where they follow without a hole.</summary>
    public void AddOutput(IncarnationId stream, ByteString wireId, long offset, ReadOnlyMemory<byte> data, OutputChannel channel, long timeUnixUs)
    {
        Bytes += data.Length;
        _resizes.Remove(stream);
        if (_open.TryGetValue(stream, out var builder))
        {
            if (builder.Channel == channel && _rowBytes + data.Length <= maxEventBytes)
            {
                builder.Add(data, timeUnixUs);
                _row!.OutputBytes += data.Length;
                _rowBytes += data.Length + 4;
                return;
            }

            builder.Seal();
            _open.Remove(stream);
        }

        var row = Row(EventOverhead + data.Length);
        var e = new OutputAppended { Incarnation = wireId, Offset = offset, Channel = channel, TimeUnixUs = timeUnixUs };
        row.Events.Events.Add(new NodeEvent { Output = e });
        row.OutputBytes += data.Length;
        builder = new OutputBuilder(e, channel);
        builder.Add(data, timeUnixUs);
        _open[stream] = builder;
    }

    /// <summary>Takes the rows of the next write: at least one, and no more than <paramref name="maxBytes"/> beyond that.</summary>
    public List<PendingRow> Take(long maxBytes)
    {
        CloseRow();
        _resizes.Clear();
        var rows = new List<PendingRow>(1);
        var taken = 0L;
        while (_rows.TryPeek(out var row) && (rows.Count == 0 || taken + row.OutputBytes <= maxBytes))
        {
            taken += row.OutputBytes;
            FactBytes -= row.FactBytes;
            rows.Add(_rows.Dequeue());
        }

        Bytes -= taken;
        return rows;
    }

    private bool Replaces(NodeEvent e, IncarnationId? stream)
    {
        if (stream is not { } id)
        {
            // It may be about any stream.
            _resizes.Clear();
            return false;
        }

        if (e.Resized is not { } resized)
        {
            _resizes.Remove(id);
            return false;
        }

        if (_resizes.TryGetValue(id, out var before) && before.Offset == resized.Offset)
        {
            before.Size = resized.Size;
            before.TimeUnixUs = resized.TimeUnixUs;
            return true;
        }

        _resizes[id] = resized;
        return false;
    }

    private void Charge(PendingRow row, int bytes)
    {
        row.FactBytes += bytes;
        FactBytes += bytes;
    }

    private PendingRow Row(int bytes)
    {
        if (_row is not null && _rowBytes + bytes > maxEventBytes)
            CloseRow();
        _row ??= new PendingRow();
        _rowBytes += bytes;
        return _row;
    }

    private void CloseRow()
    {
        if (_row is null)
            return;
        foreach (var builder in _open.Values)
            builder.Seal();
        _open.Clear();
        _rows.Enqueue(_row);
        _row = null;
        _rowBytes = 0;
    }

    /// <summary>Gathers arrivals; the event's bytes are put together once, when it is sealed.</summary>
    private sealed class OutputBuilder(OutputAppended e, OutputChannel channel)
    {
        private readonly List<ReadOnlyMemory<byte>> _parts = new(1);
        private readonly List<long> _times = new(1);
        private int _length;

        public OutputChannel Channel => channel;

        public void Add(ReadOnlyMemory<byte> data, long timeUnixUs)
        {
            _parts.Add(data);
            _times.Add(timeUnixUs);
            _length += data.Length;
        }

        public void Seal()
        {
            if (_parts.Count == 1)
            {
                e.Data = UnsafeByteOperations.UnsafeWrap(_parts[0]);
                return;
            }

            var all = new byte[_length];
            var at = 0;
            for (var i = 0; i < _parts.Count; i++)
            {
                _parts[i].CopyTo(all.AsMemory(at));
                at += _parts[i].Length;
                e.Lengths.Add(_parts[i].Length);
                e.DeltasUs.Add(_times[i] - e.TimeUnixUs);
            }

            e.Data = UnsafeByteOperations.UnsafeWrap(all);
        }
    }
}

/// <summary>One journal row to be.</summary>
public sealed class PendingRow
{
    /// <summary>What it holds.</summary>
    public NodeEvents Events { get; } = new();
    /// <summary>Bytes of output in it.</summary>
    public long OutputBytes { get; internal set; }
    /// <summary>About how many bytes of it are not output.</summary>
    public long FactBytes { get; internal set; }
    /// <summary>Run, in order, once it is durable and applied.</summary>
    public List<Action>? Durable { get; internal set; }
    /// <summary>Run, in order, if the actor stops before it knows whether the row is durable.</summary>
    public List<Action>? Dropped { get; internal set; }
}
