using System.Diagnostics;
using Akka.Actor;
using Akka.Cluster;
using Akka.Persistence;
using AkkaHub.Internal.V1;
using AkkaHub.V1;
using Hub.Actors.Store;
using Hub.Actors.Telemetry;

namespace Hub.Actors.Events;

/// <summary>
/// The durable mesh event log of one partition. What its partition gives is written with one write in flight; what was given
/// before, by this life of the partition or out of a node's journal, is known by its number and taken once. An event is told to
/// members when it is durable. Partition 0's log holds the coming and going of members, too: at its start it compares who is
/// there with what it says. Apart from the partition so that a failed write takes down this actor only.
/// </summary>
internal sealed class EventLogActor : UntypedPersistentActor, IWithTimers
{
    /// <summary>Most events of one <see cref="EventsTold"/>.</summary>
    public const int MaxTold = 256;

    // Of one row, beyond what one entry holds.
    private const int MaxFactsPerRow = 512;
    private const int MinSnapshotBytes = 64 * 1024;
    private static readonly TimeSpan SweepInterval = TimeSpan.FromMinutes(1);

    private sealed record Sweep
    {
        public static readonly Sweep Instance = new();
    }

    private readonly record struct Waiting(long Life, GivenFacts Facts, string Member);

    private readonly int _partition;
    private readonly HubRuntime _hub;
    private readonly uint _writer = RowWriter.New();
    private readonly EventLog _log;
    private readonly Queue<Waiting> _waiting = new();
    // Who is told of the next event, and when it asked: members that ask no more are not told for ever.
    private readonly Dictionary<IActorRef, long> _followers = [];
    // Members that are up as the log says, and as what waits to be written will say.
    private readonly HashSet<string> _members = new(StringComparer.Ordinal);
    private readonly long _started = Stopwatch.GetTimestamp();
    private bool _writing;
    private bool _stopping;
    private long _journaledBytes;
    private long _snapshotBytes = MinSnapshotBytes;
    private long _previousSnapshot;
    private bool _saving;

    public EventLogActor(int partition, HubRuntime hub)
    {
        _partition = partition;
        _hub = hub;
        _log = new EventLog(hub.Settings.Events);
    }

    /// <inheritdoc/>
    public override string PersistenceId => $"events-{_partition}";

    /// <inheritdoc/>
    public ITimerScheduler Timers { get; set; } = null!;

    /// <summary>Makes it.</summary>
    public static Props Props(int partition, HubRuntime hub) => Akka.Actor.Props.Create(() => new EventLogActor(partition, hub));

    private bool TellsOfMembers =>
        _partition == 0 && Context.System.Settings.Config.GetString("akka.actor.provider", "").Contains("cluster", StringComparison.OrdinalIgnoreCase);

    /// <inheritdoc/>
    protected override void OnRecover(object message)
    {
        switch (message)
        {
            case SnapshotOffer offer:
                var snapshot = (EventLogSnapshot)offer.Snapshot;
                _log.Restore(snapshot);
                _previousSnapshot = offer.Metadata.SequenceNr;
                _snapshotBytes = Math.Max(MinSnapshotBytes, snapshot.CalculateSize());
                break;
            case EventsLogged row:
                _log.Apply(row);
                _journaledBytes += row.CalculateSize();
                break;
            case RecoveryCompleted:
                _hub.Metrics.Recovered("events", Stopwatch.GetElapsedTime(_started));
                DropOld();
                _members.UnionWith(_log.Members);
                Context.Parent.Tell(new EventLogRecovered(_log.Life, _log.GivenThrough, [.. _log.Present]));
                if (TellsOfMembers)
                    Cluster.Get(Context.System).Subscribe(Self, ClusterEvent.SubscriptionInitialStateMode.InitialStateAsSnapshot, typeof(ClusterEvent.IMemberEvent));
                Timers.StartPeriodicTimer(Sweep.Instance, Sweep.Instance, SweepInterval);
                break;
        }
    }

    /// <inheritdoc/>
    protected override void PostStop()
    {
        if (TellsOfMembers)
            Cluster.Get(Context.System).Unsubscribe(Self);
        base.PostStop();
    }

    /// <inheritdoc/>
    protected override void OnCommand(object message)
    {
        switch (message)
        {
            case WriteEvents m:
                foreach (var given in m.Given)
                    _waiting.Enqueue(new Waiting(m.Life, given, ""));
                Flush();
                break;
            case FollowEvents m:
                Tell(Sender, m.After);
                _followers[Sender] = _hub.ElapsedUs();
                break;
            case ForgetEventSource m:
                _log.Forget(m.Node);
                break;
            case RetainEventSources m:
                _log.Retain(m.Nodes);
                break;
            case ClusterEvent.CurrentClusterState m:
                CompareMembers(m);
                break;
            case ClusterEvent.MemberUp m when _members.Add(NameOf(m.Member.UniqueAddress)):
                AddMember(MeshEventType.MemberUp, m.Member.UniqueAddress, "up");
                break;
            case ClusterEvent.MemberLeft m:
                AddMember(MeshEventType.MemberLeaving, m.Member.UniqueAddress, "leaving");
                break;
            case ClusterEvent.MemberRemoved m when _members.Remove(NameOf(m.Member.UniqueAddress)):
                AddMember(MeshEventType.MemberDown, m.Member.UniqueAddress, "gone");
                break;
            case Sweep:
                DropOld();
                var oldest = _hub.ElapsedUs() - (long)SweepInterval.TotalMicroseconds;
                foreach (var (follower, asked) in _followers)
                {
                    if (asked < oldest)
                        _followers.Remove(follower);
                }

                break;
            case SaveSnapshotSuccess m:
                _saving = false;
                DeleteMessages(m.Metadata.SequenceNr);
                if (_previousSnapshot > 1)
                    DeleteSnapshots(new SnapshotSelectionCriteria(_previousSnapshot - 1));
                _previousSnapshot = m.Metadata.SequenceNr;
                break;
            case SaveSnapshotFailure m:
                // The journal has it all; the next write tries again.
                _saving = false;
                _journaledBytes = _snapshotBytes;
                _hub.Metrics.SnapshotFailed();
                HubLog.SnapshotFailed(_hub.Log, PersistenceId, m.Cause);
                break;
            case StopEventLog:
                _stopping = true;
                Flush();
                break;
        }
    }

    /// <inheritdoc/>
    protected override void OnPersistFailure(Exception cause, object @event, long sequenceNr)
    {
        _hub.Metrics.PersistFailed("events");
        Context.Parent.Tell(new EventLogStoreFailed(cause));
    }

    /// <inheritdoc/>
    protected override void OnPersistRejected(Exception cause, object @event, long sequenceNr)
    {
        OnPersistFailure(cause, @event, sequenceNr);
        Context.Stop(Self);
    }

    /// <inheritdoc/>
    protected override void OnRecoveryFailure(Exception reason, object? message = null)
    {
        HubLog.RecoveryFailed(_hub.Log, PersistenceId, reason);
        Context.Parent.Tell(new EventLogStoreFailed(reason));
    }

    private void Flush()
    {
        if (_writing)
            return;
        var row = NextRow();
        if (row.Entries.Count > 0)
        {
            _writing = true;
            PersistAsync(row, OnWritten);
            return;
        }

        // Nothing waits, or all of it was here already.
        Context.Parent.Tell(new EventsWritten(row.Life, row.GivenThrough));
        if (_stopping)
            Context.Stop(Self);
    }

    private EventsLogged NextRow()
    {
        // Numbers begin at the time, so that a cursor of another store is not taken for one of this.
        var end = _log.Events.End;
        var row = new EventsLogged { Before = end == 0 ? Math.Max(1, _hub.NowUnixUs() / 1000) : end, Life = _log.Life, GivenThrough = _log.GivenThrough, Writer = _writer };
        var told = new Dictionary<string, long>(StringComparer.Ordinal);
        for (var facts = 0; facts < MaxFactsPerRow && _waiting.TryDequeue(out var waiting);)
        {
            var (given, node, number, _) = waiting.Facts;
            if (given > 0)
            {
                if (waiting.Life == row.Life && given <= row.GivenThrough)
                    continue;
                (row.Life, row.GivenThrough) = (waiting.Life, given);
            }

            if (node.Length > 0)
            {
                if (number <= told.GetValueOrDefault(node, _log.ToldThrough(node)))
                    continue;
                told[node] = number;
            }

            var entry = new LoggedFacts { Node = node, Number = number, Member = waiting.Member };
            entry.Facts.Add(waiting.Facts.Facts);
            row.Entries.Add(entry);
            facts += entry.Facts.Count;
        }

        return row;
    }

    private void OnWritten(EventsLogged row)
    {
        _writing = false;
        _log.Apply(row);
        _journaledBytes += row.CalculateSize();
        _hub.Metrics.EventsPublished(row.Entries.Sum(static e => e.Facts.Count));
        DropOld();
        Context.Parent.Tell(new EventsWritten(row.Life, row.GivenThrough));
        foreach (var follower in _followers.Keys)
            Tell(follower, row.Before);
        _followers.Clear();
        if (!_saving && !_stopping && _journaledBytes >= _snapshotBytes)
            Save();
        Flush();
    }

    private void Save()
    {
        var snapshot = _log.Capture();
        _snapshotBytes = Math.Max(MinSnapshotBytes, snapshot.CalculateSize());
        _journaledBytes = 0;
        _saving = true;
        SaveSnapshot(snapshot);
    }

    private void Tell(IActorRef follower, long after)
    {
        var events = _log.Events;
        // Of another store, or from the oldest on.
        var from = after > events.End || after < events.Before ? events.Before : after;
        follower.Tell(new EventsTold(_partition, from, [.. events.After(from, MaxTold)], events.Before, events.End, _log.Origin));
    }

    private void DropOld()
    {
        var before = _log.Events.Before;
        _log.Events.DropOlderThan(_hub.NowUnixUs() - (long)_hub.Settings.Events.MaxAge.TotalMicroseconds);
        if (_log.Events.Before > before)
            _hub.Metrics.EventsDropped(_log.Events.Before - before);
    }

    private void CompareMembers(ClusterEvent.CurrentClusterState state)
    {
        var there = state.Members.ToDictionary(m => NameOf(m.UniqueAddress), StringComparer.Ordinal);
        foreach (var gone in _members.Where(m => !there.ContainsKey(m)).ToList())
        {
            _members.Remove(gone);
            AddMember(MeshEventType.MemberDown, gone, "gone");
        }

        foreach (var (name, _) in there.Where(m => m.Value.Status == MemberStatus.Up && _members.Add(m.Key)))
            AddMember(MeshEventType.MemberUp, name, "up");
    }

    private void AddMember(MeshEventType type, UniqueAddress member, string what) => AddMember(type, NameOf(member), what);

    private void AddMember(MeshEventType type, string member, string what)
    {
        var fact = new MeshFact { Type = type, Subject = member[..member.LastIndexOf('#')], Message = what, TimeUnixUs = _hub.NowUnixUs() };
        _waiting.Enqueue(new Waiting(0, new GivenFacts(0, "", 0, [fact]), member));
        Flush();
    }

    private static string NameOf(UniqueAddress member) => $"{member.Address}#{member.Uid}";
}
