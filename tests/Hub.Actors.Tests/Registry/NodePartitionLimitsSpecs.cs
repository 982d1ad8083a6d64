using Akka.Actor;
using Akka.TestKit;
using AkkaHub.V1;
using Hub.Actors.Nodes;
using Hub.Actors.Registry;
using Hub.Actors.Settings;
using Hub.Actors.Store;
using Hub.Actors.Tests.Actors;
using Hub.Protocol;

namespace Hub.Actors.Tests.Registry;

public sealed class NodePartitionLimitsSpecs : ActorSpec
{
    private readonly IActorRef _partition;

    public NodePartitionLimitsSpecs()
        : base(new HubSettings
        {
            Registry = new RegistrySettings { MaxNodesPerPartition = 2, MaxBufferedPerNode = 2 },
            Liveness = new LivenessSettings { ForgetAfter = TimeSpan.FromHours(1) },
        })
    {
        var probe = Sys.ActorOf(StoreProbeActor.Props(Hub, "member"));
        AwaitAssert(() => Hub.Readiness.Reasons.ShouldNotContainKey(Readiness.Store), Bound);
        var snapshots = Sys.ActorOf(SnapshotGovernorActor.Props(2, Hub.Metrics));
        _partition = Sys.ActorOf(NodePartitionActor.Props(3, Hub, snapshots, probe));
    }

    private void TellAttach(string node, TestProbe bridge) => _partition.Tell(new Attach(node, Hello(node), bridge.Ref, 0, false), bridge.Ref);

    private Attached Attach(string node)
    {
        var bridge = CreateTestProbe();
        TellAttach(node, bridge);
        return bridge.ExpectMsg<Attached>(Bound);
    }

    private Failure Refused(string node)
    {
        var bridge = CreateTestProbe();
        TellAttach(node, bridge);
        return bridge.ExpectMsg<AttachRefused>(Bound).Failure;
    }

    private IReadOnlyList<AkkaHub.V1.Node> Nodes()
    {
        var asker = CreateTestProbe();
        _partition.Tell(new ListPartition(3), asker.Ref);
        return asker.ExpectMsg<PartitionNodes>(Bound).Nodes;
    }

    [Fact]
    public void Its_nodes_are_listed_in_pages_of_a_size_and_all_of_them_are()
    {
        foreach (var node in (string[])["n2", "n1"])
            Attach(node);
        Page("", 1).ShouldBe("nodes/n1, more");
        Page("n1", 1).ShouldBe("nodes/n2");
        Page("", 1_000_000).ShouldBe("nodes/n1, nodes/n2");
        // As a member of an earlier build asks.
        Listed().ShouldBe(["nodes/n1", "nodes/n2"], ignoreOrder: true);

        string Page(string after, int bytes)
        {
            var asker = CreateTestProbe();
            _partition.Tell(new ListPartition(3, after, bytes), asker.Ref);
            var page = asker.ExpectMsg<PartitionNodes>(Bound);
            return string.Join(", ", [.. page.Nodes.Select(n => n.Name), .. page.More ? (string[])["more"] : []]);
        }
    }

    private string[] Listed() => [.. Nodes().Select(n => n.Name)];

    [Fact]
    public void Beyond_the_number_of_nodes_a_new_one_is_refused_and_a_known_one_is_not()
    {
        Attach("n1");
        Attach("n2");
        var failure = Refused("n3");
        (failure.Kind, failure.Reason).ShouldBe((FailureKind.ResourceExhausted, ErrorReasons.LimitReached));
        failure.Message.ShouldContain("akkahub.registry.max-nodes-per-partition");
        Attach("n2").Epoch.ShouldBe(2);
        Listed().ShouldBe(["nodes/n1", "nodes/n2"], ignoreOrder: true);
        var asker = CreateTestProbe();
        _partition.Tell(new NodeRequest("n1", new ForgetNodeRequest { Force = true }), asker.Ref);
        asker.ExpectMsg<NodeReply>(Bound);
        Attach("n3");
    }

    [Fact]
    public void What_waits_for_a_nodes_actor_is_bounded_and_the_rest_is_told_at_once()
    {
        Listed().ShouldBeEmpty();
        Journal.Close();
        TestProbe[] bridges = [CreateTestProbe(), CreateTestProbe()];
        foreach (var bridge in bridges)
            TellAttach("n1", bridge);
        var failure = Refused("n1");
        (failure.Kind, failure.Reason).ShouldBe((FailureKind.Unavailable, ErrorReasons.StoreUnavailable));
        Journal.Open();
        bridges[1].FishForMessage<Attached>(_ => true, Bound);
    }

    [Fact]
    public void What_waits_for_the_store_leaves_room_for_who_reads()
    {
        AllowErrors();
        var one = Attach("n1");
        Watch(one.NodeActor);
        Journal.FailWrites(static _ => new InvalidOperationException("disk full"));
        one.NodeActor.Tell(new FromNode(one.Epoch, Opened("main", 1)));
        ExpectTerminated(one.NodeActor, Bound);
        AwaitAssert(() => Hub.Readiness.Reasons.ShouldContainKey(Readiness.Store), Bound);
        TellAttach("n1", CreateTestProbe());
        Refused("n1").Reason.ShouldBe(ErrorReasons.StoreUnavailable);
        var reader = CreateTestProbe();
        _partition.Tell(new NodeRequest("n1", new ListTerminalsRequest()), reader.Ref);
        AdvanceUntil<NodeReply>(reader, TimeSpan.FromMilliseconds(500), 60);
    }

    [Fact]
    public void A_node_that_was_not_seen_for_the_set_time_is_forgotten_and_one_that_is_there_is_not()
    {
        var gone = Attach("n1");
        Attach("n2");
        gone.NodeActor.Tell(new Detach(gone.Epoch, "node-left", "bye", 0));
        AwaitAssert(() => Nodes().ShouldContain(n => n.State == NodeStatus.Offline), Bound);
        Advance(TimeSpan.FromMinutes(50));
        Listed().ShouldContain("nodes/n1");
        for (var i = 0; i < 60 && Listed().Contains("nodes/n1"); i++)
        {
            Advance(TimeSpan.FromMinutes(1));
            ExpectNoMsg(TimeSpan.FromMilliseconds(30));
        }

        AwaitAssert(() => Listed().ShouldBe(["nodes/n2"]), Bound);
    }
}
