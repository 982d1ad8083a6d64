using Akka.Actor;
using AkkaHub.Internal.V1;
using AkkaHub.V1;
using Google.Protobuf;
using Hub.Actors.History;
using Hub.Actors.Telemetry;
using Hub.Protocol;

namespace Hub.Actors.Nodes;

// Sessions: what the node says, and the end. How it attaches stands in a part of its own. One file of
// its length because it has one short handler for each kind of message.
public sealed partial class NodeActor
{
    // Of the newest session, what is accepted but not durable yet included: it will be when the session's end is.
    private long SessionBytes => _state.SessionBytes + _pending.Bytes + _inFlight.Skip(_inFlightDone).Sum(r => r.OutputBytes);

    private void EndSession(string cause, string message, long unacknowledged)
    {
        if (_session is not { } session)
            return;
        Context.Unwatch(session.Bridge);
        _session = null;
        var bytes = SessionBytes;
        AddSessionClosed(cause, message, unacknowledged);
        _requests.Break("the connection to the node broke");
        BreakOpening();
        _hub.Metrics.SessionEnded(cause);
        HubLog.SessionClosed(_hub.Log, _node, session.Epoch, cause, message);
        Context.Parent.Tell(new NodeDetached(_node, new SessionClosed
        {
            Epoch = session.Epoch,
            Cause = cause,
            Message = message,
            TimeUnixUs = _hub.NowUnixUs(),
            LastOffset = bytes,
            UnacknowledgedBytes = unacknowledged,
        }));
        Context.SetReceiveTimeout(_hub.Settings.Registry.PassivateAfter);
        Flush();
    }

    private void AddSessionClosed(string cause, string message, long unacknowledged)
    {
        _sessionOpen = false;
        _pending.Add(new NodeEvent
        {
            SessionClosed = new SessionClosed
            {
                Epoch = _epoch,
                Cause = cause,
                Message = message,
                TimeUnixUs = _hub.NowUnixUs(),
                LastOffset = SessionBytes,
                UnacknowledgedBytes = unacknowledged,
            },
        });
    }

    private void OnFromNode(NodeSession session, ConnectRequest m)
    {
        // Output is bounded by its credit, and a result adds nothing.
        if (IsFull && m.MessageCase is not (ConnectRequest.MessageOneofCase.TerminalOutput or ConnectRequest.MessageOneofCase.RequestResult))
        {
            const string Why = "more than the hub keeps for a store that does not answer (akkahub.flow.max-pending-facts)";
            _hub.Metrics.QueueRejected(HubQueue.NodePending);
            HubLog.ProtocolError(_hub.Log, _node, Why);
            session.Bridge.Tell(new SessionEnded(session.Epoch, DisconnectReason.ProtocolError, $"The node sent {Why}."));
            EndSession("protocol-error", $"The node sent {Why}.", 0);
            return;
        }

        switch (m.MessageCase)
        {
            case ConnectRequest.MessageOneofCase.TerminalOutput:
                OnOutput(session, m.TerminalOutput);
                break;
            case ConnectRequest.MessageOneofCase.TerminalOpened:
                OnOpened(session, m.TerminalOpened);
                break;
            case ConnectRequest.MessageOneofCase.TerminalResized:
                OnResized(session, m.TerminalResized);
                break;
            case ConnectRequest.MessageOneofCase.TerminalGap:
                OnGap(session, m.TerminalGap);
                break;
            case ConnectRequest.MessageOneofCase.TerminalClosed:
                OnClosed(session, m.TerminalClosed);
                break;
            case ConnectRequest.MessageOneofCase.CommandStarted:
                OnCommandStarted(session, m.CommandStarted);
                break;
            case ConnectRequest.MessageOneofCase.CommandExited:
                OnCommandExited(session, m.CommandExited);
                break;
            case ConnectRequest.MessageOneofCase.RequestResult:
                _requests.Complete(m.RequestResult);
                break;
        }

        Flush();
        if (!_writing)
            ReportProgress();
    }

    private void OnOutput(NodeSession session, TerminalOutput m)
    {
        if (Find(session, m.Incarnation) is not { } link)
            return;
        link.Messages++;
        if (link.Ended)
        {
            session.Touch(link);
            return;
        }

        var (verdict, skip) = link.Intake.Offer(m.Offset, m.Data.Length, m.Rewind);
        switch (verdict)
        {
            case StreamIntake.Verdict.Take:
                _hub.Metrics.TerminalIo(IoDirection.FromNode, m.Data.Length - skip);
                if (skip > 0)
                    _hub.Metrics.DuplicateTrimmed(skip);
                _pending.AddOutput(link.Incarnation, link.WireId, m.Offset + skip, m.Data.Memory[skip..], m.Channel, m.TimeUnixUs);
                break;
            case StreamIntake.Verdict.Duplicate:
                _hub.Metrics.DuplicateTrimmed(m.Data.Length);
                session.Touch(link);
                break;
            case StreamIntake.Verdict.Rewind:
                AskRewind(session, link);
                session.Touch(link);
                break;
            default:
                session.Touch(link);
                break;
        }
    }

    private void OnOpened(NodeSession session, TerminalOpened m)
    {
        if (!IncarnationId.TryFrom(m.Incarnation, out var incarnation) || session.Find(incarnation) is not null || !Names.IsTerminalName(m.Name))
            return;
        if (_state.FindLive(incarnation) is not null || IsKnownEnd(m.Name, incarnation))
            return;
        if (!TryMakeRoom(m.Name, StreamKind.Terminal))
        {
            HubLog.TerminalRefused(_hub.Log, _node, _hub.Settings.Terminals.MaxPerNode);
            // The node tells of the terminal before it answers the request that made it.
            if (_awaitingOpen.ContainsKey(m.Name))
                RefuseOpening(m.Name);
            else if (_refusedOpening.Count < _requests.Count)
                _refusedOpening.Add(m.Name);
            session.Bridge.Tell(new ToNode(session.Epoch, new ConnectResponse
            {
                TerminalClose = new TerminalClose { Incarnation = m.Incarnation, Reason = "the node has as many terminals as the hub allows (akkahub.terminals.max-per-node)" },
            }));
            return;
        }

        _refusedOpening.Remove(m.Name);
        CloseSuperseded(session, m.Name, m.TimeUnixUs);
        session.Link(m.Name, incarnation, m.Incarnation, StreamKind.Terminal, 0);
        AddOpened(m.Name, m.Incarnation, StreamKind.Terminal, m.Size, m.TimeUnixUs, m.CommandLine);
        _pending.AfterLast(() => AnswerOpened(m.Name));
    }

    private void CloseSuperseded(NodeSession session, string name, long timeUnixUs)
    {
        if (session.FindByName(name) is not { Ended: false } old)
            return;
        old.Ended = true;
        AddStreamClosed(session, old, null, "superseded", timeUnixUs, unknownLoss: true, null);
    }

    private void OnResized(NodeSession session, TerminalResized m)
    {
        if (Find(session, m.Incarnation) is not { Ended: false } link)
            return;
        switch (link.Intake.OfferEnd(m.Offset, m.Rewind))
        {
            case StreamIntake.Verdict.Take:
                _pending.Add(new NodeEvent
                {
                    Resized = new StreamResized { Incarnation = m.Incarnation, Offset = m.Offset, Size = m.Size, TimeUnixUs = m.TimeUnixUs },
                }, link.Incarnation);
                break;
            case StreamIntake.Verdict.Rewind:
                AskRewind(session, link);
                break;
        }
    }

    private void OnGap(NodeSession session, TerminalGap m)
    {
        if (Find(session, m.Incarnation) is not { Ended: false } link)
            return;
        var expected = link.Intake.Expected;
        switch (link.Intake.OfferGap(m.FromOffset, m.ToOffset, m.Rewind))
        {
            case StreamIntake.Verdict.Take:
                _pending.Add(new NodeEvent
                {
                    Gap = new StreamGap
                    {
                        Incarnation = m.Incarnation,
                        FromOffset = expected,
                        ToOffset = m.ToOffset,
                        Cause = GapCause.NodeOverflow,
                        TimeUnixUs = m.TimeUnixUs,
                    },
                }, link.Incarnation);
                HubLog.GapRecorded(_hub.Log, _node, link.Name, expected, m.ToOffset);
                break;
            case StreamIntake.Verdict.Rewind:
                AskRewind(session, link);
                break;
        }
    }

    private void OnClosed(NodeSession session, TerminalClosed m)
    {
        if (!TryEnd(session, m.Incarnation, m.FinalOffset, m.Rewind, out var link))
            return;
        AddStreamClosed(session, link, m.Exit, "", m.TimeUnixUs, unknownLoss: false, null);
    }

    private void OnCommandStarted(NodeSession session, CommandStarted m)
    {
        if (!IncarnationId.TryFrom(m.Incarnation, out var incarnation) || session.Find(incarnation) is not null
            || !_state.Commands.TryGetValue(m.CommandId, out var command) || command.Finished is not null)
            return;
        var name = Names.CommandStream(m.CommandId);
        if (_state.Histories.ContainsKey(name) || session.FindByName(name) is not null)
            return;
        session.Link(name, incarnation, m.Incarnation, StreamKind.Command, 0);
        AddOpened(name, m.Incarnation, StreamKind.Command, command.Accepted.Request.Pty, m.TimeUnixUs, CommandLine(command));
    }

    private void OnCommandExited(NodeSession session, CommandExited m)
    {
        var hasStream = IncarnationId.TryFrom(m.Incarnation, out var incarnation) && session.Find(incarnation) is not null;
        StreamLink? link = null;
        if (hasStream && !TryEnd(session, m.Incarnation, m.FinalOffset, m.Rewind, out link))
            return;
        if (_state.Commands.TryGetValue(m.CommandId, out var command) && (command.Finished is null || SupersedesGuess(m, command.Finished)))
        {
            AddFinished(m.CommandId, m.End switch
            {
                CommandEnd.NotStarted => CommandState.Failed,
                CommandEnd.TimedOut => CommandState.TimedOut,
                CommandEnd.Cancelled => CommandState.Cancelled,
                _ => CommandState.Exited,
            }, m.Exit, m.Message, m.TimeUnixUs);
        }

        if (link is not null)
        {
            AddStreamClosed(session, link, m.Exit, m.Message, m.TimeUnixUs, unknownLoss: false, null);
        }
        else if (!m.Incarnation.IsEmpty && IncarnationId.TryFrom(m.Incarnation, out incarnation))
        {
            // Never started, or its end is stored already: once what is pending is durable the agent may forget it.
            void Acknowledge() => session.Bridge.Tell(new Progress(session.Epoch, [new StreamPosition(incarnation, m.FinalOffset, true, 0)]));
            if (!_pending.IsEmpty)
                _pending.AfterLast(Acknowledge);
            else if (_writing)
            {
                (_inFlight[^1].Durable ??= []).Add(Acknowledge);
                _inFlightFactBytes += PendingEvents.EventOverhead;
            }
            else
            {
                Acknowledge();
            }
        }
    }

    private bool TryEnd(NodeSession session, ByteString wireId, long finalOffset, uint rewind, [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out StreamLink? link)
    {
        link = Find(session, wireId);
        if (link is null || link.Ended)
            return false;
        switch (link.Intake.OfferEnd(finalOffset, rewind))
        {
            case StreamIntake.Verdict.Take:
                link.Ended = true;
                return true;
            case StreamIntake.Verdict.Rewind:
                AskRewind(session, link);
                return false;
            default:
                return false;
        }
    }

    private void AddStreamClosed(NodeSession session, StreamLink link, ProcessExit? exit, string cause, long timeUnixUs, bool unknownLoss, Action? then)
    {
        _pending.Add(new NodeEvent
        {
            Closed = new StreamClosed
            {
                Incarnation = link.WireId,
                FinalOffset = link.Intake.Expected,
                Exit = exit,
                Cause = cause,
                TimeUnixUs = timeUnixUs,
                UnknownLoss = unknownLoss,
            },
        }, link.Incarnation, durable: () =>
        {
            link.Durable = link.Intake.Expected;
            link.ClosedDurably = true;
            _holds.Remove(link.Name);
            session.Touch(link);
            _touched.Add(link.Name);
            then?.Invoke();
        });
    }

    private StreamLink? Find(NodeSession session, ByteString wireId)
    {
        if (!IncarnationId.TryFrom(wireId, out var incarnation))
            return null;
        var link = session.Find(incarnation);
        // The hub does not want this stream (its end is stored, or it was refused): the agent may forget it.
        if (link is null)
            session.Bridge.Tell(new Progress(session.Epoch, [new StreamPosition(incarnation, 0, true, 1)]));
        return link;
    }

    private void AskRewind(NodeSession session, StreamLink link)
    {
        var number = session.NextRewind();
        link.Intake.RewindSent(number);
        _hub.Metrics.RewindAsked();
        session.Bridge.Tell(new ToNode(session.Epoch, new ConnectResponse
        {
            Rewind = new Rewind { Incarnation = link.WireId, Number = number, FromOffset = link.Intake.Expected },
        }));
    }

    private void ReportProgress()
    {
        if (_session is { HasDirty: true } session)
            session.Bridge.Tell(new Progress(session.Epoch, session.TakeProgress(_holds)));
    }
}
