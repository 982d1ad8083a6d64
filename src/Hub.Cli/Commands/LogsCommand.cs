using System.CommandLine;
using AkkaHub.V1;
using Google.Protobuf.WellKnownTypes;
using Grpc.Core;
using Hub.Cli.Connection;
using Hub.Cli.Output;
using Hub.Protocol;
using Command = System.CommandLine.Command;

namespace Hub.Cli.Commands;

/// <summary><c>hub logs</c>: what a terminal or a command showed.</summary>
internal static class LogsCommand
{
    private const int ReadBytes = 1024 * 1024;

    /// <summary>The command.</summary>
    public static Command Create(Bind bind)
    {
        var node = Arguments.Node();
        var terminal = Arguments.Terminal();
        var follow = new Option<bool>("--follow", "-f") { Description = "Go on with what comes, over breaks of the connection" };
        var tail = new Option<int?>("--tail") { Description = "Begin with the last N lines", HelpName = "N" };
        tail.Validators.Add(r => Arguments.Check(r, t => int.TryParse(t, out var n) && n >= 0, "is not a number of lines"));
        var since = new Option<string>("--since") { Description = "Begin this long ago (10m) or at this time (RFC 3339), the node's clock", HelpName = "DURATION|TIME" };
        var cursor = new Option<string>("--cursor") { Description = "Begin after this cursor", HelpName = "CURSOR" };
        var showCursor = new Option<bool>("--show-cursor") { Description = "Say at the end, on standard error, the cursor to go on from" };
        var raw = new Option<bool>("--raw") { Description = "The bytes as they are, escape sequences included" };
        var command = new Command("logs", "Show what a terminal or a command (-t cmd/ID) showed") { node, terminal, follow, tail, since, cursor, showCursor, raw };
        command.Validators.Add(result =>
        {
            if (new System.CommandLine.Option[] { tail, since, cursor }.Count(o => result.GetResult(o) is not null) > 1)
                result.AddError("--tail, --since and --cursor exclude each other");
        });
        bind(command, async run =>
        {
            var start = new HistoryStart();
            if (run.Get(cursor) is { } after)
                start.Cursor = after;
            else if (run.Get(tail) is { } lines)
                SetTail(start, lines);
            else if (run.Get(since) is { } text)
                start.Since = Timestamp.FromDateTimeOffset(Since(text, run.Environment.Time));
            var name = run.Get(terminal)!;
            var logs = new Session(run, Names.Terminal(run.Get(node)!, name), start, run.Get(raw), name.StartsWith(Names.CommandStreamPrefix, StringComparison.Ordinal));
            try
            {
                await (run.Get(follow) ? logs.FollowAsync() : logs.ReadAsync()).ConfigureAwait(false);
            }
            finally
            {
                if (run.Get(showCursor) && logs.Cursor.Length > 0)
                    run.Environment.Note($"cursor {logs.Cursor}");
            }

            return ExitCodes.Success;
        });
        return command;
    }

    private static void SetTail(HistoryStart start, int lines)
    {
        if (lines > 0)
            start.TailLines = lines;
        else
            start.Now = true;
    }

    private static DateTimeOffset Since(string text, TimeProvider clock) => Arguments.TrySince(text, clock, out var time)
        ? time
        : throw CliException.Usage($"'{text}' is neither a time such as 10m nor one of RFC 3339 such as 2026-01-31T12:00:00Z");

    /// <summary>One reading; its place survives the connection.</summary>
    private sealed class Session(Invocation run, string name, HistoryStart start, bool raw, bool isCommand)
    {
        private readonly HistoryPrinter _printer = new(run.Environment.Output, run.Environment.Output, run.Environment.Note, raw)
        {
            Marks = !isCommand,
            HasPrinted = start.StartCase is HistoryStart.StartOneofCase.Cursor or HistoryStart.StartOneofCase.Now,
        };

        public string Cursor { get; private set; } = "";

        private HistoryStart Start => Cursor.Length == 0 ? start : new HistoryStart { Cursor = Cursor };

        public async Task ReadAsync()
        {
            while (true)
            {
                var request = new ReadHistoryRequest { Name = name, Start = Start, MaxBytes = ReadBytes };
                var part = await run.Hub.CallAsync((c, o) => c.ReadHistoryAsync(request, o), Repeat.Safe, run.Cancellation).ConfigureAwait(false);
                await PrintAsync(part.Records, part.NextCursor).ConfigureAwait(false);
                if (part.AtEnd)
                    break;
            }

            await _printer.BreakAsync(run.Cancellation).ConfigureAwait(false);
        }

        public Task FollowAsync() => new Reconnector(run.Hub, run.Environment, "the output").RunAsync(FollowAsync, run.Cancellation);

        private async Task FollowAsync(HubService.HubServiceClient client, Action alive, CancellationToken cancellation)
        {
            using var call = client.FollowHistory(new FollowHistoryRequest { Name = name, Start = Start }, cancellationToken: cancellation);
            await foreach (var part in call.ResponseStream.ReadAllAsync(cancellation).ConfigureAwait(false))
            {
                alive();
                await PrintAsync(part.Records, part.NextCursor).ConfigureAwait(false);
                // A terminal may come back, a command does not.
                if (isCommand && part.AtEnd && part.TerminalState == TerminalState.Closed)
                    return;
            }

            throw Faults.EndedEarly();
        }

        private async Task PrintAsync(IEnumerable<HistoryRecord> records, string next)
        {
            foreach (var record in records)
            {
                await _printer.PrintAsync(record, run.Cancellation).ConfigureAwait(false);
                if (record.Cursor.Length > 0)
                    Cursor = record.Cursor;
            }

            if (next.Length > 0)
                Cursor = next;
        }
    }
}
