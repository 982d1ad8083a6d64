using Hub.Load.Measuring;
using Hub.Load.Nodes;
using Hub.Load.Watching;

namespace Hub.Load.Scenarios;

/// <summary>A steady load well below the limit: how long until a chunk is durable, and until someone who watches has it.</summary>
internal static class PacedLoad
{
    private const int ChunkBytes = 200;
    // Steady state: with full rings the shipped settings write one snapshot of about 600 KiB a node every four minutes. This
    // many bytes a snapshot make as many bytes a second of them, after a warm-up that brings every node near its first.
    private const string SnapshotMinBytes = "64KiB";
    private const int WarmUps = 6;

    public static async Task RunAsync(BenchmarkContext context)
    {
        var options = context.Options;
        var report = context.Report;
        var name = $"hub, paced {options.Nodes} × {options.Rate}/s, {ChunkBytes} B";
        Console.Error.WriteLine(name);
        await using var hub = context.NewHub("paced", new Dictionary<string, string?> { ["AKKAHUB_SNAPSHOTS_MIN_BYTES"] = SnapshotMinBytes });
        await hub.StartAndWaitAsync().ConfigureAwait(false);
        await using var fleet = new NodeFleet(new FleetOptions
        {
            Hub = hub.Grpc,
            Token = hub.Token,
            Nodes = options.Nodes,
            Load = NodeLoad.Paced,
            ChunkBytes = ChunkBytes,
            ChunksPerSecond = options.Rate,
            Connections = options.Connections,
        });
        fleet.Start();
        await fleet.WaitForOnlineAsync(options.Nodes, TimeSpan.FromSeconds(60)).ConfigureAwait(false);
        fleet.StartPacing();
        var watchers = new List<HistoryWatcher>();
        try
        {
            for (var i = 0; i < Math.Min(options.Watchers, options.Nodes); i++)
            {
                var node = fleet.Nodes[i * (options.Nodes / Math.Max(1, options.Watchers)) % options.Nodes];
                watchers.Add(new HistoryWatcher(hub.Grpc, hub.Token, node, ChunkBytes, fleet.Meters, TimeProvider.System));
                watchers[^1].Start();
            }

            await Task.Delay(options.WarmUp * WarmUps).ConfigureAwait(false);
            var meters = fleet.Meters;
            var started = TimeProvider.System.GetUtcNow();
            meters.StartRecording();
            var before = (Hub: ProcessFigures.Read(hub.ProcessId), Own: ProcessFigures.Read(Environment.ProcessId), meters.Chunks);
            var began = TimeProvider.System.GetTimestamp();
            await Task.Delay(options.Duration).ConfigureAwait(false);
            var seconds = TimeProvider.System.GetElapsedTime(began).TotalSeconds;
            var after = (Hub: ProcessFigures.Read(hub.ProcessId), Own: ProcessFigures.Read(Environment.ProcessId), meters.Chunks);
            meters.StopRecording();

            report.Add(name, "acks", (after.Chunks - before.Chunks) / seconds, "chunks/s", 0.99 * options.Nodes * options.Rate);
            report.Add(name, "due → durable ack p50", meters.Latency.PercentileMilliseconds(0.5), "ms", atMost: 10);
            report.Add(name, "due → durable ack p99", meters.Latency.PercentileMilliseconds(0.99), "ms", atMost: 50);
            report.Add(name, "due → durable ack p99.9", meters.Latency.PercentileMilliseconds(0.999), "ms");
            report.Add(name, "due → durable ack max", meters.Latency.MaxMicroseconds / 1000.0, "ms");
            report.Add(name, "generator lateness p99", meters.Lateness.PercentileMilliseconds(0.99), "ms");
            AddWatchers(report, name, watchers);
            report.Add(name, "snapshots", Snapshots.CountSince(hub.DataDirectory, started), "", atLeast: 1);
            report.Add(name, "server processors", (after.Hub.CpuTime - before.Hub.CpuTime).TotalSeconds / seconds, "cores");
            report.Add(name, "generator processors", (after.Own.CpuTime - before.Own.CpuTime).TotalSeconds / seconds, "cores");
            report.Add(name, "server memory", after.Hub.RssBytes / 1e6, "MB");
            if (meters.RefusedChunks > 0)
                report.Note(name, $"{meters.RefusedChunks} chunks were not made because a node had too many under way");
            ClosedLoopMeasurement.NoteTroubles(context, name, fleet);
        }
        finally
        {
            foreach (var watcher in watchers)
                await watcher.DisposeAsync().ConfigureAwait(false);
        }
    }

    private static void AddWatchers(Report report, string name, List<HistoryWatcher> watchers)
    {
        if (watchers.Count == 0)
            return;
        // The worst watcher counts: each has seen enough chunks for a percentile of its own.
        report.Add(name, "node → watcher p50", watchers.Max(w => w.Latency.PercentileMilliseconds(0.5)), "ms");
        report.Add(name, "node → watcher p99", watchers.Max(w => w.Latency.PercentileMilliseconds(0.99)), "ms", atMost: 50);
        report.Add(name, "watched chunks", watchers.Sum(w => w.Latency.Count), "");
        foreach (var fault in watchers.Select(w => w.Fault).OfType<string>())
            report.Note(name, "watcher: " + fault);
        if (watchers.Sum(w => w.Gaps) is > 0 and var gaps)
            report.Note(name, $"watchers saw {gaps} gaps");
    }
}
