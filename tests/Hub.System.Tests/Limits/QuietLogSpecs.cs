using Hub.Load.Nodes;
using Hub.Load.Processes;
using Hub.SystemTests.Harness;
using Xunit.Abstractions;

namespace Hub.SystemTests.Limits;

/// <summary>A hub with many nodes and nothing happening has nothing to say.</summary>
[Collection(Alone.Name)]
public sealed class QuietLogSpecs(ITestOutputHelper output)
{
    private const int Count = 200;

    [SkippableFact]
    public async Task Heartbeats_are_not_logged_and_transitions_once()
    {
        // Twenty lines a minute; a tenth of a minute may hold the line that sums up an interval, so the same share and one more.
        var (window, most) = TestSettings.Long ? (TimeSpan.FromSeconds(60), 19) : (TimeSpan.FromSeconds(6), 2);
        await using var workspace = new Workspace(output);
        var hub = workspace.NewHub(new()
        {
            ["AKKAHUB_LIVENESS_HEARTBEAT_INTERVAL"] = "1s",
            ["AKKAHUB_LOG_LEVEL"] = "Debug",
        });
        await hub.StartAndWaitAsync();
        await using var fleet = new NodeFleet(new FleetOptions { Hub = hub.Grpc, Token = hub.Token, Nodes = Count, NamePrefix = "quiet-" });
        fleet.Start();
        await fleet.WaitForOnlineAsync(Count, TimeSpan.FromSeconds(60));
        // What the last welcome brought about is still being written.
        await Task.Delay(TimeSpan.FromSeconds(2));

        var before = Lines(hub);
        await Task.Delay(window);
        var quiet = Lines(hub)[before.Count..];
        workspace.Say($"{quiet.Count} lines in {window}: {string.Join(" | ", quiet)}");
        fleet.Online.ShouldBe(Count);
        fleet.Nodes.ShouldAllBe(n => n.HeartbeatInterval == TimeSpan.FromSeconds(1));
        quiet.Count.ShouldBeLessThanOrEqualTo(most);
        foreach (var node in fleet.Nodes)
        {
            before.Count(l => l.Contains($"Node {node.Name} is online", StringComparison.Ordinal)).ShouldBe(1, node.Name);
            before.Count(l => l.Contains(node.Name, StringComparison.Ordinal)).ShouldBeLessThanOrEqualTo(4, node.Name);
        }
    }

    private static List<string> Lines(HubProcess hub)
    {
        using var reader = new StreamReader(new FileStream(hub.LogFile, FileMode.Open, FileAccess.Read, FileShare.ReadWrite));
        return [.. reader.ReadToEnd().Split('\n', StringSplitOptions.RemoveEmptyEntries)];
    }
}
