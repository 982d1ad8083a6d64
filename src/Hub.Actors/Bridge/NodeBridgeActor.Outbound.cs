using AkkaHub.V1;
using Hub.Actors.History;
using Hub.Actors.Nodes;
using Hub.Actors.Telemetry;

namespace Hub.Actors.Bridge;

// What the node is told: control that has to fit, and acknowledgements and grants of which the newest is kept.
public sealed partial class NodeBridgeActor
{
    private static readonly TimeSpan OutboundRetry = TimeSpan.FromMilliseconds(20);

    private readonly Dictionary<IncarnationId, StreamFlow> _heldFlows = [];

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
