using Akka.Actor;
using Akka.Event;
using AkkaHub.V1;
using Hub.Actors.Nodes;
using Hub.Protocol;

namespace Hub.Actors.Registry;

/// <summary>
/// One per member: answers what asked a node's actor that had stopped, or stopped with the question in its mailbox. No actor
/// ever took such a message, so nothing of it was done and the asker may try again; without an answer it would wait until it
/// has to take it for 'delivery unknown'.
/// </summary>
internal sealed class UndeliveredActor : UntypedActor
{
    private static readonly Failure Stopped =
        new(FailureKind.Unavailable, ErrorReasons.StoreUnavailable, "The node's actor stopped before it took this, and nothing was done; try again in a moment.");

    // Also of one whose member died: what is sent there ends here once the connection has broken.
    private static readonly Failure NotThere =
        new(FailureKind.Unavailable, ErrorReasons.NotReady, "The node's partition is not there, and nothing was done; try again in a moment.");

    public static Props Props() => Akka.Actor.Props.Create(() => new UndeliveredActor());

    protected override void PreStart() => Context.System.EventStream.Subscribe(Self, typeof(DeadLetter));

    protected override void PostStop() => Context.System.EventStream.Unsubscribe(Self);

    protected override void OnReceive(object message)
    {
        switch ((message as DeadLetter)?.Message)
        {
            case NodeRequest:
                ((DeadLetter)message).Sender.Tell(new NodeFailure(Stopped));
                break;
            case Attach m:
                m.Bridge.Tell(new AttachRefused(NotThere));
                break;
        }
    }
}
