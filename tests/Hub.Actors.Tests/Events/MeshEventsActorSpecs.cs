using Akka.Actor;
using Akka.TestKit;
using AkkaHub.Internal.V1;
using AkkaHub.V1;
using Hub.Actors.Events;
using Hub.Actors.Registry;
using Hub.Actors.Settings;
using Hub.Actors.Tests.Actors;

namespace Hub.Actors.Tests.Events;

/// <summary>A member's copy of the events of four partitions, behind a probe for the way to them.</summary>
public sealed class MeshEventsActorSpecs : ActorSpec
{
    private const int Partitions = 4;
    private const long Start = 1_000_000;
    private static readonly TimeSpan Long = TimeSpan.FromMinutes(10);
    private readonly TestProbe _region;
    private readonly List<MeshFact>[] _logs = [.. Enumerable.Range(0, Partitions).Select(_ => new List<MeshFact>())];
    private readonly HashSet<int> _silent = [];
    private readonly IActorRef _events;
    private readonly long[] _before = [Start, Start, Start, Start];

    public MeshEventsActorSpecs()
        : base(new HubSettings { Registry = new RegistrySettings { Partitions = Partitions }, Events = new EventSettings { MaxCount = 300, MaxWaiting = 2 } })
    {
        _region = CreateTestProbe();
        _events = Sys.ActorOf(MeshEventsActor.Props(Hub, _region.Ref));
        // Its timer stands before the clock moves.
        Serve();
    }

    private static string NodeOf(int partition) => Enumerable.Range(1, 1000).Select(i => $"n{i}").First(n => StableHash.PartitionOf(n, Partitions) == partition);

    private void Raise(int partition, int from, int count, string? subject = null)
    {
        for (var i = from; i < from + count; i++)
        {
            Time.Advance(TimeSpan.FromTicks(TimeSpan.TicksPerMicrosecond));
            _logs[partition].Add(new MeshFact { Type = MeshEventType.NodeOnline, Subject = subject ?? "nodes/" + NodeOf(partition), Message = $"{i}", TimeUnixUs = Hub.NowUnixUs() });
        }
    }

    // Answers as the logs of the partitions do, what is asked for and what has come since, until all that was told has been dealt with and nothing is asked.
    private void Serve()
    {
        bool served;
        do
        {
            served = false;
            _events.Tell(new Identify(null), _region.Ref);
            while (_region.ReceiveOne(Bound) is var message and not ActorIdentity)
            {
                message.ShouldNotBeNull();
                if (message is not FollowEvents m || _silent.Contains(m.Partition))
                    continue;
                served = true;
                Tell(m.Partition, m.After);
            }
        } while (served);
    }

    private void Tell(int partition, long after)
    {
        var log = _logs[partition];
        var end = log.Count == 0 ? 0 : Start + log.Count;
        var before = log.Count == 0 ? 0 : _before[partition];
        var from = after > end || after < before ? before : after;
        _events.Tell(new EventsTold(partition, from, [.. log.Skip((int)Math.Max(0, from - Start)).Take(EventLogActor.MaxTold)], before, end, log.Count == 0 ? 0 : Start));
    }

    private void Push(int partition, int count) => Tell(partition, Start + _logs[partition].Count - count);

    private void Settle()
    {
        Serve();
        Advance(TimeSpan.FromSeconds(6));
        Serve();
    }

    private EventSlice Read(string cursor, string subject = "", long since = 0, bool fromEnd = false)
    {
        _events.Tell(new ReadEvents(cursor, since, subject, null, FromEnd: fromEnd), TestActor);
        return ExpectMsg<EventSlice>(Bound);
    }

    private EventCursorTooOld TooOld(string cursor)
    {
        _events.Tell(new ReadEvents(cursor, 0, "", null), TestActor);
        return ExpectMsg<EventCursorTooOld>(Bound);
    }

    private static IEnumerable<int> Numbers(EventSlice slice) => slice.Events.Select(e => int.Parse(e.Message, System.Globalization.CultureInfo.InvariantCulture));

    [Fact]
    public void Reading_on_at_any_cursor_gives_each_event_once_by_time_over_all_partitions()
    {
        for (var i = 0; i < 290; i++)
            Raise(i * 7 % Partitions, i, 1);
        Settle();
        var first = Read("");
        (first.Events.Count, first.AtEnd).ShouldBe((256, false));
        var second = Read(first.Next);
        (second.Events.Count, second.AtEnd).ShouldBe((34, true));
        Numbers(first).Concat(Numbers(second)).ShouldBe(Enumerable.Range(0, 290));
        Numbers(Read(first.Events[99].Cursor)).ShouldBe(Enumerable.Range(100, 190));
        Read(second.Next).Events.ShouldBeEmpty();
        Read("", fromEnd: true).Next.ShouldBe(second.Next);
    }

    [Fact]
    public void A_cursor_is_good_at_a_member_that_has_just_started_and_at_one_that_lags()
    {
        Raise(0, 0, 5);
        Raise(1, 5, 5);
        Settle();
        var cursor = Read("").Next;
        Raise(0, 10, 1);
        var ahead = EventCursor.Encode([Start + 7, Start + 5, 0, 0]);
        var watcher = CreateTestProbe();
        _events.Tell(new ReadEvents(ahead, 0, "", Long), watcher.Ref);
        Raise(0, 11, 2);
        Settle();
        // 10 and 11 were seen elsewhere; 12 is the next.
        Numbers(watcher.ExpectMsg<EventSlice>(Bound)).ShouldBe([12]);

        var other = Sys.ActorOf(MeshEventsActor.Props(Hub, _region.Ref));
        other.Tell(new ReadEvents(cursor, 0, "", Long), watcher.Ref);
        watcher.ExpectNoMsg(Moment);
        for (var p = 0; p < Partitions; p++)
            other.Tell(new EventsTold(p, Start, [.. _logs[p]], _logs[p].Count == 0 ? 0 : Start, _logs[p].Count == 0 ? 0 : Start + _logs[p].Count, _logs[p].Count == 0 ? 0 : Start));
        Numbers(watcher.ExpectMsg<EventSlice>(Bound)).ShouldBe([10, 11, 12]);
    }

    [Fact]
    public void A_place_that_is_gone_is_answered_with_the_first_that_is_left_and_skips_nothing_else()
    {
        Raise(0, 0, 10);
        Raise(1, 10, 10);
        Settle();
        var old = Read("").Events[14].Cursor;
        // The log of partition 0 keeps only what is after its eighth.
        _before[0] = Start + 8;
        Raise(0, 20, 2);
        Tell(0, Start + 10);
        Settle();
        // All ten of the first partition and five of the other were seen: that is still there.
        Numbers(Read(old)).ShouldBe([15, 16, 17, 18, 19, 20, 21]);
        var older = EventCursor.Encode([Start + 2, Start + 5, 0, 0]);
        Numbers(Read(TooOld(older).FirstAvailable)).ShouldBe([8, 9, .. Enumerable.Range(15, 7)], ignoreOrder: true);
    }

    [Fact]
    public void A_cursor_of_another_store_or_none_at_all_is_too_old()
    {
        Raise(0, 0, 3);
        Settle();
        foreach (var wrong in new[] { "nonsense", "!!!", new string('a', 200), EventCursor.Encode([1, 2, 3]) })
            Numbers(Read(TooOld(wrong).FirstAvailable)).ShouldBe([0, 1, 2]);
        _events.Tell(new ReadEvents(EventCursor.Encode([5, 0, 0, 0]), 0, "", null), TestActor);
        ExpectMsg<EventCursorTooOld>(Bound);
        // Beyond the end: it may be one that another member has seen, until the partition itself says that it is not.
        _events.Tell(new ReadEvents(EventCursor.Encode([Start + 99, 0, 0, 0]), 0, "", Long), TestActor);
        Serve();
        ExpectNoMsg(Moment);
        Settle();
        Settle();
        Numbers(Read(ExpectMsg<EventCursorTooOld>(Bound).FirstAvailable)).ShouldBe([0, 1, 2]);
    }

    [Fact]
    public void A_cursor_from_before_the_first_event_of_a_partition_is_good_until_that_has_left()
    {
        Raise(0, 0, 1);
        Settle();
        var cursor = Read("").Next;
        Raise(1, 1, 3);
        Settle();
        Numbers(Read(cursor)).ShouldBe([1, 2, 3]);
        _before[1] = Start + 1;
        Raise(1, 4, 1);
        Settle();
        Settle();
        Numbers(Read(TooOld(cursor).FirstAvailable)).ShouldBe([2, 3, 4]);
        Numbers(Read(TooOld("nonsense").FirstAvailable)).ShouldBe([0, 2, 3, 4]);
    }

    [Fact]
    public void An_answer_that_was_held_up_empties_nothing()
    {
        Raise(0, 0, 3);
        Settle();
        _events.Tell(new EventsTold(0, Start, [.. _logs[0].Take(2)], Start, Start + 2, Start));
        Numbers(Read("")).ShouldBe([0, 1, 2]);
        Settle();
        Numbers(Read("")).ShouldBe([0, 1, 2]);
    }

    [Fact]
    public void A_filter_takes_what_is_below_the_subject_and_no_namesake()
    {
        Raise(0, 0, 1);
        var name = NodeOf(0);
        Raise(0, 1, 1, $"nodes/{name}/terminals/main");
        Raise(0, 2, 1, $"nodes/{name}0");
        Raise(1, 3, 1);
        Settle();
        Numbers(Read("", $"nodes/{name}")).ShouldBe([0, 1]);
        Numbers(Read("", $"nodes/{NodeOf(1)}")).ShouldBe([3]);
        var since = Hub.NowUnixUs() + 1;
        Raise(0, 4, 1);
        Push(0, 1);
        Numbers(Read("", $"nodes/{name}", since)).ShouldBe([4]);
    }

    [Fact]
    public void A_watcher_waits_for_what_matches_or_until_its_time_is_over()
    {
        Settle();
        var watcher = CreateTestProbe();
        _events.Tell(new ReadEvents("", 0, "nodes/" + NodeOf(2), TimeSpan.FromSeconds(10)), watcher.Ref);
        Raise(1, 0, 1);
        Push(1, 1);
        watcher.ExpectNoMsg(Moment);
        Raise(2, 7, 1);
        Push(2, 1);
        Numbers(watcher.ExpectMsg<EventSlice>(Bound)).ShouldBe([7]);
        _events.Tell(new ReadEvents("", 0, "nodes/" + NodeOf(3), TimeSpan.FromSeconds(10)), watcher.Ref);
        Read("");
        var nothing = AdvanceUntil<EventSlice>(watcher, TimeSpan.FromSeconds(2), 20);
        nothing.Events.ShouldBeEmpty();
        Read(nothing.Next, "nodes/" + NodeOf(3)).Events.ShouldBeEmpty();
    }

    [Fact]
    public void What_is_new_is_published_once_and_what_was_there_before_is_not()
    {
        Raise(0, 0, 2);
        Sys.EventStream.Subscribe(TestActor, typeof(MeshEventRaised));
        Settle();
        ExpectNoMsg(Moment);
        Raise(0, 2, 1);
        Push(0, 1);
        Push(0, 1);
        ExpectMsg<MeshEventRaised>(Bound).Message.ShouldBe("2");
        Settle();
        ExpectNoMsg(Moment);
    }

    [Fact]
    public void A_partition_that_is_not_heard_is_named_and_what_happened_in_it_follows()
    {
        _silent.Add(2);
        Raise(1, 0, 1);
        Advance(TimeSpan.FromSeconds(1));
        Serve();
        // There may be more: whoever asks without waiting waits a little for that.
        _events.Tell(new ReadEvents("", 0, "", null), TestActor);
        ExpectNoMsg(Moment);
        Settle();
        var slice = ExpectMsg<EventSlice>(Bound);
        (Numbers(slice).Single(), slice.AtEnd).ShouldBe((0, true));
        slice.Unreachable.ShouldBe([2]);
        _silent.Remove(2);
        // Its oldest has left the log long ago: what is kept follows all the same.
        Raise(2, 99, 1);
        _before[2] = Start + 1;
        Raise(2, 1, 2);
        Settle();
        var next = Read(slice.Next);
        Numbers(next).ShouldBe([1, 2]);
        next.Unreachable.ShouldBeEmpty();
        _silent.Add(1);
        for (var i = 0; i < 4; i++)
            Settle();
        Read(next.Next).Unreachable.ShouldBe([1]);
    }

    [Fact]
    public void Who_reads_without_a_cursor_is_not_too_late_for_what_leaves_while_it_waits()
    {
        _silent.Add(2);
        Raise(1, 0, 300);
        Advance(TimeSpan.FromSeconds(1));
        Serve();
        _events.Tell(new ReadEvents("", 0, "", null), TestActor);
        ExpectNoMsg(Moment);
        // As many as are kept: the oldest goes.
        _before[1] = Start + 1;
        Raise(1, 300, 1);
        Push(1, 1);
        Settle();
        Numbers(ExpectMsg<EventSlice>(Bound)).ShouldBe(Enumerable.Range(1, 256));
    }

    [Fact]
    public void One_watcher_too_many_is_refused_until_another_gives_up()
    {
        Settle();
        using var gaveUp = new CancellationTokenSource();
        var (one, other, third) = (CreateTestProbe(), CreateTestProbe(), CreateTestProbe());
        _events.Tell(new ReadEvents("", 0, "", Long), one.Ref);
        _events.Tell(new ReadEvents("", 0, "", Long, gaveUp.Token), other.Ref);
        _events.Tell(new ReadEvents("", 0, "", Long), third.Ref);
        var failure = third.ExpectMsg<EventReadRefused>(Bound).Failure;
        (failure.Kind, failure.DetailValue).ShouldBe((FailureKind.ResourceExhausted, "akkahub.events.max-waiting"));
        gaveUp.Cancel();
        Advance(TimeSpan.FromSeconds(1));
        _events.Tell(new ReadEvents("", 0, "", Long), third.Ref);
        third.ExpectNoMsg(Moment);
        Raise(0, 0, 1);
        Push(0, 1);
        Numbers(third.ExpectMsg<EventSlice>(Bound)).ShouldBe([0]);
        Numbers(one.ExpectMsg<EventSlice>(Bound)).ShouldBe([0]);
        other.ExpectNoMsg(Moment);
    }
}
