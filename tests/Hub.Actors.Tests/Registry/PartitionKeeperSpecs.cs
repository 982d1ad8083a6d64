using Akka.Actor;
using Hub.Actors.Registry;
using Hub.Actors.Settings;
using Hub.Actors.Tests.Actors;

namespace Hub.Actors.Tests.Registry;

public sealed class PartitionKeeperSpecs : ActorSpec
{
    public PartitionKeeperSpecs()
        : base(new HubSettings { Registry = new RegistrySettings { Partitions = 3 } })
    {
    }

    [Fact]
    public void The_member_is_ready_once_each_partition_answered_and_all_are_kept_alive_after_that()
    {
        var region = CreateTestProbe();
        var keeper = Sys.ActorOf(PartitionKeeperActor.Props(region.Ref, Hub));
        for (var i = 0; i < 3; i++)
            region.ExpectMsg<StartPartition>(Bound).Partition.ShouldBe(i);
        Hub.Readiness.Reasons.ShouldContainKey(Readiness.Partitions);
        keeper.Tell(new PartitionStarted(0));
        keeper.Tell(new PartitionStarted(2));
        keeper.Tell(new PartitionStarted(2));
        AwaitAssert(() => Hub.Readiness.Reasons[Readiness.Partitions].ShouldStartWith("1 of 3 "), Bound);
        for (var i = 0; i < 2; i++)
            AdvanceUntil<StartPartition>(region, TimeSpan.FromMilliseconds(500), 20).Partition.ShouldBe(1, "only who is silent is asked again so soon");
        keeper.Tell(new PartitionStarted(1));
        AwaitAssert(() => Hub.Readiness.IsReady.ShouldBeTrue(), Bound);
        for (var i = 0; i < 3; i++)
            AdvanceUntil<StartPartition>(region, TimeSpan.FromMilliseconds(500), 20, m => m.Partition == i);
        Hub.Readiness.IsReady.ShouldBeTrue();
    }
}
