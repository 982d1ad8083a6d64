using Akka.Actor;
using Akka.Cluster;
using Akka.Configuration;
using Akka.TestKit.Xunit2;
using Hub.Actors.Registry;
using Hub.Actors.Settings;
using Hub.Actors.Telemetry;
using Microsoft.Extensions.Logging.Abstractions;

namespace Hub.Actors.Tests.Registry;

/// <summary>Who is downed because the store says that it has died, beside a resolver that decides nothing.</summary>
public sealed class DeadMembersActorSpecs : TestKit
{
    private static readonly TimeSpan Bound = TimeSpan.FromSeconds(40);

    private readonly FakeSharedStore _store = new();
    private readonly ActorSystem _other;

    public DeadMembersActorSpecs()
        : base(Clustered(1), "members") => _other = ActorSystem.Create("members", Clustered(2));

    private static Config Clustered(int uid) => ConfigurationFactory.ParseString($$"""
        akka {
          loglevel = OFF
          stdout-loglevel = OFF
          actor.provider = cluster
          remote.dot-netty.tcp { hostname = "127.0.0.1", port = 0 }
          cluster {
            roles = ["{{MemberFence.RoleOf(uid)}}"]
            downing-provider-class = "Akka.Cluster.NoDowning, Akka.Cluster"
            gossip-interval = 200ms, leader-actions-interval = 200ms, periodic-tasks-initial-delay = 100ms, unreachable-nodes-reaper-interval = 200ms
            failure-detector { heartbeat-interval = 200ms, acceptable-heartbeat-pause = 1s, expected-response-after = 1s }
            run-coordinated-shutdown-when-down = off
          }
          coordinated-shutdown { exit-clr = off, run-by-actor-system-terminate = off }
        }
        """);

    [Fact]
    public async Task A_member_that_cannot_be_reached_is_downed_once_it_has_no_session_for_a_while_and_not_before()
    {
        var (mine, others) = (Cluster.Get(Sys), Cluster.Get(_other));
        mine.Join(mine.SelfAddress);
        others.Join(mine.SelfAddress);
        AwaitAssert(() => mine.State.Members.Count(m => m.Status == MemberStatus.Up).ShouldBe(2), Bound);
        _store.Gone = [2];
        Sys.ActorOf(DeadMembersActor.Props(new HubRuntime(new HubSettings(), new HubMetrics(), new Readiness(), TimeProvider.System, NullLogger.Instance), _store));

        // Without a session, and reachable: the store's word alone is not enough, and nobody asks for it.
        await Task.Delay(DeadMembersActor.DeadFor * 2);
        mine.State.Members.Count(m => m.Status == MemberStatus.Up).ShouldBe(2);
        _store.GoneAsked.ShouldBe(0);

        _store.Gone = [];
        await _other.Terminate();
        AwaitAssert(() => mine.State.Unreachable.ShouldHaveSingleItem(), Bound);
        // Not reachable, and with a session; or again and again without one, but not for long.
        for (var i = 0; i < 8; i++)
        {
            var asked = _store.GoneAsked;
            _store.Gone = i % 2 == 0 ? [2] : [];
            AwaitAssert(() => _store.GoneAsked.ShouldBeGreaterThan(asked + 1), Bound);
        }

        mine.State.Members.Count(m => m.Status == MemberStatus.Up).ShouldBe(2);
        // A store that does not answer says nothing.
        _store.GoneFails = true;
        _store.Gone = [2];
        await Task.Delay(DeadMembersActor.DeadFor * 2);
        mine.State.Members.Count(m => m.Status == MemberStatus.Up).ShouldBe(2);

        _store.GoneFails = false;
        AwaitAssert(() => mine.State.Members.ShouldHaveSingleItem().UniqueAddress.ShouldBe(mine.SelfUniqueAddress), Bound);
    }

    protected override void AfterAll()
    {
        base.AfterAll();
        Shutdown(_other, Bound);
    }
}
