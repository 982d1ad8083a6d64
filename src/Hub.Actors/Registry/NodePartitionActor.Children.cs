using Akka.Actor;
using AkkaHub.V1;
using Hub.Actors.Nodes;
using Hub.Actors.Store;
using Hub.Actors.Telemetry;
using Hub.Protocol;

namespace Hub.Actors.Registry;

// The nodes' actors: made when wanted and when the store lets them, and what waits for them meanwhile.
public sealed partial class NodePartitionActor
{
    private const int MaxEarlyMessages = 20_000;

    private readonly Queue<(object Message, IActorRef Sender)> _early = new();
    // The newest question of each bridge whose first one is among them.
    private readonly Dictionary<IActorRef, Attach> _earlyAttaches = [];

    private bool Deliver(NodeEntry entry, object message, IActorRef sender)
    {
        var deliverable = !entry.AwaitsStore || OnlyReads(message);
        if (deliverable && entry.Stage == NodeEntry.ActorStage.Running)
        {
            entry.Actor!.Tell(message, sender);
            return true;
        }

        entry.Buffer ??= new Queue<(object, IActorRef)>();
        // What waits for the store takes half at most, so that who reads finds room however long that lasts.
        var most = _hub.Settings.Registry.MaxBufferedPerNode;
        if (entry.Buffer.Count >= (deliverable ? most : (most + 1) / 2))
        {
            _hub.Metrics.QueueRejected(HubQueue.PartitionBuffer);
            RefuseBuffered(message, sender);
            return false;
        }

        entry.Buffer.Enqueue((message, sender));
        _hub.Metrics.QueueDepth(HubQueue.PartitionBuffer, 1);
        if (deliverable && entry.Stage == NodeEntry.ActorStage.None && !entry.Registering)
            StartIfWanted(entry);
        return true;
    }

    private static bool OnlyReads(object message) => message is NodeRequest { OnlyReads: true };

    private void StartIfWanted(NodeEntry entry)
    {
        if (entry.Buffer is not { Count: > 0 })
            return;
        if (entry.AwaitsStore)
            _storeProbe.Tell(new AwaitStore());
        else
            Start(entry);
    }

    private void Start(NodeEntry entry)
    {
        entry.Stage = NodeEntry.ActorStage.Starting;
        entry.Actor = Context.ActorOf(NodeActor.Props(entry.Name, _hub, _snapshots));
        _byActor.Add(entry.Actor, entry);
        Context.Watch(entry.Actor);
    }

    private void OnRecovered(NodeEntry entry)
    {
        entry.Stage = NodeEntry.ActorStage.Running;
        (entry.MayHoldUntold, entry.IsWoken, entry.FailedWakes) = (false, false, 0);
        entry.Actor!.Tell(new NodeListed(entry.State));
        DeliverBuffer(entry);
    }

    private void DeliverBuffer(NodeEntry entry)
    {
        Queue<(object, IActorRef)>? kept = null;
        while (entry.Buffer is { Count: > 0 } buffer)
        {
            var waiting = buffer.Dequeue();
            if (entry.AwaitsStore && !OnlyReads(waiting.Message))
            {
                (kept ??= new()).Enqueue(waiting);
                continue;
            }

            _hub.Metrics.QueueDepth(HubQueue.PartitionBuffer, -1);
            entry.Actor!.Tell(waiting.Message, waiting.Sender);
        }

        entry.Buffer = kept;
    }

    private void OnTerminated(IActorRef actor)
    {
        if (actor.Equals(_membership))
        {
            if (!_membershipFailed)
                HubLog.MembershipFailed(_hub.Log, _partition);
            _membershipFailed = true;
            _membership = null;
            if (_handingOff)
            {
                StopWhenDone();
                return;
            }

            _storeProbe.Tell(new StoreSuspected(null));
            var pause = _hub.Settings.Registry.MinBackoff * 5;
            if (_membershipConflicted)
            {
                pause = Longer(pause, _hub.Fence.ConflictWait);
                HubLog.WriterConflict(_hub.Log, _partition, $"partition-{_partition}", pause);
            }

            _membershipConflicted = false;
            _membershipPauses = true;
            Timers.StartSingleTimer(RestartMembership.Instance, RestartMembership.Instance, pause);
            return;
        }

        if (actor.Equals(_events))
        {
            OnEventsTerminated();
            return;
        }

        if (!_byActor.Remove(actor, out var entry))
            return;
        entry.Actor = null;
        if (_handingOff)
        {
            StopWhenDone();
            return;
        }

        if (entry.Stage == NodeEntry.ActorStage.Stopping)
        {
            entry.Stage = NodeEntry.ActorStage.None;
            StartIfWanted(entry);
            return;
        }

        Fail(entry);
    }

    private void OnStoreFailed(string? node, Exception? cause)
    {
        if (StoreFailure.IsFenced(cause))
            _hub.Fence.WriteRefused();
        if (StoreFailure.IsConflict(cause))
        {
            if (node is null)
                _membershipConflicted = true;
            else if (Entry(node) is { } entry)
                entry.Conflicted = true;
        }

        _storeProbe.Tell(new StoreSuspected(cause));
    }

    private static TimeSpan Longer(TimeSpan a, TimeSpan b) => a > b ? a : b;

    private void Fail(NodeEntry entry)
    {
        var now = _hub.NowUnixUs();
        if (now - entry.LastFailureUnixUs > 60_000_000)
            entry.Failures = 0;
        entry.LastFailureUnixUs = now;
        entry.HasSession = false;
        entry.IsErased = false;
        entry.FailedWakes += entry.IsWoken ? 1 : 0;
        (entry.MayHoldUntold, entry.IsWoken) = (true, false);
        entry.Detach(now, _hub.ElapsedUs());
        entry.Stage = NodeEntry.ActorStage.Backoff;
        entry.AwaitsStore = true;
        _awaitingStore.Remove(entry.Name);
        var limits = _hub.Settings.Registry;
        var wait = Math.Min(limits.MaxBackoff.TotalMilliseconds, limits.MinBackoff.TotalMilliseconds * Math.Pow(2, Math.Min(entry.Failures, 16)));
        var delay = TimeSpan.FromMilliseconds(wait * (0.5 + Random.Shared.NextDouble() / 2));
        entry.Failures++;
        if (entry.Conflicted)
        {
            delay = Longer(delay, _hub.Fence.ConflictWait);
            HubLog.WriterConflict(_hub.Log, _partition, entry.Name, delay);
        }

        entry.Conflicted = false;
        HubLog.NodeActorStopped(_hub.Log, _partition, entry.Name, delay);
        if (entry.Forgetter is not null)
        {
            FailForgetter(entry, "The store did not answer; forget the node again.");
            // Who asked was told that it failed: it must not happen later.
            if (entry.Buffer is { Count: > 0 } buffer)
            {
                entry.Buffer = new Queue<(object, IActorRef)>(buffer.Where(b => b.Message is not EraseNode));
                _hub.Metrics.QueueDepth(HubQueue.PartitionBuffer, entry.Buffer.Count - buffer.Count);
            }
        }

        Timers.StartSingleTimer("failed-" + entry.Name, new BackoffOver(entry.Name), delay);
    }

    private void KeepEarly(object message)
    {
        if (message is Attach { Ask: > 0 } repeated && _earlyAttaches.ContainsKey(repeated.Bridge))
        {
            _earlyAttaches[repeated.Bridge] = repeated;
            repeated.Bridge.Tell(new AttachTaken(repeated.Ask));
            return;
        }

        if (_handingOff || _early.Count >= MaxEarlyMessages)
        {
            _hub.Metrics.QueueRejected(HubQueue.PartitionBuffer);
            RefuseBuffered(message, Sender);
            return;
        }

        // Asked again every few seconds by every member: one is enough.
        if (message is StartPartition && _early.Any(e => e.Message is StartPartition && e.Sender.Equals(Sender)))
            return;
        if (message is Attach { Ask: > 0 } attach)
        {
            // It is here, and the store lets it in or not: asking again changes nothing.
            _earlyAttaches.Add(attach.Bridge, attach);
            attach.Bridge.Tell(new AttachTaken(attach.Ask));
        }

        _early.Enqueue((message, Sender));
        _hub.Metrics.QueueDepth(HubQueue.PartitionBuffer, 1);
    }

    private void RefuseEarly()
    {
        foreach (var (message, sender) in TakeEarly())
            RefuseBuffered(message, sender);
    }

    private List<(object Message, IActorRef Sender)> TakeEarly()
    {
        _hub.Metrics.QueueDepth(HubQueue.PartitionBuffer, -_early.Count);
        var all = _early.Select(e => (e.Message is Attach attach ? _earlyAttaches.GetValueOrDefault(attach.Bridge, attach) : e.Message, e.Sender)).ToList();
        _early.Clear();
        _earlyAttaches.Clear();
        return all;
    }

    private void DropBuffer(NodeEntry entry)
    {
        while (entry.Buffer is { Count: > 0 } buffer)
        {
            var (message, sender) = buffer.Dequeue();
            _hub.Metrics.QueueDepth(HubQueue.PartitionBuffer, -1);
            RefuseBuffered(message, sender);
        }
    }

    private void RefuseBuffered(object message, IActorRef sender)
    {
        var failure = _handingOff ? Moving
            : new Failure(FailureKind.Unavailable, ErrorReasons.StoreUnavailable, "The node's actor is not ready; try again in a moment.");
        if (message is Attach attach)
            Refuse(attach.Bridge, failure);
        else if (message is NodeRequest or ListPartition)
            sender.Tell(new NodeFailure(failure));
    }

    private static void Refuse(IActorRef bridge, FailureKind kind, string reason, string message) =>
        Refuse(bridge, new Failure(kind, reason, message));

    private static void Refuse(IActorRef bridge, Failure failure) => bridge.Tell(new AttachRefused(failure));
}
