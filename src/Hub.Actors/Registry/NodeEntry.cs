using Akka.Actor;
using AkkaHub.Internal.V1;
using AkkaHub.V1;
using Google.Protobuf.WellKnownTypes;
using Hub.Actors.Nodes;
using Hub.Protocol;

namespace Hub.Actors.Registry;

/// <summary>What a partition holds of one node: its descriptor, its liveness, and its actor's life.</summary>
internal sealed class NodeEntry(string name, NodeDescriptor descriptor)
{
    public enum ActorStage
    {
        /// <summary>No actor; one is made when it is needed.</summary>
        None,
        /// <summary>It recovers.</summary>
        Starting,
        /// <summary>It takes messages.</summary>
        Running,
        /// <summary>It was told to stop.</summary>
        Stopping,
        /// <summary>It failed and is not made again before a wait is over.</summary>
        Backoff,
    }

    public string Name { get; } = name;
    public NodeDescriptor Descriptor { get; set; } = descriptor;
    public NodeStatus State { get; private set; } = NodeStatus.Offline;
    public long StateSinceUnixUs { get; private set; } = descriptor.LastSeenUnixUs;
    public long LastSeenUnixUs { get; set; } = descriptor.LastSeenUnixUs;
    public MachineFigures? Figures { get; private set; }
    public long Unacknowledged { get; private set; }
    public long SkewUs { get; private set; }
    public bool HasSession { get; set; }
    /// <summary>It was expected back when the partition started.</summary>
    public bool WasExpected { get; set; }
    public long DetachedUnixUs { get; private set; }
    /// <summary>The same by the clock that only goes on (<see cref="HubRuntime.ElapsedUs"/>).</summary>
    public long DetachedUs { get; private set; }

    public IActorRef? Actor { get; set; }
    public ActorStage Stage { get; set; }
    public Queue<(object Message, IActorRef Sender)>? Buffer { get; set; }
    /// <summary>Its actor failed: until the store answers again it is made for who reads only, and gets nothing that writes.</summary>
    public bool AwaitsStore { get; set; }
    public int Failures { get; set; }
    public long LastFailureUnixUs { get; set; }
    /// <summary>Its actor failed because somebody else has written its events.</summary>
    public bool Conflicted { get; set; }

    /// <summary>Its first entry in the list of nodes is not durable yet.</summary>
    public bool Registering { get; set; }
    /// <summary>Its state changed since the partition started.</summary>
    public bool WasJudged { get; private set; }
    /// <summary>It is made by an attach that has not led to a session yet.</summary>
    public bool IsNew { get; set; }
    /// <summary>The newest row of its journal that is on its way into the event log, or there.</summary>
    public long TakenThrough { get; set; }
    /// <summary>The event log says that it is there, and it is not.</summary>
    public bool IsToBeSaidOffline { get; set; }
    /// <summary>How often its actor was made to be heard, and failed.</summary>
    public int FailedWakes { get; set; }
    /// <summary>It said that it is forgotten; its name leaves the list when its bytes are deleted.</summary>
    public bool IsErased { get; set; }
    /// <summary>Its journal may tell the mesh something that is not in the event log, and no actor of it was there to say so.</summary>
    public bool MayHoldUntold { get; set; }
    /// <summary>Its actor is made only for that.</summary>
    public bool IsWoken { get; set; }
    /// <summary>Who asked to forget it.</summary>
    public IActorRef? Forgetter { get; set; }

    private (IActorRef Bridge, int Ask)? _lastAttach;

    /// <summary>Whether this question, or a later one of its bridge, was taken before: a bridge repeats one until it hears that it was.</summary>
    public bool HasSeen(Attach m) => m.Ask > 0 && _lastAttach is { } last && last.Bridge.Equals(m.Bridge) && m.Ask <= last.Ask;

    /// <summary>It is taken now.</summary>
    public void Saw(Attach m) => _lastAttach = (m.Bridge, m.Ask);

    public bool Enter(NodeStatus state, long nowUnixUs)
    {
        if (State == state)
            return false;
        WasJudged = true;
        State = state;
        StateSinceUnixUs = nowUnixUs;
        return true;
    }

    public void Detach(long nowUnixUs, long nowUs) => (DetachedUnixUs, DetachedUs) = (nowUnixUs, nowUs);

    public void Take(LivenessReport report)
    {
        LastSeenUnixUs = report.SeenUnixUs;
        if (report.Heartbeat is not { } beat)
            return;
        Figures = beat.Figures;
        Unacknowledged = beat.UnacknowledgedBytes;
        SkewUs = UnixTime.Hold(beat.TimeUnixUs) - report.SeenUnixUs;
    }

    public Node View()
    {
        var d = Descriptor;
        var node = new Node
        {
            Name = Names.Node(Name),
            State = State,
            Platform = d.Platform,
            AgentVersion = d.AgentVersion,
            CreateTime = d.RegisteredUnixUs.ToTimestamp(),
            StateTime = StateSinceUnixUs.ToTimestamp(),
            LastSeenTime = LastSeenUnixUs.ToTimestamp(),
            SessionEpoch = d.SessionEpoch,
            Figures = Figures,
            UnacknowledgedBytes = Unacknowledged,
            ClockSkew = Figures is null ? null : Duration.FromTimeSpan(TimeSpan.FromMicroseconds(Math.Clamp(SkewUs, -1e15, 1e15))),
        };
        node.Labels.Add(d.Labels);
        node.Capabilities.Add(d.Capabilities);
        if (d.SessionEnd is { } end)
        {
            node.LastSessionEnd = new SessionEnd
            {
                SessionEpoch = end.Epoch,
                Cause = end.Cause,
                Message = end.Message,
                Time = end.TimeUnixUs.ToTimestamp(),
                LastOffset = end.LastOffset,
                UnacknowledgedBytes = end.UnacknowledgedBytes,
            };
        }

        return node;
    }
}
