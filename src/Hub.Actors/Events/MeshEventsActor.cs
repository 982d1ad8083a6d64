using Akka.Actor;
using AkkaHub.V1;
using Hub.Actors.Members;
using Hub.Actors.Registry;
using Hub.Actors.Telemetry;
using Hub.Protocol;

namespace Hub.Actors.Events;

/// <summary>
/// One per member: follows the event logs of all partitions, wherever they are, keeps a copy of what they keep, publishes what is
/// new on the member's EventStream, and answers watchers from the copy. Watchers pull, so a slow one holds nothing here but its
/// place. A partition that has not been heard for <see cref="SilentAfter"/> is named to them as unreachable; what happens in it
/// meanwhile follows when it answers.
/// </summary>
public sealed class MeshEventsActor : UntypedActor, IWithTimers
{
    /// <summary>How long a partition may say nothing; it is asked every third of that.</summary>
    public static readonly TimeSpan SilentAfter = TimeSpan.FromSeconds(15);

    private const int MaxSlice = 256;
    private static readonly TimeSpan TickInterval = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan AskInterval = SilentAfter / 3;
    // Whoever does not want to wait waits so long for partitions that have just not been read, or for a place another member has seen already.
    private static readonly TimeSpan CatchUp = TimeSpan.FromSeconds(5);
    // A place beyond the end that is still beyond it when the partition has been heard so long after is not of this store.
    private static readonly TimeSpan CatchUpHeard = TimeSpan.FromSeconds(3);

    private sealed record Tick
    {
        public static readonly Tick Instance = new();
    }

    private sealed class Copy(int maxCount)
    {
        public EventRing Events { get; } = new(maxCount);
        /// <summary>Number of the newest that the log has told of, and of the event before its first.</summary>
        public long LogEnd { get; set; }
        public long Origin { get; set; }
        /// <summary>It said that it has less than is here.</summary>
        public bool IsDoubted { get; set; }
        public long HeardUs { get; set; } = -1;
        public long AskedUs { get; set; } = long.MinValue / 2;
        /// <summary>It has been read to its end once: what comes now is new.</summary>
        public bool Read { get; set; }
    }

    private sealed class Watcher(IActorRef asker, ReadEvents question, long[] places, long askedUs, long deadlineUs)
    {
        public IActorRef Asker { get; } = asker;
        public ReadEvents Question { get; } = question;
        public long[] Places { get; } = places;
        public long AskedUs { get; } = askedUs;
        public long DeadlineUs { get; } = deadlineUs;
    }

    private readonly HubRuntime _hub;
    private readonly IActorRef _region;
    private readonly Copy[] _copies;
    private readonly int[] _all;
    private readonly List<Watcher> _waiting = [];

    /// <summary>Makes it.</summary>
    public MeshEventsActor(HubRuntime hub, IActorRef region)
    {
        _hub = hub;
        _region = region;
        _copies = [.. Enumerable.Range(0, hub.Settings.Registry.Partitions).Select(_ => new Copy(hub.Settings.Events.MaxCount))];
        _all = [.. Enumerable.Range(0, _copies.Length)];
    }

    /// <inheritdoc/>
    public ITimerScheduler Timers { get; set; } = null!;

    /// <summary>Makes it.</summary>
    /// <param name="hub">What the member's actors share.</param>
    /// <param name="region">The way to partitions.</param>
    public static Props Props(HubRuntime hub, IActorRef region) => Akka.Actor.Props.Create(() => new MeshEventsActor(hub, region));

    /// <inheritdoc/>
    protected override void PreStart()
    {
        Timers.StartPeriodicTimer(Tick.Instance, Tick.Instance, TickInterval);
    }

    /// <inheritdoc/>
    protected override void OnReceive(object message)
    {
        switch (message)
        {
            case EventsTold m when m.Partition >= 0 && m.Partition < _copies.Length:
                OnTold(m);
                break;
            case ReadEvents m:
                OnRead(m);
                break;
            case Tick:
                AskSilent();
                _waiting.RemoveAll(static w => w.Question.Abandoned.IsCancellationRequested);
                var now = _hub.ElapsedUs();
                for (var i = _waiting.Count - 1; i >= 0; i--)
                {
                    if (TryAnswer(_waiting[i], now >= _waiting[i].DeadlineUs || (_waiting[i].Question.Cursor.Length == 0 && now >= _waiting[i].AskedUs + (long)CatchUp.TotalMicroseconds)))
                        _waiting.RemoveAt(i);
                }

                break;
        }
    }

    private void AskSilent()
    {
        // A member whose build does not know the question would only log that.
        if (!_hub.Members.AllRead(WireForms.Events))
            return;
        var now = _hub.ElapsedUs();
        for (var i = 0; i < _copies.Length; i++)
        {
            var interval = _copies[i].HeardUs < 0 ? TickInterval : AskInterval;
            if (now - _copies[i].AskedUs >= (long)interval.TotalMicroseconds)
                Ask(i);
        }
    }

    private void Ask(int partition)
    {
        _copies[partition].AskedUs = _hub.ElapsedUs();
        _region.Tell(new FollowEvents(partition, _copies[partition].Events.End));
    }

    private void OnTold(EventsTold m)
    {
        var copy = _copies[m.Partition];
        var events = copy.Events;
        copy.HeardUs = _hub.ElapsedUs();
        // It has lost what is not here, or is another store's.
        if (m.Before > events.End || m.End < events.End)
        {
            // Or it was held up on its way from the partition's former home: it is to say so twice.
            if (m.End < events.End && !copy.IsDoubted)
            {
                copy.IsDoubted = true;
                Ask(m.Partition);
                return;
            }

            copy.Read &= events.End == 0;
            events.Begin(m.Before);
        }

        (copy.LogEnd, copy.Origin) = (m.End, m.Origin);
        var news = 0;
        for (var i = 0; i < m.Facts.Count; i++)
        {
            if (m.After + i != events.End)
                continue;
            var fact = m.Facts[i];
            events.Add(fact);
            news++;
            if (copy.Read)
                Context.System.EventStream.Publish(new MeshEventRaised(fact.Type, fact.Subject, fact.Message, fact.TimeUnixUs));
        }

        copy.IsDoubted = false;
        events.DropThrough(m.Before);
        copy.Read |= events.End >= m.End;
        if (news > 0 || events.End < m.End)
            Ask(m.Partition);
        for (var i = _waiting.Count - 1; i >= 0; i--)
        {
            if (Concerns(_waiting[i], m.Partition) && TryAnswer(_waiting[i], late: false))
                _waiting.RemoveAt(i);
        }
    }

    private void OnRead(ReadEvents m)
    {
        var places = new long[_copies.Length];
        if (m.Cursor.Length > 0 && !EventCursor.TryDecode(m.Cursor, places))
        {
            Sender.Tell(new EventCursorTooOld(EventCursor.Encode(new long[places.Length])));
            return;
        }

        var now = _hub.ElapsedUs();
        var watcher = new Watcher(Sender, m, places, now, now + (long)(m.Wait ?? CatchUp).TotalMicroseconds);
        // Beside a member whose build has no event log nothing is asked: nothing to wait for.
        if (TryAnswer(watcher, late: m.Wait is null && !_hub.Members.AllRead(WireForms.Events)))
            return;
        if (_waiting.Count < _hub.Settings.Events.MaxWaiting)
        {
            _waiting.Add(watcher);
            return;
        }

        _hub.Metrics.QueueRejected(HubQueue.Events);
        Sender.Tell(new EventReadRefused(Failure.LimitReached("akkahub.events.max-waiting",
            $"As many watchers wait for events as the hub allows ({_hub.Settings.Events.MaxWaiting}, akkahub.events.max-waiting).")));
    }

    // A node's events are all in its own partition.
    private int[] PartitionsOf(ReadEvents m) =>
        m.Subject.Length > 0 && Names.TryParseNode(m.Subject, out var node) ? [StableHash.PartitionOf(node, _copies.Length)] : _all;

    // What comes cheaply first: most of those who wait have seen all of the other partitions, and wait for somebody else's node.
    private bool Concerns(Watcher watcher, int partition)
    {
        var (m, events) = (watcher.Question, _copies[partition].Events);
        ref var place = ref watcher.Places[partition];
        if (m.FromEnd || place <= EventCursor.Empty || place < events.Before || place > events.End)
            return true;
        while (place < events.End && !Matches(m, events[place + 1]))
            place++;
        return place < events.End || m.Wait is null;
    }

    private bool TryAnswer(Watcher watcher, bool late)
    {
        var (m, places) = (watcher.Question, watcher.Places);
        var partitions = PartitionsOf(m);
        var complete = true;
        // Of each partition the next event that matches, the oldest of them first.
        var heads = new PriorityQueue<int, long>();
        foreach (var p in partitions)
        {
            var copy = _copies[p];
            if (copy.HeardUs < 0 || !copy.Read)
            {
                complete = false;
                continue;
            }

            var events = copy.Events;
            if (places[p] == EventCursor.Empty && events.Before == copy.Origin)
                places[p] = events.Before;
            if (places[p] > events.End && !IsForeign(watcher, p))
            {
                // Another member has read further; so will this one.
                complete = false;
                if (_hub.ElapsedUs() - copy.AskedUs >= (long)TickInterval.TotalMicroseconds)
                    Ask(p);
                continue;
            }

            if (places[p] == 0)
                places[p] = m.FromEnd ? events.End : events.Before;
            // Who gave no place is not held to one: the oldest may leave while it waits. Nor is who asks from the end, and lists after the answer.
            if (m.Cursor.Length == 0 && places[p] < events.Before)
                places[p] = events.Before;
            if (places[p] < events.Before || IsForeign(watcher, p))
            {
                AnswerTooOld(watcher);
                return true;
            }

            Advance(m, p, places, heads);
            // Only for who goes on from here; 0 would be all that is kept then.
            if (places[p] == 0)
                places[p] = EventCursor.Empty;
        }

        // Without a cursor all partitions are read first, so that there is a place in each to go on from.
        if (!late && (heads.Count == 0 ? m.Wait is not null || !complete : m.Cursor.Length == 0 && !complete))
            return false;
        var found = new List<MeshEvent>();
        while (found.Count < MaxSlice && heads.TryDequeue(out var p, out _))
        {
            var fact = _copies[p].Events[++places[p]];
            found.Add(new MeshEvent
            {
                Cursor = EventCursor.Encode(places),
                Time = fact.TimeUnixUs.ToKnownTimestamp(),
                Type = fact.Type,
                Subject = fact.Subject,
                Message = fact.Message,
            });
            Advance(m, p, places, heads);
        }

        watcher.Asker.Tell(new EventSlice(found, EventCursor.Encode(places), heads.Count == 0 && (complete || late), Unreachable(partitions)));
        return true;
    }

    private bool IsForeign(Watcher watcher, int partition) =>
        watcher.Places[partition] > Math.Max(_copies[partition].Events.End, _copies[partition].LogEnd) && _copies[partition].HeardUs >= watcher.AskedUs + (long)CatchUpHeard.TotalMicroseconds;

    private void Advance(ReadEvents m, int partition, long[] places, PriorityQueue<int, long> heads)
    {
        var events = _copies[partition].Events;
        while (places[partition] < events.End)
        {
            var fact = events[places[partition] + 1];
            if (Matches(m, fact))
            {
                heads.Enqueue(partition, fact.TimeUnixUs);
                return;
            }

            places[partition]++;
        }
    }

    private static bool Matches(ReadEvents m, AkkaHub.Internal.V1.MeshFact e) =>
        e.TimeUnixUs >= m.SinceUnixUs
        && (m.Subject.Length == 0 || e.Subject == m.Subject || (e.Subject.StartsWith(m.Subject, StringComparison.Ordinal) && e.Subject[m.Subject.Length] == '/'));

    // The places that can still be read stay: nothing but what is gone is skipped.
    private void AnswerTooOld(Watcher watcher)
    {
        var places = watcher.Places;
        for (var p = 0; p < places.Length; p++)
        {
            var events = _copies[p].Events;
            if (_copies[p].Read && (places[p] < events.Before || IsForeign(watcher, p)))
                places[p] = events.Before;
        }

        watcher.Asker.Tell(new EventCursorTooOld(EventCursor.Encode(places)));
    }

    private List<int> Unreachable(int[] partitions)
    {
        var oldest = _hub.ElapsedUs() - (long)SilentAfter.TotalMicroseconds;
        return [.. partitions.Where(p => _copies[p].HeardUs < 0 || _copies[p].HeardUs < oldest)];
    }
}
