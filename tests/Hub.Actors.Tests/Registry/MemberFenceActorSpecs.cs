using System.Collections.Concurrent;
using Akka.Actor;
using Akka.Cluster;
using Akka.Configuration;
using Akka.Remote;
using Akka.TestKit.Xunit2;
using Hub.Actors.Registry;
using Hub.Actors.Settings;
using Hub.Actors.Telemetry;
using Microsoft.Extensions.Logging.Abstractions;

namespace Hub.Actors.Tests.Registry;

/// <summary>How a member learns that it is out.</summary>
public sealed class MemberFenceActorSpecs : TestKit
{
    private static readonly TimeSpan Bound = TimeSpan.FromSeconds(40);

    private static readonly Config Clustered = ConfigurationFactory.ParseString("""
        akka {
          loglevel = OFF
          stdout-loglevel = OFF
          actor.provider = cluster
          remote.dot-netty.tcp { hostname = "127.0.0.1", port = 0 }
          cluster { gossip-interval = 200ms, leader-actions-interval = 200ms, periodic-tasks-initial-delay = 100ms }
          coordinated-shutdown.exit-clr = off
        }
        """);

    private readonly ConcurrentQueue<string> _left = new();
    private readonly ActorSystem _other;

    public MemberFenceActorSpecs()
        : base(Clustered, "members") => _other = ActorSystem.Create("members", Clustered);

    [Fact]
    public void A_member_leaves_when_one_that_is_up_quarantines_it_or_it_is_downed_and_not_for_what_a_stranger_says()
    {
        var (mine, others) = (Cluster.Get(Sys), Cluster.Get(_other));
        mine.Join(mine.SelfAddress);
        others.Join(mine.SelfAddress);
        AwaitAssert(() => mine.State.Members.Count(m => m.Status == MemberStatus.Up).ShouldBe(2), Bound);
        var hub = new HubRuntime(new HubSettings(), new HubMetrics(), new Readiness(), TimeProvider.System, NullLogger.Instance);
        hub.Fence.Share(new SharedFence(new FakeSharedStore(), () => Task.FromResult<MembersSeen?>(null), _left.Enqueue, TimeSpan.Zero, TimeProvider.System, NullLogger.Instance));
        var actor = Sys.ActorOf(MemberFenceActor.Props(hub, _ => Task.FromResult(true)));
        // It listens once it answers.
        actor.Tell(LookAtCluster.Instance, TestActor);
        ExpectMsg<ClusterEvent.CurrentClusterState>(Bound).Members.Count.ShouldBe(2);

        Sys.EventStream.Publish(new ThisActorSystemQuarantinedEvent(mine.SelfAddress, mine.SelfAddress.WithPort(1)));
        Sys.EventStream.Publish(new ThisActorSystemQuarantinedEvent(mine.SelfAddress, others.SelfAddress));
        AwaitAssert(() => _left.ShouldHaveSingleItem().ShouldContain(others.SelfAddress.ToString()), Bound);

        // By itself: the other would perhaps have put it out before a gossip could tell it so.
        mine.Down(mine.SelfAddress);
        AwaitAssert(() => _left.Last().ShouldContain("took this one for dead"), Bound);
    }

    protected override void AfterAll()
    {
        base.AfterAll();
        Shutdown(_other, Bound);
    }
}
