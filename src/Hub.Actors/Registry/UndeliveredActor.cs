using Akka.Actor;
using Akka.Event;
using AkkaHub.V1;
using Hub.Actors.Nodes;
using Hub.Protocol;

namespace Hub.Actors.Registry;

/// <summary>
/// One per member: answers what asked a node's actor that had stopped, or stopped with the question in its mailbox, and what sharding drops while a
/// partition moves: the region what it kept for it, its shard what comes once it hands over. No actor ever took such a message, so nothing of it was
/// done and the asker may try again; without an answer it would wait until it has to take it for 'delivery unknown'.
/// </summary>
internal sealed class UndeliveredActor : UntypedActor
{
    // Also of one whose member died: what is sent there ends here once the connection has broken.
    private static readonly Failure NotThere =
        new(FailureKind.Unavailable, ErrorReasons.NotReady, "The node's partition or its actor is not there, and nothing was done; try again in a moment.");

    public static Props Props() => Akka.Actor.Props.Create(() => new UndeliveredActor());

    protected override void PreStart()
    {
        Context.System.EventStream.Subscribe(Self, typeof(DeadLetter));
        Context.System.EventStream.Subscribe(Self, typeof(Dropped));
        Context.System.EventStream.Subscribe(Self, typeof(UnhandledMessage));
    }

    protected override void PostStop() => Context.System.EventStream.Unsubscribe(Self);

    protected override void OnReceive(object message)
    {
        switch (message)
        {
            // What is dropped is told to the dead letters.
            case DeadLetter { Message: Dropped m }:
                Answer(m.Message, m.Sender);
                break;
            case AllDeadLetters m:
                Answer(m.Message, m.Sender);
                break;
        }
    }

    private static void Answer(object message, IActorRef? sender)
    {
        switch (message)
        {
            case NodeRequest or ListPartition:
                sender?.Tell(new NodeFailure(NotThere));
                break;
            case Attach m:
                m.Bridge.Tell(new AttachRefused(NotThere));
                break;
        }
    }
}
