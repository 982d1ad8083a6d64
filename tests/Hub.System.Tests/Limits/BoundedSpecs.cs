using AkkaHub.V1;
using Hub.Load.Measuring;
using Hub.Load.Nodes;
using Hub.Load.Watching;
using Hub.Protocol;
using Hub.SystemTests.Harness;
using Xunit.Abstractions;

namespace Hub.SystemTests.Limits;

/// <summary>However much a terminal shows and however slow a watcher is, store and memory stay within their bounds.</summary>
public sealed class BoundedSpecs(ITestOutputHelper output)
{
    private const long Mebibyte = 1024 * 1024;
    private const long Ring = Mebibyte;
    private const long StoreBound = 4 * Ring + 64 * Mebibyte;

    [SkippableFact]
    public async Task A_flood_through_one_terminal_leaves_store_and_memory_small()
    {
        // Short: measured from the 20th megabyte on, when code and pools are still warming up, so twice as much is allowed.
        var (total, settled, growth) = TestSettings.Long
            ? (2L * 1024 * Mebibyte, 200 * Mebibyte, 32 * Mebibyte)
            : (60 * Mebibyte, 20 * Mebibyte, 64 * Mebibyte);
        await using var workspace = new Workspace(output);
        var hub = workspace.NewHub();
        await hub.StartAndWaitAsync();
        using var client = new HubClient(hub);
        var agent = workspace.StartAgent(hub, new AgentOptions());
        await client.WaitForNodeAsync(agent.Name, NodeState.Online, TimeSpan.FromSeconds(30));
        await client.OpenAsync(agent.Name, "flood", "/bin/sh", "-c",
            $"stty raw -echo; yes 'a line of sixty-four bytes, newline included, as a build prints' | head -c {total}");

        long atSettled = 0, mostAfter = 0, mostStore = 0;
        using var poll = new PeriodicTimer(TimeSpan.FromMilliseconds(200));
        using var late = new CancellationTokenSource(TimeSpan.FromMinutes(TestSettings.Long ? 20 : 2));
        while (await poll.WaitForNextTickAsync(late.Token))
        {
            var terminal = await client.FindTerminalAsync(agent.Name, "flood");
            mostStore = Math.Max(mostStore, StoreSnapshot.Bytes(hub));
            var memory = ProcessFigures.Read(hub.ProcessId).RssBytes;
            if (terminal is null || terminal.EndOffset < settled)
                continue;
            if (atSettled == 0)
                atSettled = memory;
            mostAfter = Math.Max(mostAfter, memory);
            if (terminal.State != TerminalState.Closed)
                continue;
            terminal.EndOffset.ShouldBe(total);
            terminal.RetainedBytes.ShouldBeLessThanOrEqualTo(Ring);
            break;
        }

        workspace.Say($"{total / Mebibyte} MiB: store at most {mostStore / Mebibyte} MiB, memory {atSettled / Mebibyte} MiB after the first "
            + $"{settled / Mebibyte} MiB, then at most {mostAfter / Mebibyte} MiB");
        mostStore.ShouldBeLessThanOrEqualTo(StoreBound);
        (mostAfter - atSettled).ShouldBeLessThan(growth);
    }

    [SkippableFact]
    public async Task A_frozen_watcher_costs_the_hub_a_bounded_amount_and_the_others_nothing()
    {
        var frozenFor = TimeSpan.FromSeconds(TestSettings.Long ? 60 : 5);
        await using var workspace = new Workspace(output);
        var hub = workspace.NewHub();
        await hub.StartAndWaitAsync();
        using var client = new HubClient(hub);
        const int chunkBytes = 16 * 1024;
        await using var fleet = new NodeFleet(new FleetOptions
        {
            Hub = hub.Grpc,
            Token = hub.Token,
            Nodes = 1,
            Load = NodeLoad.ClosedLoop,
            ChunkBytes = chunkBytes,
        });
        fleet.Start();
        await fleet.WaitForOnlineAsync(1, TimeSpan.FromSeconds(30));
        await using var watcher = new HistoryWatcher(hub.Grpc, hub.Token, fleet.Nodes[0], chunkBytes, fleet.Meters, TimeProvider.System);
        watcher.Start();
        // Code and pools warm up before anything is compared.
        await Task.Delay(TimeSpan.FromSeconds(TestSettings.Long ? 10 : 3));
        var before = ProcessFigures.Read(hub.ProcessId).RssBytes;
        var (bytes, seen) = (fleet.Meters.Bytes, watcher.Bytes);

        using var frozenChannel = hub.OpenChannel();
        using var frozen = new HubService.HubServiceClient(frozenChannel).FollowHistory(
            new FollowHistoryRequest { Name = Names.Terminal(fleet.Nodes[0].Name, SimulatedNode.TerminalName) }, hub.Authorization);
        await frozen.ResponseHeadersAsync;
        await Task.Delay(frozenFor);
        var after = ProcessFigures.Read(hub.ProcessId).RssBytes;
        var rate = (fleet.Meters.Bytes - bytes) / frozenFor.TotalSeconds;
        workspace.Say($"{rate / 1e6:F1} MB/s for {frozenFor}: memory {before / Mebibyte} MiB, then {after / Mebibyte} MiB; the other watcher got "
            + $"{(watcher.Bytes - seen) / frozenFor.TotalSeconds / 1e6:F1} MB/s with {watcher.Gaps} gaps");
        (after - before).ShouldBeLessThan((TestSettings.Long ? 32 : 64) * Mebibyte);
        watcher.Fault.ShouldBeNull();
        watcher.Bytes.ShouldBeGreaterThan(seen);
        fleet.Meters.Violations.ShouldBeEmpty();

        // The frozen one wakes: what it missed is a gap record, not silence, and it reaches the present.
        var record = new TerminalRecord();
        var goal = fleet.Nodes[0].Stream!.Acknowledged;
        using var late = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        while (record.Incarnations.Count == 0 || record.Last.End < goal)
        {
            (await frozen.ResponseStream.MoveNext(late.Token)).ShouldBeTrue();
            foreach (var part in frozen.ResponseStream.Current.Records)
                record.Take(part);
        }

        record.Faults.ShouldBeEmpty();
        record.Last.Pieces.ShouldAllBe(p => Pattern.Matches(p.Offset, p.Data));
        record.Last.Gaps.ShouldContain(g => g.Cause == GapCause.Evicted);
    }
}
