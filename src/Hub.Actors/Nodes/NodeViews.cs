using AkkaHub.V1;
using Hub.Actors.History;
using Hub.Protocol;

namespace Hub.Actors.Nodes;

/// <summary>What clients see of terminals and commands.</summary>
internal static class NodeViews
{
    private const int MaxListedArguments = 64;
    private const int MaxListedText = 1024;

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

    /// <summary>Cuts a view's long texts, as <see cref="ListCommandsResponse.Commands"/> says; the view itself is changed.</summary>
    public static Command Shortened(Command command)
    {
        command.Cwd = Cut(command.Cwd, MaxListedText);
        command.Message = Cut(command.Message, MaxListedText);
        var left = MaxListedText;
        for (var i = 0; i < command.Argv.Count; i++)
        {
            if (i < MaxListedArguments && command.Argv[i].Length <= left)
            {
                left -= command.Argv[i].Length;
                continue;
            }

            command.Argv[i] = i < MaxListedArguments ? Cut(command.Argv[i], left) : "…";
            while (command.Argv.Count > i + 1)
                command.Argv.RemoveAt(command.Argv.Count - 1);
        }

        return command;
    }

    private static string Cut(string text, int length)
    {
        if (text.Length <= length)
            return text;
        // Half of a character outside the first plane is none.
        if (length > 0 && char.IsHighSurrogate(text[length - 1]))
            length--;
        return text[..length] + "…";
    }
}
