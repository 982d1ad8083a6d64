using Akka.Actor;
using AkkaHub.Internal.V1;
using AkkaHub.V1;

namespace Hub.Actors.Nodes;

// Between a partition and the node actors it supervises: these never leave the process.

/// <summary>The node's actor recovered and takes messages.</summary>
/// <param name="Node">The node.</param>
/// <param name="Forgotten">It was forgotten, and not registered since.</param>
internal sealed record NodeRecovered(string Node, bool Forgotten = false);

/// <summary>The partition judged the node anew.</summary>
internal sealed record NodeListed(NodeStatus State);

/// <summary>A session began; the partition lists the node accordingly.</summary>
internal sealed record NodeAttached(string Node, NodeDescriptor Descriptor);

/// <summary>A session ended.</summary>
internal sealed record NodeDetached(string Node, SessionClosed End);

/// <summary>A session's liveness or figures changed.</summary>
internal sealed record NodeLiveness(string Node, LivenessReport Report);

/// <summary>A failed write or recovery is about to stop the node's actor.</summary>
internal sealed record NodeStoreFailed(string Node, Exception Cause);

/// <summary>The node's actor is idle and may be stopped.</summary>
internal sealed record NodeIdle(string Node);

/// <summary>Not idle after all.</summary>
internal sealed record NodeBusy(string Node);

/// <summary>Stop: if idle only, or in any case after the write in flight (hand-off, shutdown).</summary>
internal sealed record StopNode(bool Force);

/// <summary>Delete everything of the node, then answer with <see cref="NodeErased"/>.</summary>
internal sealed record EraseNode(bool Force);

/// <summary>The node was forgotten before the partition, or its actor, was made anew: delete what is left.</summary>
internal sealed record FinishErase
{
    public static readonly FinishErase Instance = new();
}

/// <summary>Everything of the node is deleted; its actor stops.</summary>
internal sealed record NodeErased(string Node);

/// <summary>The node is connected and was not to be erased.</summary>
internal sealed record EraseRefused(string Node, Failure Failure);

/// <summary>A permit to write a snapshot; given back with <see cref="SnapshotDone"/>.</summary>
internal sealed record SnapshotPermit
{
    public static readonly SnapshotPermit Instance = new();
}

/// <summary>Asks for a permit.</summary>
internal sealed record SnapshotDue(IActorRef Node);

/// <summary>Gives the permit back.</summary>
internal sealed record SnapshotDone(IActorRef Node);

/// <summary>A row of the node's journal that tells the mesh something is durable. Told again until the event log has it.</summary>
/// <param name="Node">The node.</param>
/// <param name="After">Number of the untold row before it; 0 if all before it are in the log.</param>
/// <param name="Row">The row.</param>
internal sealed record NodeTold(string Node, long After, UntoldRow Row);

/// <summary>The event log has everything up to this row of the node's journal.</summary>
internal sealed record NodeToldWritten(long Number);

/// <summary>Tell what is not known to be in the event log.</summary>
internal sealed record TellUntoldFacts
{
    public static readonly TellUntoldFacts Instance = new();
}
