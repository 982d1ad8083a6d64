using Akka.Actor;
using AkkaHub.V1;
using Hub.Actors.Events;
using Hub.Actors.Settings;
using Hub.Actors.Tests.Actors;

namespace Hub.Actors.Tests.Events;

public sealed class MeshEventLogActorSpecs : ActorSpec
{
    private readonly IActorRef _log;

    public MeshEventLogActorSpecs()
        : base(new HubSettings { Events = new EventSettings { MaxCount = 300, MaxWaiting = 2 } }) => _log = Start();

    private IActorRef Start()
    {
        var log = Sys.ActorOf(MeshEventLogActor.Props(Hub));
        Read(log, ""); // it has subscribed once it answers
        return log;
    }

    private void Raise(int from, int count, string subject = "nodes/n1")
    {
        for (var i = from; i < from + count; i++)
            _log.Tell(new MeshEventRaised(MeshEventType.NodeOnline, subject, i.ToString(System.Globalization.CultureInfo.InvariantCulture), Hub.NowUnixUs()));
    }

    private EventSlice Read(IActorRef log, string cursor, string subject = "", long since = 0)
    {
        log.Tell(new ReadEvents(cursor, since, subject, null), TestActor);
        return ExpectMsg<EventSlice>(Bound);
    }

    private static IEnumerable<int> Numbers(EventSlice slice) => slice.Events.Select(e => int.Parse(e.Message, System.Globalization.CultureInfo.InvariantCulture));

    [Fact]
    public void Reading_on_at_the_cursor_gives_each_event_once()
    {
        Raise(0, 290);
        var first = Read(_log, "");
        (first.Events.Count, first.AtEnd).ShouldBe((256, false));
        var second = Read(_log, first.Next);
        (second.Events.Count, second.AtEnd).ShouldBe((34, true));
        Numbers(first).Concat(Numbers(second)).ShouldBe(Enumerable.Range(0, 290));
        Numbers(Read(_log, first.Events[99].Cursor)).First().ShouldBe(100);
        Read(_log, second.Next).Events.ShouldBeEmpty();
    }

    [Fact]
    public void Only_the_newest_are_kept_and_an_older_cursor_is_answered_with_the_first_that_is_left()
    {
        Raise(0, 10);
        var old = Read(_log, "").Events[4].Cursor;
        Raise(10, 1000);
        _log.Tell(new ReadEvents(old, 0, "", null), TestActor);
        var first = ExpectMsg<EventCursorTooOld>(Bound).FirstAvailable;
        Numbers(Read(_log, first)).First().ShouldBe(710);
        Numbers(Read(_log, Read(_log, first).Next)).Last().ShouldBe(1009);
    }

    [Fact]
    public void A_cursor_of_another_life_is_too_old()
    {
        Raise(0, 3);
        var cursor = Read(_log, "").Next;
        var other = Start();
        foreach (var wrong in new[] { cursor, "nonsense", "!!!", new string('a', 200) })
        {
            other.Tell(new ReadEvents(wrong, 0, "", null), TestActor);
            ExpectMsg<EventCursorTooOld>(Bound);
        }
    }

    [Fact]
    public void A_filter_takes_what_is_below_the_subject_and_no_namesake()
    {
        Raise(0, 1, "nodes/n1");
        Raise(1, 1, "nodes/n1/terminals/main");
        Raise(2, 1, "nodes/n10");
        Numbers(Read(_log, "", "nodes/n1")).ShouldBe([0, 1]);
        var before = Hub.NowUnixUs();
        Time.Advance(TimeSpan.FromSeconds(1));
        Raise(3, 1);
        Numbers(Read(_log, "", "nodes/n1", before + 1)).ShouldBe([3]);
    }

    [Fact]
    public void A_watcher_waits_for_what_matches_or_until_its_time_is_over()
    {
        var watcher = CreateTestProbe();
        _log.Tell(new ReadEvents("", 0, "nodes/n2", TimeSpan.FromSeconds(10)), watcher.Ref);
        Raise(0, 1);
        watcher.ExpectNoMsg(Moment);
        Sys.EventStream.Publish(new MeshEventRaised(MeshEventType.NodeOnline, "nodes/n2", "7", Hub.NowUnixUs()));
        Numbers(watcher.ExpectMsg<EventSlice>(Bound)).ShouldBe([7]);
        _log.Tell(new ReadEvents("", 0, "nodes/n3", TimeSpan.FromSeconds(10)), watcher.Ref);
        Read(_log, "");
        var nothing = AdvanceUntil<EventSlice>(watcher, TimeSpan.FromSeconds(2), 20);
        nothing.Events.ShouldBeEmpty();
        Read(_log, nothing.Next).Events.ShouldBeEmpty();
    }

    [Fact]
    public void One_watcher_too_many_is_refused_until_another_gives_up()
    {
        using var gaveUp = new CancellationTokenSource();
        var (one, other, third) = (CreateTestProbe(), CreateTestProbe(), CreateTestProbe());
        var wait = TimeSpan.FromMinutes(10);
        _log.Tell(new ReadEvents("", 0, "", wait), one.Ref);
        _log.Tell(new ReadEvents("", 0, "", wait, gaveUp.Token), other.Ref);
        _log.Tell(new ReadEvents("", 0, "", wait), third.Ref);
        var failure = third.ExpectMsg<EventReadRefused>(Bound).Failure;
        (failure.Kind, failure.DetailValue).ShouldBe((FailureKind.ResourceExhausted, "akkahub.events.max-waiting"));
        gaveUp.Cancel();
        Advance(TimeSpan.FromSeconds(1));
        _log.Tell(new ReadEvents("", 0, "", wait), third.Ref);
        third.ExpectNoMsg(Moment);
        Raise(0, 1);
        Numbers(third.ExpectMsg<EventSlice>(Bound)).ShouldBe([0]);
        Numbers(one.ExpectMsg<EventSlice>(Bound)).ShouldBe([0]);
        other.ExpectNoMsg(Moment);
    }
}
