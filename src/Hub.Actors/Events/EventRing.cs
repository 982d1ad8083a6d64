using AkkaHub.Internal.V1;

namespace Hub.Actors.Events;

/// <summary>
/// Mesh events with numbers that follow each other; the newest are kept. A place is the number of the event it stands after.
/// </summary>
/// <param name="maxCount">Most events kept.</param>
internal sealed class EventRing(int maxCount)
{
    // A list with a start that moves: reading from a number needs no walk over what is before it.
    private readonly List<MeshFact> _facts = [];
    private int _start;

    /// <summary>Number of the event before the oldest kept.</summary>
    public long Before { get; private set; }

    /// <summary>Number of the newest; 0 if there never was one.</summary>
    public long End => Before + Count;

    /// <summary>Events kept.</summary>
    public int Count => _facts.Count - _start;

    /// <summary>The event of a number, one of Before + 1 to End.</summary>
    public MeshFact this[long number] => _facts[_start + (int)(number - Before - 1)];

    /// <summary>Empty, and the next event is the one after this.</summary>
    public void Begin(long before)
    {
        _facts.Clear();
        _start = 0;
        Before = before;
    }

    /// <summary>Adds the next one; the oldest goes if there are too many.</summary>
    public void Add(MeshFact fact)
    {
        if (Count >= maxCount)
            DropThrough(Before + 1);
        _facts.Add(fact);
    }

    /// <summary>What is not after this number goes.</summary>
    public void DropThrough(long number)
    {
        var count = (int)Math.Clamp(number - Before, 0, Count);
        for (var i = 0; i < count; i++)
            _facts[_start + i] = null!;
        _start += count;
        Before += count;
        if (_start < Math.Max(64, _facts.Count / 2))
            return;
        _facts.RemoveRange(0, _start);
        _start = 0;
    }

    /// <summary>What at the beginning is older than a time goes.</summary>
    public void DropOlderThan(long unixUs)
    {
        var number = Before;
        while (number < End && this[number + 1].TimeUnixUs < unixUs)
            number++;
        DropThrough(number);
    }

    /// <summary>The events after a place, at most so many.</summary>
    public IEnumerable<MeshFact> After(long place, int most)
    {
        for (var number = Math.Max(place, Before) + 1; number <= End && most > 0; number++, most--)
            yield return this[number];
    }
}
