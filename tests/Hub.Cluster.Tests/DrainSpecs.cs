using AkkaHub.V1;
using Grpc.Core;
using Hub.Load.Processes;
using Hub.SystemTests.Harness;
using Xunit.Abstractions;

namespace Hub.ClusterTests;

/// <summary>Nodes that were given one member only, which leaves or dies: they know of the others by then.</summary>
public sealed class DrainSpecs(ITestOutputHelper output)
{
    private const int Nodes = 8;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(120);

    // Time enough for every partition to move, whatever else the machine does.
    private static readonly Dictionary<string, string?> RoomToDrain = new()
    {
        ["AKKAHUB_DRAIN_TIMEOUT"] = "60s",
        ["AKKAHUB_SHUTDOWN_TIMEOUT"] = "120s",
        ["AKKAHUB_HISTORY_MAX_BYTES"] = "16777216",
        ["AKKAHUB_HISTORY_MAX_CHUNKS"] = "100000",
    };

    [SlowFact]
    public async Task A_member_that_is_drained_leaves_and_its_nodes_go_on_elsewhere()
    {
        var seed = TestSettings.Seed(output);
        await using var workspace = new Workspace(output);
        await using var cluster = await TestCluster.StartAsync(workspace, 3, RoomToDrain);
        var leaving = cluster.Members[0];
        using var client = new HubClient(cluster.Members[1]);
        await StartAgentsAsync(workspace, cluster, client);
        var writer = await WriterTerminal.OpenAsync(workspace, client, "n1", WriterTerminal.Options(workspace, seed) with { MostBytes = 8 * 1024 * 1024 });
        var before = await MembersAsync(client, m => m.Count == 3 && m.All(x => x.State == MemberState.Up && x.ClientAddress.Length > 0)
            && m.Sum(x => x.NodeStreams) == Nodes && m.Sum(x => x.Partitions) == 64 && m.Sum(x => x.Nodes) == Nodes);
        before.Single(m => m.ClientAddress == leaving.Grpc.Authority).ShouldSatisfyAllConditions(
            m => m.NodeStreams.ShouldBe(Nodes), m => m.UnreachableBy.ShouldBeEmpty(), m => m.Self.ShouldBeFalse());

        using var gone = new CancellationTokenSource();
        var reading = ReadOnAsync(client, gone.Token);
        await using var drain = Cli(workspace, cluster.Members[1], "cluster", "drain", leaving.Grpc.Authority);
        var began = TimeProvider.System.GetTimestamp();
        await TestCluster.NotReadyAsync(leaving, "the hub is stopping");
        leaving.Child.HasExited.ShouldBeFalse("nobody is sent to it while it moves what it has");
        (await drain.WaitForExitAsync(Patience)).ShouldBe(0, string.Join('\n', drain.Tail));
        drain.Tail.ShouldContain(l => l.EndsWith("has left", StringComparison.Ordinal));
        (await leaving.Child.WaitForExitAsync(Patience)).ShouldBe(0);
        await gone.CancelAsync();
        var (reads, slowest) = await reading;
        reads.ShouldBeGreaterThan(Nodes);
        workspace.Say($"{reads} reads meanwhile, {slowest.TotalSeconds:F1} s at most");
        workspace.Say($"drained and gone after {TimeProvider.System.GetElapsedTime(began).TotalSeconds:F1} s");

        await using var show = Cli(workspace, cluster.Members[2], "cluster", "show");
        (await show.WaitForExitAsync(Patience)).ShouldBe(0);
        show.Tail.Count(l => l.Contains(" up ", StringComparison.Ordinal)).ShouldBe(2, string.Join('\n', show.Tail));
        for (var i = 1; i <= Nodes; i++)
            await client.WaitForNodeAsync($"n{i}", NodeState.Online, Patience);
        var after = await MembersAsync(client, m => m.Sum(x => x.NodeStreams) == Nodes && m.Sum(x => x.Partitions) == 64);
        after.Count.ShouldBe(2);
        writer.Stop();
        var written = await writer.FinishAsync(Patience);
        await client.WaitForTerminalAsync("n1", writer.Name, t => t.State != TerminalState.Live, Patience);
        Whole.Check(await client.ReadAllAsync("n1", writer.Name), written);
        await cluster.JournalIsWholeAsync();
        (await File.ReadAllLinesAsync(leaving.LogFile)).ShouldNotContain(l => l.Contains("leave with this one", StringComparison.Ordinal), "its partitions moved before it left");
        foreach (var member in cluster.Members)
        {
            var log = await File.ReadAllLinesAsync(member.LogFile);
            log.ShouldNotContain(l => l.Contains(" is offline", StringComparison.Ordinal) || l.Contains(" is stale", StringComparison.Ordinal), "nobody was missed");
            log.ShouldNotContain(l => l.Contains("wire form", StringComparison.Ordinal));
        }
    }

    // Each read is answered, whether its partition moves or not, and none waits until it has to be given up (akkahub.registry.ask-timeout).
    private static async Task<(int Reads, TimeSpan Slowest)> ReadOnAsync(HubClient client, CancellationToken cancellationToken)
    {
        var (reads, slowest) = (0, TimeSpan.Zero);
        for (var i = 0; !cancellationToken.IsCancellationRequested; i = (i + 1) % Nodes)
        {
            var began = TimeProvider.System.GetTimestamp();
            await client.Service.ListTerminalsAsync(new ListTerminalsRequest { Parent = Hub.Protocol.Names.Node($"n{i + 1}") }, client.Headers,
                TimeProvider.System.GetUtcNow().UtcDateTime.AddSeconds(30), CancellationToken.None);
            var took = TimeProvider.System.GetElapsedTime(began);
            (reads, slowest) = (reads + 1, took > slowest ? took : slowest);
        }

        return (reads, slowest);
    }

    [SlowFact]
    public async Task Nodes_of_a_member_that_is_killed_go_on_at_members_they_were_never_given()
    {
        await using var workspace = new Workspace(output);
        await using var cluster = await TestCluster.StartAsync(workspace, 3);
        using var client = new HubClient(cluster.Members[1]);
        await StartAgentsAsync(workspace, cluster, client);
        await client.OpenAsync("n1", "t", "/bin/cat");
        await MembersAsync(client, m => m.Count == 3 && m.All(x => x.ClientAddress.Length > 0) && m.Sum(x => x.NodeStreams) == Nodes);
        var killed = cluster.Members[0].Grpc.Authority;
        await cluster.Members[0].KillAsync();
        var began = TimeProvider.System.GetTimestamp();
        var after = await MembersAsync(client, m => m.Where(x => x.ClientAddress != killed).Sum(x => x.NodeStreams) == Nodes);
        workspace.Say($"all streams elsewhere after {TimeProvider.System.GetElapsedTime(began).TotalSeconds:F1} s; {string.Join(", ", after.Select(m => $"{m.Address} {m.State} unreachable by {m.UnreachableBy.Count}"))}");
        await TypesAsync(client);
        workspace.Say($"the terminal answers after {TimeProvider.System.GetElapsedTime(began).TotalSeconds:F1} s");
        for (var i = 1; i <= Nodes; i++)
            await client.WaitForNodeAsync($"n{i}", NodeState.Online, Patience);
        await MembersAsync(client, m => m.Count == 2 && m.Sum(x => x.Partitions) == 64);
    }

    // Of a node whose partition is on its way the hub cannot say whether it took what was typed.
    private static async Task TypesAsync(HubClient client)
    {
        using var late = new CancellationTokenSource(Patience);
        while (true)
        {
            try
            {
                await client.CallAsync((s, h) => s.SendInputAsync(
                    new SendInputRequest { Name = Hub.Protocol.Names.Terminal("n1", "t"), Data = Google.Protobuf.ByteString.CopyFromUtf8("x\n") }, h, TimeProvider.System.GetUtcNow().UtcDateTime.AddSeconds(1)));
                return;
            }
            catch (RpcException e) when (e.StatusCode is StatusCode.DeadlineExceeded or StatusCode.Aborted)
            {
                await Task.Delay(TimeSpan.FromMilliseconds(50), late.Token);
            }
        }
    }

    private static async Task StartAgentsAsync(Workspace workspace, TestCluster cluster, HubClient client)
    {
        var token = await TestCluster.NodeTokenAsync(client);
        for (var i = 1; i <= Nodes; i++)
            workspace.StartAgent(cluster.Members[0], new AgentOptions { Name = $"n{i}", Members = [cluster.Members[0].Grpc], Token = token, Wait = true });
        for (var i = 1; i <= Nodes; i++)
            await client.WaitForNodeAsync($"n{i}", NodeState.Online, Patience);
    }

    private static ChildProcess Cli(Workspace workspace, HubProcess hub, params string[] arguments) => ChildProcess.Start(
        "dotnet", [RepositoryPaths.Program("Hub.Cli"), .. arguments],
        new Dictionary<string, string?> { ["AKKAHUB_DATA_DIR"] = hub.DataDirectory, ["AKKAHUB_ADDR"] = null, ["AKKAHUB_TOKEN"] = null, ["NO_COLOR"] = "1" },
        workspace.PathOf("cli.log"), workspace.Root);

    private static async Task<IReadOnlyList<ClusterMember>> MembersAsync(HubClient client, Func<IReadOnlyList<ClusterMember>, bool> fits)
    {
        using var late = new CancellationTokenSource(Patience);
        while (true)
        {
            IReadOnlyList<ClusterMember> members = (await client.CallAsync((s, h) => s.ListMembersAsync(new ListMembersRequest(), h))).Members;
            if (fits(members))
                return members;
            await Task.Delay(TimeSpan.FromMilliseconds(100), late.Token);
        }
    }
}
