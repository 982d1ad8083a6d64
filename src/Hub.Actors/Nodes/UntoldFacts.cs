using AkkaHub.Internal.V1;
using AkkaHub.V1;
using Hub.Protocol;

namespace Hub.Actors.Nodes;

/// <summary>
/// What a node's journal tells the mesh and is not known to stand in its event log: an outbox. It follows from the journal, and
/// from the snapshot for what lies before that, so that a crash between the journal and the log loses nothing; the log takes each
/// row once, by the row's sequence number.
/// </summary>
/// <param name="node">The node.</param>
/// <param name="most">Most facts. Beyond it the oldest rows go, and one fact says how many were lost.</param>
internal sealed class UntoldFacts(string node, int most)
{
    private readonly LinkedList<UntoldRow> _rows = new();
    private int _count;
    private int _lost;

    /// <summary>Rows that are not known to be in the log.</summary>
    public IReadOnlyCollection<UntoldRow> Rows => _rows;

    /// <summary>The newest row that tells something; null if all of them are in the log.</summary>
    public UntoldRow? Newest => _rows.Last?.Value;

    /// <summary>Number of the row before that; 0 if there is none.</summary>
    public long BeforeNewest => _rows.Last?.Previous?.Value.Number ?? 0;

    /// <summary>Everything up to this row is in the log.</summary>
    public long ToldThrough { get; private set; }

    /// <summary>Adds a fact of a row; rows come in order. Gives false if that row is known to be in the log.</summary>
    public bool Add(long number, MeshFact fact)
    {
        if (number <= ToldThrough)
            return false;
        if (_rows.Last?.Value is not { } row || row.Number != number)
            _rows.AddLast(row = new UntoldRow { Number = number });
        row.Facts.Add(fact);
        _count++;
        if (_count > most && _rows.Count > 1)
            DropOldest(fact.TimeUnixUs);
        return true;
    }

    /// <summary>The log has everything up to a row.</summary>
    public void Confirm(long through)
    {
        ToldThrough = Math.Max(ToldThrough, through);
        while (_rows.First?.Value is { } first && first.Number <= through)
        {
            _count -= first.Facts.Count;
            _rows.RemoveFirst();
            _lost = 0;
        }
    }

    /// <summary>The rows as the snapshot said them.</summary>
    public void Restore(IEnumerable<UntoldRow> rows)
    {
        foreach (var row in rows)
        {
            _rows.AddLast(row.Clone());
            _count += row.Facts.Count;
        }
    }

    // The fact that tells of the loss stands in place of what went, at the beginning of the row after it.
    private void DropOldest(long unixUs)
    {
        var first = _rows.First!.Value;
        var next = _rows.First.Next!.Value;
        _rows.RemoveFirst();
        _lost += first.Facts.Count - (first.Facts[0].Type == MeshEventType.EventsLost ? 1 : 0);
        var lost = NodeFacts.Fact(MeshEventType.EventsLost, Names.Node(node), $"{_lost} events could not be kept", unixUs);
        var told = new UntoldRow { Number = next.Number, Facts = { lost, next.Facts } };
        _rows.First!.Value = told;
        _count += 1 - first.Facts.Count;
    }
}
