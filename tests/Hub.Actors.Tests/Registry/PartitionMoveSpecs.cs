using System.Reflection;
using Akka.Actor;
using Akka.Cluster.Sharding;
using Akka.TestKit;
using Akka.TestKit.Xunit2;
using Hub.Actors.Registry;

namespace Hub.Actors.Tests.Registry;

/// <summary>Beside Akka's own actor, which is not public: that it waits in vain, and ends when it is told so. If it has been mended, <see cref="PartitionMove"/> can go.</summary>
public sealed class PartitionMoveSpecs : TestKit
{
    private static readonly TimeSpan Bound = TimeSpan.FromSeconds(40);
    private static readonly Type Worker = typeof(ClusterSharding).Assembly.GetType("Akka.Cluster.Sharding.ShardCoordinator+RebalanceWorker", throwOnError: true)!;

    public PartitionMoveSpecs()
        : base("akka { loglevel = OFF, stdout-loglevel = OFF, actor.provider = cluster, remote.dot-netty.tcp { hostname = \"127.0.0.1\", port = 0 } }") =>
        // Its settings and its serializer.
        ClusterSharding.Get(Sys);

    private IActorRef MoveFrom(IActorRef dead, IActorRef other)
    {
        var props = (Props)Worker.GetMethod("Props", BindingFlags.Public | BindingFlags.Static)!.Invoke(null, ["nodes", "7", dead, TimeSpan.FromMinutes(5), new[] { dead, other }, true])!;
        var worker = ActorOfAsTestActorRef<Parent>(Akka.Actor.Props.Create(() => new Parent(props, TestActor))).UnderlyingActor.Child;
        Watch(worker);
        return worker;
    }

    private static object Died(IActorRef region) => Activator.CreateInstance(Worker.GetNestedType("ShardRegionTerminated")!, region)!;

    [Fact]
    public void A_move_whose_member_died_before_it_took_part_is_ended_and_no_other()
    {
        var (dead, other) = (CreateTestProbe(), CreateTestProbe());
        var worker = MoveFrom(dead, other);
        var asked = other.ExpectMsg<object>(Bound);
        asked.GetType().Name.ShouldBe("BeginHandOff");
        worker.Tell(Died(dead));
        // For a partition that does not move, or that waits for somebody's word yet.
        PartitionMove.End(Sys, worker, "7");
        worker.Tell(Died(other));
        PartitionMove.End(Sys, worker, "8");
        ExpectNoMsg(TimeSpan.FromMilliseconds(500));

        PartitionMove.End(Sys, worker, "7");
        var done = ExpectMsg<object>(Bound);
        done.GetType().Name.ShouldBe("RebalanceDone");
        done.GetType().GetField("Ok")!.GetValue(done).ShouldBe(true);
        ExpectTerminated(worker, Bound);
    }

    private sealed class Parent : ReceiveActor
    {
        public Parent(Props child, IActorRef told)
        {
            Child = Context.ActorOf(child);
            ReceiveAny(told.Forward);
        }

        public IActorRef Child { get; }
    }
}
