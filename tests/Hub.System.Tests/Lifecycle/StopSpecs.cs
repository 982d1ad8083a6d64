using AkkaHub.V1;
using Hub.Load.Nodes;
using Hub.SystemTests.Harness;
using Xunit.Abstractions;

namespace Hub.SystemTests.Lifecycle;

/// <summary>A hub that is asked to stop does so in order and in time.</summary>
[Collection(Alone.Name)]
public sealed class StopSpecs(ITestOutputHelper output)
{
    [SkippableFact]
    public async Task A_stop_under_load_exits_0_in_time_and_keeps_what_it_acknowledged()
    {
        const int nodes = 50;
        await using var workspace = new Workspace(output);
        var hub = workspace.NewHub();
        await hub.StartAndWaitAsync();
        await using var fleet = new NodeFleet(new FleetOptions
        {
            Hub = hub.Grpc,
            Token = hub.Token,
            Nodes = nodes,
            Load = NodeLoad.ClosedLoop,
            ChunkBytes = 1024,
            LongestBackoff = TimeSpan.FromSeconds(1),
        });
        fleet.Start();
        await fleet.WaitForOnlineAsync(nodes, TimeSpan.FromSeconds(30));
        await Task.Delay(TimeSpan.FromSeconds(1));
        var began = TimeProvider.System.GetTimestamp();
        (await hub.TerminateAsync(TimeSpan.FromSeconds(30))).ShouldBe(0, hub.DescribeTail());
        workspace.Say($"stopped in {TimeProvider.System.GetElapsedTime(began).TotalSeconds:F1} s; sessions ended: {fleet.DescribeEndings()}");

        // A hub that had acknowledged more than it kept would be caught here: a welcome must not go back behind an acknowledgement.
        await hub.StartAndWaitAsync();
        await fleet.WaitForOnlineAsync(nodes, TimeSpan.FromSeconds(90));
        fleet.Meters.Violations.ShouldBeEmpty();
        using var client = new HubClient(hub);
        foreach (var node in fleet.Nodes)
            (await client.FindTerminalAsync(node.Name, SimulatedNode.TerminalName)).ShouldNotBeNull().State.ShouldBe(TerminalState.Live);
    }
}
