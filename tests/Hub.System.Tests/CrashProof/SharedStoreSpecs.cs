using AkkaHub.V1;
using Hub.SystemTests.Harness;
using Xunit.Abstractions;

namespace Hub.SystemTests.CrashProof;

/// <summary>The history is in PostgreSQL; the hub is killed and the server crashes while a terminal shows lines.</summary>
public sealed class SharedStoreSpecs(ITestOutputHelper output)
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(90);

    [SkippableFact]
    public async Task No_byte_is_lost_or_doubled_when_the_hub_is_killed_and_the_server_crashes()
    {
        var seed = TestSettings.Seed(output);
        var random = new Random(seed);
        await using var server = await PostgresServer.StartNewAsync();
        await using var workspace = new Workspace(output);
        var hub = workspace.NewHub(new Dictionary<string, string?>
        {
            ["AKKAHUB_STORE"] = "postgresql",
            ["AKKAHUB_CONNECTION_STRING"] = server.ConnectionString(),
            ["AKKAHUB_HISTORY_MAX_BYTES"] = "67108864",
            ["AKKAHUB_TERMINALS_MAX_PER_NODE"] = "8",
            ["AKKAHUB_HISTORY_MAX_CHUNKS"] = "100000",
        });
        await hub.StartAndWaitAsync();
        using var client = new HubClient(hub);
        var agent = workspace.StartAgent(hub, new AgentOptions { Wait = true });
        await client.WaitForNodeAsync(agent.Name, NodeState.Online, Patience);
        var writer = await WriterTerminal.OpenAsync(workspace, client, agent.Name,
            WriterTerminal.Options(workspace, seed) with { MostBytes = 48 * 1024 * 1024 });
        await using var follower = client.Follow(agent.Name, writer.Name);

        for (var i = 0; i < (TestSettings.Long ? 10 : 1); i++)
        {
            await Task.Delay(TimeSpan.FromMilliseconds(random.Next(300, 2000)));
            workspace.Say($"the hub is killed, the writer at {writer.Written}");
            await hub.KillAsync();
            await hub.StartAndWaitAsync();
            await client.WaitForNodeAsync(agent.Name, NodeState.Online, Patience);

            await Task.Delay(TimeSpan.FromMilliseconds(random.Next(300, 2000)));
            var before = await client.WaitForNodeAsync(agent.Name, NodeState.Online, Patience);
            await server.StopAsync();
            workspace.Say($"the server has crashed, the writer at {writer.Written}");
            // Longer than the node may miss beats before its stream is ended.
            await Task.Delay(TimeSpan.FromSeconds(TestSettings.Long ? 60 : 8));
            (await hub.IsReadyAsync()).ShouldBeFalse("readiness says that the store is gone");
            await server.StartAsync();
            await WaitForMoreAsync(client, agent.Name, writer);
            workspace.Say($"goes on, the writer at {writer.Written}");
            (await client.WaitForNodeAsync(agent.Name, NodeState.Online, Patience)).Name.ShouldBe(before.Name);
        }

        writer.Stop();
        var written = await writer.FinishAsync(Patience);
        await follower.WaitForAsync(r => r.Incarnations.Count > 0 && r.Last.Closed is not null, Patience);
        Whole.Check(await client.ReadAllAsync(agent.Name, writer.Name), written);
        Whole.Check(follower.Record, written);
        (await File.ReadAllLinesAsync(hub.LogFile)).ShouldNotContain(
            l => l.Contains($"Node {agent.Name} is stale", StringComparison.Ordinal) || l.Contains($"Node {agent.Name} is offline", StringComparison.Ordinal),
            "a store that is away is no reason to mark a node down");
    }

    [SkippableFact]
    public async Task A_second_hub_on_the_same_store_is_refused_and_the_first_ones_node_does_not_see_its_password()
    {
        await using var server = await PostgresServer.StartNewAsync();
        await using var workspace = new Workspace(output);
        var settings = new Dictionary<string, string?> { ["AKKAHUB_STORE"] = "postgresql", ["AKKAHUB_CONNECTION_STRING"] = server.ConnectionString() };
        var hub = workspace.NewHub(settings, localNode: true);
        await hub.StartAndWaitAsync();
        using (var client = new HubClient(hub))
            await client.WaitForNodeAsync("local", NodeState.Online, Patience);
        var (code, environment, _) = await workspace.HubCommandAsync(hub, "exec", "local", "env");
        code.ShouldBe(0);
        environment.ShouldContain("HOME=");
        environment.ShouldNotContain("AKKAHUB_CONNECTION_STRING", Case.Sensitive, "the hub's secrets are not its node's");
        var second = workspace.NewHub(settings, name: "second");
        second.Start();
        (await second.Child.WaitForExitAsync(Patience)).ShouldBe(3);
        second.Child.Tail.ShouldContain(l => l.Contains("another hub runs on it", StringComparison.Ordinal));
    }

    private static async Task WaitForMoreAsync(HubClient client, string node, WriterTerminal writer)
    {
        var at = writer.Written;
        await client.WaitForTerminalAsync(node, writer.Name, t => t.EndOffset > at, Patience);
    }
}
