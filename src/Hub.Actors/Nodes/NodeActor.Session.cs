using System.Security.Cryptography;
using Akka.Actor;
using AkkaHub.Internal.V1;
using AkkaHub.V1;
using Google.Protobuf;
using Hub.Actors.History;
using Hub.Actors.Telemetry;
using Hub.Protocol;

namespace Hub.Actors.Nodes;

// Sessions: attaching, what the node says, and the end.
public sealed partial class NodeActor
{
    // Accepted, though perhaps not durable yet; the durable ones stand in the state.
    private byte[]? _claim;
    private ByteString? _lastInstance;
    private bool _sessionOpen;
    private long _epoch;
    private Attach? _attaching;

    private void OnAttach(Attach m)
    {
        var hello = m.Hello;
        var claim = SHA256.HashData(hello.ClaimKey.Span);
        if (_stopping || _eraseStage != EraseStage.None)
        {
            m.Bridge.Tell(new AttachRefused(Restarting));
            return;
        }

        if (_claim is not null && !CryptographicOperations.FixedTimeEquals(_claim, claim))
        {
            m.Bridge.Tell(new AttachRefused(new Failure(FailureKind.PermissionDenied, ErrorReasons.NameClaimed,
                $"The name '{_node}' belongs to another machine (its agent has another claim key). Give this agent another --name, or forget the node.")));
            return;
        }

        if (IsFull)
        {
            _hub.Metrics.QueueRejected(HubQueue.NodePending);
            m.Bridge.Tell(new AttachRefused(new Failure(FailureKind.Unavailable, ErrorReasons.StoreUnavailable,
                "More waits for the store than the hub allows (akkahub.flow.max-pending-facts); try again in a moment.")));
            return;
        }

        // A bridge that has waited long asks once more; its first question is being answered.
        if (!m.Again && m.Bridge.Equals(_attaching?.Bridge))
            return;
        if (IsOutdated(m))
        {
            m.Bridge.Tell(new AttachRefused(new Failure(FailureKind.Aborted, ErrorReasons.Fenced, "A newer session of this node took over.")));
            return;
        }

        var owner = Owner?.InstanceId;
        if (owner is not null && !owner.Equals(hello.InstanceId) && !hello.TakeOver)
        {
            m.Bridge.Tell(new AttachRefused(new Failure(FailureKind.AlreadyExists, ErrorReasons.NodeLive,
                $"Another agent is connected as '{_node}'. Stop it, or start this one with --take-over.")));
            return;
        }

        if (_attaching is { } superseded && !superseded.Bridge.Equals(m.Bridge))
            superseded.Bridge.Tell(new AttachRefused(new Failure(FailureKind.Aborted, ErrorReasons.Fenced, "A newer session of this node took over.")));
        if (_session is { } old)
        {
            if (!old.Bridge.Equals(m.Bridge))
            {
                old.Bridge.Tell(new SessionEnded(old.Epoch, DisconnectReason.Fenced, "A newer session of this node took over."));
                _hub.Publish(Context.System, MeshEventType.NodeFenced, Names.Node(_node), "a newer session took over");
            }

            EndSession("fenced", "A newer session of this node took over.", 0);
        }

        Context.SetReceiveTimeout(null);
        var replaced = _attaching is not null;
        _attaching = m;
        var now = _hub.NowUnixUs();
        if (_sessionOpen)
            AddSessionClosed(
                m.Again ? "store-failed" : replaced ? "attach-abandoned" : "hub-crashed",
                replaced ? "The node came anew before it was welcome." : "The hub lost the session before it could record an end.",
                0);
        if (_claim is null)
        {
            _claim = claim;
            _pending.Add(new NodeEvent { Registered = new NodeRegistered { ClaimHash = ByteString.CopyFrom(claim), TimeUnixUs = now } });
        }

        _lastInstance = hello.InstanceId;
        _sessionOpen = true;
        var epoch = ++_epoch;
        _pending.Add(
            new NodeEvent { SessionOpened = new SessionOpened { Epoch = epoch, InstanceId = hello.InstanceId, BootId = hello.BootId, TimeUnixUs = now } },
            durable: () => Reconcile(m, epoch));
        Flush();
    }

    private NodeHello? Owner => _attaching?.Hello ?? _session?.Hello;

    // When this actor was made again every bridge that still has a stream attaches anew, in any order, and so does one whose
    // connection is dead though nobody noticed yet. Such a bridge never ends a newer session: its agent would be told that it is
    // fenced, and would not come back.
    private bool IsOutdated(Attach m) =>
        (m.Again && _lastInstance is not null && !_lastInstance.Equals(m.Hello.InstanceId))
        || (Owner is { } owner && owner.InstanceId.Equals(m.Hello.InstanceId) && owner.Reconnects > m.Hello.Reconnects);

    /// <summary>The epoch is durable, and all that came before it: now what the node holds and what is stored can be compared.</summary>
    private void Reconcile(Attach m, long epoch)
    {
        if (!ReferenceEquals(_attaching, m))
            return;
        var now = _hub.NowUnixUs();
        var listed = new Dictionary<IncarnationId, LiveStream>();
        foreach (var stream in m.Hello.Streams)
        {
            if (IncarnationId.TryFrom(stream.Incarnation, out var id))
                listed[id] = stream;
        }

        var closing = new HashSet<string>(StringComparer.Ordinal);
        foreach (var (incarnation, history) in _state.Live)
        {
            if (!listed.ContainsKey(incarnation) && closing.Add(history.Name))
                AddLost(history, incarnation, byInstance: m.Hello.InstanceId.Equals(history.Newest!.Opened.InstanceId), now);
        }

        foreach (var command in _state.CommandsInOrder)
        {
            var stream = Names.CommandStream(command.Id);
            if (command.Finished is not null || m.Hello.Streams.Any(s => s.Name == stream))
                continue;
            // Proof is the command's own: the instance it was for is here and does not hold it. Which instance attached last
            // proves nothing, for that attach may have ended before it looked at this command.
            var neverTold = command.Running is null && m.Hello.InstanceId.Equals(command.Accepted.InstanceId);
            AddFinished(command.Id, neverTold ? CommandState.Failed : CommandState.Unknown, null,
                neverTold ? NeverTold : "The agent was lost while the command ran; it may have run in part or whole.", now);
        }

        // Newest first: of two unknown lives of one name only the newer is taken.
        var refused = new HashSet<IncarnationId>();
        var opening = new HashSet<string>(StringComparer.Ordinal);
        foreach (var (incarnation, stream) in listed.OrderByDescending(s => s.Value.StartedUnixUs))
        {
            if (_state.FindLive(incarnation) is null && !IsKnownEnd(stream.Name, incarnation)
                && !(opening.Add(stream.Name) && TryAddOpened(stream, incarnation, closing)))
                refused.Add(incarnation);
        }

        void Complete() => CompleteAttach(m, epoch, listed, refused);
        if (_pending.IsEmpty)
            Complete();
        else
            // Nothing but a session adds to streams, and there is none: the last of these facts is durable when this runs.
            _pending.AfterLast(Complete);
        Flush();
    }

    private void CompleteAttach(Attach m, long epoch, Dictionary<IncarnationId, LiveStream> listed, HashSet<IncarnationId> refused)
    {
        if (!ReferenceEquals(_attaching, m))
            return;
        _attaching = null;
        var session = new NodeSession(epoch, m.Bridge, m.Hello, m.LastRewind);
        _session = session;
        _requests.Begin(epoch);
        Context.Watch(m.Bridge);
        var positions = new List<StreamPosition>(listed.Count);
        foreach (var (incarnation, stream) in listed)
        {
            var history = _state.FindLive(incarnation);
            var limit = long.MaxValue;
            if (history is { Kind: StreamKind.Command })
            {
                // Whoever reads along is not known here yet after a restart: it has the usual time to ask before more is granted.
                if (_holds.LimitOf(history.Name) == long.MaxValue && _holds.Set(history.Name, UnknownCaller, history.Newest!.EndOffset, _hub.ElapsedUs()))
                    ArmTick();
                limit = _holds.LimitOf(history.Name);
            }

            if (history is not null)
                session.Link(history.Name, incarnation, stream.Incarnation, history.Kind, history.Newest!.EndOffset);
            positions.Add(new StreamPosition(incarnation, history?.Newest!.EndOffset ?? stream.EndOffset, history is null || refused.Contains(incarnation), 0, limit));
        }

        m.Bridge.Tell(new Attached(epoch, positions, Self));
        if (_state.Drained)
        {
            // The agent forgets it at each connection.
            session.Draining = true;
            Say(session, new ConnectResponse { NodeDrain = new NodeDrain { On = true } });
        }

        if (m.Again)
        {
            foreach (var position in positions)
            {
                if (session.Find(position.Incarnation) is { } link)
                    AskRewind(session, link);
            }
        }

        if (epoch > 1)
            _hub.Metrics.Reconnected();
        HubLog.SessionOpened(_hub.Log, _node, epoch, positions.Count);
        Context.Parent.Tell(new NodeAttached(_node, Describe(m.Hello, epoch)));
    }

    private NodeDescriptor Describe(NodeHello hello, long epoch)
    {
        var descriptor = new NodeDescriptor
        {
            Node = _node,
            Platform = hello.Platform,
            AgentVersion = hello.AgentVersion,
            RegisteredUnixUs = _state.RegisteredUnixUs,
            LastSeenUnixUs = _hub.NowUnixUs(),
            Attached = true,
            SessionEpoch = epoch,
            SessionEnd = _state.SessionEnd,
        };
        descriptor.Labels.Add(hello.Labels);
        descriptor.Capabilities.Add(hello.Capabilities);
        return descriptor;
    }

    private bool IsKnownEnd(string name, IncarnationId incarnation) =>
        _state.Histories.TryGetValue(name, out var history) && history.Find(incarnation) is { Closed: not null };

    private void AddLost(TerminalHistory history, IncarnationId incarnation, bool byInstance, long now)
    {
        _pending.Add(new NodeEvent
        {
            Closed = new StreamClosed
            {
                Incarnation = incarnation.ToByteString(),
                FinalOffset = history.Newest!.EndOffset,
                Cause = byInstance ? "lost-by-agent" : "agent-restarted",
                TimeUnixUs = now,
                UnknownLoss = true,
            },
        }, incarnation, durable: () => PublishTerminal(history.Kind, MeshEventType.TerminalClosed, history.Name, "the agent that held it is gone"));
    }

    private bool TryAddOpened(LiveStream stream, IncarnationId incarnation, HashSet<string> closing)
    {
        if (!Names.IsStreamName(stream.Name))
            return false;
        if (_state.Histories.TryGetValue(stream.Name, out var history) && history.Kind != stream.Kind)
            return false;
        if (!TryMakeRoom(stream.Name, stream.Kind))
            return false;
        if (history is { IsLive: true } && closing.Add(stream.Name))
        {
            // Both incarnations are listed: the older one's end is still with the agent. It is closed now; its rest is lost.
            AddLost(history, history.Newest!.Id, byInstance: true, _hub.NowUnixUs());
        }

        if (stream.Kind == StreamKind.Command && history is not null)
            return false; // a command runs once
        AddOpened(stream.Name, stream.Incarnation, stream.Kind, stream.Size, stream.StartedUnixUs, stream.CommandLine);
        return true;
    }

    private void AddOpened(string name, ByteString incarnation, StreamKind kind, TerminalSize? size, long timeUnixUs, string commandLine)
    {
        if (kind == StreamKind.Command && _state.Commands.TryGetValue(name[Names.CommandStreamPrefix.Length..], out var command))
        {
            size ??= command.Accepted.Request.Pty;
            commandLine = CommandLine(command);
            if (command.Running is null)
                _pending.Add(new NodeEvent { CommandRunning = new CommandRunning { CommandId = command.Id, TimeUnixUs = timeUnixUs } });
        }

        _opening.Add(name);
        _pending.Add(new NodeEvent
        {
            StreamOpened = new StreamOpened
            {
                Name = name,
                Incarnation = incarnation,
                Kind = kind,
                Size = size,
                TimeUnixUs = timeUnixUs,
                CommandLine = commandLine.Length > 4096 ? commandLine[..4096] : commandLine,
                InstanceId = Owner?.InstanceId ?? ByteString.Empty,
            },
        }, durable: () => OnOpenedDurably(name, kind));
    }

    // Of whatever the node tells for the first time, in its hello too: what began while the hub was away began for watchers now.
    private void OnOpenedDurably(string name, StreamKind kind)
    {
        _opening.Remove(name);
        if (kind == StreamKind.Command)
            _hub.Publish(Context.System, MeshEventType.CommandStarted, Names.Command(_node, name[Names.CommandStreamPrefix.Length..]), "started");
        else
            PublishTerminal(kind, MeshEventType.TerminalOpened, name, "opened");
    }

    /// <summary>Room for one more terminal: the oldest ended one goes if need be.</summary>
    private bool TryMakeRoom(string name, StreamKind kind)
    {
        var isCommand = name.StartsWith(Names.CommandStreamPrefix, StringComparison.Ordinal);
        if (isCommand || kind == StreamKind.Command)
            return isCommand && kind == StreamKind.Command && _state.Commands.ContainsKey(name[Names.CommandStreamPrefix.Length..]);
        if (WillBeThere(name) || PlannedTerminals() < _hub.Settings.Terminals.MaxPerNode)
            return true;
        // Not one that is just being opened again: its purge would come after that and take what it shows now.
        var oldest = _state.Histories.Values
            .Where(h => h.Kind == StreamKind.Terminal && !h.IsLive && !_purging.Contains(h.Name) && !_opening.Contains(h.Name))
            .MinBy(h => h.Newest?.Closed?.TimeUnixUs ?? 0);
        if (oldest is null)
            return false;
        _purging.Add(oldest.Name);
        var purged = oldest.Name;
        _pending.Add(new NodeEvent { TerminalPurged = new TerminalPurged { Name = purged } }, durable: () => _purging.Remove(purged));
        return true;
    }

    // Ended terminals on their way out, and streams on their way in: accepted, not durable yet.
    private readonly HashSet<string> _purging = new(StringComparer.Ordinal);
    private readonly HashSet<string> _opening = new(StringComparer.Ordinal);

    private bool WillBeThere(string name) => _opening.Contains(name) || (_state.Histories.ContainsKey(name) && !_purging.Contains(name));

    private int PlannedTerminals() => _state.TerminalCount - _purging.Count
        + _opening.Count(n => !n.StartsWith(Names.CommandStreamPrefix, StringComparison.Ordinal) && (!_state.Histories.ContainsKey(n) || _purging.Contains(n)));

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
            PublishTerminal(link.Kind, MeshEventType.TerminalClosed, link.Name, exit is null ? "ended" : $"ended with exit code {exit.Code}");
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

    private void PublishTerminal(StreamKind kind, MeshEventType type, string name, string message)
    {
        if (kind == StreamKind.Terminal)
            _hub.Publish(Context.System, type, Names.Terminal(_node, name), message);
    }
}
