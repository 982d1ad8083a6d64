using System.Text.Json;
using AkkaHub.V1;
using Hub.SystemTests.Harness;
using Xunit.Abstractions;

namespace Hub.SystemTests.Lifecycle;

/// <summary><c>hub node run</c> as a person types it: on the hub's machine, and with a node's token.</summary>
public sealed class NodeRunSpecs(ITestOutputHelper output)
{
    private const string Web = "web1";
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    [SkippableFact]
    public async Task A_name_is_enough_on_the_hubs_own_machine_also_before_the_hub_runs()
    {
        await using var workspace = new Workspace(output);
        var hub = workspace.NewHub();
        var node = workspace.StartNode(["--name", Web, "--label", "env=prod"], new Dictionary<string, string?> { ["AKKAHUB_DATA_DIR"] = hub.DataDirectory });
        var warning = await node.WaitForLineAsync(l => l.Contains("No hub yet", StringComparison.Ordinal), Patience);
        warning.ShouldContain(hub.DataDirectory);
        foreach (var way in new[] { "AKKAHUB_DATA_DIR", "--hub-data-dir", "AKKAHUB_ADDR", "--hub", "AKKAHUB_TOKEN", "--token-file" })
            warning.ShouldContain(way);

        await hub.StartAndWaitAsync();
        using var client = new HubClient(hub);
        (await client.WaitForNodeAsync(Web, NodeState.Online, Patience)).Labels["env"].ShouldBe("prod");
        (await node.TerminateAsync(Patience)).ShouldBe(0);
        node.Tail.Count(l => l.Contains("No hub yet", StringComparison.Ordinal)).ShouldBe(1);
    }

    [SkippableFact]
    public async Task A_nodes_token_opens_a_session_until_it_is_revoked_and_is_no_clients()
    {
        await using var workspace = new Workspace(output);
        var hub = workspace.NewHub();
        await hub.StartAndWaitAsync();
        var (code, said, error) = await workspace.HubCommandAsync(hub, "token", "create", "--type", "node", "-o", "json");
        code.ShouldBe(0, error);
        var made = JsonDocument.Parse(said).RootElement;
        var credential = new Dictionary<string, string?>
        {
            ["AKKAHUB_ADDR"] = $"127.0.0.1:{hub.GrpcPort}",
            ["AKKAHUB_TOKEN"] = made.GetProperty("secret").GetString(),
        };
        var node = workspace.StartNode(["--name", Web, "--no-main-terminal"], credential);
        using var client = new HubClient(hub);
        await client.WaitForNodeAsync(Web, NodeState.Online, Patience);
        (code, said, error) = await workspace.HubCommandAsync(hub, "exec", Web, "-n", "--", "sh", "-c", "echo hi; exit 3");
        code.ShouldBe(3, said + error);
        said.ShouldBe("hi\n");

        (code, said, _) = await workspace.RunAsync("Hub.Cli", ["get", "nodes"], credential);
        code.ShouldBe(1, "a node reads nothing of others");
        said.ShouldBeEmpty();

        (code, _, error) = await workspace.HubCommandAsync(hub, "token", "revoke", made.GetProperty("id").GetString()!);
        code.ShouldBe(0, error);
        (await node.WaitForExitAsync(Patience)).ShouldBe(4, "the hub sent it away for good");
    }
}
