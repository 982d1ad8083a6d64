using AkkaHub.V1;
using Hub.Load.Measuring;
using Hub.Load.Nodes;
using Hub.SystemTests.Harness;
using Xunit.Abstractions;

namespace Hub.SystemTests.Limits;

/// <summary>Everybody wants in while the hub is still starting.</summary>
[Collection(Alone.Name)]
public sealed class StartUpStormSpecs(ITestOutputHelper output)
{
    [SkippableFact]
    public async Task A_storm_of_nodes_during_start_costs_no_threads_and_loses_nobody()
    {
        var count = TestSettings.Long ? 2000 : 300;
        var seed = TestSettings.Seed(output);
        await using var workspace = new Workspace(output);
        var hub = workspace.NewHub();
        await hub.StartAndWaitAsync();
        // What a hub at rest has, after a first few nodes were there.
        await using (var few = new NodeFleet(new FleetOptions { Hub = hub.Grpc, Token = hub.Token, Nodes = 5, NamePrefix = "few-" }))
        {
            few.Start();
            await few.WaitForOnlineAsync(5, TimeSpan.FromSeconds(30));
        }

        var baseline = ProcessFigures.Read(hub.ProcessId).Threads;
        (await hub.TerminateAsync(TimeSpan.FromSeconds(40))).ShouldBe(0);

        await using var fleet = new NodeFleet(new FleetOptions
        {
            Hub = hub.Grpc,
            Token = hub.Token,
            Nodes = count,
            NamePrefix = "storm-",
            Connections = 0,
            ConcurrentDials = 0,
            // Shorter than shipped: more of a storm.
            LongestBackoff = TimeSpan.FromSeconds(4),
            Seed = seed,
        });
        hub.Start();
        fleet.Start();
        var all = fleet.WaitForOnlineAsync(count, TimeSpan.FromSeconds(120));
        var most = 0;
        using (var poll = new PeriodicTimer(TimeSpan.FromMilliseconds(20)))
        {
            while (!all.IsCompleted)
            {
                await poll.WaitForNextTickAsync();
                most = Math.Max(most, ProcessFigures.Read(hub.ProcessId).Threads);
            }
        }

        await all;
        workspace.Say($"{count} nodes: {most} threads at most, {baseline} at rest; sessions ended: {fleet.DescribeEndings()}");
        most.ShouldBeLessThanOrEqualTo(baseline + 16);
        fleet.Meters.Violations.ShouldBeEmpty();
        fleet.Meters.Endings.Keys.ShouldAllBe(why => why.StartsWith("Unavailable ", StringComparison.Ordinal));

        using var client = new HubClient(hub);
        var known = await ListAllAsync(client);
        foreach (var node in fleet.Nodes)
            known["nodes/" + node.Name].ShouldBe(NodeState.Online, node.Name);
        known.Keys.Count(n => n.StartsWith("nodes/storm-", StringComparison.Ordinal)).ShouldBe(count);
    }

    private static async Task<Dictionary<string, NodeState>> ListAllAsync(HubClient client)
    {
        var nodes = new Dictionary<string, NodeState>();
        var token = "";
        do
        {
            var page = await client.CallAsync((s, h) => s.ListNodesAsync(new ListNodesRequest { PageSize = 1000, PageToken = token }, h));
            foreach (var node in page.Nodes)
                nodes.Add(node.Name, node.State);
            token = page.NextPageToken;
        }
        while (token.Length > 0);
        return nodes;
    }
}
