using Akka.Actor;
using AkkaHub.V1;
using Google.Protobuf;
using Hub.Actors.History;

namespace Hub.Actors.Nodes;

/// <summary>A node's stream while it lasts: nothing in here is durable.</summary>
internal sealed class NodeSession(long epoch, IActorRef bridge, NodeHello hello, uint lastRewind)
{
    private readonly Dictionary<IncarnationId, StreamLink> _links = [];
    private readonly Dictionary<string, StreamLink> _byName = new(StringComparer.Ordinal);
    private readonly HashSet<StreamLink> _dirty = [];
    private readonly HashSet<NodeCapability> _capabilities = [.. hello.Capabilities];
    private uint _lastRewind = lastRewind;

    public long Epoch { get; } = epoch;
    public IActorRef Bridge { get; } = bridge;
    public NodeHello Hello { get; } = hello;
    public bool Draining { get; set; }
    public bool HasDirty => _dirty.Count > 0;

    public bool Allows(NodeCapability capability) => _capabilities.Contains(capability);

    public uint NextRewind() => ++_lastRewind;

    public StreamLink Link(string name, IncarnationId incarnation, ByteString wireId, StreamKind kind, long expected)
    {
        var link = new StreamLink(name, incarnation, wireId, kind, new StreamIntake(expected));
        _links[incarnation] = link;
        _byName[name] = link;
        return link;
    }

    public StreamLink? Find(IncarnationId incarnation) => _links.GetValueOrDefault(incarnation);

    public StreamLink? FindByName(string name) => _byName.GetValueOrDefault(name);

    /// <summary>Notes that the bridge is owed a report about the stream.</summary>
    public void Touch(StreamLink link) => _dirty.Add(link);

    public void Forget(StreamLink link)
    {
        _links.Remove(link.Incarnation);
        if (_byName.TryGetValue(link.Name, out var current) && ReferenceEquals(current, link))
            _byName.Remove(link.Name);
    }

    /// <summary>Takes what the bridge is owed.</summary>
    public StreamPosition[] TakeProgress(CallerHolds holds)
    {
        var positions = new StreamPosition[_dirty.Count];
        var i = 0;
        foreach (var link in _dirty)
        {
            positions[i++] = new StreamPosition(link.Incarnation, link.Durable, link.ClosedDurably, link.Messages, holds.LimitOf(link.Name));
            link.Messages = 0;
            if (link.ClosedDurably)
                Forget(link);
        }

        _dirty.Clear();
        return positions;
    }
}

/// <summary>One stream of a session.</summary>
internal sealed class StreamLink(string name, IncarnationId incarnation, ByteString wireId, StreamKind kind, StreamIntake intake)
{
    public string Name { get; } = name;
    public IncarnationId Incarnation { get; } = incarnation;
    public ByteString WireId { get; } = wireId;
    public StreamKind Kind { get; } = kind;
    public StreamIntake Intake { get; } = intake;
    /// <summary>One past the last durable byte.</summary>
    public long Durable { get; set; } = intake.Expected;
    /// <summary>Messages taken since the last report.</summary>
    public int Messages { get; set; }
    /// <summary>The end was accepted.</summary>
    public bool Ended { get; set; }
    /// <summary>The end is durable.</summary>
    public bool ClosedDurably { get; set; }
}
