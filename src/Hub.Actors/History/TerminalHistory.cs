using AkkaHub.Internal.V1;
using AkkaHub.V1;
using Google.Protobuf;
using Hub.Actors.Settings;

namespace Hub.Actors.History;

/// <summary>
/// What one terminal (or command) showed: a ring of chunks over all its lives, bounded in chunks and in bytes, with O(1)
/// append and eviction. Pure state of one actor: no clock, no logging, not safe for several threads; but everything it hands
/// out (records, stored forms) shares immutable memory and may be used on any thread later. The same events give the same
/// state, however they are cut and whether or not the history was stored and restored in between.
/// </summary>
/// <remarks>
/// The first <see cref="HistorySettings.HeadBytes"/> offsets of an incarnation are kept apart and never evicted, as far as
/// <see cref="HistorySettings.MaxChunks"/> chunks go: what comes in smaller pieces ends the head sooner. An ended incarnation is forgotten when a chunk of a later one is evicted and it keeps no head, or when there are more than
/// <see cref="HistorySettings.MaxIncarnations"/> (oldest first). This file applies events; reading and storing stand in the
/// other parts of the class.
/// </remarks>
public sealed partial class TerminalHistory
{
    // The size in force at the oldest place is always kept, and beside it at least the newest.
    private const int FewestSizes = 2;

    private readonly List<Incarnation> _incarnations = [];
    private readonly PlaceRing<Chunk> _head = new();
    private readonly PlaceRing<Chunk> _ring = new();
    private readonly PlaceRing<SizeNote> _sizes = new();
    private readonly PlaceRing<GapNote> _gaps = new();
    private readonly long _headBytes;
    private readonly long _maxBytes;
    private readonly int _maxChunks;
    private readonly int _maxChunkBytes;
    private readonly int _mergeBytes;
    private readonly int _maxMarks;
    private readonly int _maxSizes;
    private readonly int _maxGaps;
    private readonly int _maxIncarnations;
    private long _nextOrdinal;
    private long _ringCost;
    private long _marks;

    /// <summary>An empty history.</summary>
    /// <param name="name">The terminal's name, or 'cmd/' and a command's id.</param>
    /// <param name="kind">What it belongs to.</param>
    /// <param name="settings">Its bounds. Limits below 1 count as 1, of sizes below 2 as 2.</param>
    public TerminalHistory(string name, StreamKind kind, HistorySettings settings)
    {
        Name = name;
        Kind = kind;
        _headBytes = Math.Max(0, settings.HeadBytes);
        _maxBytes = Math.Max(1, settings.MaxBytes);
        _maxChunks = Math.Max(1, settings.MaxChunks);
        // A chunk that does not fit the ring alone would leave nothing in it.
        _maxChunkBytes = (int)Math.Clamp(settings.MaxChunkBytes, 1, Math.Min(_maxBytes, int.MaxValue));
        _mergeBytes = Math.Min(settings.MergeBytes, _maxChunkBytes);
        _maxMarks = settings.MaxMarks;
        _maxSizes = Math.Max(FewestSizes, settings.MaxAnnotations);
        _maxGaps = Math.Max(1, settings.MaxAnnotations);
        _maxIncarnations = Math.Max(1, settings.MaxIncarnations);
    }

    /// <summary>The terminal's name, or 'cmd/' and a command's id.</summary>
    public string Name { get; }

    /// <summary>Terminal or command.</summary>
    public StreamKind Kind { get; }

    /// <summary>The newest life; null if there is none (none began yet, or the last was purged after its end).</summary>
    public Incarnation? Newest => _incarnations.Count == 0 ? null : _incarnations[^1];

    /// <summary>The newest life has not ended.</summary>
    public bool IsLive => Newest is { Closed: null };

    /// <summary>Bytes of output retained, head and ring.</summary>
    public long RetainedBytes { get; private set; }

    /// <summary>Chunks retained, head and ring.</summary>
    public int RetainedChunks => _head.Count + _ring.Count;

    /// <summary>About how many bytes of memory what is retained takes: output in small pieces takes far more than its bytes.</summary>
    public long RetainedMemory => RetainedBytes + (_marks * Chunk.MarkCost) + ((long)RetainedChunks * Chunk.Overhead);

    /// <summary>Bytes of output that the bounds pushed out since this object was made; purged ones are not counted.</summary>
    public long EvictedBytes { get; private set; }

    /// <summary>About how many bytes a snapshot of this takes; O(1).</summary>
    public long StoredSize { get; private set; }

    /// <summary>A life by its id; null if it is not, or no longer, known.</summary>
    public Incarnation? Find(IncarnationId id)
    {
        for (var i = _incarnations.Count - 1; i >= 0; i--)
        {
            if (_incarnations[i].Id == id)
                return _incarnations[i];
        }

        return null;
    }

    /// <summary>A new life begins.</summary>
    /// <exception cref="InvalidOperationException">The one before has not ended, or the id is malformed or known already.</exception>
    public void Apply(StreamOpened e)
    {
        if (IsLive)
            throw Broken($"incarnation {Newest!.Id} has not ended, a new one cannot begin");
        if (!IncarnationId.TryFrom(e.Incarnation, out var id))
            throw Broken("an incarnation begins with a malformed id");
        if (Find(id) is not null)
            throw Broken($"incarnation {id} begins a second time");
        Add(new Incarnation(id, e, _nextOrdinal++, _headBytes));
        while (_incarnations.Count > _maxIncarnations)
            DropOldest();
    }

    /// <summary>Bytes came. Nothing changes if the event is refused.</summary>
    /// <exception cref="InvalidOperationException">
    /// The incarnation is unknown or has ended, the offset is not where it ends, or the arrivals do not add up.
    /// </exception>
    public void Apply(OutputAppended e)
    {
        var incarnation = Live(e.Incarnation, e.Offset);
        RequireArrivals(e);
        if (e.Offset > long.MaxValue - e.Data.Length)
            throw Broken($"output at {e.Offset} passes the largest offset");
        if (e.Lengths.Count == 0)
        {
            Arrive(incarnation, e.Data.Memory, e.Data.Length, e.Channel, e.TimeUnixUs);
            return;
        }

        var index = 0;
        for (var i = 0; i < e.Lengths.Count; i++)
        {
            Arrive(incarnation, e.Data.Memory.Slice(index, e.Lengths[i]), e.Data.Length, e.Channel, e.TimeUnixUs + e.DeltasUs[i]);
            index += e.Lengths[i];
        }
    }

    /// <summary>The size changed here. The size there already is changes nothing; of several at one offset the last counts.</summary>
    /// <exception cref="InvalidOperationException">The incarnation is unknown or has ended, or the offset is not where it ends.</exception>
    public void Apply(StreamResized e)
    {
        var incarnation = Live(e.Incarnation, e.Offset);
        if (e.Size is null)
            throw Broken($"a resize at {e.Offset} has no size");
        if (e.Size.Equals(incarnation.Size))
            return;
        incarnation.Size = e.Size;
        var note = new SizeNote(incarnation, e.Offset, e.Size, e.TimeUnixUs);
        if (_sizes.Count > 0 && _sizes[_sizes.Count - 1] is var last && ReferenceEquals(last.Incarnation, incarnation) && last.Offset == e.Offset)
        {
            _sizes[_sizes.Count - 1] = note;
            return;
        }

        Add(note);
        TrimNotes();
    }

    /// <summary>Bytes are lost.</summary>
    /// <exception cref="InvalidOperationException">
    /// The incarnation is unknown or has ended, the gap does not begin where it ends, or is empty.
    /// </exception>
    public void Apply(StreamGap e)
    {
        var incarnation = Live(e.Incarnation, e.FromOffset);
        if (e.ToOffset <= e.FromOffset)
            throw Broken($"a gap from {e.FromOffset} to {e.ToOffset} is empty");
        incarnation.EndOffset = e.ToOffset;
        Add(new GapNote(incarnation, e.FromOffset, e.ToOffset, e.Cause, e.TimeUnixUs));
        TrimNotes();
    }

    /// <summary>The life ended.</summary>
    /// <exception cref="InvalidOperationException">
    /// The incarnation is unknown or has ended already, or its final offset is not where it ends.
    /// </exception>
    public void Apply(StreamClosed e)
    {
        var incarnation = Live(e.Incarnation, e.FinalOffset);
        Close(incarnation, e);
        Last(_head)?.Seal();
        Last(_ring)?.Seal();
    }

    /// <summary>
    /// Deletes what is retained. A live incarnation stays, with its end and its size, and knows how far it was purged; ended
    /// ones are forgotten.
    /// </summary>
    public void Purge()
    {
        var live = IsLive ? Newest : null;
        SizeNote? size = live is not null && _sizes.Count > 0 && ReferenceEquals(_sizes[_sizes.Count - 1].Incarnation, live)
            ? _sizes[_sizes.Count - 1]
            : null;
        _incarnations.Clear();
        _head.Clear();
        _ring.Clear();
        _sizes.Clear();
        _gaps.Clear();
        RetainedBytes = StoredSize = _ringCost = _marks = 0;
        if (live is null)
            return;
        live.PurgedTo = live.EndOffset;
        live.HeadEnd = _headBytes;
        live.HeadChunks = 0;
        Add(live);
        if (size is { } kept)
            Add(kept);
    }

    private Incarnation Live(ByteString bytes, long offset)
    {
        if (!IncarnationId.TryFrom(bytes, out var id))
            throw Broken("an event names a malformed incarnation");
        var incarnation = Find(id) ?? throw Broken($"incarnation {id} is not known");
        if (incarnation.Closed is not null)
            throw Broken($"incarnation {id} has ended");
        if (incarnation.EndOffset != offset)
            throw Broken($"incarnation {id} ends at {incarnation.EndOffset}, the event stands at {offset}");
        return incarnation;
    }

    private void RequireArrivals(OutputAppended e)
    {
        if (e.Lengths.Count != e.DeltasUs.Count)
            throw Broken($"output at {e.Offset} has {e.Lengths.Count} lengths and {e.DeltasUs.Count} times");
        if (e.Lengths.Count == 0)
            return;
        long sum = 0;
        foreach (var length in e.Lengths)
        {
            if (length <= 0)
                throw Broken($"output at {e.Offset} has an arrival of {length} bytes");
            sum += length;
        }

        if (sum != e.Data.Length)
            throw Broken($"output at {e.Offset} has {e.Data.Length} bytes, its arrivals add up to {sum}");
    }

    private void Arrive(Incarnation incarnation, ReadOnlyMemory<byte> data, int eventLength, OutputChannel channel, long timeUnixUs)
    {
        while (!data.IsEmpty)
        {
            var piece = data[..PieceLength(incarnation, incarnation.EndOffset, data.Length)];
            data = data[piece.Length..];
            if (Mergeable(incarnation, channel, piece.Length) is { } tail)
            {
                Account(tail, -1);
                tail.Append(piece.Span, timeUnixUs, _mergeBytes);
                Account(tail, +1);
            }
            else
            {
                // A small part of a large event is copied: sharing would keep the whole of it in memory.
                Add(piece.Length <= _mergeBytes || piece.Length < eventLength / 2
                    ? Chunk.Growing(incarnation, incarnation.EndOffset, channel, timeUnixUs, piece.Span, _mergeBytes)
                    : Chunk.Sharing(incarnation, incarnation.EndOffset, channel, timeUnixUs, piece));
            }

            incarnation.EndOffset += piece.Length;
            incarnation.LastOutputUnixUs = timeUnixUs;
            Evict();
        }
    }

    // A chunk never lies across the boundary between head and ring.
    private int PieceLength(Incarnation incarnation, long offset, int length)
    {
        var most = (long)Math.Min(length, _maxChunkBytes);
        return (int)(offset < incarnation.HeadEnd ? Math.Min(most, incarnation.HeadEnd - offset) : most);
    }

    // Everything asked here is found again after a restore, so a restored history merges as the one that lived on.
    private Chunk? Mergeable(Incarnation incarnation, OutputChannel channel, int length)
    {
        var end = incarnation.EndOffset;
        var tail = Last(end < incarnation.HeadEnd ? _head : _ring);
        return tail is not null
            && ReferenceEquals(tail.Incarnation, incarnation)
            && tail.End == end
            && tail.Channel == channel
            && (long)tail.Length + length <= _mergeBytes
            && tail.MarkCount < _maxMarks
            && tail.Cost + length + Chunk.MarkCost <= _maxBytes
            && !_sizes.TryFind(incarnation, end, out _)
                ? tail
                : null;
    }

    private void Add(Incarnation incarnation)
    {
        _incarnations.Add(incarnation);
        StoredSize += incarnation.StoredSize;
    }

    private void Add(Chunk chunk)
    {
        var incarnation = chunk.Incarnation;
        var ring = chunk.Offset < incarnation.HeadEnd ? _head : _ring;
        Last(_head)?.Seal();
        Last(_ring)?.Seal();
        ring.Add(chunk);
        Account(chunk, +1);
        // The last chunk of a head is not merged into: where the head ends is found again after a restore.
        if (ring == _head && ++incarnation.HeadChunks == _maxChunks)
            incarnation.HeadEnd = chunk.End;
    }

    private void Add(SizeNote note)
    {
        _sizes.Add(note);
        StoredSize += StoredNote;
    }

    private void Add(GapNote note)
    {
        _gaps.Add(note);
        StoredSize += StoredNote;
    }

    private void Close(Incarnation incarnation, StreamClosed e)
    {
        incarnation.Closed = e;
        var size = e.CalculateSize();
        incarnation.StoredSize += size;
        StoredSize += size;
    }

    private void Account(Chunk chunk, int sign)
    {
        RetainedBytes += sign * chunk.Length;
        _marks += sign * chunk.MarkCount;
        StoredSize += sign * StoredChunkSize(chunk);
        if (chunk.Offset >= chunk.Incarnation.HeadEnd)
            _ringCost += sign * chunk.Cost;
    }

    private static Chunk? Last(PlaceRing<Chunk> ring) => ring.Count == 0 ? null : ring[ring.Count - 1];

    private InvalidOperationException Broken(string what) => new($"History of '{Name}': {what}.");
}
