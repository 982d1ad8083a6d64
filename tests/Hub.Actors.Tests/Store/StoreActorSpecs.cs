using Akka.Actor;
using Akka.TestKit;
using AkkaHub.Internal.V1;
using Hub.Actors.Nodes;
using Hub.Actors.Registry;
using Hub.Actors.Store;
using Hub.Actors.Tests.Actors;

namespace Hub.Actors.Tests.Store;

public sealed class StoreActorSpecs : ActorSpec
{
    [Fact]
    public void The_store_is_said_to_answer_only_once_a_write_did()
    {
        Hub.Readiness.Set(Readiness.Store, "not yet");
        Journal.Close();
        var probe = Sys.ActorOf(StoreProbeActor.Props(Hub, "m"));
        AwaitAssert(() => Journal.Asked.ShouldBe(["store-probe-m"]), Bound);
        probe.Tell(new AwaitStore(), TestActor);
        probe.Tell(new AwaitStore(), TestActor);
        ExpectMsg<StoreReads>(Bound);
        ExpectMsg<StoreReads>(Bound);
        ExpectNoMsg(Moment);
        Hub.Readiness.IsReady.ShouldBeFalse();
        Journal.Open();
        ExpectMsg<StoreAnswers>(Bound);
        Hub.Readiness.IsReady.ShouldBeTrue();
        ExpectNoMsg(Moment);
        probe.Tell(new AwaitStore(), TestActor);
        ExpectMsg<StoreAnswers>(Bound);
    }

    [Fact]
    public void While_the_store_is_down_it_is_tried_again_and_again_by_one_without_an_error_each_time()
    {
        Journal.FailWrites(static _ => new InvalidOperationException("down"));
        var probe = Sys.ActorOf(StoreProbeActor.Props(Hub, "m"));
        AwaitAssert(() => Hub.Readiness.Reasons.ShouldContainKey(Readiness.Store), Bound);
        for (var i = 0; i < 20; i++)
            probe.Tell(new StoreSuspected(null));
        var waiting = CreateTestProbe();
        probe.Tell(new AwaitStore(), waiting.Ref);
        waiting.ExpectMsg<StoreReads>(Bound, "its recovery went well");
        waiting.ExpectNoMsg(Moment);
        Journal.Asked.Count.ShouldBe(1);
        Journal.Heal();
        AdvanceUntil<StoreAnswers>(waiting, TimeSpan.FromSeconds(1), 60);
        AwaitAssert(() => Hub.Readiness.IsReady.ShouldBeTrue(), Bound);
    }

    [Fact]
    public void Suspicion_right_after_a_success_never_makes_two_writers_of_one_id()
    {
        var probe = Sys.ActorOf(StoreProbeActor.Props(Hub, "m"));
        for (var i = 0; i < 20; i++)
        {
            probe.Tell(new StoreSuspected(null));
            probe.Tell(new AwaitStore(), TestActor);
            FishForMessage<StoreAnswers>(_ => true, Bound);
            // The attempt before still tidies up: the next must wait for it, and its end is no failure.
            probe.Tell(new StoreSuspected(null));
            probe.Tell(new AwaitStore(), TestActor);
            FishForMessage<StoreAnswers>(_ => true, Bound);
            Hub.Readiness.Reasons.ShouldNotContainKey(Readiness.Store);
        }

        Journal.Asked.Count.ShouldBe(Journal.Recoveries.Count, "each attempt recovered what the one before had written");
    }

    [Fact]
    public void Permits_are_given_in_order_and_come_back_however_a_node_ends()
    {
        var governor = Sys.ActorOf(SnapshotGovernorActor.Props(1, Hub.Metrics));
        TestProbe[] nodes = [CreateTestProbe(), CreateTestProbe(), CreateTestProbe(), CreateTestProbe()];
        foreach (var node in nodes)
            governor.Tell(new SnapshotDue(node.Ref));
        nodes[0].ExpectMsg<SnapshotPermit>(Bound);
        nodes[1].ExpectNoMsg(Moment);
        Sys.Stop(nodes[1].Ref);
        governor.Tell(new SnapshotDone(nodes[0].Ref));
        nodes[2].ExpectMsg<SnapshotPermit>(Bound);
        governor.Tell(new SnapshotDone(nodes[2].Ref));
        governor.Tell(new SnapshotDone(nodes[2].Ref));
        nodes[3].ExpectMsg<SnapshotPermit>(Bound);
        Sys.Stop(nodes[3].Ref);
        governor.Tell(new SnapshotDue(nodes[0].Ref));
        nodes[0].ExpectMsg<SnapshotPermit>(Bound);
    }

    [Fact]
    public void The_list_of_nodes_comes_to_its_snapshot_over_restarts()
    {
        var parent = CreateTestProbe();
        var store = Akka.Persistence.Persistence.Instance.Apply(Sys).SnapshotStoreFor(null);
        var written = 0;
        for (var life = 0; life < 3; life++)
        {
            var list = Sys.ActorOf(Props.Create(() => new Parent(5, Hub, parent.Ref)));
            parent.ExpectMsg<MembershipRecovered>(Bound).Nodes.Count.ShouldBe(written > 0 ? 1 : 0);
            for (var i = 0; i < 400; i++, written++)
            {
                // A removal ends a batch: each of these is a row of its own.
                list.Tell(new WriteMembership(new MembershipChanged { Upserts = { new NodeDescriptor { Node = "n1", SessionEpoch = written } }, Removed = { "none" } }));
                parent.ExpectMsg<MembershipWritten>(Bound);
            }

            Watch(list);
            Sys.Stop(list);
            ExpectTerminated(list, Bound);
        }

        AwaitAssert(() =>
        {
            store.Tell(new Akka.Persistence.LoadSnapshot("partition-5", Akka.Persistence.SnapshotSelectionCriteria.Latest, long.MaxValue), TestActor);
            ExpectMsg<Akka.Persistence.LoadSnapshotResult>(Bound).Snapshot.ShouldNotBeNull().Snapshot.ShouldBeOfType<MembershipSnapshot>().Nodes.ShouldHaveSingleItem();
        }, Bound);
    }

    private sealed class Parent : UntypedActor
    {
        private readonly IActorRef _list;
        private readonly IActorRef _probe;

        public Parent(int partition, HubRuntime hub, IActorRef probe)
        {
            _list = Context.ActorOf(MembershipActor.Props(partition, hub));
            _probe = probe;
        }

        protected override void OnReceive(object message)
        {
            if (message is WriteMembership)
                _list.Tell(message);
            else
                _probe.Tell(message);
        }
    }
}
