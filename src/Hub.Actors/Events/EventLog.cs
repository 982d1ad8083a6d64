using AkkaHub.Internal.V1;
using AkkaHub.V1;
using Hub.Actors.Settings;
using Hub.Protocol;

namespace Hub.Actors.Events;

/// <summary>
/// What a partition's event log holds: the kept events, and how far each source is in it, by which what is told twice is known.
/// Changed only by <see cref="Apply"/>, which has no clock, so that recovery gives what was there before.
/// </summary>
internal sealed class EventLog(EventSettings settings)
{
    private readonly Dictionary<string, long> _nodes = new(StringComparer.Ordinal);
    private readonly HashSet<string> _members = new(StringComparer.Ordinal);
    private readonly HashSet<string> _present = new(StringComparer.Ordinal);

    /// <summary>The events.</summary>
    public EventRing Events { get; } = new(settings.MaxCount);

    /// <summary>The partition's life that gave the newest.</summary>
    public long Life { get; private set; }

    /// <summary>Everything that life gave up to this number is here.</summary>
    public long GivenThrough { get; private set; }

    /// <summary>Members that are up as the log says.</summary>
    public IReadOnlyCollection<string> Members => _members;

    /// <summary>Nodes of which the newest word is not that they are offline or forgotten.</summary>
    public IReadOnlyCollection<string> Present => _present;

    /// <summary>Number of the event before the first there ever was; 0 if there was none.</summary>
    public long Origin { get; private set; }

    /// <summary>Through which row of a node's journal the log has what it tells.</summary>
    public long ToldThrough(string node) => _nodes.GetValueOrDefault(node);

    /// <summary>Applies one stored row.</summary>
    public void Apply(EventsLogged row)
    {
        if (Events.End != row.Before)
            Events.Begin(row.Before);
        if (Origin == 0)
            Origin = row.Before;
        foreach (var entry in row.Entries)
        {
            foreach (var fact in entry.Facts)
            {
                Events.Add(fact);
                Note(fact);
            }

            if (entry.Node.Length > 0)
                _nodes[entry.Node] = entry.Number;
            if (entry.Member.Length == 0)
                continue;
            if (entry.Facts.Any(static f => f.Type == MeshEventType.MemberDown))
                _members.Remove(entry.Member);
            else
                _members.Add(entry.Member);
        }

        (Life, GivenThrough) = (row.Life, row.GivenThrough);
    }

    /// <summary>The node is gone for good, with its journal.</summary>
    public void Forget(string node)
    {
        _nodes.Remove(node);
        _present.Remove(node);
    }

    /// <summary>There are no nodes but these.</summary>
    public void Retain(IReadOnlySet<string> nodes)
    {
        foreach (var gone in _nodes.Keys.Union(_present).Where(n => !nodes.Contains(n)).ToList())
            Forget(gone);
    }

    private void Note(MeshFact fact)
    {
        if (!Names.TryParseNode(fact.Subject, out var node))
            return;
        if (fact.Type is MeshEventType.NodeOffline or MeshEventType.NodeForgotten)
            _present.Remove(node);
        else if (fact.Type is MeshEventType.NodeConnecting or MeshEventType.NodeOnline or MeshEventType.NodeStale or MeshEventType.NodeDraining)
            _present.Add(node);
    }

    /// <summary>The whole log in its stored form.</summary>
    public EventLogSnapshot Capture()
    {
        var snapshot = new EventLogSnapshot { Before = Events.Before, Life = Life, GivenThrough = GivenThrough, Origin = Origin };
        snapshot.Events.Add(Events.After(Events.Before, int.MaxValue));
        snapshot.Nodes.Add(_nodes.Select(static n => new ToldNode { Node = n.Key, Number = n.Value }));
        snapshot.Members.Add(_members);
        snapshot.Present.Add(_present);
        return snapshot;
    }

    /// <summary>The log that <see cref="Capture"/> saw.</summary>
    public void Restore(EventLogSnapshot snapshot)
    {
        Events.Begin(snapshot.Before);
        foreach (var fact in snapshot.Events)
            Events.Add(fact);
        foreach (var node in snapshot.Nodes)
            _nodes[node.Node] = node.Number;
        _members.UnionWith(snapshot.Members);
        _present.UnionWith(snapshot.Present);
        Origin = snapshot.Origin;
        (Life, GivenThrough) = (snapshot.Life, snapshot.GivenThrough);
    }
}
