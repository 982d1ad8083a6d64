using Akka.Actor;
using AkkaHub.Internal.V1;
using AkkaHub.V1;
using Hub.Actors.Events;
using Hub.Actors.Nodes;
using Hub.Actors.Store;
using Hub.Actors.Telemetry;

namespace Hub.Actors.Registry;

// The mesh's events of this partition, on their way into its durable log, which a child writes. What a node's journal tells and
// what the partition judges go the same way, in the order in which they came.
public sealed partial class NodePartitionActor
{
    private const int MaxEventsOnTheirWay = 4096;

    private readonly EventOutlet _outlet = new(MaxEventsOnTheirWay);
    // Their actors told more than there was room for; they tell it again.
    private readonly HashSet<string> _untold = new(StringComparer.Ordinal);
    private IActorRef? _events;
    private bool _eventsReady;
    private bool _eventsPause;
    private bool _eventsConflicted;
    private bool _eventsStopping;
    private int _eventsLost;
    // Nodes that are there as the log says, until that is compared.
    private IReadOnlyCollection<string>? _present;
    private bool _compared;

    private sealed record RestartEvents
    {
        public static readonly RestartEvents Instance = new();
    }

    private void StartEvents()
    {
        _events = Context.ActorOf(EventLogActor.Props(_partition, _hub));
        Context.Watch(_events);
    }

    private void Raise(MeshEventType type, string subject, string message)
    {
        var fact = NodeFacts.Fact(type, subject, message, _hub.NowUnixUs());
        TellLost();
        if (!_outlet.TryAdd("", 0, [fact]))
            _eventsLost++;
        SendEvents();
    }

    private void TellLost()
    {
        if (_eventsLost > 0 && _outlet.TryAdd("", 0, [NodeFacts.Fact(MeshEventType.EventsLost, $"partitions/{_partition}", $"{_eventsLost} events could not be kept", _hub.NowUnixUs())]))
            _eventsLost = 0;
    }

    private void OnTold(NodeTold m)
    {
        if (Entry(m.Node) is not { } entry)
            return;
        if (!entry.IsNew && m.Row.Facts.Any(static f => f.Type == MeshEventType.NodeForgotten))
            entry.IsErased = true;
        // A row before it found no room: what comes after that would be taken for all of it.
        if (m.After > entry.TakenThrough || !_outlet.TryAdd(m.Node, m.Row.Number, m.Row.Facts))
        {
            _untold.Add(m.Node);
            return;
        }

        entry.TakenThrough = Math.Max(entry.TakenThrough, m.Row.Number);
        SendEvents();
    }

    private void SendEvents()
    {
        if (!_eventsReady)
            return;
        var unsent = _outlet.TakeUnsent();
        if (unsent.Count > 0)
            _events.Tell(new WriteEvents(_outlet.Life, unsent));
    }

    private void OnEventLogRecovered(EventLogRecovered m)
    {
        _eventsReady = true;
        // All of it in order, from the beginning: what comes after a number counts as what comes before it, too.
        _outlet.SendAgain();
        // What it was given before it was made again may have been written though it could not say so.
        if (m.Life == _outlet.Life)
            OnEventsWritten(m.GivenThrough);
        SendEvents();
        _present ??= m.Present;
        CompareWithLog();
    }

    // Once in the partition's life, when both the list and the log are read. Who is away and is there as the log says went while nothing could be written.
    private void CompareWithLog()
    {
        if (!_ready || !_eventsReady || _present is null || _compared)
            return;
        _compared = true;
        _events.Tell(new RetainEventSources(_nodes.Keys.ToHashSet(StringComparer.Ordinal)));
        foreach (var node in _present)
        {
            if (Entry(node) is { State: NodeStatus.Offline, WasJudged: false } entry)
                (entry.IsToBeSaidOffline, entry.MayHoldUntold) = (true, entry.Stage != NodeEntry.ActorStage.Running);
        }
    }

    // It was interrupted by a failure, or by a move of the partition. The name leaves the list when its bytes are deleted.
    private void FinishForgetting(NodeEntry entry)
    {
        entry.IsErased = true;
        DropBuffer(entry);
        entry.Actor.Tell(FinishErase.Instance);
    }

    private void OnEventsWritten(long givenThrough)
    {
        foreach (var (_, node, number, _) in _outlet.Confirm(givenThrough))
        {
            if (node.Length > 0)
                Entry(node)?.Actor?.Tell(new NodeToldWritten(number));
        }

        if (!_outlet.HasRoom)
            return;
        TellLost();
        SendEvents();
        foreach (var node in _untold)
            Entry(node)?.Actor?.Tell(TellUntoldFacts.Instance);

        _untold.Clear();
    }

    private void OnEventsTerminated()
    {
        (_events, _eventsReady, _eventsStopping) = (null, false, false);
        if (_handingOff)
        {
            StopWhenDone();
            return;
        }

        _storeProbe.Tell(new StoreSuspected(null));
        var pause = _hub.Settings.Registry.MinBackoff * 5;
        if (_eventsConflicted)
        {
            pause = Longer(pause, _hub.Fence.ConflictWait);
            HubLog.WriterConflict(_hub.Log, _partition, $"events-{_partition}", pause);
        }

        _eventsConflicted = false;
        _eventsPause = true;
        Timers.StartSingleTimer(RestartEvents.Instance, RestartEvents.Instance, pause);
    }

    private void OnEventLogFailed(Exception cause)
    {
        if (StoreFailure.IsFenced(cause))
            _hub.Fence.WriteRefused();
        _eventsConflicted |= StoreFailure.IsConflict(cause);
        HubLog.EventLogFailed(_hub.Log, _partition, cause.Message);
        _storeProbe.Tell(new StoreSuspected(cause));
    }

    // What the nodes' journals tell and could not be written yet is told by their actors at the partition's next home.
    private void StopEvents()
    {
        if (_events is null || _eventsStopping)
            return;
        _eventsStopping = true;
        if (_eventsReady)
            _events.Tell(StopEventLog.Instance);
        else
            Context.Stop(_events);
    }
}
