using AkkaHub.V1;
using FsCheck.Xunit;
using Google.Protobuf;
using Hub.Actors.Bridge;

namespace Hub.Actors.Tests.Bridge;

public sealed class BridgeRulesSpecs
{
    private static readonly ByteString Good = ByteString.CopyFrom([.. new byte[15], 1]);
    private static readonly ByteString Zero = ByteString.CopyFrom(new byte[16]);

    public static TheoryData<string, Action<NodeHello>> WrongHellos => new()
    {
        { "name", h => h.Name = "" },
        { "name", h => h.Name = "UPPER" },
        { "name", h => h.Name = "-x" },
        { "name", h => h.Name = new string('a', 64) },
        { "claim_key", h => h.ClaimKey = ByteString.CopyFrom(new byte[31]) },
        { "instance_id", h => h.InstanceId = ByteString.CopyFrom(new byte[17]) },
        { "hello", h => h.Streams.Add(new LiveStream { Name = "a", Incarnation = Good, Kind = StreamKind.Terminal, CommandLine = new string('x', 65536) }) },
        { "labels", h => h.Labels.Add("bad key", "v") },
        { "labels", h => h.Labels.Add("k", "line\nfeed") },
        { "labels", h => h.Labels.Add("k", new string('v', 256)) },
        { "labels", h => Fill(h) },
        { "boot_id", h => h.BootId = new string('b', 65) },
        { "boot_id", h => h.AgentVersion = new string('b', 65) },
        { "boot_id", h => h.LastDisconnect = new string('b', 256) },
        { "boot_id", h => h.Platform = new Platform { Host = new string('b', 256) } },
        { "streams", h => Streams(h, 513) },
        { "streams", h => h.Streams.Add(Stream(s => s.Name = "a/b")) },
        { "streams", h => h.Streams.Add(Stream(s => s.Incarnation = Zero)) },
        { "streams", h => h.Streams.Add(Stream(s => s.Incarnation = ByteString.CopyFrom(1))) },
        { "streams", h => h.Streams.Add(Stream(s => s.FirstOffset = -1)) },
        { "streams", h => h.Streams.Add(Stream(s => (s.FirstOffset, s.EndOffset) = (2, 1))) },
        { "streams", h => h.Streams.Add(Stream(s => s.Kind = StreamKind.Unspecified)) },
        { "streams", h => h.Streams.Add(Stream(s => s.Kind = (StreamKind)9)) },
        { "streams", h => h.Streams.Add(Stream(s => s.Kind = StreamKind.Command)) },
        { "streams", h => h.Streams.Add(Stream(s => s.Name = "cmd/x")) },
        { "streams", h => h.Streams.Add(Stream(s => s.Size = new TerminalSize { Cols = 2001, Rows = 1 })) },
        { "streams", h => h.Streams.Add(Stream(s => s.CommandLine = new string('x', 4097))) },
        { "streams", h => { h.Streams.Add(Stream(_ => { })); h.Streams.Add(Stream(s => s.Name = "b")); } },
    };

    public static TheoryData<string, ConnectRequest> WrongMessages => new()
    {
        { "output", new() { TerminalOutput = new TerminalOutput { Incarnation = Zero, Data = ByteString.CopyFrom(1) } } },
        { "output", new() { TerminalOutput = new TerminalOutput { Incarnation = ByteString.CopyFrom(1), Data = ByteString.CopyFrom(1) } } },
        { "without bytes", new() { TerminalOutput = new TerminalOutput { Incarnation = Good } } },
        { "negative", new() { TerminalOutput = new TerminalOutput { Incarnation = Good, Data = ByteString.CopyFrom(1), Offset = -1 } } },
        { "more than 10", new() { TerminalOutput = new TerminalOutput { Incarnation = Good, Data = ByteString.CopyFrom(new byte[11]) } } },
        { "out of range", new() { TerminalOutput = new TerminalOutput { Incarnation = Good, Data = ByteString.CopyFrom(1), Offset = long.MaxValue - 1 } } },
        { "terminal", new() { TerminalOpened = new TerminalOpened { Name = "a", Size = Size(1, 1), Incarnation = Zero } } },
        { "name", new() { TerminalOpened = new TerminalOpened { Name = "cmd/a", Size = Size(1, 1), Incarnation = Good } } },
        { "size", new() { TerminalOpened = new TerminalOpened { Name = "a", Incarnation = Good } } },
        { "size", new() { TerminalOpened = new TerminalOpened { Name = "a", Size = Size(0, 1), Incarnation = Good } } },
        { "command line", new() { TerminalOpened = new TerminalOpened { Name = "a", Incarnation = Good, Size = Size(1, 1), CommandLine = new string('é', 2049) } } },
        { "lag", new() { Heartbeat = new NodeHeartbeat { UnacknowledgedBytes = -1 } } },
        { "resize", new() { TerminalResized = new TerminalResized { Incarnation = Good, Size = Size(1, 2001) } } },
        { "resize", new() { TerminalResized = new TerminalResized { Incarnation = Good, Offset = -1, Size = Size(1, 1) } } },
        { "resize", new() { TerminalResized = new TerminalResized { Incarnation = Zero, Size = Size(1, 1) } } },
        { "gap", new() { TerminalGap = new TerminalGap { Incarnation = Good, FromOffset = 2, ToOffset = 2 } } },
        { "gap", new() { TerminalGap = new TerminalGap { Incarnation = Good, FromOffset = -1, ToOffset = 2 } } },
        { "gap", new() { TerminalGap = new TerminalGap { Incarnation = Good, ToOffset = long.MaxValue } } },
        { "gap", new() { TerminalGap = new TerminalGap { Incarnation = Zero, ToOffset = 1 } } },
        { "end", new() { TerminalClosed = new TerminalClosed { Incarnation = Good, FinalOffset = -1 } } },
        { "end", new() { TerminalClosed = new TerminalClosed { Incarnation = Zero } } },
        { "start", new() { CommandStarted = new CommandStarted { Incarnation = Good, CommandId = "a/b" } } },
        { "start", new() { CommandStarted = new CommandStarted { Incarnation = Zero, CommandId = "a" } } },
        { "end", new() { CommandExited = new CommandExited { CommandId = "", Incarnation = Good } } },
        { "end", new() { CommandExited = new CommandExited { CommandId = "a", Incarnation = Zero } } },
        { "end", new() { CommandExited = new CommandExited { CommandId = "a", Incarnation = ByteString.CopyFrom(1) } } },
        { "end", new() { CommandExited = new CommandExited { CommandId = "a", FinalOffset = -1 } } },
        { "end", new() { CommandExited = new CommandExited { CommandId = "a", Message = new string('x', 1025) } } },
        { "result", new() { RequestResult = new RequestResult { Message = new string('x', 1025) } } },
        { "end", new() { CommandExited = new CommandExited { CommandId = "a", Exit = new ProcessExit { Code = 256 } } } },
        { "end", new() { CommandExited = new CommandExited { CommandId = "a", Exit = new ProcessExit { Code = -1 } } } },
        { "end", new() { TerminalClosed = new TerminalClosed { Incarnation = Good, Exit = new ProcessExit { Code = 256 } } } },
        { "end", new() { TerminalClosed = new TerminalClosed { Incarnation = Good, Exit = new ProcessExit { Signal = 128 } } } },
        { "draining", new() { Draining = new NodeDraining { Reason = new string('x', 256) } } },
        { "leaving", new() { Disconnect = new NodeDisconnect { Reason = new string('x', 256) } } },
        { "second hello", new() { Hello = new NodeHello() } },
        { "empty", new() },
    };

    [Theory]
    [MemberData(nameof(WrongHellos))]
    public void A_wrong_hello_is_refused_and_the_field_named(string field, Action<NodeHello> change)
    {
        var hello = Right();
        change(hello);
        BridgeRules.Check(hello).ShouldNotBeNull().DetailValue.ShouldNotBeNull().ShouldContain(field);
    }

    [Theory]
    [MemberData(nameof(WrongMessages))]
    public void A_wrong_message_is_refused(string about, ConnectRequest message) =>
        BridgeRules.Check(message, 10).ShouldNotBeNull().ShouldContain(about);

    [Fact]
    public void What_is_right_passes()
    {
        BridgeRules.Check(null).ShouldNotBeNull();
        var hello = Right();
        Streams(hello, 512);
        hello.Streams.Add(Stream(s => (s.Name, s.Kind, s.Size) = ("cmd/x", StreamKind.Command, new TerminalSize())));
        hello.Streams.RemoveAt(0);
        BridgeRules.Check(hello).ShouldBeNull();
        BridgeRules.Check(new() { TerminalOutput = new TerminalOutput { Incarnation = Good, Data = ByteString.CopyFrom(new byte[10]) } }, 10).ShouldBeNull();
        BridgeRules.Check(new() { CommandExited = new CommandExited { CommandId = "a" } }, 10).ShouldBeNull();
        BridgeRules.Check(new() { Heartbeat = new NodeHeartbeat() }, 10).ShouldBeNull();
        // The most that an agent says.
        BridgeRules.Check(new() { CommandExited = new CommandExited { CommandId = "a", Exit = new ProcessExit { Code = 255, Signal = 127 }, Message = new string('x', 1024) } }, 10).ShouldBeNull();
        BridgeRules.Check(new() { RequestResult = new RequestResult { Message = new string('x', 1024) } }, 10).ShouldBeNull();
        BridgeRules.Check(new() { TerminalOpened = new TerminalOpened { Name = "a", Incarnation = Good, Size = Size(1, 1), CommandLine = new string('é', 2048) } }, 10).ShouldBeNull();
    }

    [Property(MaxTest = 500)]
    public void Whatever_a_machine_says_its_figures_can_be_shown(double real, long whole)
    {
        var figures = new MachineFigures
        {
            Cpu = real,
            Load1 = real,
            Load5 = -real,
            Load15 = 1 / real,
            MemoryUsedBytes = whole,
            MemoryTotalBytes = -whole,
            DiskUsedBytes = long.MaxValue - whole,
            DiskTotalBytes = long.MinValue + whole,
            UptimeSeconds = whole,
        };
        BridgeRules.DropWrong(figures);
        new[] { figures.Cpu, figures.Load1, figures.Load5, figures.Load15 }.ShouldAllBe(f => f >= 0 && f <= 1e6);
        new[] { figures.MemoryUsedBytes, figures.MemoryTotalBytes, figures.DiskUsedBytes, figures.DiskTotalBytes }.ShouldAllBe(f => f >= 0 && f <= 1L << 60);
        TimeSpan.FromSeconds(figures.UptimeSeconds).ShouldBeGreaterThanOrEqualTo(TimeSpan.Zero);
        figures.Cpu.ShouldBe(real is >= 0 and <= 1 ? real : 0);
        figures.UptimeSeconds.ShouldBe(whole is >= 0 and <= 4_000_000_000 ? whole : 0);
    }

    [Theory]
    [InlineData(double.NaN)]
    [InlineData(double.PositiveInfinity)]
    [InlineData(double.NegativeInfinity)]
    [InlineData(-0.1)]
    [InlineData(1.1)]
    public void A_figure_that_is_none_is_not_known(double cpu)
    {
        var figures = new MachineFigures { Cpu = cpu, Load1 = 3, UptimeSeconds = 5 };
        BridgeRules.DropWrong(figures);
        figures.ShouldBe(new MachineFigures { Load1 = 3, UptimeSeconds = 5 });
    }

    [Fact]
    public void No_message_that_passes_makes_the_bridge_fail()
    {
        var passed = new HashSet<ConnectRequest.MessageOneofCase>();
        foreach (var message in Everything())
        {
            Should.NotThrow(() => BridgeRules.RewindOf(message));
            if (BridgeRules.Check(message, 10) is not null)
                continue;
            Should.NotThrow(() => BridgeRules.StreamOf(message), message.ToString());
            passed.Add(message.MessageCase);
        }

        passed.ShouldBe(Enum.GetValues<ConnectRequest.MessageOneofCase>().Except([ConnectRequest.MessageOneofCase.None, ConnectRequest.MessageOneofCase.Hello]), ignoreOrder: true);
    }

    /// <summary>Every kind of message with every combination of right and wrong fields.</summary>
    private static IEnumerable<ConnectRequest> Everything()
    {
        yield return new();
        yield return new() { Hello = Right() };
        yield return new() { Heartbeat = new() };
        yield return new() { RequestResult = new() };
        yield return new() { Draining = new() };
        yield return new() { Disconnect = new() };
        foreach (var incarnation in (ByteString[])[ByteString.Empty, Zero, ByteString.CopyFrom(1), Good, ByteString.CopyFrom(new byte[17])])
        {
            foreach (var name in (string[])["", "a", "a/b"])
            {
                yield return new() { TerminalOpened = new() { Incarnation = incarnation, Name = name, Size = Size(1, 1) } };
                yield return new() { TerminalOpened = new() { Incarnation = incarnation, Name = name } };
                yield return new() { CommandStarted = new() { Incarnation = incarnation, CommandId = name } };
            }

            foreach (var offset in (long[])[-1, 0, 5, long.MaxValue])
            {
                yield return new() { TerminalOutput = new() { Incarnation = incarnation, Offset = offset, Data = ByteString.CopyFrom(1) } };
                yield return new() { TerminalResized = new() { Incarnation = incarnation, Offset = offset, Size = Size(1, 1) } };
                yield return new() { TerminalGap = new() { Incarnation = incarnation, FromOffset = offset, ToOffset = 9 } };
                yield return new() { TerminalClosed = new() { Incarnation = incarnation, FinalOffset = offset } };
                yield return new() { CommandExited = new() { Incarnation = incarnation, CommandId = "a", FinalOffset = offset } };
            }
        }
    }

    private static NodeHello Right() => new() { Name = "n1", ClaimKey = ByteString.CopyFrom(new byte[32]), InstanceId = Good };

    private static TerminalSize Size(uint cols, uint rows) => new() { Cols = cols, Rows = rows };

    private static LiveStream Stream(Action<LiveStream> change)
    {
        var stream = new LiveStream { Name = "a", Incarnation = Good, Kind = StreamKind.Terminal };
        change(stream);
        return stream;
    }

    private static void Fill(NodeHello hello)
    {
        for (var i = 0; i < 65; i++)
            hello.Labels.Add($"k{i}", "v");
    }

    private static void Streams(NodeHello hello, int count)
    {
        for (var i = 0; i < count; i++)
            hello.Streams.Add(Stream(s => (s.Name, s.Incarnation) = ($"t{i}", ByteString.CopyFrom([.. new byte[12], .. BitConverter.GetBytes(i + 0x01010101)]))));
    }
}
