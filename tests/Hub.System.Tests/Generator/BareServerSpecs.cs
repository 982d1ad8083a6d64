using Hub.Load.Baselines;
using Hub.Load.Nodes;
using Hub.Load.Processes;

namespace Hub.SystemTests.Generator;

/// <summary>The generator against the bare server, over real gRPC.</summary>
public sealed class BareServerSpecs
{
    [Theory]
    [InlineData(BareKind.Grpc)]
    [InlineData(BareKind.Actors)]
    public async Task A_fleet_in_the_closed_loop_gets_its_acknowledgements(BareKind kind)
    {
        const int nodes = 20;
        var port = Ports.Free();
        await using var server = await BareServer.StartAsync(kind, port);
        await using var fleet = new NodeFleet(new FleetOptions
        {
            Hub = new Uri($"http://127.0.0.1:{port}"),
            Nodes = nodes,
            Load = NodeLoad.ClosedLoop,
            Connections = 4,
        });
        fleet.Meters.StartRecording();
        fleet.Start();
        await fleet.WaitForOnlineAsync(nodes, TimeSpan.FromSeconds(30));
        using var poll = new PeriodicTimer(TimeSpan.FromMilliseconds(10));
        using var late = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        while (fleet.Meters.Chunks < 5_000 || fleet.Nodes.Any(n => n.Stream!.Acknowledged == 0))
            await poll.WaitForNextTickAsync(late.Token);
        fleet.Meters.Violations.ShouldBeEmpty();
        fleet.Meters.Endings.ShouldBeEmpty();
        fleet.Meters.Latency.Count.ShouldBeGreaterThanOrEqualTo(5_000);
    }
}
