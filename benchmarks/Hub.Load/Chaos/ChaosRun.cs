using Hub.Load.Measuring;
using Hub.Load.Nodes;
using Hub.Load.Processes;
using Hub.Load.Scenarios;
using Hub.Load.Watching;

namespace Hub.Load.Chaos;

/// <summary>
/// Three members under faults that follow from a seed, with nodes that never stop sending and watchers that never stop looking: everything the
/// nodes saw acknowledged must be there at the end, once, and nobody may have been reported down.
/// </summary>
public static class ChaosRun
{
    private const int Members = 3;
    private const int ChunkBytes = 200;
    private const double ChunksPerSecond = 2;
    private const int FollowedNodes = 6;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(180);

    // Each kind twice, where neither a time nor a number is asked for.
    private const int LeastFaults = 12;

    /// <summary>Room for all that a node shows in a day, so that the whole of it can be read back.</summary>
    private static readonly Dictionary<string, string?> RoomForAll = new()
    {
        ["AKKAHUB_HISTORY_MAX_BYTES"] = "67108864",
        ["AKKAHUB_TERMINALS_MAX_PER_NODE"] = "8",
        ["AKKAHUB_HISTORY_MAX_CHUNKS"] = "100000",
    };

    /// <summary>Runs it. The context has failed afterwards if anything was lost, doubled or falsely reported.</summary>
    /// <exception cref="InvalidOperationException">Network namespaces or PostgreSQL are not to be had here.</exception>
    /// <exception cref="TimeoutException">The cluster did not become whole after a fault.</exception>
    public static async Task RunAsync(BenchmarkContext context)
    {
        var options = context.Options;
        var name = $"chaos, {options.Nodes} nodes, seed {options.Seed}";
        Console.Error.WriteLine(name);
        await using var cluster = await LocalCluster.StartAsync(context, Members, apart: true, RoomForAll).ConfigureAwait(false);
        await HistoryAudit.BeginAsync(cluster.Store).ConfigureAwait(false);
        await using var supervisor = new MemberSupervisor(cluster.Members);
        await using var fleet = new NodeFleet(new FleetOptions
        {
            Hub = cluster.Addresses[0],
            Members = cluster.Addresses,
            AuthorityFile = cluster.AuthorityFile,
            Token = cluster.Tokens.Node,
            Nodes = options.Nodes,
            Load = NodeLoad.Paced,
            ChunkBytes = ChunkBytes,
            ChunksPerSecond = ChunksPerSecond,
            Connections = 0,
            ConcurrentDials = 32,
            Seed = options.Seed,
        });
        fleet.Start();
        await fleet.WaitForOnlineAsync(options.Nodes, Patience).ConfigureAwait(false);
        var access = new MemberAccess(cluster.Addresses, cluster.Tokens.Client, cluster.AuthorityFile);
        await using var watchers = await ChaosWatchers.StartAsync(access, fleet.Nodes, FollowedNodes).ConfigureAwait(false);
        fleet.StartPacing();
        await DoFaultsAsync(context, name, cluster, fleet).ConfigureAwait(false);
        await fleet.StopPacingAsync().ConfigureAwait(false);
        await JudgeAsync(context, name, cluster, fleet, watchers).ConfigureAwait(false);
        foreach (var (code, count) in supervisor.Ends.OrderBy(e => e.Key))
            context.Report.Add(name, $"members that ended with {code}", count, "");
        // 0 after SIGTERM, 137 after SIGKILL, 6 when the others took it for dead. Nothing else is a member's way to end.
        context.Require(name, "members that ended otherwise", supervisor.Ends.Where(e => e.Key is not (0 or 6 or 137)).Sum(e => e.Value), "", atMost: 0);
    }

    private static async Task DoFaultsAsync(BenchmarkContext context, string name, LocalCluster cluster, NodeFleet fleet)
    {
        var options = context.Options;
        var maker = new FaultMaker(cluster, fleet);
        var waits = new SortedDictionary<FaultKind, LatencyHistogram>();
        await maker.WaitUntilWholeAsync(Patience).ConfigureAwait(false);
        var began = TimeProvider.System.GetTimestamp();
        var done = 0;
        foreach (var fault in new FaultPlan(options.Seed, options.Brief).Faults())
        {
            if (done >= (options.Faults ?? (options.FaultTime > TimeSpan.Zero ? 0 : LeastFaults)) && TimeProvider.System.GetElapsedTime(began) >= options.FaultTime)
                break;
            foreach (var node in fleet.Nodes)
                node.TakeWaits();
            var at = TimeProvider.System.GetTimestamp();
            var member = await maker.DoAsync(fault).ConfigureAwait(false);
            await maker.WaitUntilWholeAsync(Patience).ConfigureAwait(false);
            done++;
            if (!waits.TryGetValue(fault.Kind, out var histogram))
                waits.Add(fault.Kind, histogram = new LatencyHistogram());
            var longest = fleet.Nodes.Select(n => n.TakeWaits().Longest).Order().ToArray();
            foreach (var wait in longest)
                histogram.Record((long)wait.TotalMicroseconds);
            Console.Error.WriteLine($"  {TimeProvider.System.GetElapsedTime(began).TotalSeconds,6:F1} s: {done}. {fault}{(member < 0 ? "" : $" (member {member})")}: whole after "
                + $"{TimeProvider.System.GetElapsedTime(at).TotalSeconds:F1} s, nodes without acknowledgement for {longest[longest.Length / 2].TotalSeconds:F1} (half) to {longest[^1].TotalSeconds:F1} s");
            if (!options.Brief)
                await Task.Delay(TimeSpan.FromSeconds(3)).ConfigureAwait(false);
        }

        context.Report.Add(name, "faults", done, "");
        foreach (var (kind, histogram) in waits)
        {
            context.Report.Add(name, $"{kind}", histogram.Count / fleet.Nodes.Count, "");
            context.Report.Add(name, $"{kind}: longest wait of a node p50", histogram.PercentileMilliseconds(0.5) / 1000, "s");
            context.Report.Add(name, $"{kind}: longest wait of a node p99", histogram.PercentileMilliseconds(0.99) / 1000, "s");
            context.Report.Add(name, $"{kind}: longest wait of a node max", histogram.MaxMicroseconds / 1e6, "s");
        }
    }

    private static async Task JudgeAsync(BenchmarkContext context, string name, LocalCluster cluster, NodeFleet fleet, ChaosWatchers watchers)
    {
        await WaitUntilAllAcknowledgedAsync(fleet).ConfigureAwait(false);
        var unavailable = new LatencyHistogram();
        foreach (var node in fleet.Nodes)
            unavailable.Record((long)node.TakeWaits().Total.TotalMicroseconds);
        context.Report.Add(name, "unavailability per node p50", unavailable.PercentileMilliseconds(0.5) / 1000, "s");
        context.Report.Add(name, "unavailability per node p99", unavailable.PercentileMilliseconds(0.99) / 1000, "s");
        context.Report.Add(name, "unavailability per node max", unavailable.MaxMicroseconds / 1e6, "s");
        context.Report.Add(name, "acknowledged", fleet.Nodes.Sum(n => n.Position.Acknowledged), "bytes");
        context.Require(name, "acknowledged, the least of a node", fleet.Nodes.Min(n => n.Position.Acknowledged), "bytes", atLeast: 1);
        var (lost, doubled) = await HistoryAudit.ReadAllAsync(context, name, cluster, fleet.Nodes).ConfigureAwait(false);
        var (lostByFollowers, doubledByFollowers) = await watchers.FinishAsync(context, name, Patience).ConfigureAwait(false);
        context.Require(name, "lost", lost, "bytes", atMost: 0);
        context.Require(name, "doubled", doubled, "bytes", atMost: 0);
        context.Require(name, "lost by followers", lostByFollowers, "bytes", atMost: 0);
        context.Require(name, "doubled by followers", doubledByFollowers, "bytes", atMost: 0);
        context.Require(name, "writers that came back in the journal", await HistoryAudit.CountWritersThatCameBackAsync(cluster.Store).ConfigureAwait(false), "", atMost: 0, atLeast: 0);
        context.Require(name, "holes in the journal", await HistoryAudit.CountHolesAsync(cluster.Store).ConfigureAwait(false), "", atMost: 0, atLeast: 0);
        // The last line, after the fence: a row of one that had been succeeded, refused by its number alone.
        context.Require(name, "rows refused for their number", cluster.Members.Sum(m => File.ReadLines(m.LogFile).Count(l => l.Contains("23505", StringComparison.Ordinal))), "", atMost: 0);
        var offline = cluster.Members.SelectMany(m => File.ReadLines(m.LogFile)).Where(l => l.Contains(" is offline", StringComparison.Ordinal)).ToList();
        foreach (var line in offline.Take(5))
            context.Report.Note(name, line);
        context.Require(name, "false downs in members' logs", offline.Count, "", atMost: 0);
        context.Require(name, "false downs seen by watchers", watchers.OfflineSeen, "", atMost: 0);
        context.Require(name, "breaches of the protocol", fleet.Meters.Violations.Count, "", atMost: 0);
        foreach (var violation in fleet.Meters.Violations)
            context.Report.Note(name, "protocol: " + violation);
        context.Report.Note(name, "sessions ended: " + fleet.DescribeEndings());
    }

    private static async Task WaitUntilAllAcknowledgedAsync(NodeFleet fleet)
    {
        using var late = new CancellationTokenSource(Patience);
        while (fleet.Nodes.FirstOrDefault(n => n.Position is var p && p.Acknowledged < p.Produced) is { } behind)
        {
            if (late.IsCancellationRequested)
                throw new TimeoutException($"{behind.Name} produced {behind.Position.Produced} bytes and had {behind.Position.Acknowledged} acknowledged");
            await Task.Delay(TimeSpan.FromMilliseconds(50)).ConfigureAwait(false);
        }
    }
}
