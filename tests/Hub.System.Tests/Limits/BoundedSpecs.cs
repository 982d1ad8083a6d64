using System.Globalization;
using AkkaHub.V1;
using Grpc.Core;
using Hub.Load.Measuring;
using Hub.Load.Nodes;
using Hub.Load.Processes;
using Hub.Load.Watching;
using Hub.Protocol;
using Hub.SystemTests.Harness;
using Xunit.Abstractions;

namespace Hub.SystemTests.Limits;

/// <summary>However much a terminal shows and however slow a watcher is, store and memory stay within their bounds.</summary>
[Collection(Alone.Name)]
public sealed class BoundedSpecs(ITestOutputHelper output)
{
    private const long Mebibyte = 1024 * 1024;
    private const long Ring = Mebibyte;
    private const long StoreBound = 4 * Ring + 64 * Mebibyte;
    private const long Growth = 32 * Mebibyte;

    private const int Watched = 2;
    private const double WatchedBytesPerSecond = 30e6;
    private const int WatchedChunk = 16 * 1024;
    // Small, since snapshots are as large: what the collector lets lie of them must not hide what is looked for.
    private const long WatchedRing = 2 * Mebibyte;
    // A frozen watcher costs a slice of 64 KiB and what its connection takes; the rest is room for the collector's moods.
    private const long WatchedGrowth = 48 * Mebibyte;

    [SkippableFact]
    public async Task A_flood_through_one_terminal_leaves_store_and_memory_small()
    {
        // Several times what store and memory may take, so that neither bound holds for want of bytes.
        var (total, settled) = TestSettings.Long ? (2L * 1024 * Mebibyte, 200 * Mebibyte) : (200 * Mebibyte, 64 * Mebibyte);
        await using var workspace = new Workspace(output);
        var hub = workspace.NewHub();
        await hub.StartAndWaitAsync();
        using var client = new HubClient(hub);
        var agent = workspace.StartAgent(hub, new AgentOptions());
        await client.WaitForNodeAsync(agent.Name, NodeState.Online, TimeSpan.FromSeconds(30));
        await client.OpenAsync(agent.Name, "flood", "/bin/sh", "-c",
            $"stty raw -echo; yes 'a line of sixty-four bytes, newline included, as a build prints' | head -c {total}");

        long mostBefore = 0, mostAfter = 0, mostStore = 0;
        using var poll = new PeriodicTimer(TimeSpan.FromMilliseconds(200));
        using var late = new CancellationTokenSource(TimeSpan.FromMinutes(TestSettings.Long ? 20 : 3));
        while (await poll.WaitForNextTickAsync(late.Token))
        {
            var terminal = await client.FindTerminalAsync(agent.Name, "flood");
            mostStore = Math.Max(mostStore, StoreSnapshot.Bytes(hub));
            var memory = ProcessFigures.Read(hub.ProcessId).RssBytes;
            if (terminal is null || terminal.EndOffset < settled)
            {
                // The most, not the last: between two collections memory goes up and down.
                mostBefore = Math.Max(mostBefore, memory);
                continue;
            }

            mostAfter = Math.Max(mostAfter, memory);
            if (terminal.State != TerminalState.Closed)
                continue;
            terminal.EndOffset.ShouldBe(total);
            terminal.RetainedBytes.ShouldBeLessThanOrEqualTo(Ring);
            break;
        }

        workspace.Say($"{total / Mebibyte} MiB: store at most {mostStore / Mebibyte} MiB, memory at most {mostBefore / Mebibyte} MiB in the first "
            + $"{settled / Mebibyte} MiB, then at most {mostAfter / Mebibyte} MiB");
        mostStore.ShouldBeLessThanOrEqualTo(StoreBound);
        (mostAfter - mostBefore).ShouldBeLessThan(Growth);
    }

    [SkippableFact]
    public async Task A_frozen_watcher_costs_the_hub_a_bounded_amount_and_the_others_nothing()
    {
        // What passes while they are frozen is several times the growth allowed: a queue without bound would hold all of it.
        var (flow, frozenFor) = TestSettings.Long ? (6 * WatchedGrowth, TimeSpan.FromSeconds(60)) : (3 * WatchedGrowth, TimeSpan.Zero);
        await using var workspace = new Workspace(output);
        var hub = workspace.NewHub(new()
        {
            ["AKKAHUB_HISTORY_MAX_BYTES"] = WatchedRing.ToString(CultureInfo.InvariantCulture),
            ["AKKAHUB_HISTORY_MAX_CHUNKS"] = "100000",
        });
        await hub.StartAndWaitAsync();
        await using var fleet = new NodeFleet(new FleetOptions
        {
            Hub = hub.Grpc,
            Token = hub.Token,
            Nodes = Watched,
            Load = NodeLoad.Paced,
            ChunkBytes = WatchedChunk,
        });
        fleet.Start();
        await fleet.WaitForOnlineAsync(Watched, TimeSpan.FromSeconds(30));
        await using var flowing = new WatchedFlow(hub, fleet);

        // Code, pools and rings fill before anything is compared.
        var before = await MostMemoryAsync(hub, () => fleet.Meters.Bytes >= 2 * WatchedGrowth);
        var (bytes, began) = (fleet.Meters.Bytes, TimeProvider.System.GetTimestamp());
        var frozen = new List<AsyncServerStreamingCall<FollowHistoryResponse>>();
        using var frozenChannel = hub.OpenChannel();
        foreach (var node in fleet.Nodes)
        {
            frozen.Add(new HubService.HubServiceClient(frozenChannel).FollowHistory(
                new FollowHistoryRequest { Name = Names.Terminal(node.Name, SimulatedNode.TerminalName) }, hub.Authorization));
            await frozen[^1].ResponseHeadersAsync;
        }

        var after = await MostMemoryAsync(hub, () =>
            fleet.Meters.Bytes - bytes >= flow && TimeProvider.System.GetElapsedTime(began) >= frozenFor);
        var passed = fleet.Meters.Bytes - bytes;
        await flowing.StopAsync();
        var frozenTime = TimeProvider.System.GetElapsedTime(began);
        workspace.Say($"{passed / Mebibyte} MiB past frozen watchers in {frozenTime.TotalSeconds:F1} s, {passed / frozenTime.TotalSeconds / 1e6:F1} MB/s: "
            + $"memory at most {before / Mebibyte} MiB before, {after / Mebibyte} MiB meanwhile");
        (after - before).ShouldBeLessThan(WatchedGrowth);
        fleet.Meters.Violations.ShouldBeEmpty();

        // The others have every byte up to the last one shown, which comes after all that was shown while somebody was frozen.
        foreach (var (watcher, node) in flowing.Watchers.Zip(fleet.Nodes))
        {
            await UntilAsync(() => watcher.Position >= node.Stream!.Produced || watcher.Fault is not null);
            watcher.Fault.ShouldBeNull();
            watcher.Gaps.ShouldBe(0);
            watcher.Position.ShouldBe(node.Stream!.Produced);
            watcher.Bytes.ShouldBe(watcher.Position - watcher.First);
        }

        // The frozen ones wake: what they missed is a gap record, not silence, and they reach the present.
        foreach (var (call, node) in frozen.Zip(fleet.Nodes))
        {
            var record = new TerminalRecord();
            using var late = new CancellationTokenSource(TimeSpan.FromSeconds(60));
            while (record.Incarnations.Count == 0 || record.Last.End < node.Stream!.Acknowledged)
            {
                (await call.ResponseStream.MoveNext(late.Token)).ShouldBeTrue();
                foreach (var part in call.ResponseStream.Current.Records)
                    record.Take(part);
            }

            record.Faults.ShouldBeEmpty();
            record.Last.Pieces.ShouldAllBe(p => node.Stream!.Matches(p.Offset, p.Data));
            record.Last.Gaps.ShouldContain(g => g.Cause == GapCause.Evicted);
            call.Dispose();
        }
    }

    // The most the hub had until it was done.
    private static async Task<long> MostMemoryAsync(HubProcess hub, Func<bool> done)
    {
        long most = 0;
        await UntilAsync(() =>
        {
            most = Math.Max(most, ProcessFigures.Read(hub.ProcessId).RssBytes);
            return done();
        });
        return most;
    }

    private static async Task UntilAsync(Func<bool> condition)
    {
        using var poll = new PeriodicTimer(TimeSpan.FromMilliseconds(100));
        using var late = new CancellationTokenSource(TimeSpan.FromMinutes(3));
        while (!condition())
            await poll.WaitForNextTickAsync(late.Token);
    }

    /// <summary>
    /// A watcher of each node's terminal, and what they see: chunks at the rate that is asked for, or as fast as the machine
    /// gives. No terminal gets further ahead of its watcher than half a ring: on a slow machine the flow waits, and a watcher
    /// that misses something does so by the hub's fault.
    /// </summary>
    private sealed class WatchedFlow : IAsyncDisposable
    {
        private readonly CancellationTokenSource _stop = new();
        private readonly NodeFleet _fleet;
        private readonly Task _pacing;

        public WatchedFlow(HubProcess hub, NodeFleet fleet)
        {
            _fleet = fleet;
            Watchers = [.. fleet.Nodes.Select(n => new HistoryWatcher(hub.Grpc, hub.Token, n, WatchedChunk, fleet.Meters, TimeProvider.System))];
            foreach (var watcher in Watchers)
                watcher.Start();
            _pacing = PaceAsync();
        }

        public IReadOnlyList<HistoryWatcher> Watchers { get; }

        public async Task StopAsync()
        {
            await _stop.CancelAsync();
            await _pacing;
        }

        public async ValueTask DisposeAsync()
        {
            await StopAsync();
            foreach (var watcher in Watchers)
                await watcher.DisposeAsync();
            _stop.Dispose();
        }

        private async Task PaceAsync()
        {
            var time = TimeProvider.System;
            var began = time.GetTimestamp();
            long chunk = 0;
            using var tick = new PeriodicTimer(TimeSpan.FromMilliseconds(1));
            while (!_stop.IsCancellationRequested)
            {
                await tick.WaitForNextTickAsync(CancellationToken.None);
                for (var due = time.GetElapsedTime(began).TotalSeconds * WatchedBytesPerSecond / WatchedChunk; chunk < due; chunk++)
                {
                    var (node, watcher) = (_fleet.Nodes[(int)(chunk % Watched)], Watchers[(int)(chunk % Watched)]);
                    // One that has not begun to watch yet gets a chunk at a time: it begins with the next one, whenever that is.
                    var (from, most) = watcher.Position > 0 ? (watcher.Position, WatchedRing / 2) : (node.Stream!.Acknowledged, WatchedChunk);
                    if (node.Stream!.Produced - from < most)
                        node.Produce(time.GetTimestamp());
                }
            }
        }
    }
}
