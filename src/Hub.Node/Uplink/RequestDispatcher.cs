using AkkaHub.V1;
using Google.Protobuf;
using Hub.Node.Commands;
using Hub.Node.Logging;
using Hub.Node.Streams;
using Hub.Node.Terminals;
using Microsoft.Extensions.Logging;

namespace Hub.Node.Uplink;

/// <summary>Does what the hub asks, within what the agent allows, and answers each numbered request once.</summary>
internal sealed class RequestDispatcher(
    NodeOptions options, StreamTable table, TerminalService terminals, CommandService commands, UnstartedCommands unstarted, ILogger log)
{
    private const int MaxInputBytes = 64 * 1024;
    private const int MaxMessage = 1024;
    private volatile bool _draining;
    private volatile bool _stopping;

    /// <summary>A session begins: the hub says anew whether the node drains.</summary>
    public void SessionBegins() => _draining = false;

    /// <summary>Takes no new work from now on.</summary>
    public void Stop() => _stopping = true;

    /// <summary>Handles a message of the hub that is not about the session itself.</summary>
    public async ValueTask HandleAsync(ConnectResponse message, Outbox outbox, CancellationToken cancellationToken)
    {
        switch (message.MessageCase)
        {
            case ConnectResponse.MessageOneofCase.FlowUpdate:
                table.Flow(message.FlowUpdate);
                break;
            case ConnectResponse.MessageOneofCase.Rewind:
                table.Find(message.Rewind.Incarnation)?.Rewind(message.Rewind);
                break;
            case ConnectResponse.MessageOneofCase.NodeDrain:
                _draining = message.NodeDrain.On;
                log.Draining(_draining);
                break;
            case ConnectResponse.MessageOneofCase.CommandRun:
                Run(message.CommandRun, outbox);
                break;
            default:
                await RequestAsync(message, outbox, cancellationToken).ConfigureAwait(false);
                break;
        }
    }

    private async ValueTask RequestAsync(ConnectResponse message, Outbox outbox, CancellationToken cancellationToken)
    {
        await outbox.TakeSlotAsync(cancellationToken).ConfigureAwait(false);
        switch (message.MessageCase)
        {
            case ConnectResponse.MessageOneofCase.TerminalInput:
                var input = message.TerminalInput;
                OnStream(input.Incarnation, Reply(input.Request, outbox), (stream, done) =>
                {
                    if (input.Data.Length > MaxInputBytes)
                        done(RequestOutcome.ResourceExhausted, "at most 64 KiB of input at once");
                    else if (outbox.IsCrowded)
                        done(RequestOutcome.ResourceExhausted, "too much input waits for programs that do not read it");
                    else
                        stream.Io!.Write(input.Data.Memory, input.EndOfInput, done);
                });
                break;
            case ConnectResponse.MessageOneofCase.TerminalResize:
                var resize = message.TerminalResize;
                OnStream(resize.Incarnation, Reply(resize.Request, outbox), (stream, done) =>
                {
                    if (resize.Size is null || !TerminalService.IsSize(resize.Size))
                        done(RequestOutcome.Failed, "columns and rows must be 1 to 2000");
                    else
                        stream.Io!.Resize((int)resize.Size.Cols, (int)resize.Size.Rows, done);
                });
                break;
            case ConnectResponse.MessageOneofCase.TerminalSignal:
                var signal = message.TerminalSignal;
                OnStream(signal.Incarnation, Reply(signal.Request, outbox), (stream, done) =>
                {
                    if (signal.Signal == Signal.Unspecified || !Enum.IsDefined(signal.Signal))
                        done(RequestOutcome.Failed, "no such signal");
                    else
                        stream.Io!.Signal((int)signal.Signal, done);
                });
                break;
            case ConnectResponse.MessageOneofCase.TerminalOpen:
                Open(message.TerminalOpen, outbox);
                break;
            case ConnectResponse.MessageOneofCase.TerminalClose:
                var close = message.TerminalClose;
                OnStream(close.Incarnation, Reply(close.Request, outbox), (stream, done) =>
                {
                    log.TerminalClosing(stream.Identity.Name, close.Reason);
                    TerminalService.Close(stream, done);
                });
                break;
            case ConnectResponse.MessageOneofCase.CommandCancel:
                Cancel(message.CommandCancel, Reply(message.CommandCancel.Request, outbox));
                break;
            default:
                // A message of a later protocol: nothing to answer.
                outbox.GiveSlotBack();
                break;
        }
    }

    private void Run(CommandRun run, Outbox outbox)
    {
        var refusal = !options.AllowExec ? "the agent does not allow commands"
            : _stopping ? "the agent stops"
            : _draining ? "the node drains and takes no new work"
            : null;
        if (commands.Run(run, refusal) is { } report)
            outbox.Say(unstarted.Add(report));
    }

    private void Open(TerminalOpen open, Outbox outbox)
    {
        var done = Reply(open.Request, outbox);
        if (!options.AllowTerminal)
        {
            done(RequestOutcome.Denied, "the agent does not allow terminals");
        }
        else if (_stopping || _draining)
        {
            done(RequestOutcome.FailedPrecondition, "the node takes no new work");
        }
        else
        {
            terminals.Open(open, (outcome, message) =>
            {
                // Answers go before streams; but whoever hears that the terminal is open must find it.
                if (table.FindNewest(open.Name)?.TakeOpened() is { } opened)
                    outbox.Say(opened);
                done(outcome, message);
            });
        }
    }

    private void Cancel(CommandCancel cancel, RequestDone done)
    {
        if (options.AllowExec)
            commands.Cancel(cancel.CommandId, done);
        else
            done(RequestOutcome.Denied, "the agent does not allow commands");
    }

    private void OnStream(ByteString incarnation, RequestDone done, Action<NodeStream, RequestDone> act)
    {
        if (table.Find(incarnation) is not { } stream)
            done(RequestOutcome.NotFound, "no such stream");
        else if (stream.Exit is not null)
            done(RequestOutcome.FailedPrecondition, "it has ended");
        else if (stream.Identity.Kind == StreamKind.Terminal ? !options.AllowTerminal : !options.AllowExec)
            done(RequestOutcome.Denied, "the agent does not allow it");
        else
            act(stream, done);
    }

    private static RequestDone Reply(long request, Outbox outbox) => (outcome, message) => outbox.Answer(new ConnectRequest
    {
        RequestResult = new RequestResult
        {
            Request = request,
            Outcome = outcome,
            Message = message.Length <= MaxMessage ? message : message[..MaxMessage],
        },
    });
}

/// <summary>
/// Reports of commands that were never started. They have no stream, so no acknowledgement names them; each is said in the
/// session in which it arose and once more in the next one, in case the first broke just then. At most 64 are kept.
/// </summary>
internal sealed class UnstartedCommands
{
    private const int Max = 64;
    private readonly Lock _gate = new();
    private readonly Queue<ConnectRequest> _said = new();

    /// <summary>Keeps a report and gives the message to send.</summary>
    public ConnectRequest Add(CommandExited report)
    {
        var message = new ConnectRequest { CommandExited = report };
        lock (_gate)
        {
            _said.Enqueue(message);
            if (_said.Count > Max)
                _said.Dequeue();
        }

        return message;
    }

    /// <summary>What to say again in a new session.</summary>
    public IReadOnlyList<ConnectRequest> TakeAll()
    {
        lock (_gate)
        {
            ConnectRequest[] all = [.. _said];
            _said.Clear();
            return all;
        }
    }
}
