using Akka.Actor;
using AkkaHub.Internal.V1;
using AkkaHub.V1;
using Hub.Actors.Nodes;
using Hub.Actors.Telemetry;
using Hub.Protocol;

namespace Hub.Actors.Registry;

// Who is there: sessions that begin and end, and nodes without a bridge.
public sealed partial class NodePartitionActor
{
    // Without a session for this long while its actor is being made again: the bridge does not come back by itself.
    private static readonly TimeSpan ReattachGrace = TimeSpan.FromSeconds(15);
    private const int MaxWokenPerSweep = 16;

    private void OnAttached(NodeEntry entry, NodeDescriptor descriptor)
    {
        entry.HasSession = true;
        (entry.IsNew, entry.IsErased, entry.IsToBeSaidOffline) = (false, false, false);
        entry.Descriptor = descriptor;
        entry.LastSeenUnixUs = descriptor.LastSeenUnixUs;
        Write(new MembershipChanged { Upserts = { descriptor } });
        Enter(entry, NodeStatus.Online, $"session {descriptor.SessionEpoch} began");
    }

    private void OnDetached(NodeEntry entry, SessionClosed end)
    {
        entry.HasSession = false;
        entry.Detach(end.TimeUnixUs, _hub.ElapsedUs());
        entry.Descriptor = entry.Descriptor.Clone();
        entry.Descriptor.SessionEnd = end;
        entry.Descriptor.LastSeenUnixUs = entry.LastSeenUnixUs;
        switch (end.Cause)
        {
            case "hub-stopped":
                // The list keeps it as attached: after the next start it is expected back.
                return;
            case NodeFacts.Fenced or NodeActor.Reattached or "forgotten":
                return;
            case "node-left":
                entry.Descriptor.Attached = false;
                Enter(entry, NodeStatus.Offline, end.Message);
                break;
            default:
                entry.Descriptor.Attached = false;
                Enter(entry, NodeStatus.Stale, $"{end.Cause}: {end.Message}");
                break;
        }

        Write(new MembershipChanged { Upserts = { entry.Descriptor } });
    }

    private void Enter(NodeEntry entry, NodeStatus state, string why)
    {
        if (!entry.Enter(state, _hub.NowUnixUs()))
            return;
        if (entry.Stage == NodeEntry.ActorStage.Running)
            entry.Actor!.Tell(new NodeListed(state));
        var name = state.ToString().ToLowerInvariant();
        _hub.Metrics.Transition(name);
        if (state != NodeStatus.Connecting)
            HubLog.NodeState(_hub.Log, entry.Name, name, why);
        Raise(state switch
        {
            NodeStatus.Connecting => MeshEventType.NodeConnecting,
            NodeStatus.Online => MeshEventType.NodeOnline,
            NodeStatus.Stale => MeshEventType.NodeStale,
            NodeStatus.Draining => MeshEventType.NodeDraining,
            _ => MeshEventType.NodeOffline,
        }, Names.Node(entry.Name), why);
    }

    /// <summary>Judges only nodes without a bridge; a bridge judges its own.</summary>
    private void SweepLiveness()
    {
        if (!_ready || _handingOff)
            return;
        var (now, elapsed) = (_hub.NowUnixUs(), _hub.ElapsedUs());
        var limits = _hub.Settings.Liveness;
        // Nobody is let in: nobody is missing. The grace begins when they may come.
        if (!_hub.Readiness.IsReady)
            (_startedUnixUs, _startedUs) = (now, elapsed);
        var woken = 0;
        foreach (var entry in _nodes.Values)
        {
            if (entry.HasSession || entry.Registering || entry.IsErased || entry.Forgetter is not null)
                continue;
            // Held back by the store, not gone: judged once its actor is there again.
            if (entry.AwaitsStore || (entry.Stage is NodeEntry.ActorStage.Starting && !entry.IsWoken))
            {
                entry.Detach(now, elapsed);
                continue;
            }

            switch (entry.State)
            {
                case NodeStatus.Connecting when elapsed - Math.Max(_startedUs, entry.DetachedUs) > limits.StartGrace.TotalMicroseconds:
                    if (IsToBeHeardFirst(entry, ref woken))
                        break;
                    Enter(entry, NodeStatus.Offline, "it did not come back after the hub's start");
                    WriteDetached(entry);
                    break;
                case NodeStatus.Stale when elapsed - entry.DetachedUs > limits.OfflineAfter.TotalMicroseconds:
                    if (IsToBeHeardFirst(entry, ref woken))
                        break;
                    Enter(entry, NodeStatus.Offline, $"not seen for {limits.OfflineAfter}");
                    break;
                case NodeStatus.Online or NodeStatus.Draining when elapsed - entry.DetachedUs > ReattachGrace.TotalMicroseconds:
                    Enter(entry, NodeStatus.Stale, "its session was lost");
                    break;
                case NodeStatus.Offline when entry.IsToBeSaidOffline:
                    if (IsToBeHeardFirst(entry, ref woken))
                        break;
                    entry.IsToBeSaidOffline = false;
                    Raise(MeshEventType.NodeOffline, Names.Node(entry.Name), "it was gone when the hub started");
                    break;
                case NodeStatus.Offline when entry.MayHoldUntold:
                    // Its actor failed; what it was about to tell, its end too, would wait for somebody who asks for it.
                    IsToBeHeardFirst(entry, ref woken);
                    break;
                case NodeStatus.Offline when limits.ForgetAfter is { } after && entry.Forgetter is null && now - LastThere(entry) > after.TotalMicroseconds:
                    Forget(entry, force: false, ActorRefs.Nobody);
                    break;
            }
        }
    }

    // What happened to it before the hub, or its actor, went down belongs before the word that it is gone; and nobody else may ever
    // wake it. So many a sweep, so that a mesh that does not come back is not recovered at once.
    private bool IsToBeHeardFirst(NodeEntry entry, ref int woken)
    {
        if (entry.IsWoken)
            return entry.Stage == NodeEntry.ActorStage.Starting;
        if (!entry.MayHoldUntold || entry.FailedWakes >= 3)
            return entry.MayHoldUntold = false;
        if (woken++ < MaxWokenPerSweep && Deliver(entry, TellUntoldFacts.Instance, Self))
            entry.IsWoken = entry.Stage == NodeEntry.ActorStage.Starting;
        return true;
    }

    // When it was last seen is durable only at attach and detach: a node that was there when the hub stopped has been there until then.
    private long LastThere(NodeEntry entry) =>
        Math.Max(entry.LastSeenUnixUs, Math.Max(entry.DetachedUnixUs, entry.WasExpected ? _startedUnixUs : 0));

    private void WriteDetached(NodeEntry entry)
    {
        entry.Descriptor = entry.Descriptor.Clone();
        entry.Descriptor.Attached = false;
        Write(new MembershipChanged { Upserts = { entry.Descriptor } });
    }
}
