using AkkaHub.V1;
using Hub.Node.Pty;
using Hub.Node.Streams;
using Hub.Protocol;

namespace Hub.Node.Terminals;

/// <summary>Opens and closes terminals. A name has at most one live terminal; opening it again starts a new incarnation.</summary>
internal sealed class TerminalService(StreamTable table, StreamStarter starter)
{
    /// <summary>The terminal that is opened when the agent starts.</summary>
    public const string MainName = "main";
    /// <summary>Columns when no size is given.</summary>
    public const int DefaultColumns = 80;
    /// <summary>Rows when no size is given.</summary>
    public const int DefaultRows = 24;
    /// <summary>Most live terminals, whatever the hub allows.</summary>
    public const int MaxLive = 128;
    private const int MaxCells = 2000;

    private readonly Lock _opening = new();

    /// <summary>Most live terminals the hub allows.</summary>
    public int Limit { get; set; } = MaxLive;

    /// <summary>Opens a terminal, or finds the live one of this name.</summary>
    public void Open(TerminalOpen request, RequestDone done)
    {
        if (!Names.IsTerminalName(request.Name))
        {
            done(RequestOutcome.Failed, "the terminal's name must be 1 to 64 of letters, digits, '.', '_', '-'");
            return;
        }

        if (!IsSize(request.Size))
        {
            done(RequestOutcome.Failed, "columns and rows must be 1 to 2000");
            return;
        }

        if (request.Argv.Count > StartBounds.MaxTerminalArguments || StartBounds.Bytes(request.Argv) > StartBounds.MaxTerminalArgumentBytes
            || !StartBounds.AreVariables(request.Env))
        {
            done(RequestOutcome.ResourceExhausted, "at most 128 arguments and 128 variables, 64 KiB each in all");
            return;
        }

        // Two requests at once must not open one name twice. Starting takes about a millisecond.
        lock (_opening)
            OpenOne(request, done);
    }

    /// <summary>Ends a terminal: hang-up to its session, SIGKILL after 5 s.</summary>
    public static void Close(NodeStream stream, RequestDone done)
    {
        if (stream.Io!.BeginEnd(CommandEnd.Exited, ProcessIo.GraceMs))
            done(RequestOutcome.Done, "");
        else
            done(RequestOutcome.FailedPrecondition, "the terminal has ended");
    }

    /// <summary>Whether a size is not set or within bounds.</summary>
    public static bool IsSize(TerminalSize? size) =>
        size is null || (size.Cols is >= 1 and <= MaxCells && size.Rows is >= 1 and <= MaxCells);

    private void OpenOne(TerminalOpen request, RequestDone done)
    {
        var live = table.Live.Where(s => s.Identity.Kind == StreamKind.Terminal).ToList();
        if (live.Any(s => s.Identity.Name == request.Name && !s.IsRefused))
        {
            done(RequestOutcome.Done, "");
            return;
        }

        if (live.Count >= Math.Min(Limit, MaxLive))
        {
            done(RequestOutcome.ResourceExhausted, $"the node has {live.Count} terminals, its most");
            return;
        }

        try
        {
            starter.Start(new StartRequest
            {
                Name = request.Name,
                Kind = StreamKind.Terminal,
                Arguments = request.Argv,
                Directory = request.Cwd,
                Environment = request.Env,
                Size = ((int?)request.Size?.Cols ?? DefaultColumns, (int?)request.Size?.Rows ?? DefaultRows),
            });
            done(RequestOutcome.Done, "");
        }
        catch (SpawnException e)
        {
            done(RequestOutcome.Failed, e.Message);
        }
    }
}
