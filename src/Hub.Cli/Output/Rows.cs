using System.Globalization;
using AkkaHub.V1;
using Google.Protobuf.WellKnownTypes;
using Hub.Protocol;
using Command = AkkaHub.V1.Command;
using NodeInfo = AkkaHub.V1.Node;

namespace Hub.Cli.Output;

/// <summary>Nodes as rows.</summary>
internal static class NodeTable
{
    /// <summary>Headings.</summary>
    public static string[] Headings(bool wide) => wide
        ? ["NAME", "STATE", "FOR", "SEEN", "CPU", "LOAD", "MEMORY", "DISK", "LAG", "SKEW", "EPOCH", "HOST", "OS", "ARCH", "AGENT", "LABELS"]
        : ["NAME", "STATE", "FOR", "SEEN", "CPU", "MEMORY", "LABELS"];

    /// <summary>A row.</summary>
    public static Cell[] Row(NodeInfo n, bool wide, TimeProvider clock)
    {
        var f = n.Figures;
        Cell name = Short.Node(n.Name), span = Humanize.Age(n.StateTime, clock), seen = Humanize.Age(n.LastSeenTime, clock);
        Cell cpu = f is null ? "-" : Humanize.Percent(f.Cpu), memory = f is null ? "-" : Share(f.MemoryUsedBytes, f.MemoryTotalBytes), labels = Labels(n);
        if (!wide)
            return [name, State(n.State), span, seen, cpu, memory, labels];
        Cell load = f is null ? "-" : Humanize.Load(f.Load1);
        Cell disk = f is null ? "-" : Share(f.DiskUsedBytes, f.DiskTotalBytes);
        Cell skew = n.ClockSkew is null ? "-" : string.Create(CultureInfo.InvariantCulture, $"{n.ClockSkew.Clamped().TotalMilliseconds:0}ms");
        return
        [
            name, State(n.State), span, seen, cpu, load, memory, disk, Humanize.Bytes(n.UnacknowledgedBytes), skew,
            n.SessionEpoch.ToString(CultureInfo.InvariantCulture), n.Platform?.Host, n.Platform?.Os, n.Platform?.Arch, n.AgentVersion, labels,
        ];
    }

    /// <summary>A state with its colour.</summary>
    public static Cell State(NodeState state) => new(Json.Word(state), state switch
    {
        NodeState.Online => "green",
        NodeState.Connecting or NodeState.Stale or NodeState.Draining => "yellow",
        NodeState.Offline => "red",
        _ => null,
    });

    /// <summary>Labels as 'k=v,k=v', by key.</summary>
    public static string Labels(NodeInfo n) => string.Join(',', n.Labels.OrderBy(l => l.Key, StringComparer.Ordinal).Select(l => $"{l.Key}={l.Value}"));

    /// <summary>Used and total.</summary>
    public static string Share(long used, long total) => total <= 0 ? "-" : $"{Humanize.Bytes(used)}/{Humanize.Bytes(total)}";
}

/// <summary>Terminals as rows.</summary>
internal static class TerminalTable
{
    /// <summary>Headings.</summary>
    public static string[] Headings(bool wide) => wide
        ? ["NAME", "STATE", "SIZE", "AGE", "OUTPUT", "SHOWN", "KEPT", "CHUNKS", "END", "INCARNATION", "COMMAND"]
        : ["NAME", "STATE", "SIZE", "AGE", "OUTPUT", "KEPT", "END", "COMMAND"];

    /// <summary>A row.</summary>
    public static Cell[] Row(Terminal t, bool wide, TimeProvider clock)
    {
        Cell name = Short.Terminal(t.Name).Terminal;
        var state = new Cell(Json.Word(t.State), t.State == TerminalState.Live ? "green" : null);
        Cell size = t.Size is null ? "-" : $"{t.Size.Cols}x{t.Size.Rows}";
        Cell age = Humanize.Age(t.StartTime, clock), output = Humanize.Age(t.LastOutputTime, clock), kept = Humanize.Bytes(t.RetainedBytes);
        Cell end = End(t.State == TerminalState.Closed, t.Exit, t.EndCause);
        return wide
            ? [name, state, size, age, output, Humanize.Bytes(t.EndOffset), kept, t.RetainedChunks.ToString(CultureInfo.InvariantCulture), end, t.Incarnation, t.CommandLine]
            : [name, state, size, age, output, kept, end, t.CommandLine];
    }

    /// <summary>How something ended, in a word or two.</summary>
    public static string End(bool ended, ProcessExit? exit, string cause)
    {
        if (!ended)
            return "-";
        if (exit is null)
            return cause.Length > 0 ? cause : "-";
        return exit.Signal != 0 ? $"signal {exit.Signal}" : $"exit {exit.Code}";
    }
}

/// <summary>Commands as rows.</summary>
internal static class CommandTable
{
    private const int MostOfLine = 100;

    /// <summary>Headings.</summary>
    public static string[] Headings(bool wide) => wide
        ? ["ID", "STATE", "EXIT", "AGE", "TOOK", "OUTPUT", "PTY", "CWD", "REQUEST", "COMMAND"]
        : ["ID", "STATE", "EXIT", "AGE", "TOOK", "OUTPUT", "COMMAND"];

    /// <summary>A row.</summary>
    public static Cell[] Row(Command c, bool wide, TimeProvider clock)
    {
        Cell id = Short.Command(c.Name).Command;
        var state = State(c);
        Cell exit = c.Exit is null ? "-" : c.Exit.Code.ToString(CultureInfo.InvariantCulture);
        Cell age = Humanize.Age(c.CreateTime, clock), took = Took(c, clock), output = Humanize.Bytes(c.OutputBytes);
        var whole = CommandLine(c.Argv);
        Cell line = whole.Length <= MostOfLine ? whole : whole[..(MostOfLine - 1)] + "…";
        return wide
            ? [id, state, exit, age, took, output, c.Pty ? "yes" : "no", c.Cwd, c.RequestId, line]
            : [id, state, exit, age, took, output, line];
    }

    /// <summary>A state with its colour.</summary>
    public static Cell State(Command c) => new(Json.Word(c.State), c.State switch
    {
        CommandState.Running or CommandState.Pending => "green",
        CommandState.Failed or CommandState.TimedOut or CommandState.Unknown => "red",
        CommandState.Exited when c.Exit is { Code: not 0 } => "yellow",
        _ => null,
    });

    /// <summary>Arguments as one would type them.</summary>
    public static string CommandLine(IEnumerable<string> argv) =>
        string.Join(' ', argv.Select(a => a.Length > 0 && a.All(IsPlain) ? a : "'" + a.Replace("'", "'\\''", StringComparison.Ordinal) + "'"));

    /// <summary>How long it ran, or has run by now; '-' if it never did.</summary>
    public static string Took(Command c, TimeProvider clock)
    {
        if (c.StartTime is null)
            return "-";
        // Both are the node's clock; a running command's end is not, and skew may make it less than nothing.
        var end = c.EndTime is null ? clock.GetUtcNow() : c.EndTime.Clamped();
        return Humanize.Span(end - c.StartTime.Clamped());
    }

    private static bool IsPlain(char c) => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.' or '/' or ':' or '=' or ',' or '+' or '@' or '%';
}

/// <summary>Mesh events as rows.</summary>
internal static class EventTable
{
    /// <summary>Headings.</summary>
    public static readonly string[] Headings = ["TIME", "EVENT", "SUBJECT", "MESSAGE"];

    /// <summary>Least widths of the columns when events come one by one.</summary>
    public static readonly int[] Widths = [23, 16, 30, 0];

    /// <summary>A row.</summary>
    public static Cell[] Row(MeshEvent e) => [Time(e.Time), Json.Word(e.Type), e.Subject, e.Message];

    private static string Time(Timestamp? time) =>
        time is null ? "-" : time.Clamped().ToString("yyyy-MM-dd HH:mm:ss'Z'", CultureInfo.InvariantCulture);
}
