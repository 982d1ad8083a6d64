using Akka.Actor;
using AkkaHub.V1;
using Hub.Actors.History;
using Hub.Actors.Nodes;
using Hub.Actors.Telemetry;
using Hub.Protocol;

namespace Hub.Actors.Bridge;

// What the node says: checked, held to its credit, and passed on.
public sealed partial class NodeBridgeActor
{
    private const int MaxStreams = 1024;
    private const int MaxHeld = 2 * MaxStreams;

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
            _judged = _leaving || _drained ? NodeStatus.Draining : NodeStatus.Online;
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
                _leaving = true;
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
}
