using AkkaHub.V1;
using Hub.Actors.History;
using Hub.Protocol;

namespace Hub.Actors.Bridge;

/// <summary>The bounds of what a node may say. What passes here cannot damage a history.</summary>
public static class BridgeRules
{
    private const int MaxStreams = 512;
    private const int MaxHelloBytes = 64 * 1024;
    private const int MaxReason = 255;
    private const int MaxMessage = 1024;
    private const int MaxCommandLineBytes = 4096;
    private const double MaxLoad = 1e6;
    private const long MaxBytes = 1L << 60;
    private const long MaxUptimeSeconds = 4_000_000_000;

    /// <summary>Checks a hello; null if it is right.</summary>
    public static Failure? Check(NodeHello? hello)
    {
        if (hello is null)
            return new Failure(FailureKind.FailedPrecondition, ErrorReasons.ProtocolError, "The first message of the stream is hello.");
        if (!Names.IsNodeName(hello.Name))
            return Invalid("name", "1 to 63 of a-z, 0-9, '.', '_', '-', beginning and ending with a letter or digit");
        if (hello.ClaimKey.Length != 32)
            return Invalid("claim_key", "32 bytes");
        if (hello.InstanceId.Length != 16)
            return Invalid("instance_id", "16 bytes");
        if (hello.CalculateSize() > MaxHelloBytes)
            return Invalid("hello", "at most 64 KiB in all");
        if (hello.Labels.Count > 64 || !hello.Labels.All(l => Names.IsLabelKey(l.Key) && Names.IsLabelValue(l.Value)))
            return Invalid("labels", "at most 64; keys 1 to 63 of letters, digits, '.', '_', '-', '/'; values at most 255 printable characters");
        if (hello.BootId.Length > 64 || hello.AgentVersion.Length > 64 || hello.LastDisconnect.Length > 255 || !IsShort(hello.Platform))
            return Invalid("boot_id, agent_version, platform", "texts within their bounds");
        if (hello.Streams.Count > MaxStreams)
            return Invalid("streams", "at most 512");
        var seen = new HashSet<Google.Protobuf.ByteString>();
        foreach (var stream in hello.Streams)
        {
            if (!seen.Add(stream.Incarnation) || !IsOfItsKind(stream) || !IsIncarnation(stream.Incarnation) || stream.FirstOffset < 0 || stream.EndOffset < stream.FirstOffset
                || (stream.Size is not null && !IsSize(stream.Size) && stream.Kind == StreamKind.Terminal) || !IsCommandLine(stream.CommandLine))
                return Invalid("streams", "each with a name of its kind, a 16-byte incarnation of its own, a size, offsets in order and a command line of at most 4096 bytes");
        }

        return null;
    }

    /// <summary>Checks a later message; null if it is right, otherwise what is wrong with it.</summary>
    public static string? Check(ConnectRequest m, int maxOutputBytes) => m.MessageCase switch
    {
        ConnectRequest.MessageOneofCase.Heartbeat => m.Heartbeat.UnacknowledgedBytes < 0 ? "a heartbeat with a negative lag" : null,
        ConnectRequest.MessageOneofCase.TerminalOutput => m.TerminalOutput switch
        {
            var o when !IsIncarnation(o.Incarnation) => "output of a stream without a 16-byte incarnation",
            { Data.Length: 0 } => "output without bytes",
            { Offset: < 0 } => "output at a negative offset",
            var o when o.Data.Length > maxOutputBytes => $"output of {o.Data.Length} bytes, more than {maxOutputBytes}",
            var o when o.Offset > long.MaxValue / 2 => "output at an offset out of range",
            _ => null,
        },
        ConnectRequest.MessageOneofCase.TerminalOpened => m.TerminalOpened switch
        {
            var o when !IsIncarnation(o.Incarnation) => "a terminal without a 16-byte incarnation",
            var o when !Names.IsTerminalName(o.Name) => "a terminal with a name that is not allowed",
            var o when !IsSize(o.Size) => "a terminal without a size of 1 to 2000 cells each way",
            var o when !IsCommandLine(o.CommandLine) => $"a terminal with a command line of more than {MaxCommandLineBytes} bytes",
            _ => null,
        },
        ConnectRequest.MessageOneofCase.TerminalResized =>
            !IsIncarnation(m.TerminalResized.Incarnation) || m.TerminalResized.Offset < 0 || !IsSize(m.TerminalResized.Size) ? "a resize that is malformed" : null,
        ConnectRequest.MessageOneofCase.TerminalGap =>
            !IsIncarnation(m.TerminalGap.Incarnation) || m.TerminalGap.FromOffset < 0 || m.TerminalGap.ToOffset <= m.TerminalGap.FromOffset
            || m.TerminalGap.ToOffset > long.MaxValue / 2 ? "a gap that is malformed" : null,
        ConnectRequest.MessageOneofCase.TerminalClosed =>
            !IsIncarnation(m.TerminalClosed.Incarnation) || m.TerminalClosed.FinalOffset < 0 || !IsExit(m.TerminalClosed.Exit) ? "a terminal's end that is malformed" : null,
        ConnectRequest.MessageOneofCase.CommandStarted =>
            !IsIncarnation(m.CommandStarted.Incarnation) || !Names.IsTerminalName(m.CommandStarted.CommandId) ? "a command's start that is malformed" : null,
        ConnectRequest.MessageOneofCase.CommandExited =>
            !Names.IsTerminalName(m.CommandExited.CommandId) || (!m.CommandExited.Incarnation.IsEmpty && !IsIncarnation(m.CommandExited.Incarnation)) || m.CommandExited.FinalOffset < 0
            || !IsExit(m.CommandExited.Exit) || m.CommandExited.Message.Length > MaxMessage ? "a command's end that is malformed" : null,
        ConnectRequest.MessageOneofCase.RequestResult => m.RequestResult.Message.Length > MaxMessage ? "a result with too long a message" : null,
        ConnectRequest.MessageOneofCase.Draining => m.Draining.Reason.Length > MaxReason ? "too long a reason for draining" : null,
        ConnectRequest.MessageOneofCase.Disconnect => m.Disconnect.Reason.Length > MaxReason ? "too long a reason for leaving" : null,
        ConnectRequest.MessageOneofCase.Hello => "a second hello",
        _ => "an empty or unknown message",
    };

    /// <summary>
    /// Takes figures outside their range for not known. They are the machine's, not the agent's: an odd kernel or file system is
    /// no reason to cut a node off, and nothing depends on them but what is shown.
    /// </summary>
    public static void DropWrong(MachineFigures figures)
    {
        figures.Cpu = Within(figures.Cpu, 1);
        figures.Load1 = Within(figures.Load1, MaxLoad);
        figures.Load5 = Within(figures.Load5, MaxLoad);
        figures.Load15 = Within(figures.Load15, MaxLoad);
        figures.MemoryUsedBytes = Within(figures.MemoryUsedBytes, MaxBytes);
        figures.MemoryTotalBytes = Within(figures.MemoryTotalBytes, MaxBytes);
        figures.DiskUsedBytes = Within(figures.DiskUsedBytes, MaxBytes);
        figures.DiskTotalBytes = Within(figures.DiskTotalBytes, MaxBytes);
        figures.UptimeSeconds = Within(figures.UptimeSeconds, MaxUptimeSeconds);
    }

    /// <summary>The incarnation that a stream's message is about; null for other messages.</summary>
    public static IncarnationId? StreamOf(ConnectRequest m) => m.MessageCase switch
    {
        ConnectRequest.MessageOneofCase.TerminalOutput => IncarnationId.From(m.TerminalOutput.Incarnation),
        ConnectRequest.MessageOneofCase.TerminalResized => IncarnationId.From(m.TerminalResized.Incarnation),
        ConnectRequest.MessageOneofCase.TerminalGap => IncarnationId.From(m.TerminalGap.Incarnation),
        ConnectRequest.MessageOneofCase.TerminalClosed => IncarnationId.From(m.TerminalClosed.Incarnation),
        ConnectRequest.MessageOneofCase.CommandExited when !m.CommandExited.Incarnation.IsEmpty => IncarnationId.From(m.CommandExited.Incarnation),
        _ => null,
    };

    /// <summary>The number of the rewind a stream's message obeys.</summary>
    public static uint RewindOf(ConnectRequest m) => m.MessageCase switch
    {
        ConnectRequest.MessageOneofCase.TerminalOutput => m.TerminalOutput.Rewind,
        ConnectRequest.MessageOneofCase.TerminalResized => m.TerminalResized.Rewind,
        ConnectRequest.MessageOneofCase.TerminalGap => m.TerminalGap.Rewind,
        ConnectRequest.MessageOneofCase.TerminalClosed => m.TerminalClosed.Rewind,
        ConnectRequest.MessageOneofCase.CommandExited => m.CommandExited.Rewind,
        _ => uint.MaxValue,
    };

    // All zero names none (see IncarnationId): whoever let it in would fail over it later.
    private static bool IsIncarnation(Google.Protobuf.ByteString bytes) => IncarnationId.TryFrom(bytes, out _);

    // A command's stream is known by its name everywhere: a kind that does not go with it is a contradiction.
    private static bool IsOfItsKind(LiveStream stream) => Names.IsStreamName(stream.Name)
        && stream.Kind == (stream.Name.StartsWith(Names.CommandStreamPrefix, StringComparison.Ordinal) ? StreamKind.Command : StreamKind.Terminal);

    // False for NaN, too.
    private static double Within(double value, double most) => value >= 0 && value <= most ? value : 0;

    private static long Within(long value, long most) => value >= 0 && value <= most ? value : 0;

    private static bool IsExit(ProcessExit? exit) => exit is null or { Code: >= 0 and <= 255, Signal: >= 0 and <= 127 };

    private static bool IsCommandLine(string text) => StartBounds.Bytes([text]) <= MaxCommandLineBytes;

    private static bool IsSize(TerminalSize? size) => size is { Cols: >= 1 and <= 2000, Rows: >= 1 and <= 2000 };

    private static bool IsShort(Platform? p) =>
        p is null || (p.Os.Length <= 255 && p.Arch.Length <= 255 && p.Host.Length <= 255 && p.User.Length <= 255);

    private static Failure Invalid(string field, string rule) =>
        new(FailureKind.InvalidArgument, ErrorReasons.InvalidField, $"hello: {field} must be {rule}.", "field", field);
}
