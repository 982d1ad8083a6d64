using Akka.Actor;
using AkkaHub.Internal.V1;
using AkkaHub.V1;
using Hub.Actors.Events;
using Hub.Actors.Nodes;
using Hub.Actors.Telemetry;
using Hub.Protocol;

namespace Hub.Actors.Registry;

// The durable list of nodes, which a child writes.
public sealed partial class NodePartitionActor
{
    private readonly Queue<MembershipChanged> _unwritten = new();
    private IActorRef? _membership;
    private bool _membershipFailed;
    private bool _membershipConflicted;
    private bool _membershipPauses;

    private void StartMembership()
    {
        _membership = Context.ActorOf(MembershipActor.Props(_partition, _hub));
        Context.Watch(_membership);
    }

    private void Write(MembershipChanged change)
    {
        _unwritten.Enqueue(change);
        _membership?.Tell(new WriteMembership(change));
    }

    private void OnMembershipRecovered(IReadOnlyCollection<NodeDescriptor> nodes)
    {
        _membershipFailed = false;
        if (_ready)
        {
            // It was made again: what it was asked and did not confirm is asked again; upserts and removals may repeat.
            foreach (var change in _unwritten)
                _membership.Tell(new WriteMembership(change));
            return;
        }

        _ready = true;
        foreach (var descriptor in nodes)
        {
            var entry = new NodeEntry(descriptor.Node, descriptor);
            _nodes.Add(descriptor.Node, entry);
            entry.Enter(NodeStatus.Offline, descriptor.LastSeenUnixUs);
            // It was there when the hub stopped, or had lost its connection so shortly before that it was still dialling.
            var dialling = descriptor.SessionEnd is { } end && end.Cause != "node-left"
                && _startedUnixUs - end.TimeUnixUs < _hub.Settings.Liveness.StartGrace.TotalMicroseconds;
            if (descriptor.Attached || dialling)
            {
                entry.WasExpected = entry.MayHoldUntold = true;
                Enter(entry, NodeStatus.Connecting, "expected back");
            }
        }

        _hub.Metrics.NodesKnown(_nodes.Count);
        _hub.Held.AddNodes(_nodes.Count);
        if (_nodes.Count > 0)
            HubLog.PartitionReady(_hub.Log, _partition, _nodes.Count);
        CompareWithLog();
        foreach (var (message, sender) in TakeEarly())
            Self.Tell(message, sender);
    }

    private void OnMembershipWritten(MembershipChanged change)
    {
        // What was asked again of a child that was made again may be confirmed twice: acted on once, in the order it was asked.
        if (!_unwritten.TryPeek(out var first) || !ReferenceEquals(first, change))
            return;
        _unwritten.Dequeue();
        foreach (var descriptor in change.Upserts)
        {
            if (Entry(descriptor.Node) is not { Registering: true } entry)
                continue;
            entry.Registering = false;
            if (entry.Buffer is { Count: > 0 } && entry.Stage == NodeEntry.ActorStage.None && !_handingOff)
                Start(entry);
        }

        foreach (var node in change.Removed)
        {
            if (!_nodes.Remove(node, out var entry))
                continue;
            _hub.Metrics.NodesKnown(-1);
            _hub.Held.AddNodes(-1);
            DropBuffer(entry);
            _untold.Remove(node);
            if (_eventsReady && !_outlet.Holds(node))
                _events.Tell(new ForgetEventSource(node));
            entry.Forgetter?.Tell(new NodeReply(new ForgetNodeResponse()));
            entry.Forgetter = null;
        }

        if (_handingOff)
            StopWhenDone();
    }

    private PartitionNodes List(ListPartition m)
    {
        var listed = _nodes.Values.Where(e => e is { Registering: false, IsErased: false });
        if (m.MaxBytes == 0)
            return new PartitionNodes(_partition, listed.Select(e => e.View()).ToArray());
        var (nodes, bytes) = (new List<Node>(), 0);
        foreach (var entry in listed.Where(e => string.CompareOrdinal(e.Name, m.After) > 0).OrderBy(e => e.Name, StringComparer.Ordinal))
        {
            if (bytes >= m.MaxBytes)
                return new PartitionNodes(_partition, nodes, More: true);
            var node = entry.View();
            nodes.Add(node);
            bytes += node.CalculateSize();
        }

        return new PartitionNodes(_partition, nodes);
    }
}
