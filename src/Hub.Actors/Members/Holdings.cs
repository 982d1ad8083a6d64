namespace Hub.Actors.Members;

/// <summary>Counts what this member holds of the registry, for the member list. Thread-safe.</summary>
public sealed class Holdings
{
    private int _partitions;
    private int _nodes;

    /// <summary>Partitions that run here.</summary>
    public int Partitions => Volatile.Read(ref _partitions);

    /// <summary>Nodes these know, connected or not.</summary>
    public int Nodes => Volatile.Read(ref _nodes);

    /// <summary>A partition began (1) or ended (-1).</summary>
    public void AddPartitions(int delta) => Interlocked.Add(ref _partitions, delta);

    /// <summary>Nodes came into the list, or left it.</summary>
    public void AddNodes(int delta) => Interlocked.Add(ref _nodes, delta);
}
