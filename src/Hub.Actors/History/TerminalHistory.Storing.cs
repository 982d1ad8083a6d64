using AkkaHub.Internal.V1;
using Google.Protobuf;
using Hub.Actors.Settings;

namespace Hub.Actors.History;

/// <content>To and from the stored form.</content>
public sealed partial class TerminalHistory
{
    // Tags, offset, channel, time and lengths of a stored chunk; a mark's length and delta; a stored size or gap.
    private const int StoredChunk = 32;
    private const int StoredMark = 6;
    private const int StoredNote = 48;

    /// <summary>
    /// The stored form, which may be serialized on another thread while this history goes on. O(chunks): their bytes are
    /// shared. A chunk's incarnation is that of the entry it stands in and is not written again.
    /// </summary>
    public StoredTerminal Capture()
    {
        var stored = new StoredTerminal { Name = Name, Kind = Kind };
        var (head, ring, size, gap) = (0, 0, 0, 0);
        foreach (var incarnation in _incarnations)
        {
            var entry = new StoredIncarnation
            {
                Opened = incarnation.Opened,
                EndOffset = incarnation.EndOffset,
                Closed = incarnation.Closed,
                PurgedTo = incarnation.PurgedTo,
                LastOutputUnixUs = incarnation.LastOutputUnixUs,
            };
            for (; head < _head.Count && IsOf(_head[head], incarnation); head++)
                entry.Chunks.Add(ToStored(_head[head]));
            for (; ring < _ring.Count && IsOf(_ring[ring], incarnation); ring++)
                entry.Chunks.Add(ToStored(_ring[ring]));
            for (; size < _sizes.Count && IsOf(_sizes[size], incarnation); size++)
                entry.Sizes.Add(new StreamResized { Offset = _sizes[size].Offset, Size = _sizes[size].Size, TimeUnixUs = _sizes[size].TimeUnixUs });
            for (; gap < _gaps.Count && IsOf(_gaps[gap], incarnation); gap++)
            {
                var note = _gaps[gap];
                entry.Gaps.Add(new StreamGap { FromOffset = note.From, ToOffset = note.To, Cause = note.Cause, TimeUnixUs = note.TimeUnixUs });
            }

            stored.Incarnations.Add(entry);
        }

        return stored;
    }

    /// <summary>
    /// The history of a stored form. With the settings it was stored under it goes on exactly as the one that was captured;
    /// under tighter ones it is trimmed at once.
    /// </summary>
    /// <exception cref="InvalidOperationException">The stored form contradicts itself.</exception>
    public static TerminalHistory Restore(StoredTerminal stored, HistorySettings settings)
    {
        var history = new TerminalHistory(stored.Name, stored.Kind, settings);
        foreach (var entry in stored.Incarnations)
            history.Restore(entry);
        while (history._incarnations.Count > history._maxIncarnations)
            history.DropOldest();
        history.Evict();
        history.TrimNotes();
        return history;
    }

    private void Restore(StoredIncarnation entry)
    {
        if (entry.Opened is null || !IncarnationId.TryFrom(entry.Opened.Incarnation, out var id) || Find(id) is not null || IsLive)
            throw Broken("a stored incarnation is malformed, doubled, or follows one that has not ended");
        var incarnation = new Incarnation(id, entry.Opened, _nextOrdinal++, _headBytes)
        {
            EndOffset = entry.EndOffset,
            PurgedTo = entry.PurgedTo,
            LastOutputUnixUs = entry.LastOutputUnixUs,
        };
        Add(incarnation);
        if (entry.Closed is not null)
            Close(incarnation, entry.Closed);
        foreach (var size in entry.Sizes)
        {
            Add(new SizeNote(incarnation, size.Offset, size.Size, size.TimeUnixUs));
            incarnation.Size = size.Size;
        }

        foreach (var gap in entry.Gaps)
            Add(new GapNote(incarnation, gap.FromOffset, gap.ToOffset, gap.Cause, gap.TimeUnixUs));
        long end = 0;
        foreach (var chunk in entry.Chunks)
        {
            RequireArrivals(chunk);
            if (chunk.Offset < end || chunk.Data.Length > entry.EndOffset - chunk.Offset)
                throw Broken($"a stored chunk at {chunk.Offset} overlaps another or passes the end");
            end = chunk.Offset + chunk.Data.Length;
            Restore(incarnation, chunk);
        }
    }

    private void Restore(Incarnation incarnation, OutputAppended stored)
    {
        var marks = new ChunkMark[Math.Max(0, stored.Lengths.Count - 1)];
        var index = 0;
        for (var i = 0; i < marks.Length; i++)
        {
            index += stored.Lengths[i];
            marks[i] = new ChunkMark(index, stored.DeltasUs[i + 1]);
        }

        var whole = Chunk.Sharing(incarnation, stored.Offset, stored.Channel, stored.TimeUnixUs, stored.Data.Memory, marks);
        for (var at = 0; at < whole.Length;)
        {
            var length = PieceLength(incarnation, whole.Offset + at, whole.Length - at);
            Add(length == whole.Length ? whole : whole.Slice(at, length));
            at += length;
        }
    }

    private static OutputAppended ToStored(Chunk chunk)
    {
        var stored = new OutputAppended
        {
            Offset = chunk.Offset,
            Data = UnsafeByteOperations.UnsafeWrap(chunk.Data),
            Channel = chunk.Channel,
            TimeUnixUs = chunk.TimeUnixUs,
        };
        if (chunk.MarkCount == 0)
            return stored;
        var (index, delta) = (0, 0L);
        foreach (var mark in chunk.Marks)
        {
            stored.Lengths.Add(mark.Index - index);
            stored.DeltasUs.Add(delta);
            (index, delta) = (mark.Index, mark.DeltaUs);
        }

        stored.Lengths.Add(chunk.Length - index);
        stored.DeltasUs.Add(delta);
        return stored;
    }

    private static long StoredChunkSize(Chunk chunk) => chunk.Length + StoredChunk + ((long)StoredMark * chunk.MarkCount);
}
