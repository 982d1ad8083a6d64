using AkkaHub.V1;
using Google.Protobuf;

namespace Hub.Node.Streams;

/// <summary>What a stream has to say, as the bridge's messages.</summary>
internal static class StreamWire
{
    /// <summary>A size; null for none.</summary>
    public static TerminalSize? ToSize(int columns, int rows) =>
        columns == 0 ? null : new TerminalSize { Cols = (uint)columns, Rows = (uint)rows };

    /// <summary>One message of a stream. An ended stream's exit must be given with its end.</summary>
    public static ConnectRequest ToRequest(NodeStream stream, in StreamMessage message, StreamExit? exit) => message.Kind switch
    {
        StreamMessageKind.Opened => Opened(stream),
        StreamMessageKind.Output => new ConnectRequest
        {
            TerminalOutput = new TerminalOutput
            {
                Incarnation = stream.Identity.Incarnation,
                Offset = message.Offset,
                // The buffer never changes bytes it handed out, so the message may share them.
                Data = UnsafeByteOperations.UnsafeWrap(message.Data),
                TimeUnixUs = message.TimeUs,
                Channel = message.Channel,
                Rewind = message.Rewind,
            },
        },
        StreamMessageKind.Gap => new ConnectRequest
        {
            TerminalGap = new TerminalGap
            {
                Incarnation = stream.Identity.Incarnation,
                FromOffset = message.Offset,
                ToOffset = message.To,
                TimeUnixUs = message.TimeUs,
                Rewind = message.Rewind,
            },
        },
        StreamMessageKind.Resized => new ConnectRequest
        {
            TerminalResized = new TerminalResized
            {
                Incarnation = stream.Identity.Incarnation,
                Offset = message.Offset,
                Size = ToSize(message.Columns, message.Rows),
                TimeUnixUs = message.TimeUs,
                Rewind = message.Rewind,
            },
        },
        StreamMessageKind.Ended => Ended(stream, message, exit!),
        _ => throw new ArgumentOutOfRangeException(nameof(message), message.Kind, "unknown kind of message"),
    };

    private static ConnectRequest Opened(NodeStream stream)
    {
        var who = stream.Identity;
        if (who.Kind == StreamKind.Command)
        {
            return new ConnectRequest
            {
                CommandStarted = new CommandStarted
                {
                    CommandId = who.CommandId,
                    Incarnation = who.Incarnation,
                    Pid = who.Pid,
                    TimeUnixUs = who.StartedUs,
                },
            };
        }

        return new ConnectRequest
        {
            TerminalOpened = new TerminalOpened
            {
                Name = who.Name,
                Incarnation = who.Incarnation,
                Size = ToSize(stream.OpenedSize.Columns, stream.OpenedSize.Rows),
                TimeUnixUs = who.StartedUs,
                CommandLine = who.CommandLine,
            },
        };
    }

    private static ConnectRequest Ended(NodeStream stream, in StreamMessage message, StreamExit exit)
    {
        var how = new ProcessExit { Code = exit.Code, Signal = exit.Signal };
        if (stream.Identity.Kind == StreamKind.Command)
        {
            return new ConnectRequest
            {
                CommandExited = new CommandExited
                {
                    CommandId = stream.Identity.CommandId,
                    Incarnation = stream.Identity.Incarnation,
                    FinalOffset = message.Offset,
                    End = exit.End,
                    Exit = how,
                    TimeUnixUs = exit.TimeUs,
                    Rewind = message.Rewind,
                },
            };
        }

        return new ConnectRequest
        {
            TerminalClosed = new TerminalClosed
            {
                Incarnation = stream.Identity.Incarnation,
                FinalOffset = message.Offset,
                Exit = how,
                TimeUnixUs = exit.TimeUs,
                Rewind = message.Rewind,
            },
        };
    }
}
