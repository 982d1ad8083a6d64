using AkkaHub.V1;
using Hub.SystemTests.Harness;
using Xunit.Abstractions;

namespace Hub.SystemTests.Lifecycle;

/// <summary><c>hub node run</c> as a person types it: on the hub's own machine.</summary>
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
}
