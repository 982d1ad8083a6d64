using Akka.Actor;
using Hub.Actors.Nodes;
using Hub.Actors.Telemetry;

namespace Hub.Actors.Registry;

// The partition moves to another member.
public sealed partial class NodePartitionActor
{
    // When the member stops Akka ends what is left soon after; when partitions only spread anew it waits for a minute (akka.hocon), so that a store
    // that stands still for some seconds costs nobody anything.
    private static readonly TimeSpan StopLimit = TimeSpan.FromSeconds(4);
    private static readonly TimeSpan RebalanceLimit = TimeSpan.FromSeconds(45);

    private TimeSpan HandOffLimit =>
        _hub.Fence.IsShared && !_hub.Readiness.Reasons.ContainsKey(Readiness.Draining) && CoordinatedShutdown.Get(Context.System).ShutdownReason is null ? RebalanceLimit : StopLimit;

    // The list's writes are waited for like the nodes': the next home of the partition must not find one landing behind it. What could not
    // be written while its actor is gone is not on its way.
    private void StopWhenDone()
    {
        if (_byActor.Count > 0)
            return;
        StopEvents();
        if ((_unwritten.Count == 0 || _membership is null) && _events is null)
            Context.Stop(Self);
    }

    // Beside others on one store the partition does not end before its writes have: one could land behind its successor, which begins
    // as soon as this one has ended. What helps is that the member ends as one that was downed: it is fenced before anything begins elsewhere.
    private void OnHandOffTimeout()
    {
        if (!_hub.Fence.IsShared)
        {
            Context.Stop(Self);
            return;
        }

        HubLog.HandOffStuck(_hub.Log, _partition, HandOffLimit);
        _hub.Fence.Leave($"a write of partition {_partition}, which has to move, does not end");
    }

    private void HandOff()
    {
        if (_handingOff)
            return;
        _handingOff = true;
        RefuseEarly();
        foreach (var entry in _nodes.Values)
        {
            DropBuffer(entry);
            if (entry.Stage is NodeEntry.ActorStage.Running or NodeEntry.ActorStage.Stopping)
                entry.Actor.Tell(new StopNode(Force: true));
            else if (entry.Actor is not null)
                Context.Stop(entry.Actor);
        }

        Timers.StartSingleTimer(HandOffTimeout.Instance, HandOffTimeout.Instance, HandOffLimit);
        StopWhenDone();
    }
}
