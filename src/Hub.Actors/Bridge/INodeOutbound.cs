using AkkaHub.V1;

namespace Hub.Actors.Bridge;

/// <summary>The way out of a node's stream; what carries it (gRPC) is not this assembly's affair. Thread-safe, never blocks.</summary>
public interface INodeOutbound
{
    /// <summary>Queues a message; false if the queue is full, and the message is not taken.</summary>
    bool TryWrite(ConnectResponse message);

    /// <summary>One message that was read has been dealt with: another may be read.</summary>
    void Processed();

    /// <summary>The node waits for something that is no load of this member's: others may be let in.</summary>
    void Waits();

    /// <summary>Ends the stream after what is queued: with a status if there is a failure, in order otherwise. Later calls do nothing.</summary>
    void Complete(Failure? failure);
}

/// <summary>A node's stream said a right hello: makes a bridge; answered with its <see cref="Akka.Actor.IActorRef"/>.</summary>
/// <param name="Hello">What it said.</param>
/// <param name="Outbound">The way out.</param>
public sealed record OpenBridge(NodeHello Hello, INodeOutbound Outbound);

/// <summary>The stream ended.</summary>
/// <param name="Cause">Short cause, as in <c>SessionEnd.cause</c>.</param>
/// <param name="Message">In words.</param>
public sealed record StreamEnded(string Cause, string Message);

/// <summary>The hub ends the stream: the node is told why.</summary>
/// <param name="Reason">Why.</param>
/// <param name="Cause">Short cause.</param>
/// <param name="Message">In words.</param>
/// <param name="Elsewhere">Members that take it; null for none.</param>
/// <param name="MoveAfter">How long the node is to wait before it goes there, so that not all come in one instant; zero for at once.</param>
public sealed record EndStream(DisconnectReason Reason, string Cause, string Message, HubMembers? Elsewhere = null, TimeSpan MoveAfter = default);
