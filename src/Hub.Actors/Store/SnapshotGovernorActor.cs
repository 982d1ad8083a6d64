using Akka.Actor;
using Hub.Actors.Nodes;
using Hub.Actors.Telemetry;

namespace Hub.Actors.Store;

/// <summary>
/// Gives out the member's permits to write snapshots, so that many nodes reaching theirs together do not halve ingest. First
/// come, first served; a node that stops gives its permit back. Bounded by the number of node actors: each waits at most once.
/// </summary>
internal sealed class SnapshotGovernorActor : UntypedActor
{
    private readonly int _permits;
    private readonly HubMetrics _metrics;
    private readonly HashSet<IActorRef> _holders = [];
    private readonly LinkedList<IActorRef> _waiting = new();

    public SnapshotGovernorActor(int permits, HubMetrics metrics)
    {
        _permits = permits;
        _metrics = metrics;
    }

    public static Props Props(int permits, HubMetrics metrics) => Akka.Actor.Props.Create(() => new SnapshotGovernorActor(permits, metrics));

    protected override void OnReceive(object message)
    {
        switch (message)
        {
            case SnapshotDue m:
                Context.Watch(m.Node);
                _waiting.AddLast(m.Node);
                _metrics.QueueDepth(HubQueue.Snapshots, 1);
                break;
            case SnapshotDone m:
                Release(m.Node);
                Context.Unwatch(m.Node);
                break;
            case Terminated m:
                Release(m.ActorRef);
                break;
        }

        while (_holders.Count < _permits && _waiting.First is { } next)
        {
            _waiting.RemoveFirst();
            _metrics.QueueDepth(HubQueue.Snapshots, -1);
            _holders.Add(next.Value);
            next.Value.Tell(SnapshotPermit.Instance);
        }
    }

    private void Release(IActorRef node)
    {
        if (!_holders.Remove(node) && _waiting.Remove(node))
            _metrics.QueueDepth(HubQueue.Snapshots, -1);
    }
}
