using Hub.Actors.Registry;
using Hub.Actors.Store;
using Microsoft.Extensions.Time.Testing;

namespace Hub.Actors.Tests.Registry;

/// <summary>Whom a partition's beginning fences, and for whom it waits.</summary>
public sealed class StrayWatchSpecs
{
    private static readonly MembersSeen Seen = new(new HashSet<int> { 1, 2 }, new HashSet<int> { 3 });
    private readonly FakeTimeProvider _time = new();
    private readonly StrayWatch _watch;

    public StrayWatchSpecs() => _watch = new StrayWatch(_time);

    private string Judge(params PostgresMemberEntry[] others)
    {
        var (fence, waitFor) = _watch.Judge(others, Seen);
        return $"fence {string.Join(' ', fence)} wait {string.Join(' ', waitFor)}";
    }

    private static PostgresMemberEntry Row(int uid, bool alive, int? cluster = 1) => new(uid, "m", default, alive, cluster);

    [Fact]
    public void Who_is_here_and_alive_and_who_has_joined_nothing_are_no_concern() =>
        Judge(Row(2, alive: true), Row(7, alive: true, cluster: 0), Row(8, alive: false, cluster: 0)).ShouldBe("fence  wait ");

    [Fact]
    public void Who_is_down_is_fenced_whether_it_lives_or_not()
    {
        Judge(Row(3, alive: true)).ShouldBe("fence 3 wait ");
        Judge(Row(3, alive: false)).ShouldBe("fence 3 wait ");
    }

    [Fact]
    public void Who_died_and_is_not_here_is_fenced_whichever_cluster_it_was_of() =>
        Judge(Row(7, alive: false), Row(8, alive: false, cluster: 9), Row(9, alive: false, cluster: null)).ShouldBe("fence 7 8 9 wait ");

    [Fact]
    public void Who_lost_its_session_is_waited_for_and_never_fenced_for_it()
    {
        Judge(Row(2, alive: false)).ShouldBe("fence  wait 2");
        _time.Advance(StrayWatch.Patience - TimeSpan.FromSeconds(1));
        Judge(Row(2, alive: false)).ShouldBe("fence  wait 2");
        Judge(Row(2, alive: true)).ShouldBe("fence  wait ");
        _time.Advance(TimeSpan.FromSeconds(2));
        Judge(Row(2, alive: false)).ShouldBe("fence  wait 2", "its time begins anew");
        _time.Advance(StrayWatch.Patience);
        Judge(Row(2, alive: false)).ShouldBe("fence  wait ");
    }

    [Fact]
    public void Who_lives_and_is_not_here_has_time_to_be_seen()
    {
        Judge(Row(7, alive: true)).ShouldBe("fence  wait 7");
        _time.Advance(StrayWatch.Patience);
        Judge(Row(7, alive: true)).ShouldBe("fence 7 wait ");
    }
}
