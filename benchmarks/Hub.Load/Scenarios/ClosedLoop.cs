using Hub.Load.Baselines;

namespace Hub.Load.Scenarios;

/// <summary>The hub as fast as it goes: every node always has as much under way as its credit allows.</summary>
internal static class ClosedLoop
{
    private const int SmallChunk = 200;
    private const double WantedRatio = 0.4;
    private const double WantedSmallChunks = 40_000;
    private const double WantedMegabytes = 30;

    public static async Task RunAsync(BenchmarkContext context)
    {
        foreach (var size in context.Options.ChunkSizes)
        {
            var small = size <= SmallChunk;
            var noStore = context.Report.Find(RawLimits.Scenario(RawLimits.ActorsOverGrpc, size), "acks")
                ?? await RawLimits.MeasureBareAsync(context, BareKind.Actors, size).ConfigureAwait(false);
            var name = RawLimits.Scenario("hub, closed loop", size);
            Console.Error.WriteLine(name);
            await using var hub = context.NewHub("closed");
            await hub.StartAndWaitAsync().ConfigureAwait(false);
            var rate = await ClosedLoopMeasurement.RunAsync(context, name, hub.Grpc, hub.Token, hub.ProcessId, size,
                small ? WantedSmallChunks : null, small ? null : WantedMegabytes, hub.DataDirectory).ConfigureAwait(false);
            context.Report.Add(name, "ratio to no store", rate / noStore, "", small ? WantedRatio : null);
            context.Report.Add(name, "store", StoreBytes(hub.DataDirectory) / 1e6, "MB");
        }
    }

    internal static long StoreBytes(string dataDirectory) =>
        Directory.EnumerateFiles(dataDirectory, "*", SearchOption.AllDirectories)
            .Where(f => f.Contains(".db", StringComparison.Ordinal))
            .Sum(f => new FileInfo(f).Length);
}
