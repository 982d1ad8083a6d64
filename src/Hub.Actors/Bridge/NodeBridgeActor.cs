using Akka.Actor;
using AkkaHub.V1;
using Hub.Actors.History;
using Hub.Actors.Members;
using Hub.Actors.Nodes;
using Hub.Actors.Telemetry;
using Hub.Protocol;

namespace Hub.Actors.Bridge;

/// <summary>
/// One node's stream on this member: turns what the node says into messages for its actor and back, keeps the grants, and
/// judges the heartbeats. Attaches through the registry once and talks to the node's actor directly; when that actor is
/// restarted or moves, attaches again while the stream goes on, and the node is told to rewind. Attaching and the ways in and out stand in
/// the other parts; this one is the stream's life.
/// </summary>
public sealed partial class NodeBridgeActor : UntypedActor, IWithTimers
{
    private static readonly TimeSpan ReportInterval = TimeSpan.FromSeconds(10);

    private sealed record Judge
    {
        public static readonly Judge Instance = new();
    }

    private sealed record FlushFlows
    {
        public static readonly FlushFlows Instance = new();
    }

    private readonly NodeHello _hello;
    private readonly INodeOutbound _outbound;
    private readonly IActorRef _registry;
    private readonly HubRuntime _hub;
    private readonly Dictionary<IncarnationId, BridgeStream> _streams = [];
    private readonly HashSet<string> _dispatched = new(StringComparer.Ordinal);
    private readonly List<ConnectRequest> _held = [];
    private IActorRef? _node;
    private long _epoch;
    private bool _welcomed;
    private bool _ended;
    private bool _leaving;
    private bool _drained;
    private uint _lastRewind;
    private NodeStatus _judged = NodeStatus.Online;
    private TimeSpan _interval;
    private TimeSpan _intervalBefore;
    private NodeHeartbeat? _heartbeat;
    private long _lastSeenUs;
    private long _lastSeenUnixUs;
    private long _lastReportUs = -(long)ReportInterval.TotalMicroseconds;
    private long _controlSecond;
    private int _controlCount;

    private sealed class BridgeStream(LiveStream live, StreamCredit credit)
    {
        public LiveStream Live { get; } = live;
        public StreamCredit Credit { get; } = credit;
        public uint MinRewind { get; set; }
        public bool Busy { get; set; }
    }

    /// <summary>Makes the bridge of one stream.</summary>
    public NodeBridgeActor(NodeHello hello, INodeOutbound outbound, IActorRef registry, HubRuntime hub)
    {
        _hello = hello;
        _outbound = outbound;
        _registry = registry;
        _hub = hub;
    }

    /// <inheritdoc/>
    public ITimerScheduler Timers { get; set; } = null!;

    /// <summary>Makes it.</summary>
    public static Props Props(NodeHello hello, INodeOutbound outbound, IActorRef registry, HubRuntime hub) =>
        Akka.Actor.Props.Create(() => new NodeBridgeActor(hello, outbound, registry, hub));

    /// <inheritdoc/>
    protected override void PreStart()
    {
        _hub.Load.Enter();
        _hub.Metrics.NodeConnected();
        _interval = AssignInterval();
        Seen();
        var skew = TimeSpan.FromMicroseconds(UnixTime.Hold(_hello.TimeUnixUs) - _lastSeenUnixUs);
        HubLog.HelloTaken(_hub.Log, _hello.Name, _hello.Reconnects, skew, _hello.LastDisconnect);
        BeginAttach();
    }

    /// <inheritdoc/>
    protected override void PostStop()
    {
        _hub.Load.Leave();
        _hub.Metrics.NodeDisconnected();
        foreach (var stream in _streams.Values)
            stream.Credit.Close();
        // However it stopped, a stream is never left without an end.
        _outbound.Complete(_welcomed || _ended ? null : new Failure(FailureKind.Unavailable, ErrorReasons.NotReady, "The hub could not attach the node; try again."));
    }

    /// <inheritdoc/>
    protected override void OnReceive(object message)
    {
        switch (message)
        {
            case ConnectRequest m:
                _outbound.Processed();
                OnInbound(m);
                break;
            case Progress m when m.Epoch == _epoch:
                OnProgress(m);
                break;
            case ToNode m when m.Epoch == _epoch:
                OnToNode(m.Message);
                break;
            case Attached m when m.Epoch > _epoch:
                OnAttached(m);
                break;
            case AttachRefused m:
                OnRefused(m.Failure);
                break;
            case AttachTaken m when m.Ask == _ask && _node is null:
                OnTaken();
                break;
            case SessionEnded m when m.Epoch == _epoch:
                _node = null;
                End(m.Reason, "", m.Message);
                break;
            case Terminated m when m.ActorRef.Equals(_node):
                _node = null;
                AskLater(50, 300);
                break;
            case AskAgain m:
                Ask(m.Anew);
                break;
            case StillWaiting when !_welcomed:
                OnStillWaiting();
                break;
            case MembersChanged m:
                OnMembersChanged(m);
                break;
            case StreamEnded m:
                _ended = true;
                _node?.Tell(new Detach(_epoch, m.Cause, m.Message, _heartbeat?.UnacknowledgedBytes ?? 0));
                Context.Stop(Self);
                break;
            case EndStream m:
                End(m.Reason, m.Cause, m.Message, m.Elsewhere, m.MoveAfter);
                break;
            case Judge:
                OnJudge();
                break;
            case FlushFlows:
                FlushHeld();
                break;
        }
    }

    private void OnToNode(ConnectResponse m)
    {
        switch (m.MessageCase)
        {
            case ConnectResponse.MessageOneofCase.Rewind:
                _lastRewind = Math.Max(_lastRewind, m.Rewind.Number);
                if (_streams.TryGetValue(IncarnationId.From(m.Rewind.Incarnation), out var stream))
                    stream.MinRewind = m.Rewind.Number;
                break;
            case ConnectResponse.MessageOneofCase.CommandRun:
                _dispatched.Add(m.CommandRun.CommandId);
                break;
            case ConnectResponse.MessageOneofCase.NodeDrain:
                _drained = m.NodeDrain.On;
                _judged = _leaving || _drained ? NodeStatus.Draining : NodeStatus.Online;
                Report(_hub.ElapsedUs());
                break;
        }

        Write(m);
    }

    private void OnJudge()
    {
        var now = _hub.ElapsedUs();
        var missed = (now - _lastSeenUs) / Math.Max(_interval.TotalMicroseconds, _intervalBefore.TotalMicroseconds);
        var limits = _hub.Settings.Liveness;
        if (missed > limits.TimeoutAfterMissed)
        {
            End(DisconnectReason.HeartbeatTimeout, "heartbeat-timeout", $"No sign of life for {TimeSpan.FromMicroseconds(now - _lastSeenUs).TotalSeconds:F0} s.");
            return;
        }

        if (missed > limits.StaleAfterMissed && _judged != NodeStatus.Stale)
        {
            _judged = NodeStatus.Stale;
            Report(now);
        }

        foreach (var stream in _streams.Values)
        {
            if (!stream.Busy)
                stream.Credit.Shrink();
            stream.Busy = false;
        }

        var interval = AssignInterval();
        if (Math.Abs(interval / _interval - 1) <= 0.25)
            return;
        // The node finishes its old wait first: until its next beat it is judged by the longer of the two.
        _intervalBefore = _interval;
        _interval = interval;
        Write(new ConnectResponse { HeartbeatInterval = new HeartbeatInterval { IntervalMs = (uint)interval.TotalMilliseconds } });
        Timers.StartPeriodicTimer(Judge.Instance, Judge.Instance, interval);
    }

    private TimeSpan AssignInterval()
    {
        var limits = _hub.Settings.Liveness;
        var scaled = TimeSpan.FromSeconds((double)_hub.Load.Streams / limits.MaxHeartbeatsPerSecond);
        return scaled > limits.HeartbeatInterval ? scaled : limits.HeartbeatInterval;
    }

    private void Seen()
    {
        _lastSeenUs = _hub.ElapsedUs();
        _lastSeenUnixUs = _hub.NowUnixUs();
    }

    private void Report(long now)
    {
        _lastReportUs = now;
        _node?.Tell(new LivenessReport(_epoch, _judged, _heartbeat, _lastSeenUnixUs));
    }

    private void End(DisconnectReason reason, string cause, string message, HubMembers? elsewhere = null, TimeSpan moveAfter = default)
    {
        if (_ended)
            return;
        _ended = true;
        if (cause.Length > 0)
            _node?.Tell(new Detach(_epoch, cause, message, _heartbeat?.UnacknowledgedBytes ?? 0));
        if (_welcomed)
        {
            _outbound.TryWrite(new ConnectResponse
            {
                Disconnect = new HubDisconnect
                {
                    Reason = reason,
                    Message = message.Length > 255 ? message[..255] : message,
                    RetryAfterMs = (uint)(elsewhere is null ? _hub.Settings.Admission.RetryHint : moveAfter).TotalMilliseconds,
                    Members = elsewhere,
                },
            });
        }

        _outbound.Complete(_welcomed ? null : new Failure(FailureKind.Unavailable, ErrorReasons.NotReady, message));
        Context.Stop(Self);
    }
}
