using Hub.Actors.Nodes;

namespace Hub.Actors.Tests.Nodes;

public sealed class CallerHoldsSpecs
{
    private const string Stream = "cmd/c1";
    private const long Second = 1_000_000;

    private readonly CallerHolds _holds = new(retainedBytes: 1000);

    [Fact]
    public void The_slowest_caller_decides_how_far_the_node_may_send()
    {
        _holds.LimitOf(Stream).ShouldBe(long.MaxValue);
        _holds.Set(Stream, 1, 100, 0).ShouldBeTrue();
        _holds.Set(Stream, 2, 40, 0).ShouldBeTrue();
        _holds.LimitOf(Stream).ShouldBe(540);
        _holds.Set(Stream, 2, 300, 0).ShouldBeTrue();
        _holds.LimitOf(Stream).ShouldBe(600);
        _holds.LimitOf("cmd/other").ShouldBe(long.MaxValue);
        _holds.Remove(Stream);
        _holds.LimitOf(Stream).ShouldBe(long.MaxValue);
    }

    [Fact]
    public void A_caller_that_does_not_read_for_ten_seconds_is_not_waited_for_any_more()
    {
        _holds.Set(Stream, 1, 0, 0);
        _holds.Set(Stream, 2, 50, 5 * Second);
        _holds.Expire(10 * Second - 1).ShouldBeEmpty();
        _holds.Expire(10 * Second).ShouldBe([Stream]);
        _holds.LimitOf(Stream).ShouldBe(550);
        _holds.Set(Stream, 2, 60, 14 * Second);
        _holds.Expire(15 * Second).ShouldBeEmpty("it has read meanwhile");
        _holds.Expire(24 * Second).ShouldBe([Stream]);
        _holds.LimitOf(Stream).ShouldBe(long.MaxValue);
        _holds.Count.ShouldBe(0);
    }

    [Fact]
    public void Only_so_many_callers_of_a_command_are_waited_for()
    {
        for (var caller = 1; caller <= 16; caller++)
            _holds.Set(Stream, caller, 100, 0).ShouldBeTrue();
        _holds.Set(Stream, 17, 0, 0).ShouldBeFalse();
        _holds.LimitOf(Stream).ShouldBe(600);
        _holds.Set(Stream, 16, 200, 0).ShouldBeTrue("it is one of them");
        _holds.Set("cmd/c2", 17, 0, 0).ShouldBeTrue("each command has its own");
    }
}
