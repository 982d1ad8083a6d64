using AkkaHub.V1;
using Hub.Actors.History;
using Hub.Protocol;

namespace Hub.Actors.Nodes;

/// <summary>What clients see of terminals and commands.</summary>
internal static class NodeViews
{
    public static Terminal Terminal(string node, TerminalHistory history)
    {
        var newest = history.Newest!;
        return new Terminal
        {
            Name = Names.Terminal(node, history.Name),
            State = history.IsLive ? TerminalState.Live : TerminalState.Closed,
            Incarnation = newest.Id.ToHex(),
            Size = newest.Size,
            CommandLine = newest.Opened.CommandLine,
            StartTime = newest.Opened.TimeUnixUs.ToTimestamp(),
            EndTime = newest.Closed?.TimeUnixUs.ToTimestamp(),
            Exit = newest.Closed?.Exit,
            EndCause = newest.Closed?.Cause ?? "",
            EndOffset = newest.EndOffset,
            RetainedBytes = history.RetainedBytes,
            RetainedChunks = history.RetainedChunks,
            FirstCursor = history.First.Encode(),
            EndCursor = history.End.Encode(),
            LastOutputTime = newest.LastOutputUnixUs.ToTimestamp(),
        };
    }

    public static Command Command(string node, CommandRecord record, TerminalHistory? output)
    {
        var request = record.Accepted.Request;
        var command = new Command
        {
            Name = Names.Command(node, record.Id),
            State = record.State,
            Cwd = request.Cwd,
            RequestId = request.RequestId,
            CreateTime = record.Accepted.TimeUnixUs.ToTimestamp(),
            StartTime = record.Running?.TimeUnixUs.ToTimestamp(),
            EndTime = record.Finished?.TimeUnixUs.ToTimestamp(),
            Exit = record.Finished?.Exit,
            Message = record.Finished?.Message ?? "",
            OutputBytes = output?.Newest?.EndOffset ?? 0,
            Output = Names.Terminal(node, Names.CommandStream(record.Id)),
            Pty = request.Pty is not null,
        };
        command.Argv.Add(request.Argv);
        return command;
    }
}
