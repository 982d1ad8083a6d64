using Hub.Load.Baselines;

namespace Hub.Load.Scenarios;

/// <summary>What machine, disk and libraries can do without a hub, in the same run and with the same generator.</summary>
internal static class RawLimits
{
    public const string ActorsOverGrpc = "gRPC and actors, no store";

    public static string Scenario(string name, int chunkBytes) => $"{name}, {chunkBytes} B";

    public static async Task RunAsync(BenchmarkContext context)
    {
        var options = context.Options;
        foreach (var size in options.ChunkSizes)
        {
            var name = Scenario("SQLite, raw insert loop", size);
            Console.Error.WriteLine(name);
            var directory = context.NewDirectory("sqlite");
            var rate = await Task.Factory.StartNew(
                () => RawSqlite.Run(directory, size, 1000, TimeSpan.FromSeconds(Math.Min(5, options.Duration.TotalSeconds))),
                CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default).ConfigureAwait(false);
            context.Report.Add(name, "rows", rate, "rows/s");
            context.Report.Add(name, "bytes", rate * size / 1e6, "MB/s");
        }

        var single = Scenario("SQLite, one row a transaction", 200);
        Console.Error.WriteLine(single);
        var where = context.NewDirectory("sqlite");
        context.Report.Add(single, "rows", await Task.Factory.StartNew(() => RawSqlite.Run(where, 200, 1, TimeSpan.FromSeconds(2)),
            CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default).ConfigureAwait(false), "rows/s");

        foreach (var size in options.ChunkSizes)
        {
            var name = Scenario("actors alone, in process", size);
            Console.Error.WriteLine(name);
            var rate = await RawActors.RunAsync(options.Nodes, 32, size, TimeSpan.FromSeconds(Math.Min(5, options.Duration.TotalSeconds)))
                .ConfigureAwait(false);
            context.Report.Add(name, "acks", rate, "chunks/s");
        }

        foreach (var kind in new[] { BareKind.Grpc, BareKind.Actors })
        {
            foreach (var size in options.ChunkSizes)
                await MeasureBareAsync(context, kind, size).ConfigureAwait(false);
        }
    }

    /// <summary>The closed loop against the bare server; acknowledged chunks a second.</summary>
    public static async Task<double> MeasureBareAsync(BenchmarkContext context, BareKind kind, int size)
    {
        var name = Scenario(kind == BareKind.Grpc ? "gRPC alone" : ActorsOverGrpc, size);
        Console.Error.WriteLine(name);
        var (child, address) = await context.StartBareAsync(kind).ConfigureAwait(false);
        await using (child.ConfigureAwait(false))
            return await ClosedLoopMeasurement.RunAsync(context, name, address, null, child.Id, size).ConfigureAwait(false);
    }
}
