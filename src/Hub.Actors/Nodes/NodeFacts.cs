using AkkaHub.Internal.V1;
using AkkaHub.V1;
using Hub.Actors.History;
using Hub.Protocol;

namespace Hub.Actors.Nodes;

/// <summary>What the facts of a node's journal tell the mesh. Follows from the fact and the state before it alone, so that recovery finds it again.</summary>
internal static class NodeFacts
{
    /// <summary>Most characters of a mesh event's message.</summary>
    public const int MaxMessage = 500;

    /// <summary>Why a session ended that a newer one of another stream took over: told to the mesh.</summary>
    public const string Fenced = "fenced";

    /// <summary>The mesh event of a fact; null for most.</summary>
    /// <param name="node">The node.</param>
    /// <param name="before">Its state before the fact is applied.</param>
    /// <param name="e">The fact.</param>
    /// <param name="unixUs">When it was written, the hub's clock.</param>
    public static MeshFact? Of(string node, NodeState before, NodeEvent e, long unixUs)
    {
        switch (e.EventCase)
        {
            case NodeEvent.EventOneofCase.Output or NodeEvent.EventOneofCase.Resized:
                return null;
            case NodeEvent.EventOneofCase.Registered:
                return Fact(MeshEventType.NodeRegistered, Names.Node(node), "seen for the first time", unixUs);
            case NodeEvent.EventOneofCase.SessionClosed when e.SessionClosed.Cause == Fenced:
                return Fact(MeshEventType.NodeFenced, Names.Node(node), "a newer session took over", unixUs);
            case NodeEvent.EventOneofCase.StreamOpened when e.StreamOpened.Kind == StreamKind.Command:
                return Fact(MeshEventType.CommandStarted, Names.Command(node, e.StreamOpened.Name[Names.CommandStreamPrefix.Length..]), "started", unixUs);
            case NodeEvent.EventOneofCase.StreamOpened:
                return Fact(MeshEventType.TerminalOpened, Names.Terminal(node, e.StreamOpened.Name), "opened", unixUs);
            case NodeEvent.EventOneofCase.Closed when before.FindLive(IncarnationId.From(e.Closed.Incarnation)) is { Kind: StreamKind.Terminal } history:
                return Fact(MeshEventType.TerminalClosed, Names.Terminal(node, history.Name), Ended(e.Closed), unixUs);
            case NodeEvent.EventOneofCase.CommandFinished when before.Commands.TryGetValue(e.CommandFinished.CommandId, out var command) && command.Finished is null:
                return Fact(MeshEventType.CommandFinished, Names.Command(node, e.CommandFinished.CommandId), Ended(e.CommandFinished), unixUs);
            case NodeEvent.EventOneofCase.Forgotten:
                return Fact(MeshEventType.NodeForgotten, Names.Node(node), "forgotten", unixUs);
            default:
                return null;
        }
    }

    /// <summary>A mesh event with a message of a bounded length.</summary>
    public static MeshFact Fact(MeshEventType type, string subject, string message, long unixUs) =>
        new() { Type = type, Subject = subject, Message = message.Length > MaxMessage ? message[..MaxMessage] : message, TimeUnixUs = unixUs };

    private static string Ended(StreamClosed e) => e switch
    {
        { Exit: { } exit } => $"ended with exit code {exit.Code}",
        { Cause: NodeActor.LostByAgent or NodeActor.AgentRestarted } => "the agent that held it is gone",
        _ => "ended",
    };

    private static string Ended(CommandFinished e)
    {
        var state = e.State == CommandState.TimedOut ? "timed out" : e.State.ToString().ToLowerInvariant();
        return e.Exit is null ? state : $"{state} with code {e.Exit.Code}";
    }
}
