using Akka.Actor;
using Akka.Cluster;
using Akka.Configuration;
using Akka.TestKit.Xunit2;
using Hub.Actors.Registry;
using Hub.Actors.Settings;
using Hub.Actors.Store;
using Hub.Actors.Telemetry;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;

namespace Hub.Actors.Tests.Registry;

/// <summary>A member forms a cluster on the store's word only.</summary>
public sealed class MemberJoinActorSpecs : TestKit
{
    private static readonly TimeSpan Bound = TimeSpan.FromSeconds(40);

    private readonly FakeTimeProvider _time = new();
    private readonly FakeSharedStore _store = new();
    private readonly HubRuntime _hub;

    public MemberJoinActorSpecs()
        : base(ConfigurationFactory.ParseString("""
            akka {
              loglevel = OFF
              stdout-loglevel = OFF
              actor.provider = cluster
              remote.dot-netty.tcp { hostname = "127.0.0.1", port = 0 }
              cluster { leader-actions-interval = 200ms, periodic-tasks-initial-delay = 100ms }
            }
            """), "members") =>
        _hub = new HubRuntime(new HubSettings(), new HubMetrics(), new Readiness((Readiness.Cluster, "not up")), _time, NullLogger.Instance);

    [Fact]
    public void It_forms_none_on_an_answer_to_who_is_there_nor_while_somebody_is_in_the_way_and_one_when_it_may()
    {
        var cluster = Cluster.Get(Sys);
        var answered = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _store.Held = answered.Task;
        _store.InTheWay = [new PostgresMemberEntry(7, "127.0.0.1:1", default, true, 7)];
        // Not the first of the list: it asks who is there, and may form by the time it is told that nobody is.
        Sys.ActorOf(MemberJoinActor.Props(_hub, _store, [cluster.SelfAddress.WithPort(1), cluster.SelfAddress]));
        AwaitAssert(() => _store.Asked.ShouldBe(1), Bound);
        _time.Advance(TimeSpan.FromSeconds(6));
        answered.SetResult();
        AwaitAssert(() => _store.FormAsked.ShouldBeGreaterThan(1), Bound);
        cluster.SelfMember.Status.ShouldBe(MemberStatus.Removed);
        _hub.Readiness.Reasons[Readiness.Cluster].ShouldContain("a cluster lives on the store (127.0.0.1:1)");
        _store.InTheWay = [];
        AwaitAssert(() => cluster.SelfMember.Status.ShouldBe(MemberStatus.Up), Bound);
        AwaitAssert(() => _hub.Readiness.IsReady.ShouldBeTrue(), Bound);
    }
}
