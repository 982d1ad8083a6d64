using System.Collections.Concurrent;
using Akka.Actor;
using Akka.TestKit;
using AkkaHub.V1;
using Hub.Actors.Bridge;
using Hub.Actors.Members;
using Hub.Actors.Nodes;
using Hub.Actors.Tests.Actors;
using Hub.Protocol;

namespace Hub.Actors.Tests.Bridge;

/// <summary>What becomes of nodes' streams when their member stops.</summary>
public sealed class NodeBridgesActorSpecs : ActorSpec
{
    private static readonly HubMembers Three = new() { Self = "a:1", Addresses = { "a:1", "b:1", "c:1" } };
    private readonly TestProbe _registry;
    private readonly IActorRef _bridges;
    private readonly List<Wire> _wires = [];

    public NodeBridgesActorSpecs()
    {
        _registry = CreateTestProbe();
        _bridges = Sys.ActorOf(NodeBridgesActor.Props(_registry.Ref, Hub));
    }

    [Fact]
    public void With_others_there_nodes_are_sent_to_them_in_groups_over_the_time_there_is()
    {
        Hub.Members.Set(Three);
        Open(26);
        _bridges.Tell(new MoveStreams(TimeSpan.FromSeconds(1)));
        AwaitAssert(() => Ended.ShouldBe(4), Bound);
        _wires.First(w => w.Completed).Last.Disconnect.ShouldSatisfyAllConditions(
            d => d.Reason.ShouldBe(DisconnectReason.Drain), d => d.Members.Addresses.ShouldBe(["b:1", "c:1"]), d => d.Members.Self.ShouldBe("a:1"), d => d.RetryAfterMs.ShouldBe(0u));
        // The next group goes 50 to 100 ms after the one before.
        for (var ended = 8; ended < 30; ended += 4)
        {
            Advance(TimeSpan.FromMilliseconds(100));
            AwaitAssert(() => Ended.ShouldBe(Math.Min(ended, 26)), Bound);
        }
    }

    [Fact]
    public void Many_are_sent_in_larger_groups_so_that_all_go_within_the_time()
    {
        Hub.Members.Set(Three);
        Open(400);
        _bridges.Tell(new MoveStreams(TimeSpan.FromSeconds(1)));
        AwaitAssert(() => Ended.ShouldBe(40), Bound);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void In_a_hurry_or_with_nobody_there_all_end_at_once(bool others)
    {
        if (others)
            Hub.Members.Set(Three);
        Open(50);
        _bridges.Tell(new MoveStreams(others ? TimeSpan.Zero : TimeSpan.FromSeconds(3)));
        AwaitAssert(() => Ended.ShouldBe(50), Bound);
        if (others)
        {
            // They do not come to the others in one instant.
            _wires.ShouldAllBe(w => w.Last.Disconnect.RetryAfterMs <= 500);
            _wires.Select(w => w.Last.Disconnect.RetryAfterMs / 100).Distinct().Count().ShouldBeGreaterThan(2);
        }

        _wires.ShouldAllBe(w => w.Last.Disconnect.Reason == (others ? DisconnectReason.Drain : DisconnectReason.HubStopping));
        var late = new Wire();
        _bridges.Tell(new OpenBridge(Hello("late"), late), TestActor);
        ExpectMsg<IActorRef>(r => r.IsNobody(), Bound);
        late.Failure!.Reason.ShouldBe(ErrorReasons.NotReady);
    }

    [Fact]
    public void What_is_left_of_a_move_ends_when_the_actors_do()
    {
        Hub.Members.Set(Three);
        Open(100);
        _bridges.Tell(new MoveStreams(TimeSpan.FromSeconds(1)));
        AwaitAssert(() => Ended.ShouldBe(10), Bound);
        _bridges.Tell(new EndAllStreams(), TestActor);
        ExpectMsg<Akka.Done>(Bound);
        AwaitAssert(() => Ended.ShouldBe(100), Bound);
    }

    [Fact]
    public void Nodes_that_understand_it_are_told_when_members_come_and_go()
    {
        Open(2, protocol: n => n == 0 ? 1u : 0u);
        _bridges.Tell(new MembersChanged(Three));
        AwaitAssert(() => _wires[0].Last.Members.ShouldBe(Three), Bound);
        _bridges.Tell(new EndAllStreams(), TestActor);
        ExpectMsg<Akka.Done>(Bound);
        AwaitAssert(() => Ended.ShouldBe(2), Bound);
        _wires[0].All.Count(m => m.Members is not null).ShouldBe(1);
        _wires[1].All.ShouldNotContain(m => m.Members != null);
    }

    private int Ended => _wires.Count(w => w.Completed);

    private void Open(int count, Func<int, uint>? protocol = null)
    {
        for (var i = 0; i < count; i++)
        {
            var hello = Hello($"n{i}");
            hello.Protocol = protocol?.Invoke(i) ?? 1;
            _wires.Add(new Wire());
            _bridges.Tell(new OpenBridge(hello, _wires[i]), TestActor);
            var bridge = ExpectMsg<IActorRef>(Bound);
            _registry.ExpectMsg<Attach>(Bound);
            bridge.Tell(new Attached(1, [], TestActor));
        }

        AwaitAssert(() => _wires.ShouldAllBe(w => w.HasAny), Bound);
        // What bridges tell the node's actor is of no interest here.
        IgnoreMessages(m => m is LivenessReport or Detach);
    }

    private sealed class Wire : INodeOutbound
    {
        private readonly ConcurrentQueue<ConnectResponse> _said = new();

        public bool Completed { get; private set; }
        public Failure? Failure { get; private set; }
        public IReadOnlyCollection<ConnectResponse> All => _said;
        public bool HasAny => !_said.IsEmpty;
        public ConnectResponse Last => _said.Last();

        bool INodeOutbound.TryWrite(ConnectResponse message)
        {
            _said.Enqueue(message);
            return true;
        }

        void INodeOutbound.Processed()
        {
        }

        void INodeOutbound.Waits()
        {
        }

        void INodeOutbound.Complete(Failure? failure)
        {
            Failure ??= failure;
            Completed = true;
        }
    }
}
