using AkkaHub.V1;
using Hub.Node.Streams;

namespace Hub.Node.Tests.Streams;

public sealed class InputQueueSpecs
{
    [Theory]
    [InlineData(false, null)]
    [InlineData(true, RequestOutcome.FailedPrecondition)]
    public void What_waits_is_answered_and_what_comes_after_that_only_if_it_is_for_good(bool forGood, RequestOutcome? after)
    {
        var queue = new InputQueue();
        RequestOutcome? first = null;
        RequestOutcome? second = null;
        queue.Add("a"u8.ToArray(), false, (outcome, _) => first = outcome);
        queue.Fail(RequestOutcome.FailedPrecondition, "nobody has it open", forGood);
        first.ShouldBe(RequestOutcome.FailedPrecondition);
        queue.Add("b"u8.ToArray(), false, (outcome, _) => second = outcome);
        second.ShouldBe(after);
    }
}
