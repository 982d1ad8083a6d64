using AkkaHub.V1;
using Google.Protobuf.WellKnownTypes;
using Grpc.Core;
using Hub.Cli.Output;
using Hub.Cli.Tests.Fakes;
using Command = AkkaHub.V1.Command;
using NodeInfo = AkkaHub.V1.Node;

namespace Hub.Cli.Tests;

/// <summary>What scripts build on: these texts change only by additions.</summary>
public sealed class JsonContractSpecs
{
    private static readonly Timestamp At = Timestamp.FromDateTimeOffset(new DateTimeOffset(2026, 1, 31, 12, 0, 0, 250, TimeSpan.Zero));

    private static readonly NodeInfo ANode = new()
    {
        Name = "nodes/n1",
        State = NodeState.Online,
        Labels = { ["b"] = "2", ["a"] = "1" },
        Platform = new Platform { Os = "Debian GNU/Linux 12", Arch = "x64", Host = "h", Cpus = 2, User = "u", MemoryBytes = 1024 },
        AgentVersion = "0.1.0",
        CreateTime = At,
        StateTime = At,
        LastSeenTime = At,
        SessionEpoch = 7,
        Figures = new MachineFigures { Cpu = 0.25, MemoryUsedBytes = 1, MemoryTotalBytes = 2, Load1 = 0.5, Load5 = 0.4, Load15 = 0.3, DiskUsedBytes = 3, DiskTotalBytes = 4, UptimeSeconds = 5 },
        LastSessionEnd = new SessionEnd { SessionEpoch = 6, Cause = "stream-broken", Message = "reset", Time = At, LastOffset = 9, UnacknowledgedBytes = 1 },
        UnacknowledgedBytes = 12,
        Capabilities = { NodeCapability.Terminal, NodeCapability.Exec },
        ClockSkew = Duration.FromTimeSpan(TimeSpan.FromMilliseconds(-15)),
    };

    private static readonly Terminal ATerminal = new()
    {
        Name = "nodes/n1/terminals/main",
        State = TerminalState.Closed,
        Incarnation = "0123456789abcdef0123456789abcdef",
        Size = new TerminalSize { Cols = 80, Rows = 24 },
        CommandLine = "/bin/bash",
        StartTime = At,
        EndTime = At,
        Exit = new ProcessExit { Code = 137, Signal = 9 },
        EndOffset = 100,
        RetainedBytes = 50,
        RetainedChunks = 2,
        FirstCursor = "f",
        EndCursor = "e",
        LastOutputTime = At,
    };

    private static readonly Command ACommand = new()
    {
        Name = "nodes/n1/commands/c1",
        State = CommandState.TimedOut,
        Argv = { "sh", "-c", "echo ü" },
        Cwd = "/",
        RequestId = "r1",
        CreateTime = At,
        StartTime = At,
        EndTime = At,
        Exit = new ProcessExit { Code = 143, Signal = 15 },
        Message = "time-out",
        OutputBytes = 3,
        Output = "nodes/n1/terminals/cmd/c1",
    };

    private const string NodeJson =
        """{"name":"n1","state":"online","labels":{"a":"1","b":"2"},"platform":{"os":"Debian GNU/Linux 12","arch":"x64","host":"h","cpus":2,"user":"u","memoryBytes":1024},"agentVersion":"0.1.0","createTime":"2026-01-31T12:00:00.250Z","stateTime":"2026-01-31T12:00:00.250Z","lastSeenTime":"2026-01-31T12:00:00.250Z","sessionEpoch":7,"figures":{"cpu":0.25,"memoryUsedBytes":1,"memoryTotalBytes":2,"load1":0.5,"load5":0.4,"load15":0.3,"diskUsedBytes":3,"diskTotalBytes":4,"uptimeSeconds":5},"lastSessionEnd":{"sessionEpoch":6,"cause":"stream-broken","message":"reset","time":"2026-01-31T12:00:00.250Z","lastOffset":9,"unacknowledgedBytes":1},"unacknowledgedBytes":12,"capabilities":["terminal","exec"],"clockSkewMs":-15}""";

    [Theory]
    [InlineData("word", "word\n")]
    [InlineData("word\n", "\"word\\n\"\n")]
    [InlineData("yes", "\"yes\"\n")]
    public void A_text_is_plain_in_yaml_only_if_it_reads_back_as_it_was(string text, string yaml) =>
        YamlText.Write(System.Text.Json.Nodes.JsonValue.Create(text)).ShouldBe(yaml);

    [Fact]
    public void A_node() => Json.Line(NodeDocument.From(ANode)).ShouldBe(NodeJson + "\n");

    [Fact]
    public void A_number_that_is_not_finite_is_left_out() => Json.Line(FiguresDocument.From(new MachineFigures
    {
        Cpu = double.NaN,
        Load1 = double.PositiveInfinity,
        Load5 = 0.5,
        Load15 = double.NegativeInfinity,
        UptimeSeconds = long.MaxValue,
    })).ShouldBe(
        """{"memoryUsedBytes":0,"memoryTotalBytes":0,"load5":0.5,"diskUsedBytes":0,"diskTotalBytes":0,"uptimeSeconds":9223372036854775807}""" + "\n");

    [Theory]
    [InlineData(long.MaxValue, int.MaxValue, "9999-12-31T23:59:59.999Z")]
    [InlineData(long.MinValue, int.MinValue, "0001-01-01T00:00:00.000Z")]
    public void A_time_that_cannot_be_is_the_nearest_that_can(long seconds, int nanos, string time) =>
        Json.Time(new Timestamp { Seconds = seconds, Nanos = nanos }).ShouldBe(time);

    [Fact]
    public void A_terminal() => Json.Line(TerminalDocument.From(ATerminal)).ShouldBe(
        """{"name":"main","node":"n1","state":"closed","incarnation":"0123456789abcdef0123456789abcdef","size":{"cols":80,"rows":24},"commandLine":"/bin/bash","startTime":"2026-01-31T12:00:00.250Z","endTime":"2026-01-31T12:00:00.250Z","exit":{"code":137,"signal":9},"endOffset":100,"retainedBytes":50,"retainedChunks":2,"firstCursor":"f","endCursor":"e","lastOutputTime":"2026-01-31T12:00:00.250Z"}""" + "\n");

    [Fact]
    public void A_command() => Json.Line(CommandDocument.From(ACommand)).ShouldBe(
        """{"id":"c1","node":"n1","state":"timed-out","argv":["sh","-c","echo ü"],"cwd":"/","requestId":"r1","createTime":"2026-01-31T12:00:00.250Z","startTime":"2026-01-31T12:00:00.250Z","endTime":"2026-01-31T12:00:00.250Z","exit":{"code":143,"signal":15},"message":"time-out","outputBytes":3,"output":"cmd/c1","pty":false}""" + "\n");

    [Fact]
    public void An_event() => Json.Line(EventDocument.From(new MeshEvent { Cursor = "c+/=", Time = At, Type = MeshEventType.TerminalOpened, Subject = "nodes/n1/terminals/main", Message = "x" })).ShouldBe(
        """{"cursor":"c+/=","time":"2026-01-31T12:00:00.250Z","type":"terminal-opened","subject":"nodes/n1/terminals/main","message":"x"}""" + "\n");

    [Fact]
    public void A_token() => Json.Line(TokenDocument.From(new Token { Id = "i", Type = TokenType.Client, CreateTime = At, ExpireTime = At, Description = "d" }, "ahub_s")).ShouldBe(
        """{"id":"i","type":"client","createTime":"2026-01-31T12:00:00.250Z","expireTime":"2026-01-31T12:00:00.250Z","description":"d","secret":"ahub_s"}""" + "\n");

    [Fact]
    public void What_is_not_set_is_left_out() => Json.Line(NodeDocument.From(new NodeInfo { Name = "nodes/n1", State = NodeState.Offline })).ShouldBe(
        """{"name":"n1","state":"offline","labels":{},"sessionEpoch":0,"unacknowledgedBytes":0,"capabilities":[]}""" + "\n");

    [Fact]
    public void Control_characters_are_escaped() =>
        Json.Line(new { text = "\e[31m\u009b\u007f\n" }).ShouldNotContain(c => c != '\n' && char.IsControl(c));

    [Fact]
    public async Task Lists_are_one_document_under_the_name_of_what_they_list()
    {
        await using var hub = await FakeHub.StartAsync();
        hub.Script.On<ListNodesRequest>(_ => new ListNodesResponse { Nodes = { new NodeInfo { Name = "nodes/n1", State = NodeState.Draining } } })
            .On<ListTerminalsRequest>(_ => new ListTerminalsResponse { NodeState = NodeState.Online })
            .On<ListCommandsRequest>(_ => new ListCommandsResponse())
            .On<ListTokensRequest>(_ => new ListTokensResponse());
        (await OutputOf(hub, "get", "nodes", "-o", "json")).ShouldBe(
            "{\n  \"nodes\": [\n    {\n      \"name\": \"n1\",\n      \"state\": \"draining\",\n      \"labels\": {},\n      \"sessionEpoch\": 0,\n      \"unacknowledgedBytes\": 0,\n      \"capabilities\": []\n    }\n  ]\n}\n");
        (await OutputOf(hub, "get", "nodes", "-o", "yaml")).ShouldBe(
            "nodes:\n- name: n1\n  state: draining\n  labels: {}\n  sessionEpoch: 0\n  unacknowledgedBytes: 0\n  capabilities: []\n");
        (await OutputOf(hub, "get", "terminals", "n1", "-o", "json")).ShouldBe("{\n  \"nodeState\": \"online\",\n  \"terminals\": []\n}\n");
        (await OutputOf(hub, "get", "commands", "n1", "-o", "json")).ShouldBe("{\n  \"commands\": []\n}\n");
        (await OutputOf(hub, "token", "list", "-o", "json")).ShouldBe("{\n  \"tokens\": []\n}\n");
    }

    [Fact]
    public async Task A_watch_is_an_object_a_line_and_goes_on_after_its_token()
    {
        await using var hub = await FakeHub.StartAsync();
        var calls = 0;
        hub.Script.WatchNodes = async (request, w, c) =>
        {
            if (Interlocked.Increment(ref calls) == 1)
            {
                await w.WriteAsync(new WatchNodesResponse { Node = new NodeInfo { Name = "nodes/n1", State = NodeState.Online }, ResumeToken = "1" });
                await w.WriteAsync(new WatchNodesResponse { Synced = true, ResumeToken = "2" });
                return; // The stream ends: the watch does not.
            }

            request.ResumeToken.ShouldBe("2");
            await w.WriteAsync(new WatchNodesResponse { ResumeToken = "2", UnreachablePartitions = { 4, 9 } });
            await w.WriteAsync(new WatchNodesResponse { ResumeToken = "2" });
            await w.WriteAsync(new WatchNodesResponse { Removed = "nodes/n1", ResumeToken = "3" });
            await Task.Delay(Timeout.Infinite, c.CancellationToken);
        };
        await using var run = new CliRun();
        var ended = run.RunAsync(hub, "get", "nodes", "-w", "-o", "json");
        await run.Output.SeenAsync("removed");
        run.Raise(System.Runtime.InteropServices.PosixSignal.SIGINT);
        (await ended).ShouldBe(130);
        run.OutputText.ShouldBe(
            """
            {"change":"node","node":{"name":"n1","state":"online","labels":{},"sessionEpoch":0,"unacknowledgedBytes":0,"capabilities":[]}}
            {"change":"synced"}
            {"change":"unreachable","partitions":[4,9]}
            {"change":"unreachable","partitions":[]}
            {"change":"removed","name":"n1"}

            """);
    }

    [Theory]
    [InlineData("plain", "plain")]
    [InlineData("true", "\"true\"")]
    [InlineData("1.5", "\"1.5\"")]
    [InlineData("", "\"\"")]
    [InlineData("a: b", "\"a: b\"")]
    [InlineData("a\nb", "\"a\\nb\"")]
    [InlineData("-x", "\"-x\"")]
    public void Yaml_strings_stay_strings(string value, string yaml) => Json.Yaml(new { v = value }).ShouldBe($"v: {yaml}\n");

    private static async Task<string> OutputOf(FakeHub hub, params string[] args)
    {
        await using var run = new CliRun();
        (await run.RunAsync(hub, args)).ShouldBe(0);
        return run.OutputText;
    }
}
