using AkkaHub.V1;
using Hub.Node.Pty;
using Hub.Node.Streams;
using Hub.Node.Terminals;
using Hub.Protocol;

namespace Hub.Node.Commands;

/// <summary>
/// Runs commands, each at most once: an id that was seen before is ignored, for the last <see cref="MaxRemembered"/> ids.
/// </summary>
internal sealed class CommandService(StreamTable table, StreamStarter starter, TimeProvider time)
{
    /// <summary>Most ids remembered.</summary>
    public const int MaxRemembered = 1_000;
    /// <summary>Most running commands, whatever the hub allows.</summary>
    public const int MaxRunning = 128;

    private readonly Lock _gate = new();
    private readonly HashSet<string> _seen = new(StringComparer.Ordinal);
    private readonly Queue<string> _order = new();

    /// <summary>Most running commands the hub allows.</summary>
    public int Limit { get; set; } = MaxRunning;

    /// <summary>Starts a command.</summary>
    /// <param name="run">The command.</param>
    /// <param name="refusal">Why none may be started now; null if one may.</param>
    /// <returns>The report that it was not started; null if it was, or was seen before.</returns>
    public CommandExited? Run(CommandRun run, string? refusal)
    {
        if (!Remember(run.CommandId))
            return null;
        refusal ??= Check(run);
        if (refusal is not null)
            return NotStarted(run.CommandId, refusal);
        try
        {
            starter.Start(new StartRequest
            {
                Name = Names.CommandStream(run.CommandId),
                Kind = StreamKind.Command,
                Arguments = run.Argv,
                Directory = run.Cwd,
                Environment = run.Env,
                Size = run.Pty is { } pty ? ((int)pty.Cols, (int)pty.Rows) : null,
                Input = run.Stdin,
                TimeoutMs = run.TimeoutMs > 0 ? run.TimeoutMs : null,
            });
            return null;
        }
        catch (SpawnException e)
        {
            return NotStarted(run.CommandId, e.Message);
        }
    }

    /// <summary>Ends a command: terminate to its process group, SIGKILL after 5 s.</summary>
    public void Cancel(string commandId, RequestDone done)
    {
        if (table.FindNewest(Names.CommandStream(commandId)) is not { } stream)
            done(RequestOutcome.NotFound, "no such command");
        else if (stream.Io!.BeginEnd(CommandEnd.Cancelled, ProcessIo.GraceMs))
            done(RequestOutcome.Done, "");
        else
            done(RequestOutcome.FailedPrecondition, "the command has ended");
    }

    private string? Check(CommandRun run)
    {
        if (!Names.IsTerminalName(run.CommandId))
            return "the command's id must be 1 to 64 of letters, digits, '.', '_', '-'";
        if (run.Argv.Count is < 1 or > StartBounds.MaxCommandArguments || StartBounds.Bytes(run.Argv) > StartBounds.MaxCommandArgumentBytes)
            return "a command has 1 to 1024 arguments, 256 KiB in all";
        if (!StartBounds.AreVariables(run.Env))
            return "a command has at most 128 variables, 64 KiB in all";
        if (!TerminalService.IsSize(run.Pty))
            return "columns and rows must be 1 to 2000";
        if (run.TimeoutMs < 0)
            return "the time-out must not be negative";
        var running = table.Live.Count(s => s.Identity.Kind == StreamKind.Command);
        return running >= Math.Min(Limit, MaxRunning) ? $"the node runs {running} commands, its most" : null;
    }

    private bool Remember(string id)
    {
        lock (_gate)
        {
            if (!_seen.Add(id))
                return false;
            _order.Enqueue(id);
            if (_order.Count > MaxRemembered)
                _seen.Remove(_order.Dequeue());
            return true;
        }
    }

    private CommandExited NotStarted(string id, string why) => new()
    {
        CommandId = id,
        End = CommandEnd.NotStarted,
        Message = why.Length <= 1024 ? why : why[..1024],
        TimeUnixUs = (time.GetUtcNow().UtcTicks - DateTimeOffset.UnixEpoch.UtcTicks) / TimeSpan.TicksPerMicrosecond,
    };
}
