using FsCheck.Xunit;
using Hub.Actors.Bridge;
using Hub.Actors.Settings;
using Hub.Actors.Telemetry;

namespace Hub.Actors.Tests.Bridge;

public sealed class StreamCreditSpecs
{
    private static readonly FlowSettings Flow = new() { InitialWindowBytes = 100, MaxWindowBytes = 800, WindowMessages = 10, MemoryBudgetBytes = 1500 };

    [Property(MaxTest = 500, EndSize = 300)]
    public void Credit_never_goes_back_and_never_passes_the_budget(byte[] script)
    {
        using var metrics = new HubMetrics();
        var budget = new MemoryBudget(Flow.MemoryBudgetBytes, metrics);
        var streams = Enumerable.Range(0, 4).Select(_ => new StreamCredit(0, Flow, budget)).ToArray();
        var sent = new long[streams.Length];
        foreach (var step in script)
        {
            var n = step % streams.Length;
            var credit = streams[n];
            var (offset, messages) = (credit.LimitOffset, credit.LimitMessages);
            switch (step / 4 % 8)
            {
                case 0:
                    credit.Shrink();
                    break;
                case 1:
                    credit.Advance(credit.Durable, 1);
                    break;
                case 2:
                    credit.Renew();
                    break;
                case 3 or 4 or 5:
                    // What a node may do: send as far as it was let.
                    var length = (int)Math.Min(step, credit.LimitOffset - sent[n]);
                    if (length > 0 && credit.TryUse(sent[n], length))
                        sent[n] += length;
                    break;
                default:
                    credit.Advance(Math.Min(sent[n], credit.Durable + step), 1);
                    break;
            }

            credit.LimitOffset.ShouldBeGreaterThanOrEqualTo(offset);
            credit.LimitMessages.ShouldBeGreaterThanOrEqualTo(messages);
            credit.Window.ShouldBeInRange(Flow.InitialWindowBytes, Flow.MaxWindowBytes);
            budget.Used.ShouldBeInRange(0, Flow.MemoryBudgetBytes);
            var granted = streams.Sum(s => Math.Max(0, s.LimitOffset - s.Durable));
            granted.ShouldBeLessThanOrEqualTo(budget.Used + (streams.Length * Flow.InitialWindowBytes));
        }

        foreach (var stream in streams)
        {
            stream.Close();
            stream.Close();
        }

        budget.Used.ShouldBe(0);
    }

    [Fact]
    public void Nothing_beyond_the_grant_is_taken()
    {
        using var metrics = new HubMetrics();
        var credit = new StreamCredit(50, Flow, new MemoryBudget(0, metrics));
        credit.LimitOffset.ShouldBe(150);
        credit.TryUse(50, 101).ShouldBeFalse();
        credit.TryUse(50, 100).ShouldBeTrue();
        for (var i = 1; i < Flow.WindowMessages; i++)
            credit.TryUse(50, 1).ShouldBeTrue();
        credit.TryUse(50, 1).ShouldBeFalse("too many messages");
        credit.Return();
        credit.TryUse(50, 1).ShouldBeTrue();
    }

    [Fact]
    public void What_was_lost_with_the_nodes_actor_does_not_stay_used()
    {
        using var metrics = new HubMetrics();
        var credit = new StreamCredit(0, Flow, new MemoryBudget(0, metrics));
        for (var i = 0; i < Flow.WindowMessages; i++)
            credit.TryUse(0, 1).ShouldBeTrue();
        credit.TryUse(0, 1).ShouldBeFalse();
        credit.Renew();
        for (var i = 0; i < Flow.WindowMessages; i++)
            credit.TryUse(0, 1).ShouldBeTrue();
        credit.TryUse(0, 1).ShouldBeFalse();
    }

    [Fact]
    public void A_busy_stream_grows_and_a_quiet_one_gives_back_once_what_it_was_granted_is_used()
    {
        using var metrics = new HubMetrics();
        var budget = new MemoryBudget(1500, metrics);
        var credit = new StreamCredit(0, Flow, budget);
        for (var i = 0; i < 20; i++)
            credit.Advance(credit.LimitOffset, 1);
        credit.Window.ShouldBe(Flow.MaxWindowBytes);
        budget.Used.ShouldBe(700);
        var limit = credit.LimitOffset;
        credit.Shrink();
        credit.LimitOffset.ShouldBe(limit);
        budget.Used.ShouldBe(700, "granted is granted");
        while (credit.Durable < limit - 100)
        {
            credit.Advance(Math.Min(credit.Durable + 40, limit - 100), 0);
            credit.Shrink();
        }

        budget.Used.ShouldBe(0);
    }

    [Fact]
    public void Without_budget_a_stream_keeps_its_first_window()
    {
        using var metrics = new HubMetrics();
        var credit = new StreamCredit(0, Flow, new MemoryBudget(99, metrics));
        for (var i = 0; i < 20; i++)
            credit.Advance(credit.LimitOffset, 1);
        credit.Window.ShouldBe(100);
        credit.LimitOffset.ShouldBe(credit.Durable + 100);
    }
}
