using Akka.Actor;
using Akka.Event;
using AkkaHub.V1;
using Hub.Actors.Nodes;
using Hub.Actors.Registry;
using Hub.Actors.Tests.Actors;
using Hub.Protocol;

namespace Hub.Actors.Tests.Registry;

/// <summary>Whoever asked what no actor took is told so.</summary>
public sealed class UndeliveredActorSpecs : ActorSpec
{
    private static readonly NodeRequest Request = new("n1", new GetNodeRequest());

    public UndeliveredActorSpecs()
    {
        Sys.ActorOf(UndeliveredActor.Props()).Tell(new Identify(1), TestActor);
        ExpectMsg<ActorIdentity>(Bound);
    }

    [Fact]
    public void By_an_actor_that_has_stopped()
    {
        var stopped = Sys.ActorOf(Props.Empty);
        Watch(stopped);
        Sys.Stop(stopped);
        ExpectTerminated(stopped, Bound);
        stopped.Tell(Request, TestActor);
        ExpectToldOf();
        stopped.Tell(new ListPartition(3), TestActor);
        ExpectToldOf();
    }

    [Fact]
    public void By_a_region_that_dropped_what_it_kept_for_a_partition_that_moves()
    {
        // As Akka.Util.MessageBufferMap.Drop does.
        Sys.DeadLetters.Tell(new Dropped(Request, "moves", TestActor, ActorRefs.NoSender), ActorRefs.NoSender);
        ExpectToldOf();
        Sys.DeadLetters.Tell(new Dropped(new Attach("n1", Hello("n1"), TestActor, 0, Again: false), "moves", TestActor, ActorRefs.NoSender), ActorRefs.NoSender);
        ExpectMsg<AttachRefused>(Bound).Failure.Reason.ShouldBe(ErrorReasons.NotReady);
    }

    [Fact]
    public void By_a_shard_that_hands_over()
    {
        Sys.ActorOf(Props.Create(() => new TakesNothing())).Tell(Request, TestActor);
        ExpectToldOf();
    }

    private void ExpectToldOf() => ExpectMsg<NodeFailure>(Bound).Failure.Reason.ShouldBe(ErrorReasons.NotReady);

    private sealed class TakesNothing : UntypedActor
    {
        protected override void OnReceive(object message) => Unhandled(message);
    }
}
