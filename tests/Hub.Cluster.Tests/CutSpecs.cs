using AkkaHub.V1;
using Hub.Load.Chaos;
using Hub.Load.Measuring;
using Hub.Load.Nodes;
using Hub.Load.Processes;
using Hub.Load.Scenarios;
using Hub.SystemTests.Harness;
using Xunit.Abstractions;

namespace Hub.ClusterTests;

/// <summary>A member that the others cannot reach any more, nor it them, while nodes and the store reach all: each in a network namespace of its own.</summary>
public sealed class CutSpecs(ITestOutputHelper output)
{
    private const int Members = 3;
    private const int Nodes = 20;
    private const int Downed = 6;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(120);

    [SlowFact]
    public async Task Whom_a_cut_leaves_alone_stops_serving_and_the_others_go_on_while_it_lasts()
    {
        Prerequisite.RequirePrograms("openssl", "ip");
        Prerequisite.Require(await MemberNetwork.WhyNotAsync() is null, "network namespaces, which need root");
        using var context = new BenchmarkContext(new BenchmarkOptions { KeepData = TestSettings.Keep }, new Report());
        await using var cluster = await LocalCluster.StartAsync(context, Members, apart: true);
        await HistoryAudit.BeginAsync(cluster.Store);
        await using var fleet = new NodeFleet(new FleetOptions
        {
            Hub = cluster.Addresses[0],
            Members = cluster.Addresses,
            AuthorityFile = cluster.AuthorityFile,
            Token = cluster.Tokens.Node,
            Nodes = Nodes,
            Load = NodeLoad.Paced,
            ChunksPerSecond = 2,
            Connections = 0,
        });
        fleet.Start();
        await fleet.WaitForOnlineAsync(Nodes, Patience);
        fleet.StartPacing();
        var maker = new FaultMaker(cluster, fleet);
        await maker.WaitUntilWholeAsync(Patience);

        // Shorter than a member is missed.
        var uids = await UidsAsync(cluster);
        await maker.DoAsync(new Fault(FaultKind.Cut, FaultTarget.Oldest, TimeSpan.FromSeconds(2)));
        await maker.WaitUntilWholeAsync(Patience);
        (await UidsAsync(cluster)).ShouldBe(uids, "a short cut costs nobody");

        // Until it is out. It is the one that holds what there is one of.
        var alone = await maker.ChooseAsync(FaultTarget.Oldest);
        var others = Enumerable.Range(0, Members).Where(m => m != alone).ToArray();
        var process = cluster.Members[alone].Child;
        var began = TimeProvider.System.GetTimestamp();
        foreach (var other in others)
        {
            await cluster.Network!.CutAsync(alone, other);
            await cluster.Network.CutAsync(other, alone);
        }

        // Both sides see it, each its own.
        await Task.WhenAll(
            UntilSeenAsync(cluster, alone, m => cluster.NumberOf(m) != alone && m.UnreachableBy.Count > 0),
            UntilSeenAsync(cluster, others[0], m => cluster.NumberOf(m) == alone && m.UnreachableBy.Count > 0));
        Say("both sides see the cut");
        (await process.WaitForExitAsync(Patience)).ShouldBe(Downed);
        Say("the member that is alone has ended");
        foreach (var other in others)
            await UntilAsync(async () => await cluster.SeenByAsync(other) is { Count: Members - 1 } seen && seen.All(m => m.State == MemberState.Up && m.UnreachableBy.Count == 0));
        await UntilAsync(() => Task.FromResult(fleet.Online == Nodes && fleet.Nodes.All(n => n.WaitsFor < TimeSpan.FromSeconds(2))));
        Say("the others have all nodes, and the cut lasts");
        others.ShouldAllBe(m => !cluster.Members[m].Child.HasExited);

        // It is let in again only when it can be reached.
        cluster.Members[alone].Start();
        await UntilAsync(() => Task.FromResult(File.ReadAllText(cluster.Members[alone].LogFile).Contains("Not in a cluster yet: a cluster lives on the store", StringComparison.Ordinal)));
        foreach (var other in others)
        {
            await cluster.Network!.MendAsync(alone, other);
            await cluster.Network.MendAsync(other, alone);
        }

        await maker.WaitUntilWholeAsync(Patience);
        Say("whole again");
        await fleet.StopPacingAsync();
        await UntilAsync(() => Task.FromResult(fleet.Nodes.All(n => n.Position is var p && p.Acknowledged == p.Produced)));
        (await HistoryAudit.ReadAllAsync(context, "cut", cluster, fleet.Nodes)).ShouldBe((0, 0));
        (await HistoryAudit.CountHolesAsync(cluster.Store)).ShouldBe(0);
        (await HistoryAudit.CountWritersThatCameBackAsync(cluster.Store)).ShouldBe(0);
        fleet.Meters.Violations.ShouldBeEmpty();
        foreach (var member in cluster.Members)
            (await File.ReadAllLinesAsync(member.LogFile)).ShouldNotContain(l => l.Contains(" is offline", StringComparison.Ordinal));

        void Say(string what) => output.WriteLine($"{TimeProvider.System.GetElapsedTime(began).TotalSeconds:F1} s after the cut: {what}");
    }

    /// <summary>Gateways have no vote: more of them, on the other side, serve nobody.</summary>
    [SlowFact]
    public async Task Where_most_partitions_can_be_goes_on_however_many_gateways_are_on_the_other_side()
    {
        const int Full = 2;
        const int Gateways = 3;
        Prerequisite.RequirePrograms("openssl", "ip");
        Prerequisite.Require(await MemberNetwork.WhyNotAsync() is null, "network namespaces, which need root");
        using var context = new BenchmarkContext(new BenchmarkOptions { KeepData = TestSettings.Keep }, new Report());
        await using var cluster = await LocalCluster.StartAsync(context, Full + Gateways, apart: true, gateways: Gateways);
        var full = Enumerable.Range(0, Full).ToArray();
        var gateways = Enumerable.Range(Full, Gateways).ToArray();
        foreach (var member in full)
        {
            await UntilAsync(async () => await cluster.SeenByAsync(member) is { Count: Full + Gateways } seen
                && seen.All(m => m.State == MemberState.Up && m.UnreachableBy.Count == 0) && seen.Sum(m => m.Partitions) == 64);
            foreach (var gateway in gateways)
            {
                await cluster.Network!.CutAsync(member, gateway);
                await cluster.Network.CutAsync(gateway, member);
            }
        }

        foreach (var gateway in gateways)
            (await cluster.Members[gateway].Child.WaitForExitAsync(Patience)).ShouldBe(Downed);
        foreach (var member in full)
            await UntilAsync(async () => await cluster.SeenByAsync(member) is { Count: Full } seen && seen.All(m => m.State == MemberState.Up && m.UnreachableBy.Count == 0));
        full.ShouldAllBe(m => !cluster.Members[m].Child.HasExited);
    }

    private static Task<string> UidsAsync(LocalCluster cluster) => cluster.Store.QueryAsync("SELECT string_agg(uid::text, ',' ORDER BY uid) FROM akkahub_member WHERE NOT fenced");

    private static Task UntilSeenAsync(LocalCluster cluster, int by, Func<ClusterMember, bool> fits) =>
        UntilAsync(async () => await cluster.SeenByAsync(by) is { } seen && seen.Any(fits));

    private static async Task UntilAsync(Func<Task<bool>> holds)
    {
        using var late = new CancellationTokenSource(Patience);
        while (!await holds())
            await Task.Delay(TimeSpan.FromMilliseconds(50), late.Token);
    }
}
