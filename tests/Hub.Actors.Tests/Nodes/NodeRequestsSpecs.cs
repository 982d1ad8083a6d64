using Akka.Actor;
using AkkaHub.V1;
using Hub.Actors.Nodes;
using Hub.Actors.Tests.Actors;
using Hub.Protocol;

namespace Hub.Actors.Tests.Nodes;

public sealed class NodeRequestsSpecs : ActorSpec
{
    [Fact]
    public void Each_ends_once_with_the_answer()
    {
        var requests = new NodeRequests(2);
        var answers = new List<RequestResult>();
        var number = requests.TryAdd(TestActor, (r, _) => answers.Add(r), 10).ShouldNotBeNull();
        requests.TryAdd(TestActor, (r, _) => answers.Add(r), 10).ShouldNotBeNull();
        requests.TryAdd(TestActor, (r, _) => answers.Add(r), 10).ShouldBeNull();
        requests.Complete(new RequestResult { Request = number });
        requests.Complete(new RequestResult { Request = number });
        requests.Complete(new RequestResult { Request = 99 });
        answers.Count.ShouldBe(1);
        requests.Count.ShouldBe(1);
    }

    [Fact]
    public void Without_an_answer_delivery_is_unknown_once()
    {
        var requests = new NodeRequests(9);
        requests.TryAdd(TestActor, (_, _) => { }, 10);
        requests.TryAdd(TestActor, (_, _) => { }, 20);
        requests.Expire(10);
        ExpectMsg<NodeFailure>(f => f.Failure.Reason.ShouldBe(ErrorReasons.DeliveryUnknown));
        requests.Break("the end");
        ExpectMsg<NodeFailure>(f => f.Failure.Kind.ShouldBe(FailureKind.Aborted));
        requests.Expire(long.MaxValue);
        requests.Count.ShouldBe(0);
        ExpectNoMsg(Moment);
    }

    [Fact]
    public void Input_waits_as_long_as_the_session_stands_and_takes_no_place_of_others()
    {
        var requests = new NodeRequests(1);
        var input = requests.TryAdd(TestActor, (_, to) => to.Tell("read"), null).ShouldNotBeNull();
        requests.TryAdd(TestActor, (_, _) => { }, null).ShouldBeNull();
        requests.TryAdd(TestActor, (_, to) => to.Tell("closed"), 10).ShouldNotBeNull();
        requests.TryAdd(TestActor, (_, _) => { }, 10).ShouldBeNull();
        requests.Expire(long.MaxValue);
        ExpectMsg<NodeFailure>();
        requests.Complete(new RequestResult { Request = input });
        ExpectMsg("read");
        requests.TryAdd(TestActor, (_, _) => { }, null).ShouldNotBeNull();
        requests.Break("the end");
        ExpectMsg<NodeFailure>(f => f.Failure.Reason.ShouldBe(ErrorReasons.DeliveryUnknown));
        requests.Count.ShouldBe(0);
        requests.TryAdd(TestActor, (_, _) => { }, null).ShouldNotBeNull();
    }

    [Fact]
    public void A_late_answer_of_an_earlier_session_is_never_taken_for_anothers()
    {
        var before = new NodeRequests(9);
        before.Begin(1);
        var old = before.TryAdd(TestActor, (_, _) => { }, 10).ShouldNotBeNull();
        var after = new NodeRequests(9);
        after.Begin(2);
        var answered = false;
        after.TryAdd(TestActor, (_, _) => answered = true, 10);
        after.Complete(new RequestResult { Request = old });
        answered.ShouldBeFalse();
    }

    [Theory]
    [InlineData(RequestOutcome.NotFound, FailureKind.NotFound, ErrorReasons.TerminalUnknown)]
    [InlineData(RequestOutcome.FailedPrecondition, FailureKind.FailedPrecondition, ErrorReasons.NodeRefused)]
    [InlineData(RequestOutcome.Denied, FailureKind.PermissionDenied, ErrorReasons.CapabilityMissing)]
    [InlineData(RequestOutcome.ResourceExhausted, FailureKind.ResourceExhausted, ErrorReasons.LimitReached)]
    [InlineData(RequestOutcome.Failed, FailureKind.FailedPrecondition, ErrorReasons.NodeRefused)]
    [InlineData(RequestOutcome.Unspecified, FailureKind.FailedPrecondition, ErrorReasons.NodeRefused)]
    public void Each_outcome_is_a_failure_of_its_own(RequestOutcome outcome, FailureKind kind, string reason)
    {
        var failure = NodeRequests.ToFailure(new RequestResult { Outcome = outcome }).ShouldNotBeNull();
        failure.Kind.ShouldBe(kind);
        failure.Reason.ShouldBe(reason);
        NodeRequests.ToFailure(new RequestResult { Outcome = RequestOutcome.Done }).ShouldBeNull();
    }
}
