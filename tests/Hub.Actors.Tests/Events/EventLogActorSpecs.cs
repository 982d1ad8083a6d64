using Akka.Actor;
using Akka.TestKit;
using AkkaHub.Internal.V1;
using AkkaHub.V1;
using Hub.Actors.Events;
using Hub.Actors.Settings;
using Hub.Actors.Tests.Actors;

namespace Hub.Actors.Tests.Events;

/// <summary>A partition's event log under a probe for its partition.</summary>
public sealed class EventLogActorSpecs : ActorSpec
{
    private const int MostEvents = 300;
    private readonly TestProbe _partition;
    private readonly IActorRef _parent;
    private IActorRef _log;

    public EventLogActorSpecs()
        : base(new HubSettings { Events = new EventSettings { MaxCount = MostEvents, MaxAge = TimeSpan.FromHours(1) } })
    {
        _partition = CreateTestProbe();
        _parent = Sys.ActorOf(Props.Create(() => new Parent(_partition.Ref)));
        _log = Start();
        _partition.ExpectMsg<EventLogRecovered>(Bound);
    }

    private IActorRef Start()
    {
        var maker = CreateTestProbe();
        _parent.Tell(EventLogActor.Props(3, Hub), maker.Ref);
        return maker.ExpectMsg<IActorRef>(Bound);
    }

    private EventLogRecovered Restart()
    {
        Watch(_log);
        Sys.Stop(_log);
        ExpectTerminated(_log, Bound);
        _log = Start();
        return _partition.FishForMessage<EventLogRecovered>(_ => true, Bound);
    }

    private static void IsOf(EventLogRecovered recovered, long life, long through)
    {
        (recovered.Life, recovered.GivenThrough).ShouldBe((life, through));
        recovered.Present.ShouldBe(["n1"]);
    }

    private MeshFact Fact(int n) => new() { Type = MeshEventType.NodeOnline, Subject = "nodes/n1", Message = $"{n}", TimeUnixUs = Hub.NowUnixUs() };

    private GivenFacts Given(long given, params int[] facts) => new(given, "", 0, [.. facts.Select(Fact)]);

    private GivenFacts Told(long given, long number, params int[] facts) => new(given, "n1", number, [.. facts.Select(Fact)]);

    private void Write(long life, params GivenFacts[] given) => _log.Tell(new WriteEvents(life, given));

    private void Written(long life, long through) => _partition.FishForMessage<EventsWritten>(m => m == new EventsWritten(life, through), Bound);

    private EventsTold Follow(long after = 0, TestProbe? follower = null)
    {
        follower ??= CreateTestProbe();
        _log.Tell(new FollowEvents(3, after), follower.Ref);
        return follower.ExpectMsg<EventsTold>(Bound);
    }

    private List<int> All()
    {
        var all = new List<int>();
        for (var told = Follow(); ; told = Follow(told.After + told.Facts.Count))
        {
            if (told.Facts.Count == 0)
                return all;
            all.AddRange(told.Facts.Select(f => int.Parse(f.Message, System.Globalization.CultureInfo.InvariantCulture)));
        }
    }

    [Fact]
    public void What_was_written_is_there_in_order_after_a_restart()
    {
        Write(5, Given(1, 1), Given(2, 2, 3));
        Write(5, Given(3, 4));
        Written(5, 3);
        All().ShouldBe([1, 2, 3, 4]);
        var before = Follow();
        IsOf(Restart(), 5, 3);
        All().ShouldBe([1, 2, 3, 4]);
        (Follow().Before, Follow().End).ShouldBe((before.Before, before.End));
    }

    [Fact]
    public void What_is_given_again_by_the_same_life_is_taken_once_and_by_another_anew()
    {
        Write(5, Given(1, 1), Given(2, 2));
        Written(5, 2);
        Write(5, Given(1, 1), Given(2, 2), Given(3, 3));
        Written(5, 3);
        Write(6, Given(1, 4));
        Written(6, 1);
        All().ShouldBe([1, 2, 3, 4]);
    }

    [Fact]
    public void What_a_journal_tells_is_taken_once_whoever_gives_it_and_however_often()
    {
        Write(5, Told(1, 10, 1), Told(2, 12, 2));
        Written(5, 2);
        Restart();
        Write(6, Told(1, 10, 1), Told(2, 12, 2), Told(3, 12, 2), Told(4, 13, 3), Told(5, 10, 1));
        Written(6, 5);
        All().ShouldBe([1, 2, 3]);
        // A name that was forgotten begins anew.
        _log.Tell(new ForgetEventSource("n1"));
        Write(6, Told(6, 1, 4));
        Written(6, 6);
        All().ShouldBe([1, 2, 3, 4]);
    }

    [Fact]
    public void A_follower_is_answered_at_once_and_told_once_of_what_comes_when_it_is_durable()
    {
        var follower = CreateTestProbe();
        Follow(follower: follower).Facts.ShouldBeEmpty();
        Journal.Close();
        Write(5, Given(1, 1));
        follower.ExpectNoMsg(Moment);
        Journal.Open();
        var told = follower.ExpectMsg<EventsTold>(Bound);
        told.Facts.Select(f => f.Message).ShouldBe(["1"]);
        told.After.ShouldBeGreaterThan(1_700_000_000_000, "numbers begin at the time of the log's making");
        Write(5, Given(2, 2));
        Written(5, 2);
        follower.ExpectNoMsg(Moment);
        Follow(told.End, follower).Facts.Select(f => f.Message).ShouldBe(["2"]);
    }

    [Fact]
    public void Only_the_newest_are_kept_and_nothing_that_is_too_old()
    {
        for (var i = 0; i < 20; i++)
            Write(5, Given(i + 1, [.. Enumerable.Range(i * 20, 20)]));
        Written(5, 20);
        All().ShouldBe(Enumerable.Range(100, MostEvents));
        var (before, end) = (Follow().Before, Follow().End);
        (end - before).ShouldBe(MostEvents);
        Restart();
        All().ShouldBe(Enumerable.Range(100, MostEvents));
        // A place that is gone, or of another store, is answered with the oldest there is.
        Follow(before - 5).After.ShouldBe(before);
        Follow(end + 1).After.ShouldBe(before);
        Advance(TimeSpan.FromHours(2));
        AwaitAssert(() => All().ShouldBeEmpty(), Bound);
        Follow().End.ShouldBe(end);
        Write(5, Given(21, 7));
        Written(5, 21);
        All().ShouldBe([7]);
        Follow().After.ShouldBe(end);
    }

    [Fact]
    public void A_log_of_many_rows_is_whole_after_snapshots_and_deletions()
    {
        var given = 0;
        for (var round = 0; round < 6; round++)
        {
            for (var i = 0; i < 60; i++)
            {
                given++;
                Write(5, new GivenFacts(given, "", 0, [new MeshFact { Type = MeshEventType.NodeStale, Subject = "nodes/n1", Message = $"{given}", TimeUnixUs = Hub.NowUnixUs() }]),
                    new GivenFacts(++given, "filler", given, [new MeshFact { Type = MeshEventType.NodeStale, Subject = "nodes/" + new string('x', 600), Message = $"{given}", TimeUnixUs = Hub.NowUnixUs() }]));
                Written(5, given);
            }

            IsOf(Restart(), 5, given);
            All().ShouldBe(Enumerable.Range(Math.Max(1, given - MostEvents + 1), Math.Min(given, MostEvents)));
        }
    }

    [Fact]
    public void A_write_that_fails_stops_it_and_what_is_given_again_is_not_doubled()
    {
        AllowErrors();
        Write(5, Told(1, 10, 1));
        Written(5, 1);
        Watch(_log);
        Journal.FailWrites(static _ => new IOException("disk full"));
        Write(5, Told(2, 11, 2), Given(3, 3));
        _partition.FishForMessage<EventLogStoreFailed>(_ => true, Bound);
        ExpectTerminated(_log, Bound);
        Journal.Heal();
        _log = Start();
        IsOf(_partition.FishForMessage<EventLogRecovered>(_ => true, Bound), 5, 1);
        Write(5, Told(1, 10, 1), Told(2, 11, 2), Given(3, 3));
        Written(5, 3);
        All().ShouldBe([1, 2, 3]);
    }

    [Fact]
    public void It_stops_when_all_that_was_given_is_written()
    {
        Watch(_log);
        Journal.Close();
        for (var i = 1; i <= 5; i++)
            Write(5, Given(i, i));
        _log.Tell(StopEventLog.Instance);
        ExpectNoMsg(Moment);
        Journal.Open();
        ExpectTerminated(_log, Bound);
        _log = Start();
        _partition.FishForMessage<EventLogRecovered>(_ => true, Bound).GivenThrough.ShouldBe(5);
        All().ShouldBe([1, 2, 3, 4, 5]);
    }

    private sealed class Parent : UntypedActor
    {
        private readonly IActorRef _probe;

        public Parent(IActorRef probe) => _probe = probe;

        protected override SupervisorStrategy SupervisorStrategy() => new OneForOneStrategy(_ => Directive.Stop);

        protected override void OnReceive(object message)
        {
            if (message is Props props)
                Sender.Tell(Context.ActorOf(props));
            else
                _probe.Forward(message);
        }
    }
}
