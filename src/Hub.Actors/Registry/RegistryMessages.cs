using AkkaHub.V1;
using Hub.Actors.Nodes;

namespace Hub.Actors.Registry;

/// <summary>A message for one partition.</summary>
public interface IPartitionMessage
{
    /// <summary>The partition, 0 to the number of partitions - 1.</summary>
    int Partition { get; }
}

/// <summary>Keeps a partition alive; answered with <see cref="PartitionStarted"/> once it has read its list of nodes.</summary>
/// <param name="Partition">The partition.</param>
public sealed record StartPartition(int Partition) : IPartitionMessage, ICrossesMembers;

/// <summary>The partition answers.</summary>
/// <param name="Partition">The partition.</param>
public sealed record PartitionStarted(int Partition) : ICrossesMembers;

/// <summary>Asks a partition for its nodes; answered with <see cref="PartitionNodes"/>.</summary>
/// <param name="Partition">The partition.</param>
/// <param name="After">Only those behind this name, in order of their names; empty for all.</param>
/// <param name="MaxBytes">No more nodes once the answer has this many bytes: the rest is asked for by the last one's name. 0 for all at once.</param>
public sealed record ListPartition(int Partition, string After = "", int MaxBytes = 0) : IPartitionMessage, ICrossesMembers;

/// <summary>A partition's nodes.</summary>
/// <param name="Partition">The partition.</param>
/// <param name="Nodes">The nodes; not changed after it is sent.</param>
/// <param name="More">There are more behind the last of these.</param>
public sealed record PartitionNodes(int Partition, IReadOnlyList<Node> Nodes, bool More = false) : ICrossesMembers;

/// <summary>Hand-off: refuse attaches, finish writes, stop the children, then stop.</summary>
public sealed record HandOffPartition : ICrossesMembers
{
    /// <summary>The one instance.</summary>
    public static HandOffPartition Instance { get; } = new();
}
