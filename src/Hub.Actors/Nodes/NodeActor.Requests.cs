using Akka.Actor;
using AkkaHub.Internal.V1;
using AkkaHub.V1;
using Google.Protobuf;
using Hub.Actors.History;
using Hub.Actors.Telemetry;
using Hub.Protocol;

namespace Hub.Actors.Nodes;

// What clients ask. The edge has checked the form of each request; here its sense is decided.
public sealed partial class NodeActor
{
    private const int DefaultReadBytes = 256 * 1024;
    private const long UnknownCaller = -1;
    // Stored: what a command that was never told ended with is known by these words, see SupersedesGuess.
    private const string NeverTold = "The connection broke before the node was told; it was not run.";
    // Clients take messages of 4 MiB unless they are told otherwise.
    private const int MaxListBytes = 2 * 1024 * 1024;

    private readonly HashSet<string> _acceptingCommands = new(StringComparer.Ordinal);
    private readonly HashSet<string> _finishingCommands = new(StringComparer.Ordinal);
    // The node said it opened them; their askers are told once that is durable. Counted against the bound of requests.
    private readonly Dictionary<string, List<(IActorRef Asker, long DeadlineUs)>> _awaitingOpen = new(StringComparer.Ordinal);
    private int _awaitingOpenCount;
    // The node opened them and the hub did not take them, before it answered whoever asked for them. No more than may have asked.
    private readonly HashSet<string> _refusedOpening = new(StringComparer.Ordinal);

    private void OnRequest(IMessage request, long caller)
    {
        var asker = Sender;
        switch (request)
        {
            case ReadHistoryRequest m:
                if (caller != 0)
                    HoldFor(caller, m);
                AnswerRead(asker, m, mayWait: true);
                break;
            case SendInputRequest m:
                SendInput(asker, m);
                break;
            case ResizeTerminalRequest m:
                ToStream(asker, m.Name, NodeCapability.Terminal, (number, wireId) => new ConnectResponse
                {
                    TerminalResize = new TerminalResize { Request = number, Incarnation = wireId, Size = m.Size },
                }, static () => new ResizeTerminalResponse());
                break;
            case SignalTerminalRequest m:
                ToStream(asker, m.Name, NodeCapability.Terminal, (number, wireId) => new ConnectResponse
                {
                    TerminalSignal = new TerminalSignal { Request = number, Incarnation = wireId, Signal = m.Signal },
                }, static () => new SignalTerminalResponse());
                break;
            case CloseTerminalRequest m:
                ToStream(asker, m.Name, NodeCapability.Terminal, (number, wireId) => new ConnectResponse
                {
                    TerminalClose = new TerminalClose { Request = number, Incarnation = wireId, Reason = "a client asked for it" },
                }, static () => new CloseTerminalResponse());
                break;
            case OpenTerminalRequest m:
                OpenTerminal(asker, m);
                break;
            case ListTerminalsRequest:
                asker.Tell(new NodeReply(ListTerminals()));
                break;
            case PurgeTerminalRequest m:
                PurgeTerminal(asker, m);
                break;
            case RunCommandRequest m:
                RunCommand(asker, m, caller);
                break;
            case GetCommandRequest m:
                if (FindCommand(asker, m.Name) is { } found)
                    asker.Tell(new NodeReply(new GetCommandResponse { Command = View(found) }));
                break;
            case ListCommandsRequest:
                asker.Tell(new NodeReply(ListCommands()));
                break;
            case CancelCommandRequest m:
                CancelCommand(asker, m);
                break;
            case DrainNodeRequest m:
                DrainNode(asker, m.On);
                break;
            default:
                Fail(asker, FailureKind.InvalidArgument, ErrorReasons.InvalidField, $"A node does not answer {request.Descriptor.Name}.");
                break;
        }

        Flush();
    }

    /// <summary>A caller of RunCommand asks for what comes after here: it has read all before.</summary>
    private void HoldFor(long caller, ReadHistoryRequest m)
    {
        Names.TryParseTerminal(m.Name, out _, out var stream);
        if (_session?.FindByName(stream!) is not { ClosedDurably: false })
            return;
        var position = m.Start is { StartCase: HistoryStart.StartOneofCase.Cursor } start && HistoryCursor.TryDecode(start.Cursor, out var cursor) ? cursor.Offset : 0;
        _holds.Set(stream!, caller, Math.Max(0, position), _hub.ElapsedUs());
        ArmTick();
        OnHoldChanged(stream!);
    }

    private void OnHoldChanged(string stream)
    {
        if (_session is not { } session || session.FindByName(stream) is not { } link)
            return;
        session.Touch(link);
        if (!_writing)
            ReportProgress();
    }

    private void AnswerRead(IActorRef asker, ReadHistoryRequest m, bool mayWait, long? deadline = null)
    {
        Names.TryParseTerminal(m.Name, out _, out var stream);
        if (!_state.Histories.TryGetValue(stream!, out var history) || history.Newest is null)
        {
            ReadUnopened(asker, m, stream!, mayWait, deadline);
            return;
        }

        var from = Resolve(history, m.Start);
        HistoryCursor? until = m.EndCursor.Length > 0 && HistoryCursor.TryDecode(m.EndCursor, out var end) ? end : null;
        var slice = history.Read(from, m.MaxBytes > 0 ? m.MaxBytes : DefaultReadBytes, until);
        if (slice.Records.Count == 0 && mayWait && m.Wait is not null && slice.AtEnd && until is null)
        {
            var waiting = m.Clone();
            waiting.Start = new HistoryStart { Cursor = slice.Next.Encode() };
            Wait(asker, stream!, waiting, deadline);
            return;
        }

        var response = new ReadHistoryResponse
        {
            NextCursor = slice.Next.Encode(),
            AtEnd = slice.AtEnd,
            FirstAvailableCursor = history.First.Encode(),
            TerminalState = history.IsLive ? TerminalState.Live : TerminalState.Closed,
            NodeState = Status,
            LastOutputTime = history.Newest.LastOutputUnixUs.ToTimestamp(),
        };
        response.Records.Add(slice.Records);
        foreach (var record in slice.Records)
        {
            if (record.RecordCase == HistoryRecord.RecordOneofCase.Output)
                _hub.Metrics.TerminalIo(IoDirection.ToReader, record.Output.Data.Length);
        }

        asker.Tell(new NodeReply(response));
    }

    /// <summary>A command that is known but has put out nothing yet can be read: there is nothing, and the reader may wait.</summary>
    private void ReadUnopened(IActorRef asker, ReadHistoryRequest m, string stream, bool mayWait, long? deadline)
    {
        var command = stream.StartsWith(Names.CommandStreamPrefix, StringComparison.Ordinal)
            ? _state.Commands.GetValueOrDefault(stream[Names.CommandStreamPrefix.Length..])
            : null;
        if (command is null)
        {
            Fail(asker, FailureKind.NotFound, ErrorReasons.TerminalUnknown, $"Node '{_node}' has no terminal '{stream}'.");
            return;
        }

        if (mayWait && m.Wait is not null && command.Finished is null)
        {
            Wait(asker, stream, m.Clone(), deadline);
            return;
        }

        asker.Tell(new NodeReply(new ReadHistoryResponse
        {
            AtEnd = true,
            TerminalState = command.Finished is null ? TerminalState.Live : TerminalState.Closed,
            NodeState = Status,
        }));
    }

    private void Wait(IActorRef asker, string stream, ReadHistoryRequest m, long? until)
    {
        var deadline = until ?? _hub.ElapsedUs() + (long)(m.Wait.ToTimeSpan().TotalMilliseconds * 1000);
        if (!_readers.TryAdd(stream, new NodeReaders.Waiting(asker, m, deadline)))
        {
            _hub.Metrics.QueueRejected(HubQueue.Readers);
            FailAtLimit(asker, "akkahub.terminals.max-waiting-readers",
                $"Node '{_node}' has as many waiting readers as the hub allows (akkahub.terminals.max-waiting-readers).");
            return;
        }

        ArmTick();
    }

    private void WakeReaders()
    {
        if (_readers.Count > 0)
        {
            foreach (var stream in _touched)
            {
                foreach (var reader in _readers.Take(stream))
                    AnswerRead(reader.Asker, reader.Request, mayWait: true, reader.DeadlineUs);
            }
        }

        _touched.Clear();
    }

    private static HistoryCursor Resolve(TerminalHistory history, HistoryStart? start) => start?.StartCase switch
    {
        HistoryStart.StartOneofCase.Cursor when HistoryCursor.TryDecode(start.Cursor, out var cursor) => cursor,
        HistoryStart.StartOneofCase.TailBytes => history.TailBytes(start.TailBytes),
        HistoryStart.StartOneofCase.TailLines => history.TailLines(start.TailLines),
        HistoryStart.StartOneofCase.Since => history.Since(start.Since.ToDateTimeOffset().ToUnixUs()),
        HistoryStart.StartOneofCase.Now => history.End,
        _ => history.First,
    };

    private void SendInput(IActorRef asker, SendInputRequest m)
    {
        _hub.Metrics.TerminalIo(IoDirection.Input, m.Data.Length);
        Names.TryParseTerminal(m.Name, out _, out var stream);
        ToStream(asker, m.Name, CapabilityFor(stream!), (number, wireId) => new ConnectResponse
        {
            TerminalInput = new TerminalInput { Request = number, Incarnation = wireId, Data = m.Data, EndOfInput = m.EndOfInput },
        }, static () => new SendInputResponse(), input: true);
    }

    private static NodeCapability CapabilityFor(string stream) =>
        stream.StartsWith(Names.CommandStreamPrefix, StringComparison.Ordinal) ? NodeCapability.Exec : NodeCapability.Terminal;

    /// <summary>Sends a numbered request to a live stream of the node and answers with what becomes of it.</summary>
    private void ToStream(IActorRef asker, string resource, NodeCapability capability, Func<long, ByteString, ConnectResponse> request, Func<IMessage> done, bool input = false)
    {
        Names.TryParseTerminal(resource, out _, out var stream);
        if (CapabilityFor(stream!) == NodeCapability.Exec)
            capability = NodeCapability.Exec;
        if (Session(asker) is not { } session || !Allowed(asker, session, capability))
            return;
        if (session.FindByName(stream!) is not { Ended: false } link)
        {
            if (_state.Histories.ContainsKey(stream!))
                Fail(asker, FailureKind.FailedPrecondition, ErrorReasons.TerminalClosed, $"Terminal '{stream}' of node '{_node}' has ended. Open it again first.");
            else
                Fail(asker, FailureKind.NotFound, ErrorReasons.TerminalUnknown, $"Node '{_node}' has no terminal '{stream}'.");
            return;
        }

        Request(asker, session, number => request(number, link.WireId), (result, to) => Answer(to, result, done), input);
    }

    private bool Request(IActorRef asker, NodeSession session, Func<long, ConnectResponse> request, Action<RequestResult, IActorRef> answer, bool input = false)
    {
        long? deadline = input ? null : _hub.ElapsedUs() + (long)_hub.Settings.Terminals.RequestTimeout.TotalMicroseconds;
        if ((!input && _awaitingOpenCount + _requests.Timed >= _hub.Settings.Terminals.MaxPendingInputs) || _requests.TryAdd(asker, answer, deadline) is not { } number)
        {
            _hub.Metrics.QueueRejected(HubQueue.NodeInputs);
            FailAtLimit(asker, "akkahub.terminals.max-pending-inputs",
                $"Node '{_node}' has as many unanswered requests as the hub allows (akkahub.terminals.max-pending-inputs). Nothing was sent; wait and try again.");
            return false;
        }

        ArmTick();
        Say(session, request(number));
        return true;
    }

    private static void Answer(IActorRef asker, RequestResult result, Func<IMessage> done)
    {
        if (NodeRequests.ToFailure(result) is { } failure)
            asker.Tell(new NodeFailure(failure));
        else
            asker.Tell(new NodeReply(done()));
    }

    private void OpenTerminal(IActorRef asker, OpenTerminalRequest m)
    {
        Names.TryParseTerminal(m.Name, out _, out var name);
        if (_state.Histories.TryGetValue(name!, out var existing) && existing.IsLive)
        {
            asker.Tell(new NodeReply(new OpenTerminalResponse { Terminal = NodeViews.Terminal(_node, existing) }));
            return;
        }

        if (Session(asker) is not { } session || !Allowed(asker, session, NodeCapability.Terminal) || !TakesWork(asker, session))
            return;
        var ended = _state.Histories.Values.Any(h => h.Kind == StreamKind.Terminal && !h.IsLive);
        if (existing is null && !ended && PlannedTerminals() >= _hub.Settings.Terminals.MaxPerNode)
        {
            FailAtLimit(asker, "akkahub.terminals.max-per-node",
                $"Node '{_node}' has as many terminals as the hub allows ({_hub.Settings.Terminals.MaxPerNode}, akkahub.terminals.max-per-node). Close and purge one first.");
            return;
        }

        var open = new TerminalOpen { Name = name, Size = m.Size ?? new TerminalSize { Cols = 80, Rows = 24 }, Cwd = m.Cwd };
        open.Argv.Add(m.Argv);
        open.Env.Add(m.Env);
        var before = existing?.Newest?.Id;
        _refusedOpening.Remove(name!);
        Request(asker, session, number =>
        {
            open.Request = number;
            return new ConnectResponse { TerminalOpen = open };
        }, (result, to) =>
        {
            if (NodeRequests.ToFailure(result) is { } failure)
            {
                to.Tell(new NodeFailure(failure));
                return;
            }

            // The node opened it; the caller is told once that is durable, which may be already, and it may have ended again.
            if (!_awaitingOpen.TryGetValue(name!, out var list))
                _awaitingOpen.Add(name!, list = []);
            list.Add((to, _hub.ElapsedUs() + (long)_hub.Settings.Terminals.RequestTimeout.TotalMicroseconds));
            _awaitingOpenCount++;
            if (_refusedOpening.Remove(name!))
                RefuseOpening(name!);
            else if (_state.Histories.TryGetValue(name!, out var history) && (history.IsLive || history.Newest?.Id != before))
                AnswerOpened(name!);
            else
                ArmTick();
        });
    }

    private void AnswerOpened(string name)
    {
        if (!_state.Histories.TryGetValue(name, out var history) || history.Newest is null)
            return;
        foreach (var asker in TakeOpening(name))
            asker.Tell(new NodeReply(new OpenTerminalResponse { Terminal = NodeViews.Terminal(_node, history) }));
    }

    private void RefuseOpening(string name)
    {
        foreach (var asker in TakeOpening(name))
        {
            FailAtLimit(asker, "akkahub.terminals.max-per-node",
                $"Node '{_node}' has as many terminals as the hub allows ({_hub.Settings.Terminals.MaxPerNode}, akkahub.terminals.max-per-node). Close and purge one first.");
        }
    }

    private void BreakOpening()
    {
        _refusedOpening.Clear();
        foreach (var name in _awaitingOpen.Keys.ToArray())
        {
            foreach (var asker in TakeOpening(name))
                FailOpening(asker);
        }
    }

    private void ExpireOpening(long now)
    {
        foreach (var (name, askers) in _awaitingOpen.ToArray())
        {
            foreach (var (asker, _) in askers.Where(a => a.DeadlineUs <= now))
            {
                FailOpening(asker);
                _awaitingOpenCount--;
            }

            askers.RemoveAll(a => a.DeadlineUs <= now);
            if (askers.Count == 0)
                _awaitingOpen.Remove(name);
        }
    }

    private IEnumerable<IActorRef> TakeOpening(string name)
    {
        if (!_awaitingOpen.Remove(name, out var askers))
            return [];
        _awaitingOpenCount -= askers.Count;
        return askers.Select(a => a.Asker);
    }

    private static void FailOpening(IActorRef asker) => Fail(asker, FailureKind.Aborted, ErrorReasons.DeliveryUnknown,
        "The node said that it opened the terminal, but the hub has not recorded it. Look at the terminals before you try again.");

    private ListTerminalsResponse ListTerminals()
    {
        var response = new ListTerminalsResponse { NodeState = Status };
        foreach (var history in _state.Histories.Values.Where(h => h.Kind == StreamKind.Terminal).OrderBy(h => h.Name, StringComparer.Ordinal))
            response.Terminals.Add(NodeViews.Terminal(_node, history));
        return response;
    }

    private void PurgeTerminal(IActorRef asker, PurgeTerminalRequest m)
    {
        Names.TryParseTerminal(m.Name, out _, out var name);
        if (name!.StartsWith(Names.CommandStreamPrefix, StringComparison.Ordinal))
        {
            PurgeCommand(asker, name);
            return;
        }

        if (!_state.Histories.TryGetValue(name, out var history) || history.Kind != StreamKind.Terminal)
        {
            Fail(asker, FailureKind.NotFound, ErrorReasons.TerminalUnknown, $"Node '{_node}' has no terminal '{name}'.");
            return;
        }

        if (!HasRoom(asker))
            return;
        var bytes = history.RetainedBytes;
        _pending.BeginRow();
        _pending.Add(new NodeEvent { TerminalPurged = new TerminalPurged { Name = name } }, durable: () =>
        {
            _hub.Metrics.HistoryDropped("purged", bytes);
            // The journal and the snapshots still hold the bytes: a new one is due at once, and the old ones go.
            _purged = true;
            asker.Tell(new NodeReply(new PurgeTerminalResponse { Bytes = bytes }));
        }, dropped: () => asker.Tell(new NodeFailure(Restarting)));
    }

    /// <summary>A command's output goes with its record, whose arguments may hold what shall be gone, too.</summary>
    private void PurgeCommand(IActorRef asker, string stream)
    {
        var id = stream[Names.CommandStreamPrefix.Length..];
        if (FindCommand(asker, Names.Command(_node, id)) is not { } command)
            return;
        var output = _state.Histories.GetValueOrDefault(stream);
        if (command.Finished is null || _opening.Contains(stream) || output is { IsLive: true })
        {
            Fail(asker, FailureKind.FailedPrecondition, ErrorReasons.CommandRunning, $"Command '{id}' of node '{_node}' has not ended. Cancel it first.");
            return;
        }

        if (!HasRoom(asker))
            return;
        var bytes = output?.RetainedBytes ?? 0;
        _pending.BeginRow();
        // Before the drop: at recovery it says, unlike a drop that only makes room, that the bytes must leave the store.
        _pending.Add(new NodeEvent { TerminalPurged = new TerminalPurged { Name = stream } });
        _dropping.Add(id);
        _pending.Add(new NodeEvent { CommandDropped = new CommandDropped { CommandId = id } }, durable: () =>
        {
            _dropping.Remove(id);
            _hub.Metrics.HistoryDropped("purged", bytes);
            _purged = true;
            asker.Tell(new NodeReply(new PurgeTerminalResponse { Bytes = bytes }));
        }, dropped: () => asker.Tell(new NodeFailure(Restarting)));
    }

    private void RunCommand(IActorRef asker, RunCommandRequest m, long caller)
    {
        var id = m.RequestId;
        if (_state.Commands.TryGetValue(id, out var existing))
        {
            if (SameCommand(existing.Accepted.Request, m))
                asker.Tell(new NodeReply(new GetCommandResponse { Command = View(existing) }));
            else
                Fail(asker, FailureKind.AlreadyExists, ErrorReasons.RequestIdReused, $"request_id '{id}' was used for another command. Use a new one.");
            return;
        }

        if (_acceptingCommands.Contains(id))
        {
            Fail(asker, FailureKind.Unavailable, ErrorReasons.StoreUnavailable, $"Command '{id}' is being accepted; try again in a moment.");
            return;
        }

        if (Session(asker) is not { } session || !Allowed(asker, session, NodeCapability.Exec) || !TakesWork(asker, session))
            return;
        var running = _acceptingCommands.Count + _state.CommandsInOrder.Count(c => c.Finished is null);
        if (running >= _hub.Settings.Commands.MaxRunning)
        {
            FailAtLimit(asker, "akkahub.commands.max-running",
                $"Node '{_node}' runs as many commands as the hub allows ({_hub.Settings.Commands.MaxRunning}, akkahub.commands.max-running).");
            return;
        }

        if (!HasRoom(asker))
            return;
        DropOldCommands();
        _acceptingCommands.Add(id);
        _pending.Add(new NodeEvent { CommandAccepted = new CommandAccepted { CommandId = id, Request = m, TimeUnixUs = _hub.NowUnixUs(), InstanceId = session.Hello.InstanceId } }, durable: () =>
        {
            _acceptingCommands.Remove(id);
            if (!_state.Commands.TryGetValue(id, out var accepted))
            {
                // Forgotten in the same row.
                Fail(asker, FailureKind.NotFound, ErrorReasons.NodeUnknown, $"Node '{_node}' was forgotten.");
                return;
            }

            asker.Tell(new NodeReply(new GetCommandResponse { Command = View(accepted) }));
            if (caller != 0)
            {
                _holds.Set(Names.CommandStream(id), caller, 0, _hub.ElapsedUs());
                ArmTick();
            }

            Dispatch(id, m, session);
        }, dropped: () => asker.Tell(new NodeFailure(new Failure(FailureKind.Aborted, ErrorReasons.DeliveryUnknown,
            $"The hub could not record command '{id}' for certain; ask for it again with the same request_id."))));
    }

    /// <summary>The command is durable: the node is told, once.</summary>
    private void Dispatch(string id, RunCommandRequest m, NodeSession acceptedIn)
    {
        if (!ReferenceEquals(_session, acceptedIn))
        {
            AddFinished(id, CommandState.Failed, null, NeverTold, _hub.NowUnixUs());
            return;
        }

        var run = new CommandRun
        {
            CommandId = id,
            Cwd = m.Cwd,
            TimeoutMs = m.Timeout is null ? 0 : (long)Math.Ceiling(m.Timeout.ToTimeSpan().TotalMilliseconds),
            Pty = m.Pty,
            Stdin = m.Stdin,
        };
        run.Argv.Add(m.Argv);
        run.Env.Add(m.Env);
        Say(acceptedIn, new ConnectResponse { CommandRun = run });
    }

    private static bool SameCommand(RunCommandRequest a, RunCommandRequest b) =>
        a.Argv.SequenceEqual(b.Argv) && a.Cwd == b.Cwd && a.Env.Equals(b.Env) && Equals(a.Pty, b.Pty) && Equals(a.Timeout, b.Timeout) && a.Stdin == b.Stdin;

    /// <summary>Records how a command ended. The first word counts: its end may be told again before it is durable.</summary>
    private void AddFinished(string id, CommandState state, ProcessExit? exit, string message, long timeUnixUs)
    {
        if (!_finishingCommands.Add(id))
            return;
        var known = _state.Commands.TryGetValue(id, out var command) && command.Finished is not null;
        _pending.Add(new NodeEvent
        {
            CommandFinished = new CommandFinished { CommandId = id, State = state, Exit = exit, Message = message, TimeUnixUs = timeUnixUs },
        }, durable: () =>
        {
            _finishingCommands.Remove(id);
            if (known)
                return;
            _hub.Publish(Context.System, MeshEventType.CommandFinished, Names.Command(_node, id),
                exit is null ? Said(state) : $"{Said(state)} with code {exit.Code}");
        });
    }

    /// <summary>The node says why a command was not started; that the connection broke before it was told was only concluded.</summary>
    private static bool SupersedesGuess(CommandExited m, CommandFinished finished) =>
        m.End == CommandEnd.NotStarted && finished is { State: CommandState.Failed, Exit: null, Message: NeverTold };

    private static string Said(CommandState state) => state == CommandState.TimedOut ? "timed out" : state.ToString().ToLowerInvariant();

    /// <summary>Makes room: finished commands that are too old, too many or hold too much output go, oldest first.</summary>
    private void DropOldCommands()
    {
        var limits = _hub.Settings.Commands;
        var oldest = _hub.NowUnixUs() - (long)limits.Retention.TotalMicroseconds;
        var count = _state.Commands.Count + _acceptingCommands.Count - _dropping.Count;
        var bytes = _state.CommandsInOrder.Where(c => !_dropping.Contains(c.Id)).Sum(_state.OutputMemory);
        foreach (var command in _state.CommandsInOrder)
        {
            if (command.Finished is null || _dropping.Contains(command.Id))
                continue;
            // Its end is by the node's clock, which may be wrong; it is not before the hub accepted it.
            if (count < limits.MaxRecords && bytes <= limits.MaxOutputBytes && Math.Max(command.Finished.TimeUnixUs, command.Accepted.TimeUnixUs) >= oldest)
                break;
            // A stream that lives takes its record's place in the journal: what comes after the drop could not be replayed.
            var stream = Names.CommandStream(command.Id);
            if (_opening.Contains(stream) || (_state.Histories.TryGetValue(stream, out var history) && history.IsLive))
                continue;
            count--;
            bytes -= _state.OutputMemory(command);
            var id = command.Id;
            _dropping.Add(id);
            _pending.Add(new NodeEvent { CommandDropped = new CommandDropped { CommandId = id } }, durable: () => _dropping.Remove(id));
        }
    }

    private readonly HashSet<string> _dropping = new(StringComparer.Ordinal);

    private void CancelCommand(IActorRef asker, CancelCommandRequest m)
    {
        if (FindCommand(asker, m.Name) is not { } command)
            return;
        if (command.Finished is not null)
        {
            asker.Tell(new NodeReply(new CancelCommandResponse()));
            return;
        }

        if (Session(asker) is { } session)
        {
            Request(asker, session, number => new ConnectResponse
            {
                CommandCancel = new CommandCancel { Request = number, CommandId = command.Id },
            }, (result, to) => Answer(to, result, static () => new CancelCommandResponse()));
        }
    }

    /// <summary>Durable before the node is told: whoever asked need not ask again. A node that is away is told when it attaches.</summary>
    private void DrainNode(IActorRef asker, bool on)
    {
        if (!HasRoom(asker))
            return;
        _pending.Add(new NodeEvent { DrainSet = new NodeDrainSet { On = on, TimeUnixUs = _hub.NowUnixUs() } }, durable: () =>
        {
            if (_session is { } session)
            {
                session.Draining = on;
                Say(session, new ConnectResponse { NodeDrain = new NodeDrain { On = on } });
            }

            asker.Tell(new NodeReply(new DrainNodeResponse()));
        }, dropped: () => asker.Tell(new NodeFailure(Restarting)));
    }

    private CommandRecord? FindCommand(IActorRef asker, string resource)
    {
        Names.TryParseCommand(resource, out _, out var id);
        if (_state.Commands.TryGetValue(id!, out var command))
            return command;
        Fail(asker, FailureKind.NotFound, ErrorReasons.CommandUnknown,
            $"Node '{_node}' has no record of command '{id}'. Records are kept for the last {_hub.Settings.Commands.MaxRecords} commands.");
        return null;
    }

    private ListCommandsResponse ListCommands()
    {
        var response = new ListCommandsResponse();
        var bytes = 0;
        foreach (var record in _state.CommandsInOrder.Reverse())
        {
            var command = NodeViews.Shortened(View(record));
            bytes += command.CalculateSize();
            if (bytes <= MaxListBytes)
                response.Commands.Add(command);
            else
                response.Omitted++;
        }

        return response;
    }

    private Command View(CommandRecord command) =>
        NodeViews.Command(_node, command, _state.Histories.GetValueOrDefault(Names.CommandStream(command.Id)));

    private static string CommandLine(CommandRecord command) => string.Join(' ', command.Accepted.Request.Argv);

    // What the partition last said, which judges nodes without a session: a node that is expected back is not offline.
    private NodeStatus Status => _session is null ? _listedAs : Drains(_session) ? NodeStatus.Draining : NodeStatus.Online;

    private NodeSession? Session(IActorRef asker)
    {
        if (_session is null)
            Fail(asker, FailureKind.Unavailable, ErrorReasons.NodeOffline, $"Node '{_node}' is not connected. Its history can still be read.");
        return _session;
    }

    private bool Allowed(IActorRef asker, NodeSession session, NodeCapability capability)
    {
        if (session.Allows(capability))
            return true;
        Fail(asker, FailureKind.PermissionDenied, ErrorReasons.CapabilityMissing,
            $"The agent of node '{_node}' was started without --allow {capability.ToString().ToLowerInvariant()}.");
        return false;
    }

    private bool HasRoom(IActorRef asker)
    {
        if (!IsFullForClients)
            return true;
        _hub.Metrics.QueueRejected(HubQueue.NodePending);
        asker.Tell(new NodeFailure(new Failure(FailureKind.ResourceExhausted, ErrorReasons.LimitReached,
            $"As much of node '{_node}' waits for the store as the hub allows (akkahub.flow.max-pending-facts). Nothing was done; wait and try again.",
            "limit", "akkahub.flow.max-pending-facts")));
        return false;
    }

    private bool TakesWork(IActorRef asker, NodeSession session)
    {
        if (!Drains(session))
            return true;
        Fail(asker, FailureKind.FailedPrecondition, ErrorReasons.NodeDraining, $"Node '{_node}' drains and takes no new work.");
        return false;
    }

    // As an operator wants it, or because the agent is about to stop.
    private bool Drains(NodeSession session) => _state.Drained || session.Draining;

    private static void Say(NodeSession session, ConnectResponse message) => session.Bridge.Tell(new ToNode(session.Epoch, message));

    private static void FailAtLimit(IActorRef asker, string setting, string message) =>
        asker.Tell(new NodeFailure(Failure.LimitReached(setting, message)));

    private static void Fail(IActorRef asker, FailureKind kind, string reason, string message) =>
        asker.Tell(new NodeFailure(new Failure(kind, reason, message)));
}
