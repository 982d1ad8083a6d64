using System.Text;
using AkkaHub.V1;
using Grpc.Core;
using Hub.Cli.Connection;
using Hub.Cli.Output;
using Hub.Cli.Terminals;
using Hub.Protocol;
using Command = AkkaHub.V1.Command;

namespace Hub.Cli.Commands;

/// <summary>
/// One run of <c>exec</c>. It owns the command's place (its name once known, and the cursor after what was printed), so that
/// output is printed exactly once whatever breaks in between; and the two things that flow the other way, input and signals.
/// </summary>
/// <remarks>Longer than most files: starting, joining, resuming and ending share this one place, and apart they would share its fields.</remarks>
internal sealed class ExecSession
{
    /// <summary>A second Ctrl+C within this time means the person does not want to wait.</summary>
    private static readonly TimeSpan SecondInterrupt = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan LastWords = TimeSpan.FromSeconds(3);

    private readonly Invocation _run;
    private readonly RunCommandRequest _request;
    private readonly Reconnector _reconnector;
    private readonly HistoryPrinter _printer;
    // Of a command with a terminal that shows in one; a program that was killed leaves its modes on.
    private readonly ScreenModes? _modes;
    private readonly List<byte> _shown = [];
    private readonly CancellationTokenSource _ended;
    private readonly TaskCompletionSource _running = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Lock _gate = new();
    private readonly List<Task> _side = [];
    private Command? _command;
    private string _cursor = "";
    private long? _interrupted;
    private int? _abort;

    /// <summary>Makes one; nothing is sent yet.</summary>
    public ExecSession(Invocation run, RunCommandRequest request)
    {
        _run = run;
        _request = request;
        _reconnector = new Reconnector(run.Hub, run.Environment, "the command");
        _printer = new HistoryPrinter(run.Environment.Output, run.Environment.ErrorBytes, run.Environment.Note, raw: true) { Marks = false };
        _modes = request.Pty is not null && run.Environment.OutputIsTerminal ? new ScreenModes() : null;
        _ended = CancellationTokenSource.CreateLinkedTokenSource(run.Cancellation);
    }

    /// <summary>The hub's client for what goes along.</summary>
    internal HubConnection Hub => _run.Hub;

    /// <summary>The command's stream; only after <see cref="Running"/>.</summary>
    internal string Stream => Names.Terminal(Short.Command(_command!.Name).Node, Names.CommandStream(Short.Command(_command.Name).Command));

    /// <summary>Completes when the command's process runs.</summary>
    internal Task Running => _running.Task;

    /// <summary>Whether the way to the hub is up.</summary>
    internal bool IsUp => _reconnector.IsUp;

    /// <summary>Runs the command and returns the exit code.</summary>
    public async Task<int> RunAsync()
    {
        var withTerminal = _request.Pty is not null;
        var raw = withTerminal && _run.Environment.InputIsTerminal ? _run.Environment.Terminal.EnterRawMode() : null;
        _run.Environment.RawTerminal = raw is not null;
        _run.Interrupts.OnInterrupt = Interrupt;
        var input = _request.Stdin ? new ExecInput(this, _run, withTerminal, raw is not null) : null;
        using var resized = withTerminal ? _run.Environment.Terminal.OnResize(() => Beside(ResizeAsync())) : null;
        try
        {
            if (input is not null)
                Beside(input.RunAsync(_ended.Token));
            await _reconnector.RunAsync(SessionAsync, _ended.Token).ConfigureAwait(false);
            return Result();
        }
        catch (Exception e) when (_abort is not null && e is OperationCanceledException or RpcException { StatusCode: StatusCode.Cancelled })
        {
            return _abort!.Value;
        }
        catch (BrokenPipeException) when (_command is not null)
        {
            // As SIGPIPE would end it here: nobody reads what it puts out, and nobody would know that it goes on.
            await CancelAsync().ConfigureAwait(false);
            throw;
        }
        catch (RpcException e) when (_command is not null && !_run.Cancellation.IsCancellationRequested && Faults.IsBreak(e))
        {
            var (node, id) = Short.Command(_command.Name);
            throw new CliException($"{Faults.Explain(e).Message}\nthe command goes on without this program; follow it with: hub logs {node} -t {Names.CommandStream(id)} -f", ExitCodes.Failure, e);
        }
        finally
        {
            await _ended.CancelAsync().ConfigureAwait(false);
            _run.Interrupts.OnInterrupt = null;
            await Task.WhenAll(Side()).WaitAsync(LastWords, CancellationToken.None).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            if (_modes is { Touched: true })
                await ResetAsync(_modes).ConfigureAwait(false);
            raw?.Dispose();
            _run.Environment.RawTerminal = false;
        }
    }

    /// <summary>Ends the program with this code; the command is cancelled on the node.</summary>
    internal void Abort(int exitCode, string message)
    {
        lock (_gate)
        {
            if (_abort is not null)
                return;
            _abort = exitCode;
        }

        _run.Environment.Note(message);
        Beside(CancelAsync());
    }

    private async Task SessionAsync(HubService.HubServiceClient client, Action alive, CancellationToken cancellation)
    {
        if (_command is null)
            await FirstAsync(client, alive, cancellation).ConfigureAwait(false);
        else
            await ResumeAsync(client, alive, cancellation).ConfigureAwait(false);
    }

    /// <summary>Starts the command, or joins the one this request id started already.</summary>
    private async Task FirstAsync(HubService.HubServiceClient client, Action alive, CancellationToken cancellation)
    {
        using var call = client.RunCommand(_request, cancellationToken: cancellation);
        await foreach (var part in call.ResponseStream.ReadAllAsync(cancellation).ConfigureAwait(false))
        {
            alive();
            switch (part.MessageCase)
            {
                case RunCommandResponse.MessageOneofCase.Command:
                    // One that has ended is told of first, too: its output follows, and then its end once more.
                    Learn(part.Command);
                    break;
                case RunCommandResponse.MessageOneofCase.Output:
                    _running.TrySetResult();
                    await PrintAsync(part.Output).ConfigureAwait(false);
                    break;
            }
        }

        if (_command is null || !HasEnded(_command))
            throw Faults.EndedEarly();
    }

    /// <summary>Goes on after what was printed, until the command has ended and all its output is here.</summary>
    private async Task ResumeAsync(HubService.HubServiceClient client, Action alive, CancellationToken cancellation)
    {
        await LookAsync(client, cancellation).ConfigureAwait(false);
        alive();
        if (_command!.State is CommandState.Failed || (HasEnded(_command) && _command.StartTime is null))
            return; // It never ran: there is no output to read.
        var start = _cursor.Length == 0 ? new HistoryStart() : new HistoryStart { Cursor = _cursor };
        if (!_running.Task.IsCompleted)
        {
            // Not started when the way broke: its stream may not be there yet, while the run's own answer waits for it.
            await FirstAsync(client, alive, cancellation).ConfigureAwait(false);
            return;
        }

        using var call = client.FollowHistory(new FollowHistoryRequest { Name = Stream, Start = start }, cancellationToken: cancellation);
        await foreach (var part in call.ResponseStream.ReadAllAsync(cancellation).ConfigureAwait(false))
        {
            alive();
            await PrintAsync(part).ConfigureAwait(false);
            if (!part.AtEnd)
                continue;
            // The answer at least every 30 s makes this the watch over a command whose agent was lost, too.
            if (!HasEnded(_command))
                await LookAsync(client, cancellation).ConfigureAwait(false);
            if (HasEnded(_command) && part.TerminalState == TerminalState.Closed)
                return;
            if (HasEnded(_command))
            {
                // It ended after this part was made: one more look at the stream has the rest.
                await DrainAsync(client, cancellation).ConfigureAwait(false);
                return;
            }
        }

        throw Faults.EndedEarly();
    }

    private async Task DrainAsync(HubService.HubServiceClient client, CancellationToken cancellation)
    {
        while (true)
        {
            var start = _cursor.Length == 0 ? new HistoryStart() : new HistoryStart { Cursor = _cursor };
            var part = await client.ReadHistoryAsync(new ReadHistoryRequest { Name = Stream, Start = start }, Options(cancellation)).ConfigureAwait(false);
            await PrintAsync(new FollowHistoryResponse { Records = { part.Records }, NextCursor = part.NextCursor }).ConfigureAwait(false);
            if (part.AtEnd)
                return;
        }
    }

    private async Task LookAsync(HubService.HubServiceClient client, CancellationToken cancellation) =>
        Learn((await client.GetCommandAsync(new GetCommandRequest { Name = _command!.Name }, Options(cancellation)).ConfigureAwait(false)).Command);

    private static CallOptions Options(CancellationToken cancellation) =>
        new(deadline: TimeProvider.System.GetUtcNow().UtcDateTime + HubConnection.CallTimeout, cancellationToken: cancellation);

    private async Task PrintAsync(FollowHistoryResponse part)
    {
        foreach (var record in part.Records)
        {
            await _printer.PrintAsync(record, _ended.Token).ConfigureAwait(false);
            if (_modes is not null && record.Output is { } output)
            {
                _modes.Filter(output.Data.Span, replay: false, _shown);
                _shown.Clear();
            }

            if (record.Cursor.Length > 0)
                _cursor = record.Cursor;
        }

        if (part.NextCursor.Length > 0)
            _cursor = part.NextCursor;
    }

    private async Task ResetAsync(ScreenModes modes)
    {
        try
        {
            await _run.Environment.Output.WriteAsync(Encoding.ASCII.GetBytes(modes.Reset()), CancellationToken.None).ConfigureAwait(false);
        }
        catch (IOException)
        {
            // The terminal has gone.
        }
    }

    private void Learn(Command command)
    {
        _command = command;
        if (command.State == CommandState.Running)
            _running.TrySetResult();
    }

    private static bool HasEnded(Command command) =>
        command.State is CommandState.Exited or CommandState.Failed or CommandState.TimedOut or CommandState.Cancelled or CommandState.Unknown;

    private int Result()
    {
        var command = _command!;
        if (_abort is { } code)
            return code;
        switch (command.State)
        {
            case CommandState.Exited:
                return command.Exit is { } ended ? ExitCodes.Of(ended) : ExitCodes.Failure;
            case CommandState.TimedOut:
                _run.Environment.Note("the command ran out of time and was ended");
                return ExitCodes.TimedOut;
            case CommandState.Cancelled:
                _run.Environment.Note("the command was cancelled");
                return command.Exit is { Code: not 0 } exit ? ExitCodes.Of(exit) : ExitCodes.Failure;
            case CommandState.Unknown:
                _run.Environment.Note($"what became of the command is not known: {Or(command.Message, "its agent was lost")}; it may have run in part or whole");
                return ExitCodes.Failure;
            default:
                _run.Environment.Note($"the command could not be started: {Or(command.Message, "no reason was given")}");
                return ExitCodes.Failure;
        }
    }

    private static string Or(string text, string other) => text.Length > 0 ? text : other;

    /// <summary>Ctrl+C without a terminal of its own: the first is the command's, a second one soon after ends it all.</summary>
    private void Interrupt()
    {
        var now = _run.Environment.Time.GetTimestamp();
        bool second;
        lock (_gate)
        {
            second = _interrupted is { } before && _run.Environment.Time.GetElapsedTime(before, now) <= SecondInterrupt;
            _interrupted = now;
        }

        if (_abort is not null || _command is null)
            _run.Interrupts.End(ExitCodes.Interrupted);
        else if (second)
            Abort(ExitCodes.Interrupted, "interrupted; the command is being cancelled");
        else
            Beside(SignalAsync());
    }

    private async Task SignalAsync()
    {
        try
        {
            await Hub.CallAsync((c, o) => c.SignalTerminalAsync(new SignalTerminalRequest { Name = Stream, Signal = Signal.Int }, o), Repeat.AtMostOnce, _ended.Token).ConfigureAwait(false);
        }
        catch (Exception e) when (e is RpcException or CliException or OperationCanceledException)
        {
            if (!_ended.IsCancellationRequested)
                _run.Environment.Note($"Ctrl+C did not reach the command ({Text(e)}); once more within 2 s ends this program");
        }
    }

    private async Task CancelAsync()
    {
        try
        {
            if (_command is not null)
            {
                await Hub.CallAsync((c, o) => c.CancelCommandAsync(new CancelCommandRequest { Name = _command.Name }, o), Repeat.Safe, CancellationToken.None)
                    .WaitAsync(LastWords, _run.Environment.Time, CancellationToken.None).ConfigureAwait(false);
            }
        }
        catch (Exception e) when (e is RpcException or CliException or TimeoutException)
        {
            _run.Environment.Note($"the command could not be cancelled ({Text(e)}); it may go on");
        }
        finally
        {
            await _ended.CancelAsync().ConfigureAwait(false);
        }
    }

    private async Task ResizeAsync()
    {
        if (!_running.Task.IsCompletedSuccessfully || _run.Environment.Terminal.Size is not { } size)
            return;
        try
        {
            await Hub.CallAsync((c, o) => c.ResizeTerminalAsync(new ResizeTerminalRequest { Name = Stream, Size = size }, o), Repeat.Safe, _ended.Token).ConfigureAwait(false);
        }
        catch (Exception e) when (e is RpcException or CliException or OperationCanceledException)
        {
            // The next change of size says it again; the command can work meanwhile.
        }
    }

    private static string Text(Exception e) => e is RpcException r ? Faults.Explain(r).Message.Split('\n')[0] : e.Message.Split('\n')[0];

    private void Beside(Task task)
    {
        lock (_gate)
        {
            _side.RemoveAll(t => t.IsCompleted);
            _side.Add(task);
        }
    }

    private Task[] Side()
    {
        lock (_gate)
            return [.. _side];
    }
}
