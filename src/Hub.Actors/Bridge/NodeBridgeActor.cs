using Akka.Actor;
using AkkaHub.V1;
using Hub.Actors.History;
using Hub.Actors.Nodes;
using Hub.Actors.Telemetry;
using Hub.Protocol;

namespace Hub.Actors.Bridge;

/// <summary>
/// One node's stream on this member: turns what the node says into messages for its actor and back, keeps the grants, and
/// judges the heartbeats. Attaches through the registry once and talks to the node's actor directly; when that actor is
/// restarted or moves, attaches again while the stream goes on, and the node is told to rewind.
/// </summary>
public sealed class NodeBridgeActor : UntypedActor, IWithTimers
{
    private const int MaxStreams = 1024;
    private const int MaxHeld = 2 * MaxStreams;
    private static readonly TimeSpan AttachTimeout = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan ReportInterval = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan OutboundRetry = TimeSpan.FromMilliseconds(20);

    private sealed record Judge
    {
        public static readonly Judge Instance = new();
    }

    private sealed record AttachAgain
    {
        public static readonly AttachAgain Instance = new();
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
    private readonly Dictionary<IncarnationId, StreamFlow> _heldFlows = [];
    private readonly HashSet<string> _dispatched = new(StringComparer.Ordinal);
    private readonly List<ConnectRequest> _held = [];
    private IActorRef? _node;
    private long _epoch;
    private bool _welcomed;
    private bool _ended;
    private bool _draining;
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
        SendAttach();
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
            case SessionEnded m when m.Epoch == _epoch:
                _node = null;
                End(m.Reason, "", m.Message);
                break;
            case Terminated m when m.ActorRef.Equals(_node):
                _node = null;
                Timers.StartSingleTimer(AttachAgain.Instance, AttachAgain.Instance, TimeSpan.FromMilliseconds(Random.Shared.Next(50, 300)));
                break;
            case AttachAgain:
                SendAttach();
                break;
            case StreamEnded m:
                _ended = true;
                _node?.Tell(new Detach(_epoch, m.Cause, m.Message, _heartbeat?.UnacknowledgedBytes ?? 0));
                Context.Stop(Self);
                break;
            case EndStream m:
                End(m.Reason, m.Cause, m.Message);
                break;
            case Judge:
                OnJudge();
                break;
            case FlushFlows:
                FlushHeld();
                break;
        }
    }

    private void SendAttach()
    {
        var hello = _hello;
        if (_welcomed)
        {
            // As it is now: what was opened since, and commands that were passed on but have not reported yet.
            hello = _hello.Clone();
            hello.Streams.Clear();
            hello.Streams.Add(_streams.Values.Select(s => s.Live));
            hello.Streams.Add(_dispatched.Select(id => new LiveStream { Name = Names.CommandStream(id), Kind = StreamKind.Command }));
        }

        _registry.Tell(new Attach(_hello.Name, hello, Self, _lastRewind, Again: _welcomed));
        Timers.StartSingleTimer(AttachAgain.Instance, AttachAgain.Instance, AttachTimeout);
    }

    private void OnAttached(Attached m)
    {
        Timers.Cancel(AttachAgain.Instance);
        if (_node is not null)
            Context.Unwatch(_node);
        _node = m.NodeActor;
        _epoch = m.Epoch;
        Context.Watch(_node);
        if (_welcomed)
        {
            // The stream goes on: positions arrive as rewinds and progress.
            foreach (var stream in _streams.Values)
                stream.Credit.Renew();
            OnProgress(new Progress(m.Epoch, m.Positions));
            foreach (var held in _held)
            {
                if (held.MessageCase == ConnectRequest.MessageOneofCase.CommandExited)
                    _dispatched.Remove(held.CommandExited.CommandId);
                _node.Tell(new FromNode(_epoch, held));
            }

            _held.Clear();
            Report(_hub.ElapsedUs());
            return;
        }

        _welcomed = true;
        var limits = _hub.Settings;
        var welcome = new NodeWelcome
        {
            SessionEpoch = m.Epoch,
            HeartbeatIntervalMs = (uint)_interval.TotalMilliseconds,
            HubMember = ((ExtendedActorSystem)Context.System).Provider.DefaultAddress.ToString(),
            HubVersion = HubVersion.Text,
            Limits = new NodeLimits
            {
                MaxOutputBytes = (uint)limits.History.MaxChunkBytes,
                MaxTerminals = (uint)limits.Terminals.MaxPerNode,
                MaxRunningCommands = (uint)limits.Commands.MaxRunning,
            },
        };
        var byId = _hello.Streams.ToDictionary(s => IncarnationId.From(s.Incarnation));
        foreach (var position in m.Positions)
        {
            if (position.Closed)
            {
                welcome.Streams.Add(new StreamFlow { Incarnation = position.Incarnation.ToByteString(), AckOffset = position.Durable, LimitOffset = position.Durable, Closed = true });
                continue;
            }

            var stream = Open(position.Incarnation, byId[position.Incarnation], position.Durable);
            welcome.Streams.Add(Flow(position.Incarnation, stream));
        }

        Write(new ConnectResponse { Welcome = welcome });
        Timers.StartPeriodicTimer(Judge.Instance, Judge.Instance, _interval);
    }

    private void OnRefused(Failure failure)
    {
        _hub.Metrics.AttachRefused(failure.Reason);
        if (_welcomed && failure.Kind == FailureKind.Unavailable)
        {
            Timers.StartSingleTimer(AttachAgain.Instance, AttachAgain.Instance, TimeSpan.FromMilliseconds(Random.Shared.Next(300, 1500)));
            return;
        }

        if (_welcomed)
        {
            End(DisconnectReason.Fenced, "fenced", failure.Message);
            return;
        }

        _ended = true;
        _outbound.Complete(failure);
        Context.Stop(Self);
    }

    private void OnInbound(ConnectRequest m)
    {
        if (_ended)
            return;
        if (!_welcomed)
        {
            Break("a message before the welcome");
            return;
        }

        if (BridgeRules.Check(m, _hub.Settings.History.MaxChunkBytes) is { } wrong)
        {
            Break(wrong);
            return;
        }

        Seen();
        if (_judged == NodeStatus.Stale)
        {
            _judged = _draining ? NodeStatus.Draining : NodeStatus.Online;
            Report(_lastSeenUs);
        }

        // Output is bounded by its credit, and a result answers a request of ours, of which there are only so many.
        if (m.MessageCase is not (ConnectRequest.MessageOneofCase.TerminalOutput or ConnectRequest.MessageOneofCase.RequestResult) && !TakeControl())
        {
            Break($"more than {_hub.Settings.Flow.MaxControlMessages} messages a second without credit");
            return;
        }

        switch (m.MessageCase)
        {
            case ConnectRequest.MessageOneofCase.Heartbeat:
                OnHeartbeat(m.Heartbeat);
                return;
            case ConnectRequest.MessageOneofCase.Draining:
                _draining = true;
                _judged = NodeStatus.Draining;
                Report(_lastSeenUs);
                return;
            case ConnectRequest.MessageOneofCase.Disconnect:
                _ended = true;
                _node?.Tell(new Detach(_epoch, "node-left", m.Disconnect.Reason, 0));
                _outbound.Complete(null);
                Context.Stop(Self);
                return;
            case ConnectRequest.MessageOneofCase.TerminalOpened:
                Opened(m.TerminalOpened.Incarnation, new LiveStream
                {
                    Name = m.TerminalOpened.Name,
                    Incarnation = m.TerminalOpened.Incarnation,
                    Kind = StreamKind.Terminal,
                    Size = m.TerminalOpened.Size,
                    StartedUnixUs = m.TerminalOpened.TimeUnixUs,
                    CommandLine = m.TerminalOpened.CommandLine,
                });
                break;
            case ConnectRequest.MessageOneofCase.CommandStarted:
                _dispatched.Remove(m.CommandStarted.CommandId);
                Opened(m.CommandStarted.Incarnation, new LiveStream
                {
                    Name = Names.CommandStream(m.CommandStarted.CommandId),
                    Incarnation = m.CommandStarted.Incarnation,
                    Kind = StreamKind.Command,
                    StartedUnixUs = m.CommandStarted.TimeUnixUs,
                });
                break;
            // While this is held back its command stays listed: the attach would record a guess for one that nobody lists.
            case ConnectRequest.MessageOneofCase.CommandExited when _node is not null:
                _dispatched.Remove(m.CommandExited.CommandId);
                break;
        }

        if (_ended || !PassStream(m))
            return;
        if (_node is not null)
            _node.Tell(new FromNode(_epoch, m));
        else if (m.MessageCase is ConnectRequest.MessageOneofCase.TerminalOpened or ConnectRequest.MessageOneofCase.CommandStarted or ConnectRequest.MessageOneofCase.CommandExited
            && _held.Count < MaxHeld)
            // Nothing would make the node say these again, and the attach that is on its way does not list what began after it:
            // the node's actor would take such a stream for one it does not want. (An exit here is of a command never started.)
            _held.Add(m);
    }

    /// <summary>Checks credit and rewind of a stream's message; false if it goes no further.</summary>
    private bool PassStream(ConnectRequest m)
    {
        if (BridgeRules.StreamOf(m) is not { } id)
            return true;
        if (!_streams.TryGetValue(id, out var stream))
        {
            // Output without a grant: of a stream that was refused or has ended. A few may be on their way; a flood is a breach.
            if (m.MessageCase != ConnectRequest.MessageOneofCase.TerminalOutput || TakeControl())
                return true;
            Break("output of streams it was given no credit for");
            return false;
        }

        if (m.MessageCase == ConnectRequest.MessageOneofCase.TerminalOutput)
        {
            stream.Busy = true;
            if (!stream.Credit.TryUse(m.TerminalOutput.Offset, m.TerminalOutput.Data.Length))
            {
                Break($"output of '{stream.Live.Name}' beyond its credit");
                return false;
            }
        }

        // Sent before the node read our rewind, or while its actor is being made again: it will come once more.
        if (_node is not null && BridgeRules.RewindOf(m) >= stream.MinRewind)
            return true;
        if (m.MessageCase == ConnectRequest.MessageOneofCase.TerminalOutput)
        {
            stream.Credit.Return();
            WriteFlow(id, Flow(id, stream));
        }

        return false;
    }

    private void Opened(Google.Protobuf.ByteString wireId, LiveStream live)
    {
        var id = IncarnationId.From(wireId);
        if (_streams.ContainsKey(id))
            return;
        if (_streams.Count >= MaxStreams)
        {
            Break($"more than {MaxStreams} live streams");
            return;
        }

        WriteFlow(id, Flow(id, Open(id, live, 0)));
    }

    private BridgeStream Open(IncarnationId id, LiveStream live, long durable)
    {
        var stream = new BridgeStream(live, new StreamCredit(durable, _hub.Settings.Flow, _hub.Budget));
        _streams[id] = stream;
        return stream;
    }

    private void OnProgress(Progress m)
    {
        if (m.Positions.Count == 0)
            return;
        var update = new FlowUpdate();
        foreach (var position in m.Positions)
        {
            if (!_streams.TryGetValue(position.Incarnation, out var stream))
            {
                if (position.Closed)
                    update.Streams.Add(new StreamFlow { Incarnation = position.Incarnation.ToByteString(), AckOffset = position.Durable, LimitOffset = position.Durable, Closed = true });
                continue;
            }

            stream.Credit.Advance(position.Durable, position.Messages, position.Limit);
            var flow = Flow(position.Incarnation, stream);
            if (position.Closed)
            {
                flow.Closed = true;
                stream.Credit.Close();
                _streams.Remove(position.Incarnation);
            }

            update.Streams.Add(flow);
        }

        if (_heldFlows.Count > 0 || !_outbound.TryWrite(new ConnectResponse { FlowUpdate = update }))
        {
            foreach (var flow in update.Streams)
                Hold(IncarnationId.From(flow.Incarnation), flow);
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
                _draining = m.NodeDrain.On;
                _judged = _draining ? NodeStatus.Draining : NodeStatus.Online;
                Report(_hub.ElapsedUs());
                break;
        }

        Write(m);
    }

    private void OnHeartbeat(NodeHeartbeat beat)
    {
        if (beat.Figures is { } figures)
            BridgeRules.DropWrong(figures);
        _heartbeat = beat;
        _intervalBefore = TimeSpan.Zero;
        _hub.Load.Beat();
        _hub.Metrics.Heartbeats();
        if (_lastSeenUs - _lastReportUs >= ReportInterval.TotalMicroseconds)
            Report(_lastSeenUs);
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

    private bool TakeControl()
    {
        var second = _lastSeenUs / 1_000_000;
        if (second != _controlSecond)
            (_controlSecond, _controlCount) = (second, 0);
        return ++_controlCount <= _hub.Settings.Flow.MaxControlMessages;
    }

    private void Break(string why)
    {
        HubLog.ProtocolError(_hub.Log, _hello.Name, why);
        End(DisconnectReason.ProtocolError, "protocol-error", $"The node sent {why}.");
    }

    private void End(DisconnectReason reason, string cause, string message)
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
                    RetryAfterMs = (uint)_hub.Settings.Admission.RetryHint.TotalMilliseconds,
                },
            });
        }

        _outbound.Complete(_welcomed ? null : new Failure(FailureKind.Unavailable, ErrorReasons.NotReady, message));
        Context.Stop(Self);
    }

    private static StreamFlow Flow(IncarnationId id, BridgeStream stream) => new()
    {
        Incarnation = stream.Live.Incarnation.IsEmpty ? id.ToByteString() : stream.Live.Incarnation,
        AckOffset = stream.Credit.Durable,
        LimitOffset = stream.Credit.LimitOffset,
        LimitMessages = stream.Credit.LimitMessages,
    };

    /// <summary>Control: a node that reads so slowly that this does not fit is cut off; it comes back and resumes.</summary>
    private void Write(ConnectResponse m)
    {
        FlushHeld();
        if (!_outbound.TryWrite(m))
        {
            _hub.Metrics.QueueRejected(HubQueue.BridgeOutbound);
            End(DisconnectReason.ProtocolError, "slow-node", "The node does not read its stream.");
        }
    }

    /// <summary>Acknowledgements and grants are states, not events: if the queue is full the newest is kept and sent later.</summary>
    private void WriteFlow(IncarnationId id, StreamFlow flow)
    {
        if (_heldFlows.Count > 0 || !_outbound.TryWrite(new ConnectResponse { FlowUpdate = new FlowUpdate { Streams = { flow } } }))
            Hold(id, flow);
    }

    private void Hold(IncarnationId id, StreamFlow flow)
    {
        _heldFlows[id] = flow;
        if (!Timers.IsTimerActive(FlushFlows.Instance))
            Timers.StartSingleTimer(FlushFlows.Instance, FlushFlows.Instance, OutboundRetry);
    }

    private void FlushHeld()
    {
        if (_heldFlows.Count == 0)
            return;
        var update = new FlowUpdate();
        update.Streams.Add(_heldFlows.Values);
        if (_outbound.TryWrite(new ConnectResponse { FlowUpdate = update }))
            _heldFlows.Clear();
        else
            Timers.StartSingleTimer(FlushFlows.Instance, FlushFlows.Instance, OutboundRetry);
    }
}
