using Akka.Actor;
using AkkaHub.V1;
using Google.Protobuf;
using Hub.Actors.History;

namespace Hub.Actors.Nodes;

/// <summary>Marks a message that may leave this process: it has a protobuf form and a permanent manifest (see the ledger in <c>HubSerializer</c>).</summary>
public interface ICrossesMembers;

/// <summary>A message for one node; the registry routes it by the node's name.</summary>
public interface INodeMessage
{
    /// <summary>The node's name.</summary>
    string Node { get; }
}

/// <summary>A client's request to a node, in its public form. Answered with <see cref="NodeReply"/> or <see cref="NodeFailure"/>.</summary>
/// <param name="Node">The node's name.</param>
/// <param name="Request">A request message of HubService; not changed after it is sent.</param>
/// <param name="Caller">With RunCommand and the reads that follow it, a number of this call: the command waits for it to read. 0 for none.</param>
public sealed record NodeRequest(string Node, IMessage Request, long Caller = 0) : INodeMessage, ICrossesMembers
{
    /// <summary>It is answered from what is known, nothing follows from it, and it may be asked again.</summary>
    public bool OnlyReads => Request is GetNodeRequest or ReadHistoryRequest or ListTerminalsRequest or GetCommandRequest or ListCommandsRequest;
}

/// <summary>The answer to a <see cref="NodeRequest"/>.</summary>
/// <param name="Response">A response message of HubService; not changed after it is sent.</param>
public sealed record NodeReply(IMessage Response) : ICrossesMembers;

/// <summary>A <see cref="NodeRequest"/> failed.</summary>
/// <param name="Failure">Why.</param>
public sealed record NodeFailure(Failure Failure) : ICrossesMembers;

/// <summary>A bridge attaches a node's stream. Answered with <see cref="Attached"/> or <see cref="AttachRefused"/>.</summary>
/// <param name="Node">The node's name.</param>
/// <param name="Hello">What the node said; with <paramref name="Again"/>, its streams as the bridge knows them now.</param>
/// <param name="Bridge">The bridge.</param>
/// <param name="LastRewind">The greatest rewind number used on this stream; later ones are greater.</param>
/// <param name="Again">The bridge attaches again on a live stream: the actor was restarted or moved, and tells the node to rewind.</param>
/// <param name="Ask">Number of this question, from 1 on; the bridge repeats it under the same number until it has <see cref="AttachTaken"/>. 0 of builds that do not.</param>
public sealed record Attach(string Node, NodeHello Hello, IActorRef Bridge, uint LastRewind, bool Again, int Ask = 0) : INodeMessage, ICrossesMembers;

/// <summary>The node's partition is there and has an <see cref="Attach"/>; it is answered when the store lets it.</summary>
/// <param name="Ask">The question's number.</param>
public sealed record AttachTaken(int Ask) : ICrossesMembers;

/// <summary>The bridge is attached; the epoch is durable.</summary>
/// <param name="Epoch">The session's epoch.</param>
/// <param name="Positions">For each stream of hello, where its durable copy ends.</param>
/// <param name="NodeActor">The actor to talk to from now on.</param>
public sealed record Attached(long Epoch, IReadOnlyList<StreamPosition> Positions, IActorRef NodeActor) : ICrossesMembers;

/// <summary>The bridge may not attach.</summary>
/// <param name="Failure">Why; with <see cref="FailureKind.Unavailable"/> it may try again.</param>
public sealed record AttachRefused(Failure Failure) : ICrossesMembers;

/// <summary>Where a stream's durable copy ends.</summary>
/// <param name="Incarnation">The stream.</param>
/// <param name="Durable">One past its last durable byte.</param>
/// <param name="Closed">Its end is durable, or the hub does not want it.</param>
/// <param name="Messages">Messages of this stream taken since the last report.</param>
/// <param name="Limit">The node is not to be granted bytes beyond this offset: somebody reads on who is waited for.</param>
public readonly record struct StreamPosition(IncarnationId Incarnation, long Durable, bool Closed, int Messages, long Limit = long.MaxValue);

/// <summary>The bridge passes on what the node said.</summary>
/// <param name="Epoch">The session.</param>
/// <param name="Message">The node's message.</param>
public sealed record FromNode(long Epoch, ConnectRequest Message) : ICrossesMembers;

/// <summary>The node's actor says something to the node.</summary>
/// <param name="Epoch">The session.</param>
/// <param name="Message">The message.</param>
public sealed record ToNode(long Epoch, ConnectResponse Message) : ICrossesMembers;

/// <summary>What became durable; the bridge turns it into acknowledgements and credit.</summary>
/// <param name="Epoch">The session.</param>
/// <param name="Positions">One entry a stream.</param>
public sealed record Progress(long Epoch, IReadOnlyList<StreamPosition> Positions) : ICrossesMembers;

/// <summary>The bridge judges its stream: sent at each transition, and now and then with fresh figures.</summary>
/// <param name="Epoch">The session.</param>
/// <param name="State">Online, stale or draining.</param>
/// <param name="Heartbeat">The newest heartbeat, if one came.</param>
/// <param name="SeenUnixUs">The hub's clock at the last sign of life.</param>
public sealed record LivenessReport(long Epoch, NodeStatus State, NodeHeartbeat? Heartbeat, long SeenUnixUs) : ICrossesMembers;

/// <summary>The stream ended.</summary>
/// <param name="Epoch">The session.</param>
/// <param name="Cause">Short cause, as in <c>SessionEnd.cause</c>.</param>
/// <param name="Message">In words.</param>
/// <param name="Unacknowledged">Bytes the agent held at its last heartbeat.</param>
public sealed record Detach(long Epoch, string Cause, string Message, long Unacknowledged) : ICrossesMembers;

/// <summary>The node's actor ends the session: the bridge tells the node and closes the stream.</summary>
/// <param name="Epoch">The session.</param>
/// <param name="Reason">Why.</param>
/// <param name="Message">In words.</param>
public sealed record SessionEnded(long Epoch, DisconnectReason Reason, string Message) : ICrossesMembers;
