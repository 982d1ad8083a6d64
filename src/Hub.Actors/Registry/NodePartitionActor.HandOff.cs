using Akka.Actor;
using Hub.Actors.Nodes;
using Hub.Actors.Telemetry;
using Hub.Protocol;

namespace Hub.Actors.Registry;

// The partition moves to another member.
public sealed partial class NodePartitionActor
{
    // When the member's actors stop Akka ends what is left soon after; before that, while it drains and when partitions spread anew, it waits for a
    // minute (akka.hocon), so that a store that stands still for some seconds costs nobody anything.
    private static readonly TimeSpan StopLimit = TimeSpan.FromSeconds(4);
    private static readonly TimeSpan MoveLimit = TimeSpan.FromSeconds(45);

    private static readonly Failure Moving = new(FailureKind.Unavailable, ErrorReasons.NotReady, "The node is moving to another member; try again.");

    private long _handingOffSinceUs;
    private bool _handOffStuck;

    private TimeSpan HandOffLimit => _hub.Fence.IsShared && CoordinatedShutdown.Get(Context.System).ShutdownReason is null ? MoveLimit : StopLimit;

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

    // A move may be under way when the stop begins, and from then on has less time.
    private void SweepHandOff()
    {
        if (_handingOff && _hub.ElapsedUs() - _handingOffSinceUs >= (long)HandOffLimit.TotalMicroseconds)
            OnHandOffTimeout();
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

        if (_handOffStuck)
            return;
        _handOffStuck = true;
        HubLog.HandOffStuck(_hub.Log, _partition, TimeSpan.FromMicroseconds(_hub.ElapsedUs() - _handingOffSinceUs));
        _hub.Fence.Leave($"a write of partition {_partition}, which has to move, does not end");
    }

    private void HandOff()
    {
        if (_handingOff)
            return;
        _handingOff = true;
        _handingOffSinceUs = _hub.ElapsedUs();
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
