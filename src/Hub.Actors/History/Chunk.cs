using AkkaHub.V1;

namespace Hub.Actors.History;

/// <summary>A later arrival within a chunk.</summary>
/// <param name="Index">Index of its first byte.</param>
/// <param name="DeltaUs">Microseconds after the chunk's first arrival; negative if the node's clock was set back.</param>
internal readonly record struct ChunkMark(int Index, long DeltaUs);

/// <summary>
/// Bytes of one channel without a hole. The newest chunk may grow while small arrivals are merged into it: its buffer is only
/// ever appended to, and is replaced, never overwritten, when it is too small, so that a slice handed out before stays right
/// on whichever thread it is read.
/// </summary>
internal sealed class Chunk : IPlaced
{
    /// <summary>What one arrival mark counts towards the cap.</summary>
    public const int MarkCost = 16;

    /// <summary>About what a chunk takes in memory beside its bytes and marks: the object, its place in the ring, its arrays' headers.</summary>
    public const int Overhead = 160;

    private const int SmallestBuffer = 256;
    private const int TolerableSlack = 32;

    // Not null while the chunk owns a buffer that has room beyond Data.
    private byte[]? _buffer;
    private ChunkMark[] _marks;

    private Chunk(Incarnation incarnation, long offset, OutputChannel channel, long timeUnixUs, ReadOnlyMemory<byte> data, ChunkMark[] marks)
    {
        Incarnation = incarnation;
        Offset = offset;
        Channel = channel;
        TimeUnixUs = timeUnixUs;
        Data = data;
        _marks = marks;
        MarkCount = marks.Length;
    }

    public Incarnation Incarnation { get; }
    public long Offset { get; }
    public OutputChannel Channel { get; }
    public long TimeUnixUs { get; }
    public ReadOnlyMemory<byte> Data { get; private set; }
    public int MarkCount { get; private set; }
    public int Length => Data.Length;
    public long End => Offset + Data.Length;
    public long Cost => Data.Length + ((long)MarkCount * MarkCost);
    long IPlaced.Key => End - 1;

    /// <summary>Arrivals after the first; what is visible now never changes.</summary>
    public ReadOnlySpan<ChunkMark> Marks => _marks.AsSpan(0, MarkCount);

    /// <summary>A chunk over bytes that nobody will change.</summary>
    public static Chunk Sharing(Incarnation incarnation, long offset, OutputChannel channel, long timeUnixUs, ReadOnlyMemory<byte> data,
        ChunkMark[]? marks = null) => new(incarnation, offset, channel, timeUnixUs, data, marks ?? []);

    /// <summary>A chunk over a copy with room to grow up to a limit.</summary>
    public static Chunk Growing(Incarnation incarnation, long offset, OutputChannel channel, long timeUnixUs, ReadOnlySpan<byte> data, int limit)
    {
        var chunk = new Chunk(incarnation, offset, channel, timeUnixUs, default, []);
        chunk.Extend(data, limit);
        return chunk;
    }

    /// <summary>Merges an arrival; the caller has checked that it fits.</summary>
    public void Append(ReadOnlySpan<byte> data, long timeUnixUs, int limit)
    {
        if (MarkCount == _marks.Length)
            Array.Resize(ref _marks, Math.Max(4, _marks.Length * 2));
        _marks[MarkCount++] = new ChunkMark(Length, timeUnixUs - TimeUnixUs);
        Extend(data, limit);
    }

    /// <summary>Nothing will be merged any more: gives the unused room back.</summary>
    public void Seal()
    {
        if (_buffer is not null && _buffer.Length - Length > TolerableSlack)
            Data = Data.ToArray();
        _buffer = null;
        if (_marks.Length > MarkCount)
            Array.Resize(ref _marks, MarkCount);
    }

    /// <summary>Part of it as a chunk of its own, marks and time re-based.</summary>
    public Chunk Slice(int index, int length)
    {
        var (time, baseDelta, first) = ArrivalAt(index);
        var marks = new List<ChunkMark>();
        for (var i = first; i < MarkCount && _marks[i].Index < index + length; i++)
            marks.Add(new ChunkMark(_marks[i].Index - index, _marks[i].DeltaUs - baseDelta));
        return new Chunk(Incarnation, Offset + index, Channel, time, Data.Slice(index, length), [.. marks]);
    }

    /// <summary>When the byte at an index arrived, that arrival's delta, and the first mark after it.</summary>
    public (long TimeUnixUs, long DeltaUs, int NextMark) ArrivalAt(int index)
    {
        var (low, high) = (0, MarkCount);
        while (low < high)
        {
            var middle = (low + high) / 2;
            if (_marks[middle].Index <= index)
                low = middle + 1;
            else
                high = middle;
        }

        var delta = low == 0 ? 0 : _marks[low - 1].DeltaUs;
        return (TimeUnixUs + delta, delta, low);
    }

    private void Extend(ReadOnlySpan<byte> data, int limit)
    {
        var length = Length + data.Length;
        if (_buffer is null || _buffer.Length < length)
        {
            var size = Math.Max(SmallestBuffer, (int)System.Numerics.BitOperations.RoundUpToPowerOf2((uint)length));
            var larger = new byte[Math.Max(length, Math.Min(size, limit))];
            Data.Span.CopyTo(larger);
            _buffer = larger;
        }

        data.CopyTo(_buffer.AsSpan(Length));
        Data = _buffer.AsMemory(0, length);
    }
}

/// <summary>From this offset on the terminal had this size.</summary>
internal readonly record struct SizeNote(Incarnation Incarnation, long Offset, TerminalSize Size, long TimeUnixUs) : IPlaced
{
    long IPlaced.Key => Offset;
}

/// <summary>Bytes that never came.</summary>
internal readonly record struct GapNote(Incarnation Incarnation, long From, long To, GapCause Cause, long TimeUnixUs) : IPlaced
{
    long IPlaced.Key => To - 1;
}
