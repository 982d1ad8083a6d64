using AkkaHub.V1;
using Google.Protobuf;

namespace Hub.Actors.History;

/// <content>Reading from cursors.</content>
/// <remarks>
/// At one offset of an incarnation records stand in this order: the restart mark (offset 0 only), the size, then either bytes
/// or a gap, or, at the end, a loss of unknown length and the end mark. A reader that goes on from <see cref="HistorySlice.Next"/>
/// gets each of them once, whatever arrives or is evicted between its reads. That order is kept by all of the code below, which is
/// why it stands in one file.
/// </remarks>
public sealed partial class TerminalHistory
{
    /// <summary>Most records that one read gives: output in small pieces makes records that are far larger than its bytes.</summary>
    public const int MaxRecords = 1024;

    /// <summary>
    /// Reads on from a cursor. Output is cut at <paramref name="maxBytes"/> (below 1 counts as 1); records without bytes do not
    /// count there, but all of them do towards <paramref name="maxRecords"/>. Never throws on any cursor: one before what is retained gives the exact gap first; one beyond the end of the
    /// newest incarnation gives nothing and the end; one of an unknown incarnation begins as <see cref="HistorySlice.Known"/> says.
    /// </summary>
    /// <param name="from">What has been seen.</param>
    /// <param name="maxBytes">Most bytes of output.</param>
    /// <param name="until">Not beyond this place; one of an unknown incarnation counts as before everything retained.</param>
    /// <param name="maxRecords">Most records; below 1 counts as 1.</param>
    public HistorySlice Read(HistoryCursor from, int maxBytes, HistoryCursor? until = null, int maxRecords = MaxRecords)
    {
        if (_incarnations.Count == 0)
            return new HistorySlice([], from, AtEnd: true, Known: false);
        var records = new List<HistoryRecord>();
        var found = Find(from.Incarnation);
        var at = new HistoryCursor(_incarnations[0].Id, 0);
        if (found is null)
            records.Add(Record(at, new HistoryGap { Unknown = true, Cause = GapCause.Evicted }));
        else if (found == Newest && from.Offset > found.EndOffset)
            return new HistorySlice([], End, AtEnd: true, Known: true);
        else
            at = Normalize(found, from);

        var bound = Bound.Of(this, until);
        var index = _incarnations.IndexOf(found ?? _incarnations[0]);
        var budget = Math.Max(1, maxBytes);
        while (true)
        {
            if (records.Count >= Math.Max(1, maxRecords))
                return new HistorySlice(records, at, AtEnd: false, found is not null);
            var incarnation = _incarnations[index];
            if (NextMark(incarnation, at) is { } mark)
            {
                if (bound.Excludes(incarnation, mark.Cursor))
                    break;
                records.Add(mark.Record);
                at = mark.Cursor;
            }
            else if (at.Offset < incarnation.EndOffset)
            {
                var end = bound.Clip(incarnation);
                if (at.Offset >= end)
                    break;
                if (ChunkAt(incarnation, at.Offset) is { } chunk)
                {
                    if (budget == 0)
                        return new HistorySlice(records, at, AtEnd: false, found is not null);
                    var length = (int)Math.Min(budget, Math.Min(chunk.End, end) - at.Offset);
                    budget -= length;
                    var output = Output(chunk, (int)(at.Offset - chunk.Offset), length);
                    at = new HistoryCursor(incarnation.Id, at.Offset + length);
                    records.Add(new HistoryRecord { Cursor = at.Encode(), Output = output });
                }
                else
                {
                    var gap = Hole(incarnation, at.Offset, end);
                    at = new HistoryCursor(incarnation.Id, gap.ToOffset) { Step = StepAfterHole(incarnation, gap) };
                    records.Add(Record(at, gap));
                }
            }
            else if (index + 1 < _incarnations.Count && !bound.ExcludesAllOf(_incarnations[index + 1]))
            {
                at = new HistoryCursor(_incarnations[++index].Id, 0);
            }
            else
            {
                break;
            }
        }

        return new HistorySlice(records, at, AtEnd: true, found is not null);
    }

    /// <summary>The oldest place that can be read.</summary>
    /// <exception cref="InvalidOperationException">There is no incarnation.</exception>
    public HistoryCursor First
    {
        get
        {
            var oldest = _incarnations.Count > 0 ? _incarnations[0] : throw Broken("no incarnation is known, so there is no place in it");
            return Start(oldest, FirstOffset(oldest));
        }
    }

    /// <summary>The place after everything there is.</summary>
    /// <exception cref="InvalidOperationException">There is no incarnation.</exception>
    public HistoryCursor End
    {
        get
        {
            var newest = Newest ?? throw Broken("no incarnation is known, so there is no place in it");
            var end = newest.EndOffset;
            var step = newest.Closed is not null ? CursorStep.AfterClosed
                : _sizes.TryFind(newest, end, out var size) ? CursorStep.AfterSize(size.Size)
                : end == 0 ? CursorStep.AfterRestart
                : CursorStep.Place;
            return new HistoryCursor(newest.Id, end) { Step = step };
        }
    }

    /// <summary>The place after which at most this many retained bytes stand; <see cref="First"/> if there are not more.</summary>
    /// <exception cref="InvalidOperationException">There is no incarnation.</exception>
    public HistoryCursor TailBytes(long bytes)
    {
        if (bytes <= 0 || _incarnations.Count == 0)
            return End;
        if (bytes >= RetainedBytes)
            return First;
        foreach (var chunk in NewestFirst())
        {
            if (chunk.Length >= bytes)
                return Start(chunk.Incarnation, chunk.End - bytes);
            bytes -= chunk.Length;
        }

        return First;
    }

    /// <summary>
    /// The beginning of the last so many lines that are retained; <see cref="First"/> if there are not more. A line feed at the
    /// very end of an incarnation begins no line; each incarnation begins one.
    /// </summary>
    /// <exception cref="InvalidOperationException">There is no incarnation.</exception>
    public HistoryCursor TailLines(int lines)
    {
        if (lines <= 0 || _incarnations.Count == 0)
            return End;
        Chunk? newer = null;
        foreach (var chunk in NewestFirst())
        {
            var bytes = chunk.Data.Span;
            if (newer is null || !IsOf(newer, chunk.Incarnation))
            {
                if (newer is not null && --lines == 0)
                    return Start(newer.Incarnation, newer.Offset);
                if (bytes[^1] == (byte)'\n')
                    bytes = bytes[..^1];
            }

            for (int feed; (feed = bytes.LastIndexOf((byte)'\n')) >= 0; bytes = bytes[..feed])
            {
                if (--lines == 0)
                    return Start(chunk.Incarnation, chunk.Offset + feed + 1);
            }

            newer = chunk;
        }

        return First;
    }

    /// <summary>The first retained arrival at or after a time of the node's clock; <see cref="End"/> if there is none.</summary>
    /// <param name="unixUs">Microseconds since the Unix epoch.</param>
    /// <exception cref="InvalidOperationException">There is no incarnation.</exception>
    public HistoryCursor Since(long unixUs)
    {
        foreach (var chunk in OldestFirst())
        {
            if (chunk.TimeUnixUs >= unixUs)
                return Start(chunk.Incarnation, chunk.Offset);
            foreach (var mark in chunk.Marks)
            {
                if (chunk.TimeUnixUs + mark.DeltaUs >= unixUs)
                    return Start(chunk.Incarnation, chunk.Offset + mark.Index);
            }
        }

        return End;
    }

    // At offset 0 the restart mark tells the size; anywhere else a reader that begins is told the size first.
    private static HistoryCursor Start(Incarnation incarnation, long offset) =>
        new(incarnation.Id, offset) { Step = offset == 0 ? CursorStep.Place : CursorStep.SizeDue };

    private static HistoryCursor Normalize(Incarnation incarnation, HistoryCursor from)
    {
        if (from.Offset < 0)
            return new HistoryCursor(incarnation.Id, 0);
        if (from.Offset > incarnation.EndOffset)
            return new HistoryCursor(incarnation.Id, incarnation.EndOffset);
        var claimsEnd = from.Step is CursorStep.AfterLoss or CursorStep.AfterClosed;
        return claimsEnd && (incarnation.Closed is null || from.Offset != incarnation.EndOffset)
            ? new HistoryCursor(incarnation.Id, from.Offset)
            : from;
    }

    private (HistoryRecord Record, HistoryCursor Cursor)? NextMark(Incarnation incarnation, HistoryCursor at)
    {
        var rank = CursorStep.Rank(at.Step);
        if (at.Offset == 0 && rank == CursorStep.Rank(CursorStep.Place))
        {
            var opened = incarnation.Opened;
            var cursor = at with { Step = CursorStep.AfterRestart };
            var restart = new HistoryRestart
            {
                Incarnation = incarnation.Id.ToHex(),
                Size = opened.Size,
                Time = opened.TimeUnixUs.ToKnownTimestamp(),
                CommandLine = opened.CommandLine,
            };
            return (new HistoryRecord { Cursor = cursor.Encode(), Restart = restart }, cursor);
        }

        if (rank <= CursorStep.Rank(CursorStep.AfterSize(new TerminalSize())) && DueSize(incarnation, at) is { } size)
        {
            var cursor = at with { Step = CursorStep.AfterSize(size.Size) };
            if (cursor != at)
            {
                var resize = new HistoryResize { Offset = at.Offset, Size = size.Size, Time = size.TimeUnixUs.ToKnownTimestamp() };
                return (new HistoryRecord { Cursor = cursor.Encode(), Resize = resize }, cursor);
            }
        }

        if (at.Offset != incarnation.EndOffset || incarnation.Closed is not { } closed || at.Step == CursorStep.AfterClosed)
            return null;
        if (closed.UnknownLoss && at.Step != CursorStep.AfterLoss)
        {
            var cursor = at with { Step = CursorStep.AfterLoss };
            var loss = new HistoryGap { FromOffset = at.Offset, ToOffset = at.Offset, Unknown = true, Cause = GapCause.AgentLost };
            return (Record(cursor, loss), cursor);
        }

        var after = at with { Step = CursorStep.AfterClosed };
        var end = new HistoryClosed { Offset = at.Offset, Exit = closed.Exit, Cause = closed.Cause, Time = closed.TimeUnixUs.ToKnownTimestamp() };
        return (new HistoryRecord { Cursor = after.Encode(), Closed = end }, after);
    }

    private SizeNote? DueSize(Incarnation incarnation, HistoryCursor at)
    {
        var index = _sizes.Search(incarnation, at.Offset);
        if (index < _sizes.Count && IsOf(_sizes[index], incarnation) && _sizes[index].Offset == at.Offset)
            return _sizes[index];
        if (at.Step != CursorStep.SizeDue)
            return null;
        if (index > 0 && IsOf(_sizes[index - 1], incarnation))
            return _sizes[index - 1];
        return incarnation.Opened.Size is { } size ? new SizeNote(incarnation, 0, size, incarnation.Opened.TimeUnixUs) : null;
    }

    private Chunk? ChunkAt(Incarnation incarnation, long offset)
    {
        var chunk = ChunkFrom(incarnation, offset);
        return chunk is not null && chunk.Offset <= offset ? chunk : null;
    }

    // Head offsets come before ring offsets of the same incarnation.
    private Chunk? ChunkFrom(Incarnation incarnation, long offset) =>
        _head.TryFind(incarnation, offset, out var head) ? head
        : _ring.TryFind(incarnation, offset, out var chunk) ? chunk
        : null;

    // What is missing at an offset that no chunk holds, as far as it has one cause.
    private HistoryGap Hole(Incarnation incarnation, long offset, long end)
    {
        var to = Math.Min(end, ChunkFrom(incarnation, offset)?.Offset ?? end);
        var cause = GapCause.Evicted;
        if (offset < incarnation.PurgedTo)
        {
            to = Math.Min(to, incarnation.PurgedTo);
            cause = GapCause.Purged;
        }
        else if (_gaps.TryFind(incarnation, offset, out var gap))
        {
            var known = gap.From <= offset;
            to = Math.Min(to, known ? gap.To : gap.From);
            cause = known ? gap.Cause : cause;
        }

        return new HistoryGap { FromOffset = offset, ToOffset = to, Cause = cause };
    }

    private uint StepAfterHole(Incarnation incarnation, HistoryGap gap) =>
        _sizes.TryFind(incarnation, gap.FromOffset + 1, out var size) && size.Offset < gap.ToOffset ? CursorStep.SizeDue : CursorStep.Place;

    private static HistoryOutput Output(Chunk chunk, int index, int length)
    {
        var (time, baseDelta, next) = chunk.ArrivalAt(index);
        var output = new HistoryOutput
        {
            Offset = chunk.Offset + index,
            Data = UnsafeByteOperations.UnsafeWrap(chunk.Data.Slice(index, length)),
            Time = time.ToKnownTimestamp(),
            Channel = chunk.Channel,
        };
        var marks = chunk.Marks;
        var start = UnixTime.Hold(time);
        for (; next < marks.Length && marks[next].Index < index + length; next++)
            output.Marks.Add(new ArrivalMark { Index = marks[next].Index - index, DeltaUs = UnixTime.Hold(time + marks[next].DeltaUs - baseDelta) - start });
        return output;
    }

    // Within an incarnation the head comes before the ring; of two incarnations the older comes first, head and ring.
    private IEnumerable<Chunk> OldestFirst()
    {
        for (int head = 0, ring = 0; head + ring < RetainedChunks;)
        {
            var takeHead = head < _head.Count
                && (ring == _ring.Count || _head[head].Incarnation.Ordinal <= _ring[ring].Incarnation.Ordinal);
            yield return takeHead ? _head[head++] : _ring[ring++];
        }
    }

    private IEnumerable<Chunk> NewestFirst()
    {
        for (int head = _head.Count - 1, ring = _ring.Count - 1; head + ring >= -1;)
        {
            var takeRing = ring >= 0 && (head < 0 || _ring[ring].Incarnation.Ordinal >= _head[head].Incarnation.Ordinal);
            yield return takeRing ? _ring[ring--] : _head[head--];
        }
    }

    private static HistoryRecord Record(HistoryCursor cursor, HistoryGap gap) => new() { Cursor = cursor.Encode(), Gap = gap };

    /// <summary>The place a read does not pass.</summary>
    private readonly record struct Bound(long Ordinal, long Offset, int Rank)
    {
        public static Bound Of(TerminalHistory history, HistoryCursor? until) => until switch
        {
            null => new Bound(long.MaxValue, 0, 0),
            { } place when history.Find(place.Incarnation) is { } incarnation => new Bound(incarnation.Ordinal, place.Offset, CursorStep.Rank(place.Step)),
            _ => new Bound(-1, 0, 0),
        };

        public bool Excludes(Incarnation incarnation, HistoryCursor after) =>
            (incarnation.Ordinal, after.Offset, CursorStep.Rank(after.Step)).CompareTo((Ordinal, Offset, Rank)) > 0;

        public long Clip(Incarnation incarnation) =>
            incarnation.Ordinal < Ordinal ? incarnation.EndOffset
            : incarnation.Ordinal == Ordinal ? Math.Min(Offset, incarnation.EndOffset)
            : -1;

        // An incarnation begins with its restart mark.
        public bool ExcludesAllOf(Incarnation incarnation) =>
            Excludes(incarnation, new HistoryCursor(incarnation.Id, 0) { Step = CursorStep.AfterRestart });
    }
}
