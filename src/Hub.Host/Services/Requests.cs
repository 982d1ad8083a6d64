using AkkaHub.V1;
using Google.Protobuf.Collections;
using Google.Protobuf.WellKnownTypes;
using Hub.Actors.History;
using Hub.Protocol;

namespace Hub.Host.Services;

/// <summary>Checks the form of what clients send: every field bounded, every refusal naming the field and its rule.</summary>
internal static class Requests
{
    public const int MaxInputBytes = 64 * 1024;
    public const int MaxReadBytes = 1024 * 1024;
    private const int MaxEventCursor = 32_768;
    private static readonly TimeSpan MaxWait = TimeSpan.FromSeconds(30);

    public static string Node(string field, string name) => Names.TryParseNode(name, out var node)
        ? node
        : throw HubErrors.InvalidField(field, "must be 'nodes/{node}', the node being 1 to 63 of a-z, 0-9, '.', '_', '-'");

    public static string Terminal(string field, string name) => Names.TryParseTerminal(name, out var node, out _)
        ? node
        : throw HubErrors.InvalidField(field, "must be 'nodes/{node}/terminals/{terminal}', the terminal being 1 to 64 of letters, digits, '.', '_', '-', or 'cmd/{command}'");

    public static string Command(string field, string name) => Names.TryParseCommand(name, out var node, out _)
        ? node
        : throw HubErrors.InvalidField(field, "must be 'nodes/{node}/commands/{command}'");

    public static string OwnTerminal(string field, string name)
    {
        var node = Terminal(field, name);
        Names.TryParseTerminal(name, out _, out var terminal);
        return terminal!.StartsWith(Names.CommandStreamPrefix, StringComparison.Ordinal)
            ? throw HubErrors.InvalidField(field, "must name a terminal, not a command's output; a command is run with RunCommand and ended with CancelCommand")
            : node;
    }

    public static void Size(string field, TerminalSize? size, bool required)
    {
        if (size is null ? required : size is not { Cols: >= 1 and <= 2000, Rows: >= 1 and <= 2000 })
            throw HubErrors.InvalidField(field, "must be 1 to 2000 columns and rows");
    }

    public static void TerminalArgv(string field, RepeatedField<string> argv) =>
        Argv(field, argv, 0, StartBounds.MaxTerminalArguments, StartBounds.MaxTerminalArgumentBytes);

    public static void CommandArgv(string field, RepeatedField<string> argv) =>
        Argv(field, argv, 1, StartBounds.MaxCommandArguments, StartBounds.MaxCommandArgumentBytes);

    private static void Argv(string field, RepeatedField<string> argv, int least, int most, int bytes)
    {
        if (argv.Count < least || argv.Count > most || StartBounds.Bytes(argv) > bytes)
            throw HubErrors.InvalidField(field, $"must be {least} to {most} arguments, {bytes / 1024} KiB in all");
        if (argv.Any(a => a.Contains('\0')))
            throw HubErrors.InvalidField(field, "must not contain a NUL character");
    }

    public static void Environment(MapField<string, string> env, string cwd)
    {
        if (!StartBounds.AreVariables(env))
            throw HubErrors.InvalidField("env", $"must be at most {StartBounds.MaxVariables} variables, {StartBounds.MaxVariableBytes / 1024} KiB in all");
        if (env.Any(e => e.Key.Length == 0 || e.Key.Contains('=') || e.Key.Contains('\0') || e.Value.Contains('\0')))
            throw HubErrors.InvalidField("env", "names must not be empty nor contain '=', and nothing may contain a NUL character");
        if (StartBounds.Bytes([cwd]) > StartBounds.MaxDirectoryBytes || cwd.Contains('\0'))
            throw HubErrors.InvalidField("cwd", $"must be at most {StartBounds.MaxDirectoryBytes} bytes without a NUL character");
    }

    public static void Start(HistoryStart? start)
    {
        switch (start?.StartCase)
        {
            case HistoryStart.StartOneofCase.Cursor when start.Cursor.Length > 0 && !HistoryCursor.TryDecode(start.Cursor, out _):
                throw HubErrors.InvalidField("start.cursor", "is not a cursor of this hub; give one back as it was received");
            case HistoryStart.StartOneofCase.TailBytes when start.TailBytes < 0:
                throw HubErrors.InvalidField("start.tail_bytes", "must not be negative");
            case HistoryStart.StartOneofCase.TailLines when start.TailLines < 0:
                throw HubErrors.InvalidField("start.tail_lines", "must not be negative");
            case HistoryStart.StartOneofCase.Since:
                Time("start.since", start.Since);
                break;
        }
    }

    public static void Time(string field, Timestamp? time)
    {
        if (time is { Seconds: < -62_135_596_800 or > 253_402_300_799 } or { Nanos: < 0 or > 999_999_999 })
            throw HubErrors.InvalidField(field, "must be a time between the years 1 and 9999");
    }

    public static void EventCursor(string field, string cursor)
    {
        if (cursor.Length > MaxEventCursor)
            throw HubErrors.InvalidField(field, "is not a cursor of this hub; give one back as it was received");
    }

    public static void Read(ReadHistoryRequest m)
    {
        Start(m.Start);
        if (m.MaxBytes is < 0 or > MaxReadBytes)
            throw HubErrors.InvalidField("max_bytes", $"must be 1 to {MaxReadBytes}, or 0 for the default");
        if (m.Wait is not null && (m.Wait.Seconds < 0 || m.Wait.Seconds > (long)MaxWait.TotalSeconds || m.Wait.Nanos is < 0 or > 999_999_999))
            throw HubErrors.InvalidField("wait", $"must be 0 to {MaxWait.TotalSeconds} s");
        if (m.EndCursor.Length > 0 && !HistoryCursor.TryDecode(m.EndCursor, out _))
            throw HubErrors.InvalidField("end_cursor", "is not a cursor of this hub; give one back as it was received");
    }

    public static TimeSpan? Timeout(Duration? timeout)
    {
        if (timeout is null)
            return null;
        if (timeout.Seconds < 0 || timeout.Seconds > 366L * 24 * 3600 || timeout.Nanos is < 0 or > 999_999_999 || (timeout.Seconds == 0 && timeout.Nanos == 0))
            throw HubErrors.InvalidField("timeout", "must be more than 0 and at most 366 days");
        return timeout.ToTimeSpan();
    }
}
