using Akka.Actor;
using AkkaHub.V1;

namespace Hub.Actors.Nodes;

/// <summary>
/// Readers that wait for output. A reader pulls: it holds nothing here but this one question, so a slow or frozen one costs
/// the node and other readers nothing. Bounded.
/// </summary>
internal sealed class NodeReaders(int capacity)
{
    private readonly Dictionary<string, List<Waiting>> _waiting = new(StringComparer.Ordinal);

    /// <param name="Asker">Who asked.</param>
    /// <param name="Request">What was asked, its start resolved to a cursor.</param>
    /// <param name="DeadlineUs">When it is answered at the latest, with nothing if need be.</param>
    internal readonly record struct Waiting(IActorRef Asker, ReadHistoryRequest Request, long DeadlineUs);

    public int Count { get; private set; }

    public bool TryAdd(string stream, Waiting waiting)
    {
        if (Count >= capacity)
            return false;
        if (!_waiting.TryGetValue(stream, out var list))
            _waiting.Add(stream, list = new List<Waiting>(1));
        list.Add(waiting);
        Count++;
        return true;
    }

    /// <summary>Takes those who wait for a stream.</summary>
    public IReadOnlyList<Waiting> Take(string stream)
    {
        if (Count == 0 || !_waiting.Remove(stream, out var list))
            return [];
        Count -= list.Count;
        return list;
    }

    /// <summary>Takes those whose time has run out.</summary>
    public List<(string Stream, Waiting Waiting)> TakeExpired(long nowUs)
    {
        var expired = new List<(string, Waiting)>();
        foreach (var (stream, list) in _waiting)
        {
            foreach (var waiting in list)
            {
                if (waiting.DeadlineUs <= nowUs)
                    expired.Add((stream, waiting));
            }
        }

        foreach (var (stream, waiting) in expired)
        {
            _waiting[stream].Remove(waiting);
            if (_waiting[stream].Count == 0)
                _waiting.Remove(stream);
            Count--;
        }

        return expired;
    }

    /// <summary>Takes all of them.</summary>
    public List<Waiting> TakeAll()
    {
        var all = _waiting.Values.SelectMany(l => l).ToList();
        _waiting.Clear();
        Count = 0;
        return all;
    }
}
