using Akka.Actor;
using Hub.Actors.Nodes;
using Hub.Actors.Registry;
using Hub.Actors.Store;
using Hub.Actors.Tests.Actors;

namespace Hub.Actors.Tests.Registry;

/// <summary>A bridge repeats its question until it hears that a partition has it.</summary>
public sealed class NodePartitionAttachSpecs : ActorSpec
{
    [Fact]
    public void A_question_is_confirmed_each_time_and_answered_once()
    {
        var probe = Sys.ActorOf(StoreProbeActor.Props(Hub, "member"));
        AwaitAssert(() => Hub.Readiness.Reasons.ShouldNotContainKey(Readiness.Store), Bound);
        var partition = Sys.ActorOf(NodePartitionActor.Props(3, Hub, CreateTestProbe().Ref, probe));
        var bridge = CreateTestProbe();
        var first = new Attach("n1", Hello(), bridge.Ref, 0, Again: false, Ask: 1);
        partition.Tell(first);
        partition.Tell(first);
        bridge.ExpectMsg<AttachTaken>(Bound).Ask.ShouldBe(1);
        bridge.ExpectMsg<AttachTaken>(Bound).Ask.ShouldBe(1);
        // Once more when it is taken up, if it came before the partition was ready.
        bridge.FishForMessage<Attached>(_ => true, Bound).Epoch.ShouldBe(1);
        // One that was on its way when the answer came.
        partition.Tell(first);
        partition.Tell(first with { Again = true, Ask = 2 });
        // Overtaken by a later one.
        partition.Tell(first);
        bridge.ExpectMsg<AttachTaken>(Bound).Ask.ShouldBe(1);
        bridge.ExpectMsg<AttachTaken>(Bound).Ask.ShouldBe(2);
        bridge.FishForMessage<Attached>(_ => true, Bound).Epoch.ShouldBe(2, "the question that came late was no third session");
        bridge.ReceiveWhile<object>(m => m, TimeSpan.FromMilliseconds(300)).OfType<Attached>().ShouldBeEmpty();
        // Builds that do not count their questions hear nothing they could not read.
        var older = CreateTestProbe();
        partition.Tell(new Attach("n2", Hello("n2"), older.Ref, 0, Again: false));
        older.ExpectMsg<Attached>(Bound);
        Hub.Held.Partitions.ShouldBe(1);
        Hub.Held.Nodes.ShouldBe(2);
        Watch(partition);
        Sys.Stop(partition);
        ExpectTerminated(partition, Bound);
        AwaitAssert(() => (Hub.Held.Partitions, Hub.Held.Nodes).ShouldBe((0, 0)), Bound);
    }
}
