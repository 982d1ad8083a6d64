using AkkaHub.Internal.V1;

namespace Hub.Actors.Events;

/// <summary>Something on its way into a partition's event log.</summary>
/// <param name="Given">The number the partition gave it, in its life.</param>
/// <param name="Node">Node whose journal says so; empty for what the partition judged.</param>
/// <param name="Number">Sequence number of the row of that journal.</param>
/// <param name="Facts">In order; not changed.</param>
internal readonly record struct GivenFacts(long Given, string Node, long Number, IReadOnlyList<MeshFact> Facts);

/// <summary>
/// The one way of a partition's events into its log: a queue, so that the order of what is told about a node is kept whatever
/// becomes of the log meanwhile. What was given leaves it when the log has it durably; the log made again is given the rest anew.
/// </summary>
/// <param name="most">Most entries. What a node's journal says is told again by its actor when there is room.</param>
internal sealed class EventOutlet(int most)
{
    private readonly Queue<GivenFacts> _entries = new();
    private long _last;
    private long _sentThrough;

    /// <summary>Names this life of the partition to the log.</summary>
    public long Life { get; } = Random.Shared.NextInt64(1, long.MaxValue);

    /// <summary>Entries that are not in the log.</summary>
    public int Count => _entries.Count;

    /// <summary>There is room for a good many more.</summary>
    public bool HasRoom => _entries.Count <= most / 2;

    /// <summary>Adds an entry at the end; false if there is no room.</summary>
    public bool TryAdd(string node, long number, IReadOnlyList<MeshFact> facts)
    {
        if (_entries.Count >= most)
            return false;
        _entries.Enqueue(new GivenFacts(++_last, node, number, facts));
        return true;
    }

    /// <summary>What was not given to the log yet; counts as given now.</summary>
    public List<GivenFacts> TakeUnsent()
    {
        var unsent = _sentThrough == _last ? [] : _entries.Where(e => e.Given > _sentThrough).ToList();
        _sentThrough = _last;
        return unsent;
    }

    /// <summary>The log has everything up to a number: gives that.</summary>
    public List<GivenFacts> Confirm(long through)
    {
        var done = new List<GivenFacts>();
        while (_entries.TryPeek(out var entry) && entry.Given <= through)
            done.Add(_entries.Dequeue());
        return done;
    }

    /// <summary>The log was made again: all that is here is to be given anew.</summary>
    public void SendAgain() => _sentThrough = 0;

    /// <summary>Whether something of a node is on its way.</summary>
    public bool Holds(string node) => _entries.Any(e => e.Node == node);
}
