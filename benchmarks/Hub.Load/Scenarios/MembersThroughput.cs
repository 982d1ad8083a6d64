using Hub.Load.Measuring;
using Hub.Load.Nodes;
using Hub.Load.Processes;

namespace Hub.Load.Scenarios;

/// <summary>
/// What more members bring on one machine, which is no more than the cost of them, and what it costs when a node's bridge and its history are
/// on different members.
/// </summary>
internal static class MembersThroughput
{
    private const int ChunkBytes = 200;
    private const double HopChunksPerSecond = 5;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(120);

    public static async Task RunAsync(BenchmarkContext context)
    {
        for (var members = 1; members <= 3; members++)
            await MeasureAsync(context, members).ConfigureAwait(false);
        await MeasureHopAsync(context).ConfigureAwait(false);
    }

    private static async Task MeasureAsync(BenchmarkContext context, int members)
    {
        var options = context.Options;
        var name = $"closed loop, {members} member{(members == 1 ? "" : "s")}, {options.Nodes} nodes, {ChunkBytes} B";
        Console.Error.WriteLine(name);
        await using var cluster = await LocalCluster.StartAsync(context, members).ConfigureAwait(false);
        await using var fleet = new NodeFleet(Fleet(cluster, options.Nodes, NodeLoad.ClosedLoop, cluster.Addresses) with { MaxInFlight = 64 });
        fleet.Start();
        await fleet.WaitForOnlineAsync(options.Nodes, Patience).ConfigureAwait(false);
        await Task.Delay(options.WarmUp).ConfigureAwait(false);
        fleet.Meters.StartRecording();
        var (before, cpu) = (fleet.Meters.Chunks, Cpu(cluster));
        var began = TimeProvider.System.GetTimestamp();
        await Task.Delay(options.Duration).ConfigureAwait(false);
        var seconds = TimeProvider.System.GetElapsedTime(began).TotalSeconds;
        var (after, used) = (fleet.Meters.Chunks, Cpu(cluster));
        fleet.Meters.StopRecording();
        context.Report.Add(name, "durable acks", (after - before) / seconds, "chunks/s");
        context.Report.Add(name, "latency p50", fleet.Meters.Latency.PercentileMilliseconds(0.5), "ms");
        context.Report.Add(name, "latency p99", fleet.Meters.Latency.PercentileMilliseconds(0.99), "ms");
        context.Report.Add(name, "members' processors", (used - cpu).TotalSeconds / seconds, "cores");
        ClosedLoopMeasurement.NoteTroubles(context, name, fleet);
    }

    // A gateway holds no partitions, so all of its nodes' histories are on the other member, and none of the other's nodes' are.
    private static async Task MeasureHopAsync(BenchmarkContext context)
    {
        var options = context.Options;
        var name = $"remote hop, {options.Nodes} nodes × {HopChunksPerSecond}/s, {ChunkBytes} B";
        Console.Error.WriteLine(name);
        await using var cluster = await LocalCluster.StartAsync(context, 2, gateways: 1).ConfigureAwait(false);
        NodeFleet[] fleets = [.. cluster.Members.Select((m, i) => new NodeFleet(Fleet(cluster, Math.Max(1, options.Nodes / 2), NodeLoad.Paced, [m.Grpc]) with
        {
            NamePrefix = $"at{i}-",
            ChunksPerSecond = HopChunksPerSecond,
        }))];
        try
        {
            foreach (var fleet in fleets)
            {
                fleet.Start();
                await fleet.WaitForOnlineAsync(fleet.Nodes.Count, Patience).ConfigureAwait(false);
                fleet.StartPacing();
            }

            await Task.Delay(options.WarmUp).ConfigureAwait(false);
            foreach (var fleet in fleets)
                fleet.Meters.StartRecording();
            await Task.Delay(options.Duration).ConfigureAwait(false);
            foreach (var (i, fleet) in fleets.Index())
            {
                fleet.Meters.StopRecording();
                var where = i == 0 ? "history on the node's own member" : "history on another member";
                context.Report.Add(name, $"{where}: due → durable ack p50", fleet.Meters.Latency.PercentileMilliseconds(0.5), "ms");
                context.Report.Add(name, $"{where}: due → durable ack p99", fleet.Meters.Latency.PercentileMilliseconds(0.99), "ms");
                ClosedLoopMeasurement.NoteTroubles(context, name, fleet);
            }
        }
        finally
        {
            foreach (var fleet in fleets)
                await fleet.DisposeAsync().ConfigureAwait(false);
        }
    }

    private static FleetOptions Fleet(LocalCluster cluster, int nodes, NodeLoad load, IReadOnlyList<Uri> members) => new()
    {
        Hub = members[0],
        Members = members,
        Token = cluster.Tokens.Node,
        Nodes = nodes,
        Load = load,
        ChunkBytes = ChunkBytes,
    };

    private static TimeSpan Cpu(LocalCluster cluster) =>
        TimeSpan.FromSeconds(cluster.Members.Sum(m => ProcessFigures.Read(m.ProcessId).CpuTime.TotalSeconds));
}
