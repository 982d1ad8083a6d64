using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;
using Akka.Actor;
using Akka.Cluster;
using AkkaHub.V1;
using Google.Protobuf.WellKnownTypes;
using Hub.Actors.Telemetry;

namespace Hub.Actors.Events;

/// <summary>
/// Reads mesh events after a cursor; answered with <see cref="EventSlice"/>, <see cref="EventCursorTooOld"/> or
/// <see cref="EventReadRefused"/>.
/// </summary>
/// <param name="Cursor">After this; empty for the oldest kept event.</param>
/// <param name="SinceUnixUs">Not before this time; 0 for any.</param>
/// <param name="Subject">Only events whose subject is this or lies below it; empty for all.</param>
/// <param name="Wait">Wait this long if there is none; null not to wait.</param>
/// <param name="Abandoned">Fires when nobody waits for the answer any more: its place is free again within a second.</param>
public sealed record ReadEvents(string Cursor, long SinceUnixUs, string Subject, TimeSpan? Wait, CancellationToken Abandoned = default);

/// <summary>Some events.</summary>
/// <param name="Events">In order; at most 256.</param>
/// <param name="Next">Where to go on.</param>
/// <param name="AtEnd">There were no more.</param>
public sealed record EventSlice(IReadOnlyList<MeshEvent> Events, string Next, bool AtEnd);

/// <summary>The cursor's place is gone: the member restarted, or the events left the log.</summary>
/// <param name="FirstAvailable">The first cursor that can be read.</param>
public sealed record EventCursorTooOld(string FirstAvailable);

/// <summary>There is nothing to give, and no room to wait.</summary>
/// <param name="Failure">Which limit is reached.</param>
public sealed record EventReadRefused(Failure Failure);

/// <summary>
/// The member's log of mesh events: a ring in memory that numbers what the EventStream carries. Watchers pull, so a slow one
/// holds nothing here but a number. A cursor names the log's own life and a number in it; one of an earlier life is too old.
/// </summary>
public sealed class MeshEventLogActor : UntypedActor, IWithTimers
{
    private const int MaxSlice = 256;

    private sealed record Tick
    {
        public static readonly Tick Instance = new();
    }

    private readonly record struct Waiting(IActorRef Asker, ReadEvents Question, long DeadlineUnixUs);

    private readonly HubRuntime _hub;
    private readonly int _capacity;
    private readonly string _life = Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(8));
    // A list with a start that moves: reading from a number needs no walk over what is before it.
    private readonly List<MeshEvent> _events = [];
    private readonly List<Waiting> _waiting = [];
    private int _start;
    private long _first;

    /// <summary>Makes the log.</summary>
    public MeshEventLogActor(HubRuntime hub)
    {
        _hub = hub;
        _capacity = hub.Settings.Events.MaxCount;
    }

    /// <inheritdoc/>
    public ITimerScheduler Timers { get; set; } = null!;

    private int Count => _events.Count - _start;

    private long End => _first + Count;

    /// <summary>Makes it.</summary>
    public static Props Props(HubRuntime hub) => Akka.Actor.Props.Create(() => new MeshEventLogActor(hub));

    /// <inheritdoc/>
    protected override void PreStart()
    {
        Context.System.EventStream.Subscribe(Self, typeof(MeshEventRaised));
        if (Context.System.Settings.Config.GetString("akka.actor.provider", "").Contains("cluster", StringComparison.OrdinalIgnoreCase))
            Cluster.Get(Context.System).Subscribe(Self, ClusterEvent.SubscriptionInitialStateMode.InitialStateAsEvents, typeof(ClusterEvent.IMemberEvent));
        Timers.StartPeriodicTimer(Tick.Instance, Tick.Instance, TimeSpan.FromSeconds(1));
    }

    /// <inheritdoc/>
    protected override void OnReceive(object message)
    {
        switch (message)
        {
            case MeshEventRaised m:
                Append(m);
                break;
            case ClusterEvent.MemberUp m:
                Append(Member(MeshEventType.MemberUp, m.Member, "up"));
                break;
            case ClusterEvent.MemberLeft m:
                Append(Member(MeshEventType.MemberLeaving, m.Member, "leaving"));
                break;
            case ClusterEvent.MemberRemoved m:
                Append(Member(MeshEventType.MemberDown, m.Member, "gone"));
                break;
            case ReadEvents m:
                Read(m, Sender, null);
                break;
            case Tick:
                var now = _hub.NowUnixUs();
                _waiting.RemoveAll(static w => w.Question.Abandoned.IsCancellationRequested);
                for (var i = _waiting.Count - 1; i >= 0; i--)
                {
                    var waiting = _waiting[i];
                    if (waiting.DeadlineUnixUs > now)
                        continue;
                    _waiting.RemoveAt(i);
                    waiting.Asker.Tell(new EventSlice([], waiting.Question.Cursor, true));
                }

                break;
        }
    }

    private MeshEventRaised Member(MeshEventType type, Member member, string what) => new(type, member.Address.ToString(), what, _hub.NowUnixUs());

    private void Append(MeshEventRaised m)
    {
        if (Count >= _capacity)
        {
            _events[_start++] = null!;
            _first++;
            _hub.Metrics.EventsDropped(1);
            if (_start >= _capacity)
            {
                _events.RemoveRange(0, _start);
                _start = 0;
            }
        }

        _events.Add(new MeshEvent
        {
            Cursor = Encode(End + 1),
            Time = m.TimeUnixUs.ToTimestamp() ?? new Timestamp(),
            Type = m.Type,
            Subject = m.Subject,
            Message = m.Message,
        });
        if (_waiting.Count == 0)
            return;
        var ready = _waiting.ToArray();
        _waiting.Clear();
        foreach (var waiting in ready)
            Read(waiting.Question, waiting.Asker, waiting.DeadlineUnixUs);
    }

    private void Read(ReadEvents m, IActorRef asker, long? deadline)
    {
        var from = _first;
        if (m.Cursor.Length > 0)
        {
            if (!TryDecode(m.Cursor, out var life, out var number) || life != _life || number < _first || number > End)
            {
                asker.Tell(new EventCursorTooOld(Encode(_first)));
                return;
            }

            from = number;
        }

        var events = new List<MeshEvent>();
        while (from < End && events.Count < MaxSlice)
        {
            var e = _events[_start + (int)(from - _first)];
            from++;
            if (Matches(m, e))
                events.Add(e);
        }

        var next = Encode(from);
        if (events.Count == 0 && m.Wait is { } wait)
        {
            if (_waiting.Count < _hub.Settings.Events.MaxWaiting)
            {
                _waiting.Add(new Waiting(asker, m with { Cursor = next }, deadline ?? _hub.NowUnixUs() + (long)wait.TotalMicroseconds));
                return;
            }

            _hub.Metrics.QueueRejected(HubQueue.Events);
            asker.Tell(new EventReadRefused(Failure.LimitReached("akkahub.events.max-waiting",
                $"As many watchers wait for events as the hub allows ({_hub.Settings.Events.MaxWaiting}, akkahub.events.max-waiting).")));
            return;
        }

        asker.Tell(new EventSlice(events, next, from == End));
    }

    private static bool Matches(ReadEvents m, MeshEvent e) =>
        (m.SinceUnixUs == 0 || e.Time.ToDateTimeOffset().ToUnixUs() >= m.SinceUnixUs)
        && (m.Subject.Length == 0 || e.Subject == m.Subject || e.Subject.StartsWith(m.Subject + "/", StringComparison.Ordinal));

    private string Encode(long number) => Base64Url.EncodeToString(Encoding.ASCII.GetBytes($"e1.{_life}.{number:x}"));

    private static bool TryDecode(string cursor, out string life, out long number)
    {
        life = "";
        number = 0;
        if (cursor.Length > 128 || !Base64Url.IsValid(cursor))
            return false;
        var parts = Encoding.ASCII.GetString(Base64Url.DecodeFromChars(cursor)).Split('.');
        if (parts.Length != 3 || parts[0] != "e1" || !long.TryParse(parts[2], System.Globalization.NumberStyles.AllowHexSpecifier, null, out number))
            return false;
        life = parts[1];
        return true;
    }
}
