using AkkaHub.V1;
using Hub.Load.Chaos;
using Hub.Load.Measuring;
using Hub.Load.Nodes;
using Hub.Load.Processes;

namespace Hub.Load.Scenarios;

/// <summary>
/// How long nodes are without service when a member dies or leaves. A node is without service from the moment it has something to send until
/// more of what it showed is acknowledged: by then its terminal can be read and typed into through any member. It is counted for
/// every node at every fault, also for those the fault did not touch. The member is started again when all nodes are served: it
/// shares this machine's processors with those that go on, which it would not elsewhere; what its coming costs is counted apart.
/// </summary>
internal static class ClusterFigures
{
    private const int Members = 3;
    private const double ChunksPerSecond = 2;
    private const int Kills = 30;
    private const int Drains = 6;
    private const int Kill = 9;
    private const int Terminate = 15;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(180);

    /// <summary>Members are killed at random, one after the other.</summary>
    public static Task RunFailoverAsync(BenchmarkContext context) => RunAsync(context, "SIGKILL of a member", context.Options.Faults ?? Kills, 20,
        (cluster, member, _) =>
        {
            cluster.Members[member].Child.Send(Kill);
            return Task.CompletedTask;
        });

    /// <summary>Members leave in order, one after the other: by <c>hub cluster drain</c> through another one and by SIGTERM in turn.</summary>
    public static Task RunDrainAsync(BenchmarkContext context) => RunAsync(context, "drain of a member", context.Options.Faults ?? Drains, 1,
        async (cluster, member, turn) =>
        {
            if (turn % 2 == 1)
            {
                cluster.Members[member].Child.Send(Terminate);
                return;
            }

            var other = (member + 1) % Members;
            await cluster.Client(other).ChangeMemberAsync(new ChangeMemberRequest { Member = cluster.Members[member].Grpc.Authority, Change = MemberChange.Drain },
                cluster.Members[other].Authorization, TimeProvider.System.GetUtcNow().UtcDateTime.AddSeconds(30)).ConfigureAwait(false);
        });

    private static async Task RunAsync(BenchmarkContext context, string what, int count, double mostSeconds, Func<LocalCluster, int, int, Task> end)
    {
        var options = context.Options;
        var report = context.Report;
        var name = $"{what}, {options.Nodes} nodes × {ChunksPerSecond}/s";
        Console.Error.WriteLine(name);
        await using var cluster = await LocalCluster.StartAsync(context, Members).ConfigureAwait(false);
        await using var supervisor = new MemberSupervisor(cluster.Members);
        await using var fleet = new NodeFleet(new FleetOptions
        {
            Hub = cluster.Addresses[0],
            Members = cluster.Addresses,
            Token = cluster.Tokens.Node,
            Nodes = options.Nodes,
            Load = NodeLoad.Paced,
            ChunksPerSecond = ChunksPerSecond,
            Connections = 0,
            ConcurrentDials = 32,
            Seed = options.Seed,
        });
        fleet.Start();
        await fleet.WaitForOnlineAsync(options.Nodes, Patience).ConfigureAwait(false);
        fleet.StartPacing();
        var maker = new FaultMaker(cluster, fleet);
        var random = new Random(options.Seed);
        var waits = new LatencyHistogram();
        var back = new LatencyHistogram();
        var worst = new List<double>();
        for (var turn = 0; turn < count; turn++)
        {
            await maker.WaitUntilWholeAsync(Patience).ConfigureAwait(false);
            await maker.WaitUntilEvenAsync(Patience).ConfigureAwait(false);
            await Task.Delay(TimeSpan.FromSeconds(1 + random.NextDouble())).ConfigureAwait(false);
            TakeWaits(fleet, null);
            var member = random.Next(Members);
            var process = cluster.Members[member].Child;
            var served = new TaskCompletionSource();
            supervisor.MayStart = served.Task;
            await end(cluster, member, turn).ConfigureAwait(false);
            await process.WaitForExitAsync(Patience).ConfigureAwait(false);
            await maker.WaitUntilServedAsync(Patience).ConfigureAwait(false);
            worst.Add(TakeWaits(fleet, waits));
            served.SetResult();
            await maker.WaitUntilWholeAsync(Patience).ConfigureAwait(false);
            await maker.WaitUntilEvenAsync(Patience).ConfigureAwait(false);
            var longest = TakeWaits(fleet, back);
            Console.Error.WriteLine($"  {turn + 1}. member {member} ended with {process.ExitCode}; nodes were without service for up to {worst[^1]:F2} s, and {longest:F2} s as it came back");
        }

        report.Add(name, "members ended", count, "");
        report.Add(name, "without service p50", waits.PercentileMilliseconds(0.5) / 1000, "s");
        report.Add(name, "without service p99", waits.PercentileMilliseconds(0.99) / 1000, "s", atMost: mostSeconds);
        report.Add(name, "without service max", waits.MaxMicroseconds / 1e6, "s");
        report.Add(name, "the slowest node of each, median", worst.Order().ElementAt(worst.Count / 2), "s");
        report.Add(name, "as the member came back p50", back.PercentileMilliseconds(0.5) / 1000, "s");
        report.Add(name, "as the member came back p99", back.PercentileMilliseconds(0.99) / 1000, "s");
        report.Add(name, "nodes reported offline", cluster.Members.SelectMany(m => File.ReadLines(m.LogFile)).Count(l => l.Contains(" is offline", StringComparison.Ordinal)), "", atMost: 0);
        report.Add(name, "members taken for dead without being it", supervisor.Ends.Where(e => e.Key is not (0 or 137)).Sum(e => e.Value), "", atMost: 0);
        foreach (var violation in fleet.Meters.Violations)
            report.Note(name, "protocol: " + violation);
    }

    // What each node waited for at most since the last time, and the longest of that in seconds.
    private static double TakeWaits(NodeFleet fleet, LatencyHistogram? waits)
    {
        var most = TimeSpan.Zero;
        foreach (var node in fleet.Nodes)
        {
            var longest = node.TakeWaits().Longest;
            waits?.Record((long)longest.TotalMicroseconds);
            most = longest > most ? longest : most;
        }

        return most.TotalSeconds;
    }
}
