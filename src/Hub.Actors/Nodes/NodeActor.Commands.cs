using Akka.Actor;
using AkkaHub.Internal.V1;
using AkkaHub.V1;
using Hub.Protocol;

namespace Hub.Actors.Nodes;

// Commands: accepted, told to the node once, ended and dropped.
public sealed partial class NodeActor
{
    // Stored: what a command that was never told ended with is known by these words, see SupersedesGuess.
    private const string NeverTold = "The connection broke before the node was told; it was not run.";
    // Clients take messages of 4 MiB unless they are told otherwise.
    private const int MaxListBytes = 2 * 1024 * 1024;

    private readonly HashSet<string> _acceptingCommands = new(StringComparer.Ordinal);
    private readonly HashSet<string> _finishingCommands = new(StringComparer.Ordinal);
    private readonly HashSet<string> _dropping = new(StringComparer.Ordinal);

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
        }, dropped: () => asker.Tell(new NodeFailure(Ending)));
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
        _pending.Add(new NodeEvent
        {
            CommandFinished = new CommandFinished { CommandId = id, State = state, Exit = exit, Message = message, TimeUnixUs = timeUnixUs },
        }, durable: () => _finishingCommands.Remove(id));
    }

    /// <summary>The node says why a command was not started; that the connection broke before it was told was only concluded.</summary>
    private static bool SupersedesGuess(CommandExited m, CommandFinished finished) =>
        m.End == CommandEnd.NotStarted && finished is { State: CommandState.Failed, Exit: null, Message: NeverTold };

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
}
