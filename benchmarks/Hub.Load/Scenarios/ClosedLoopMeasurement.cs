using System.Diagnostics;
using Hub.Load.Measuring;
using Hub.Load.Nodes;

namespace Hub.Load.Scenarios;

/// <summary>Runs a fleet in the closed loop against any server of the node bridge and says how fast it was.</summary>
internal static class ClosedLoopMeasurement
{
    /// <summary>Acknowledged chunks a second.</summary>
    public static async Task<double> RunAsync(BenchmarkContext context, string scenario, Uri server, string? token, int serverProcess,
        int chunkBytes, double? wantedChunks = null, double? wantedMegabytes = null, string? dataDirectory = null)
    {
        var options = context.Options;
        var report = context.Report;
        await using var fleet = new NodeFleet(new FleetOptions
        {
            Hub = server,
            Token = token,
            Nodes = options.Nodes,
            Load = NodeLoad.ClosedLoop,
            ChunkBytes = chunkBytes,
            Connections = options.Connections,
        });
        fleet.Start();
        await fleet.WaitForOnlineAsync(options.Nodes, TimeSpan.FromSeconds(60)).ConfigureAwait(false);
        await Task.Delay(options.WarmUp).ConfigureAwait(false);

        var meters = fleet.Meters;
        meters.StartRecording();
        var (chunks, bytes, updates) = (meters.Chunks, meters.Bytes, meters.FlowUpdates);
        var before = (Server: ProcessFigures.Read(serverProcess), Own: ProcessFigures.Read(Environment.ProcessId));
        var started = TimeProvider.System.GetUtcNow();
        var watch = Stopwatch.StartNew();
        await Task.Delay(options.Duration).ConfigureAwait(false);
        var seconds = watch.Elapsed.TotalSeconds;
        var after = (Server: ProcessFigures.Read(serverProcess), Own: ProcessFigures.Read(Environment.ProcessId));
        meters.StopRecording();

        var rate = (meters.Chunks - chunks) / seconds;
        report.Add(scenario, "acks", rate, "chunks/s", wantedChunks);
        report.Add(scenario, "bytes", (meters.Bytes - bytes) / seconds / 1e6, "MB/s", wantedMegabytes);
        report.Add(scenario, "latency p50", meters.Latency.PercentileMilliseconds(0.5), "ms");
        report.Add(scenario, "latency p99", meters.Latency.PercentileMilliseconds(0.99), "ms");
        report.Add(scenario, "flow updates", (meters.FlowUpdates - updates) / seconds, "1/s");
        if (dataDirectory is not null)
            report.Add(scenario, "snapshots", Snapshots.CountSince(dataDirectory, started), "", atLeast: 1);
        report.Add(scenario, "server processors", (after.Server.CpuTime - before.Server.CpuTime).TotalSeconds / seconds, "cores");
        report.Add(scenario, "generator processors", (after.Own.CpuTime - before.Own.CpuTime).TotalSeconds / seconds, "cores");
        report.Add(scenario, "server memory", after.Server.RssBytes / 1e6, "MB");
        NoteTroubles(context, scenario, fleet);
        return rate;
    }

    /// <summary>Says what went wrong in a fleet, if anything.</summary>
    public static void NoteTroubles(BenchmarkContext context, string scenario, NodeFleet fleet)
    {
        foreach (var violation in fleet.Meters.Violations)
            context.Report.Note(scenario, "protocol: " + violation);
        if (!fleet.Meters.Endings.IsEmpty)
            context.Report.Note(scenario, "sessions ended: " + fleet.DescribeEndings());
        if (fleet.Meters.Rewinds > 0)
            context.Report.Note(scenario, $"{fleet.Meters.Rewinds} rewinds");
        if (fleet.Online < fleet.Nodes.Count)
            context.Report.Note(scenario, $"only {fleet.Online} of {fleet.Nodes.Count} nodes had a session at the end");
    }
}
