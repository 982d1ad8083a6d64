using Akka.Actor;
using AkkaHub.V1;
using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;
using Grpc.Core;
using Hub.Actors;
using Hub.Actors.Events;
using Hub.Actors.Registry;
using Hub.Protocol;

namespace Hub.Host.Services;

// The calls whose answer is a stream. Each has one loop that writes it.
public sealed partial class HubEndpoint
{
    private const int MaxPendingInputs = 64;

    /// <inheritdoc/>
    public override async Task FollowHistory(FollowHistoryRequest request, IServerStreamWriter<FollowHistoryResponse> responseStream, ServerCallContext context)
    {
        Requests.Terminal("name", request.Name);
        Requests.Start(request.Start);
        await FollowAsync(request.Name, request.Start, async part =>
        {
            await responseStream.WriteAsync(part, context.CancellationToken).ConfigureAwait(false);
            return true;
        }, context).ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public override async Task AttachTerminal(IAsyncStreamReader<AttachTerminalRequest> requestStream,
        IServerStreamWriter<AttachTerminalResponse> responseStream, ServerCallContext context)
    {
        if (!await requestStream.MoveNext(context.CancellationToken).ConfigureAwait(false) || requestStream.Current.Start is not { } start)
            throw HubErrors.InvalidField("start", "must be the first message of the stream");
        var node = Requests.Terminal("start.name", start.Name);
        Requests.Start(start.Start);
        Requests.Size("start.size", start.Size, required: false);
        var terminal = await FindTerminalAsync(node, start.Name, context).ConfigureAwait(false);
        using var writing = new SemaphoreSlim(1);
        async Task WriteAsync(AttachTerminalResponse response)
        {
            await writing.WaitAsync(context.CancellationToken).ConfigureAwait(false);
            try
            {
                await responseStream.WriteAsync(response, context.CancellationToken).ConfigureAwait(false);
            }
            finally
            {
                writing.Release();
            }
        }

        await WriteAsync(new AttachTerminalResponse { Attached = terminal }).ConfigureAwait(false);
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(context.CancellationToken);
        var size = new AttachmentSize(terminal.Size);
        var typing = TypeAsync(requestStream, node, start, size, WriteAsync, ended);
        try
        {
            await follower.FollowAsync(start.Name, start.Start, async part =>
            {
                size.Show(part.Records);
                await WriteAsync(new AttachTerminalResponse { History = part }).ConfigureAwait(false);
                return true;
            }, ended.Token).ConfigureAwait(false);
        }
        catch (NodeRequestFailedException e)
        {
            throw NodeBridgeEndpoint.ToRpc(e.Failure);
        }
        catch (OperationCanceledException) when (ended.IsCancellationRequested)
        {
            // The client is done, or gone.
        }
        finally
        {
            await ended.CancelAsync().ConfigureAwait(false);
            await typing.ConfigureAwait(false);
        }
    }

    /// <inheritdoc/>
    public override async Task RunCommand(RunCommandRequest request, IServerStreamWriter<RunCommandResponse> responseStream, ServerCallContext context)
    {
        var node = Requests.Node("parent", request.Parent);
        Requests.CommandArgv("argv", request.Argv);
        Requests.Environment(request.Env, request.Cwd);
        Requests.Size("pty", request.Pty, required: false);
        Requests.Timeout(request.Timeout);
        if (request.RequestId.Length > 0 && !Names.IsTerminalName(request.RequestId))
            throw HubErrors.InvalidField("request_id", "must be 1 to 64 of letters, digits, '.', '_', '-'");
        var accepted = request.Clone();
        if (accepted.RequestId.Length == 0)
            accepted.RequestId = Guid.CreateVersion7().ToString("N");
        // The command waits for this call to read, so that what its caller passes on is whole.
        var caller = request.Detach ? 0 : Random.Shared.NextInt64(1, long.MaxValue);
        var command = (await AskAsync<GetCommandResponse>(node, accepted, context, caller).ConfigureAwait(false)).Command;
        await responseStream.WriteAsync(new RunCommandResponse { Command = command }, context.CancellationToken).ConfigureAwait(false);
        if (request.Detach)
            return;

        var running = command.State != CommandState.Pending;
        var last = false;
        await FollowAsync(command.Output, null, async part =>
        {
            if (!running && part.Records.Count > 0)
            {
                running = true;
                var now = await AskAsync<GetCommandResponse>(node, new GetCommandRequest { Name = command.Name }, context).ConfigureAwait(false);
                await responseStream.WriteAsync(new RunCommandResponse { Command = now.Command }, context.CancellationToken).ConfigureAwait(false);
            }

            if (part.Records.Count > 0)
                await responseStream.WriteAsync(new RunCommandResponse { Output = part }, context.CancellationToken).ConfigureAwait(false);
            last = part.AtEnd && part.TerminalState == TerminalState.Closed;
            return !last;
        }, context, caller).ConfigureAwait(false);
        var ended = await AskAsync<GetCommandResponse>(node, new GetCommandRequest { Name = command.Name }, context).ConfigureAwait(false);
        await responseStream.WriteAsync(new RunCommandResponse { Command = ended.Command }, context.CancellationToken).ConfigureAwait(false);
    }

    private async Task FollowAsync(string name, HistoryStart? start, Func<FollowHistoryResponse, Task<bool>> write, ServerCallContext context, long caller = 0)
    {
        RefuseUntilReady();
        try
        {
            await follower.FollowAsync(name, start, write, context.CancellationToken, caller).ConfigureAwait(false);
        }
        catch (NodeRequestFailedException e)
        {
            throw NodeBridgeEndpoint.ToRpc(e.Failure);
        }
    }

    private async Task<Terminal> FindTerminalAsync(string node, string name, ServerCallContext context)
    {
        if (Names.TryParseTerminal(name, out _, out var terminal) && terminal.StartsWith(Names.CommandStreamPrefix, StringComparison.Ordinal))
        {
            var command = Names.Command(node, terminal[Names.CommandStreamPrefix.Length..]);
            var state = (await AskAsync<GetCommandResponse>(node, new GetCommandRequest { Name = command }, context).ConfigureAwait(false)).Command.State;
            return new Terminal { Name = name, State = state is CommandState.Pending or CommandState.Running ? TerminalState.Live : TerminalState.Closed };
        }

        var list = await AskAsync<ListTerminalsResponse>(node, new ListTerminalsRequest { Parent = Names.Node(node) }, context).ConfigureAwait(false);
        return list.Terminals.FirstOrDefault(t => t.Name == name)
            ?? throw HubErrors.Create(StatusCode.NotFound, ErrorReasons.TerminalUnknown, $"Node '{node}' has no terminal '{terminal}'. Open it first.");
    }

    /// <summary>
    /// Passes on what an attached client types. Requests follow each other without waiting for the node, in order: the registry,
    /// the node's actor and the bridge keep it. At most 64 are unanswered; then the client is not read.
    /// </summary>
    private async Task TypeAsync(IAsyncStreamReader<AttachTerminalRequest> requestStream, string node, AttachStart start, AttachmentSize size,
        Func<AttachTerminalResponse, Task> write, CancellationTokenSource ended)
    {
        using var places = new SemaphoreSlim(MaxPendingInputs);
        var pending = new List<Task>();
        async Task SendAsync(IMessage request)
        {
            await places.WaitAsync(ended.Token).ConfigureAwait(false);
            pending.RemoveAll(static t => t.IsCompleted);
            pending.Add(AnswerAsync(request));
        }

        async Task AnswerAsync(IMessage request)
        {
            try
            {
                await registry.AskAsync<IMessage>(node, request, ended.Token).ConfigureAwait(false);
            }
            catch (NodeRequestFailedException e)
            {
                await FailAsync(e.Failure.Reason, e.Failure.Message).ConfigureAwait(false);
            }
            catch (OperationCanceledException)
            {
                // The attachment ended; nobody is left to be told.
            }
            finally
            {
                places.Release();
            }
        }

        async Task FailAsync(string reason, string message)
        {
            try
            {
                await write(new AttachTerminalResponse { InputFailed = new InputFailure { Reason = reason, Message = message } }).ConfigureAwait(false);
            }
            catch (Exception e) when (e is OperationCanceledException or InvalidOperationException or IOException)
            {
                // The client is gone.
            }
        }

        async Task ResizeAsync(TerminalSize wished)
        {
            size.Wish(wished);
            await SendAsync(new ResizeTerminalRequest { Name = start.Name, Size = wished }).ConfigureAwait(false);
        }

        try
        {
            if (start is { Size: not null, ReadOnly: false })
                await ResizeAsync(start.Size).ConfigureAwait(false);
            while (await requestStream.MoveNext(ended.Token).ConfigureAwait(false))
            {
                var m = requestStream.Current;
                if (start.ReadOnly)
                {
                    await FailAsync(ErrorReasons.NotAllowed, "This attachment is read-only.").ConfigureAwait(false);
                }
                else if (m.MessageCase == AttachTerminalRequest.MessageOneofCase.Input && m.Input.Length <= Requests.MaxInputBytes)
                {
                    if (size.BeforeInput() is { } mine)
                        await SendAsync(new ResizeTerminalRequest { Name = start.Name, Size = mine }).ConfigureAwait(false);
                    await SendAsync(new SendInputRequest { Name = start.Name, Data = m.Input }).ConfigureAwait(false);
                }
                else if (m.MessageCase == AttachTerminalRequest.MessageOneofCase.Size && m.Size is { Cols: >= 1 and <= 2000, Rows: >= 1 and <= 2000 })
                {
                    await ResizeAsync(m.Size).ConfigureAwait(false);
                }
                else
                {
                    await FailAsync(ErrorReasons.InvalidField, "Input is at most 64 KiB a message, a size 1 to 2000 columns and rows; nothing was sent.").ConfigureAwait(false);
                }
            }
        }
        catch (Exception e) when (e is OperationCanceledException or IOException || (e is RpcException && ended.IsCancellationRequested))
        {
            // The client is gone; what it typed is on its way. A message that cannot be read, too large a one, is the call's failure.
        }
        finally
        {
            await Task.WhenAll(pending).ConfigureAwait(false);
            await ended.CancelAsync().ConfigureAwait(false);
        }
    }
}
