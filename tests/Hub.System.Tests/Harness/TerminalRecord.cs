using AkkaHub.V1;

namespace Hub.SystemTests.Harness;

/// <summary>
/// What a reader of a terminal's history was given, checked as it comes: within an incarnation every byte once, in order, and
/// what is missing named by a gap record. Anything else is a fault.
/// </summary>
public sealed class TerminalRecord
{
    private readonly List<IncarnationRecord> _incarnations = [];
    private readonly List<string> _faults = [];

    /// <summary>Incarnations in the order read.</summary>
    public IReadOnlyList<IncarnationRecord> Incarnations => _incarnations;

    /// <summary>What broke the rules.</summary>
    public IReadOnlyList<string> Faults => _faults;

    /// <summary>The newest incarnation read.</summary>
    public IncarnationRecord Last => _incarnations[^1];

    /// <summary>Takes the next record.</summary>
    public void Take(HistoryRecord record)
    {
        switch (record.RecordCase)
        {
            case HistoryRecord.RecordOneofCase.Restart:
                _incarnations.Add(new IncarnationRecord(record.Restart.Incarnation, _faults.Add));
                break;
            case HistoryRecord.RecordOneofCase.Output:
                Current().Take(record.Output);
                break;
            case HistoryRecord.RecordOneofCase.Gap:
                Current().Take(record.Gap);
                break;
            case HistoryRecord.RecordOneofCase.Closed:
                Current().Take(record.Closed);
                break;
            case HistoryRecord.RecordOneofCase.Resize:
                break;
            default:
                _faults.Add($"a record of an unknown kind: {record}");
                break;
        }
    }

    // A reader who begins in the middle is not told of the incarnation it begins in.
    private IncarnationRecord Current()
    {
        if (_incarnations.Count == 0)
            _incarnations.Add(new IncarnationRecord("", _faults.Add));
        return _incarnations[^1];
    }
}

/// <summary>One incarnation as a reader saw it.</summary>
public sealed class IncarnationRecord
{
    private readonly Action<string> _fault;
    private readonly List<(long Offset, byte[] Data)> _pieces = [];
    private readonly List<HistoryGap> _gaps = [];
    private long? _next;

    internal IncarnationRecord(string id, Action<string> fault)
    {
        Id = id;
        _fault = fault;
    }

    /// <summary>Its id; empty if the reader began in its middle.</summary>
    public string Id { get; }
    /// <summary>Output in order.</summary>
    public IReadOnlyList<(long Offset, byte[] Data)> Pieces => _pieces;
    /// <summary>Gaps in order.</summary>
    public IReadOnlyList<HistoryGap> Gaps => _gaps;
    /// <summary>How it ended; null while it lives.</summary>
    public HistoryClosed? Closed { get; private set; }
    /// <summary>One past the last byte or gap.</summary>
    public long End => _next ?? 0;
    /// <summary>First byte or gap.</summary>
    public long Begin => Math.Min(_pieces.Count > 0 ? _pieces[0].Offset : long.MaxValue, _gaps.Count > 0 ? _gaps[0].FromOffset : long.MaxValue);
    /// <summary>Bytes of output.</summary>
    public long Bytes => _pieces.Sum(p => (long)p.Data.Length);
    /// <summary>Bytes named missing.</summary>
    public long Missing => _gaps.Sum(g => g.ToOffset - g.FromOffset);

    /// <summary>
    /// Compares with what the writer says it wrote: every piece must stand in the writer's record at its offset. Gives the
    /// first difference, or null.
    /// </summary>
    public string? Compare(ReadOnlySpan<byte> written)
    {
        foreach (var (offset, data) in _pieces)
        {
            if (offset + data.Length > written.Length)
                return $"bytes {offset} to {offset + data.Length}, but only {written.Length} were written";
            var same = data.AsSpan().CommonPrefixLength(written.Slice((int)offset, data.Length));
            if (same < data.Length)
                return $"byte {offset + same} is {data[same]}, written was {written[(int)offset + same]}";
        }

        return null;
    }

    internal void Take(HistoryOutput output)
    {
        Expect(output.Offset, $"output of {output.Data.Length} bytes at {output.Offset}");
        if (Closed is not null)
            _fault($"{Id}: output at {output.Offset} after the end");
        if (output.Data.Length == 0)
            _fault($"{Id}: empty output at {output.Offset}");
        _pieces.Add((output.Offset, output.Data.ToByteArray()));
        _next = output.Offset + output.Data.Length;
    }

    internal void Take(HistoryGap gap)
    {
        Expect(gap.FromOffset, $"gap of {gap.FromOffset} to {gap.ToOffset}");
        if (gap.Unknown ? gap.ToOffset != gap.FromOffset : gap.ToOffset <= gap.FromOffset)
            _fault($"{Id}: a gap of {gap.FromOffset} to {gap.ToOffset}, unknown {gap.Unknown}");
        _gaps.Add(gap);
        _next = gap.ToOffset;
    }

    internal void Take(HistoryClosed closed)
    {
        if (_next is { } next && closed.Offset != next)
            _fault($"{Id}: ended at {closed.Offset}, read up to {next}");
        Closed = closed;
    }

    private void Expect(long offset, string what)
    {
        if (_next is not { } next || next == offset)
            return;
        _fault(offset < next ? $"{Id}: {what} after {next}: doubled" : $"{Id}: {what} after {next}: a hole without a gap record");
    }
}
