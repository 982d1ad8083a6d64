namespace Hub.Actors.History;

/// <content>Keeping within the bounds: what goes, and what goes with it.</content>
public sealed partial class TerminalHistory
{
    private void Evict()
    {
        while (_ring.Count > _maxChunks || _ringCost > _maxBytes)
        {
            var chunk = _ring[0];
            RemoveFirst(_ring);
            Forget(chunk);
        }
    }

    // What a chunk's eviction makes unreadable goes too: older lives, and annotations before the place where reading begins.
    private void Forget(Chunk evicted)
    {
        while (_incarnations[0].Ordinal < evicted.Incarnation.Ordinal && !HasHead(_incarnations[0]))
            DropOldest();

        var headEnd = evicted.Incarnation.HeadEnd;
        var gap = _gaps.Search(evicted.Incarnation, headEnd);
        if (gap < _gaps.Count && _gaps[gap].From < headEnd)
            gap++;
        while (gap < _gaps.Count && IsOf(_gaps[gap], evicted.Incarnation) && _gaps[gap].From < evicted.End)
        {
            _gaps.RemoveAt(gap);
            StoredSize -= StoredNote;
        }

        var size = _sizes.Search(evicted.Incarnation, headEnd);
        while (size + 1 < _sizes.Count && IsOf(_sizes[size + 1], evicted.Incarnation) && _sizes[size + 1].Offset <= evicted.End)
        {
            _sizes.RemoveAt(size);
            StoredSize -= StoredNote;
        }
    }

    private void TrimNotes()
    {
        while (_gaps.Count > _maxGaps)
        {
            _gaps.RemoveFirst();
            StoredSize -= StoredNote;
        }

        while (_sizes.Count > _maxSizes)
        {
            // The size in force where reading begins outlives the changes after it: a reader may be told an older size for a
            // stretch whose own is dropped, but never none, and never an older one at the end.
            var oldest = _sizes[0];
            _sizes.RemoveAt(oldest.Offset <= FirstOffset(oldest.Incarnation) ? 1 : 0);
            StoredSize -= StoredNote;
        }
    }

    private void DropOldest()
    {
        var oldest = _incarnations[0];
        while (_head.Count > 0 && IsOf(_head[0], oldest))
            RemoveFirst(_head);
        while (_ring.Count > 0 && IsOf(_ring[0], oldest))
            RemoveFirst(_ring);
        for (; _sizes.Count > 0 && IsOf(_sizes[0], oldest); StoredSize -= StoredNote)
            _sizes.RemoveFirst();
        for (; _gaps.Count > 0 && IsOf(_gaps[0], oldest); StoredSize -= StoredNote)
            _gaps.RemoveFirst();
        _incarnations.RemoveAt(0);
        StoredSize -= oldest.StoredSize;
    }

    private void RemoveFirst(PlaceRing<Chunk> ring)
    {
        var chunk = ring[0];
        ring.RemoveFirst();
        Account(chunk, -1);
        EvictedBytes += chunk.Length;
    }

    private bool HasHead(Incarnation incarnation) => _head.TryFind(incarnation, 0, out _);

    /// <summary>Where what is left of an incarnation begins: its first chunk or known gap, or its end if neither is left.</summary>
    private long FirstOffset(Incarnation incarnation)
    {
        var first = incarnation.EndOffset;
        if (_head.TryFind(incarnation, 0, out var head))
            first = head.Offset;
        else if (_ring.TryFind(incarnation, 0, out var chunk))
            first = chunk.Offset;
        return _gaps.TryFind(incarnation, 0, out var gap) ? Math.Min(first, gap.From) : first;
    }

    private static bool IsOf<T>(T item, Incarnation incarnation)
        where T : IPlaced => ReferenceEquals(item.Incarnation, incarnation);
}
