namespace Hub.Actors.History;

/// <summary>Something that stands at a place of a history.</summary>
internal interface IPlaced
{
    /// <summary>The life it belongs to.</summary>
    Incarnation Incarnation { get; }

    /// <summary>What it is ordered by within its life: the last offset at which it is still of interest.</summary>
    long Key { get; }
}

/// <summary>
/// A circular array ordered by incarnation and key, grown by doubling as it fills: appending and taking the oldest away are
/// O(1), finding a place is O(log n), an empty one holds no array.
/// </summary>
internal sealed class PlaceRing<T>
    where T : IPlaced
{
    private T[] _slots = [];
    private int _first;

    public int Count { get; private set; }

    public T this[int index]
    {
        get => _slots[Slot(index)];
        set => _slots[Slot(index)] = value;
    }

    public void Add(T item)
    {
        if (Count == _slots.Length)
            Grow();
        _slots[Slot(Count++)] = item;
    }

    public void RemoveFirst()
    {
        _slots[_first] = default!;
        _first = Count == 1 ? 0 : (_first + 1) % _slots.Length;
        Count--;
    }

    /// <summary>O(index): what stands before it moves up.</summary>
    public void RemoveAt(int index)
    {
        for (var i = index; i > 0; i--)
            this[i] = this[i - 1];
        RemoveFirst();
    }

    public void Clear()
    {
        _slots = [];
        _first = Count = 0;
    }

    /// <summary>Index of the first item at or after a place; <see cref="Count"/> if there is none.</summary>
    public int Search(Incarnation incarnation, long key)
    {
        var (low, high) = (0, Count);
        while (low < high)
        {
            var middle = (low + high) / 2;
            var item = this[middle];
            var ordinal = item.Incarnation.Ordinal;
            if (ordinal < incarnation.Ordinal || (ordinal == incarnation.Ordinal && item.Key < key))
                low = middle + 1;
            else
                high = middle;
        }

        return low;
    }

    /// <summary>The first item of this incarnation at or after a place.</summary>
    public bool TryFind(Incarnation incarnation, long key, out T item)
    {
        var index = Search(incarnation, key);
        item = index < Count ? this[index] : default!;
        return index < Count && ReferenceEquals(item.Incarnation, incarnation);
    }

    private int Slot(int index)
    {
        var slot = _first + index;
        return slot < _slots.Length ? slot : slot - _slots.Length;
    }

    private void Grow()
    {
        var larger = new T[Math.Max(4, _slots.Length * 2)];
        for (var i = 0; i < Count; i++)
            larger[i] = this[i];
        _slots = larger;
        _first = 0;
    }
}
