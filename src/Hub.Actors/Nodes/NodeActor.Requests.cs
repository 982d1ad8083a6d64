using Akka.Actor;
using AkkaHub.Internal.V1;
using AkkaHub.V1;
using Google.Protobuf;
using Hub.Actors.Telemetry;
using Hub.Protocol;

namespace Hub.Actors.Nodes;

// What clients ask. The edge has checked the form of each request; here its sense is decided. Commands and readers stand apart;
// what is left is one file because all of it ends in the same few answers and refusals.
public sealed partial class NodeActor
{
    private const long UnknownCaller = -1;

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
        }, dropped: () => asker.Tell(new NodeFailure(Ending)));
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
        }, dropped: () => asker.Tell(new NodeFailure(Ending)));
    }

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
