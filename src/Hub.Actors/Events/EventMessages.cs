using AkkaHub.Internal.V1;
using AkkaHub.V1;
using Hub.Actors.Nodes;
using Hub.Actors.Registry;

namespace Hub.Actors.Events;

/// <summary>Something happened in the mesh, and is in its event log. Published on the EventStream of every member; never holds terminal content.</summary>
/// <param name="Type">What.</param>
/// <param name="Subject">Resource name of what it happened to.</param>
/// <param name="Message">In words.</param>
/// <param name="TimeUnixUs">The hub's clock.</param>
public sealed record MeshEventRaised(MeshEventType Type, string Subject, string Message, long TimeUnixUs);

/// <summary>
/// Reads mesh events after a cursor; answered with <see cref="EventSlice"/>, <see cref="EventCursorTooOld"/> or
/// <see cref="EventReadRefused"/>.
/// </summary>
/// <param name="Cursor">After this; empty for the oldest kept event.</param>
/// <param name="SinceUnixUs">Not before this time; 0 for any.</param>
/// <param name="Subject">Only events whose subject is this or lies below it; empty for all.</param>
/// <param name="Wait">Wait this long if there is none; null not to wait.</param>
/// <param name="Abandoned">Fires when nobody waits for the answer any more: its place is free again within a second.</param>
/// <param name="FromEnd">Without a cursor: after the newest event instead of from the oldest on.</param>
public sealed record ReadEvents(string Cursor, long SinceUnixUs, string Subject, TimeSpan? Wait, CancellationToken Abandoned = default, bool FromEnd = false);

/// <summary>Some events.</summary>
/// <param name="Events">At most 256; those of one partition in order.</param>
/// <param name="Next">Where to go on.</param>
/// <param name="AtEnd">There were no more.</param>
/// <param name="Unreachable">Partitions whose events cannot be read now.</param>
public sealed record EventSlice(IReadOnlyList<MeshEvent> Events, string Next, bool AtEnd, IReadOnlyList<int> Unreachable);

/// <summary>The cursor's place is gone: events after it have left the log, or it is of another store.</summary>
/// <param name="FirstAvailable">The first cursor that can be read.</param>
public sealed record EventCursorTooOld(string FirstAvailable);

/// <summary>There is nothing to give, and no room to wait.</summary>
/// <param name="Failure">Which limit is reached.</param>
public sealed record EventReadRefused(Failure Failure);

/// <summary>
/// A member asks a partition's event log for what comes after a number; answered with <see cref="EventsTold"/> at once, and once
/// more when there is something new.
/// </summary>
/// <param name="Partition">The partition.</param>
/// <param name="After">After this event; 0 for from the oldest on.</param>
public sealed record FollowEvents(int Partition, long After) : IPartitionMessage, ICrossesMembers;

/// <summary>Events of a partition's log.</summary>
/// <param name="Partition">The partition.</param>
/// <param name="After">Number of the event before the first of these.</param>
/// <param name="Facts">In order, at most <see cref="EventLogActor.MaxTold"/>.</param>
/// <param name="Before">Number of the event before the oldest kept.</param>
/// <param name="End">Number of the newest.</param>
/// <param name="Origin">Number of the event before the first there ever was; 0 if there was none.</param>
public sealed record EventsTold(int Partition, long After, IReadOnlyList<MeshFact> Facts, long Before, long End, long Origin) : ICrossesMembers;

// Between a partition and its event log: these never leave the process.

/// <summary>Facts for the log; answered with <see cref="EventsWritten"/>.</summary>
internal sealed record WriteEvents(long Life, IReadOnlyList<GivenFacts> Given);

/// <summary>Everything that this life of the partition gave up to this number is durable.</summary>
internal sealed record EventsWritten(long Life, long GivenThrough);

/// <summary>The log takes facts; of the life it names it has everything up to the number.</summary>
/// <param name="Life">That life of the partition.</param>
/// <param name="GivenThrough">The number.</param>
/// <param name="Present">Nodes of which the newest word is not that they are offline or forgotten.</param>
internal sealed record EventLogRecovered(long Life, long GivenThrough, IReadOnlyCollection<string> Present);

/// <summary>A node is gone for good, with its journal.</summary>
internal sealed record ForgetEventSource(string Node);

/// <summary>There are no nodes but these.</summary>
internal sealed record RetainEventSources(IReadOnlySet<string> Nodes);

/// <summary>The log could not be written or read; its actor stops.</summary>
internal sealed record EventLogStoreFailed(Exception Cause);

/// <summary>Stop once all that was given is written.</summary>
internal sealed record StopEventLog
{
    public static StopEventLog Instance { get; } = new();
}
