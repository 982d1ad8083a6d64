using System.Globalization;
using AkkaHub.V1;
using Hub.Load.Processes;
using Hub.SystemTests.Harness;
using Xunit.Abstractions;

namespace Hub.SystemTests.CrashProof;

/// <summary>The hub is killed again and again while a terminal shows lines at full speed.</summary>
public sealed class HubKilledSpecs(ITestOutputHelper output)
{
    private static readonly Dictionary<string, string?> RoomForAll = new()
    {
        ["AKKAHUB_HISTORY_MAX_BYTES"] = (64 * 1024 * 1024).ToString(CultureInfo.InvariantCulture),
        ["AKKAHUB_TERMINALS_MAX_PER_NODE"] = "8",
        ["AKKAHUB_HISTORY_MAX_CHUNKS"] = "100000",
    };

    /// <summary>What the writer may write so that a history of 64 MiB holds all of it.</summary>
    private const long MostBytes = 56 * 1024 * 1024;

    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private static int Kills => TestSettings.Long ? 20 : 4;

    /// <summary>Kills at random moments miss what they are to fall upon now and then: so many more until enough did.</summary>
    private static int MostKills => Kills + (TestSettings.Long ? 20 : 8);

    [SkippableFact]
    public async Task No_byte_is_lost_or_doubled_when_the_node_waits()
    {
        var seed = TestSettings.Seed(output);
        var random = new Random(seed);
        await using var workspace = new Workspace(output);
        var hub = workspace.NewHub(RoomForAll);
        await hub.StartAndWaitAsync();
        using var client = new HubClient(hub);
        var agent = workspace.StartAgent(hub, new AgentOptions { Wait = true });
        await client.WaitForNodeAsync(agent.Name, NodeState.Online, Patience);
        var writer = await WriterTerminal.OpenAsync(workspace, client, agent.Name, WriterTerminal.DealtOptions(workspace, seed));
        await using var follower = client.Follow(agent.Name, writer.Name);
        // A history that only grows needs no snapshot. A purge asks for one, of all the node has, so kills find some under way.
        await using var purging = await PurgeLoop.StartAsync(client, agent.Name);

        var kills = new KillCount();
        // Each kill has its share of what the history can hold, so that the last ones come in full-speed bursts like the first.
        var share = MostBytes / MostKills;
        while (!kills.Suffice && kills.All < MostKills)
        {
            var number = kills.All + 1;
            long bursts;
            if (number % 4 == 0 || (number > Kills && kills.DuringRecovery == 0))
            {
                // While the hub has opened its store and recovers what is in it.
                bursts = writer.Allow(share);
                hub.Start();
                await WaitUntilAsync(() => StoreIsOpen(hub) || hub.Child.HasExited);
                await Task.Delay(TimeSpan.FromMilliseconds(random.Next(0, 800)));
            }
            else
            {
                if (hub.Child.HasExited)
                    await hub.StartAndWaitAsync();
                await client.WaitForNodeAsync(agent.Name, NodeState.Online, Patience);
                bursts = writer.Allow(share);
                await writer.WaitForAsync(bursts - share + random.NextInt64(share * 3 / 4), Patience);
            }

            var at = writer.Written;
            await hub.KillAsync();
            var left = await StoreSnapshot.ReadAsync(hub, agent.Name, workspace.PathOf("copy"));
            kills.Add(left, purging.LastPurge, inBursts: at < bursts, StoreIsOpen(hub), IsReady(hub));
            workspace.Say($"kill {number}: writer at {at} of {bursts}, {left}");
        }

        workspace.Say($"{kills.All} kills, {kills.InBursts} in full-speed bursts: {kills.DuringRecovery} between the opening of the store and ready, "
            + $"{kills.DuringSnapshot} while a snapshot was due or being written, {kills.DuringDeletion} between a snapshot and the end of its deletion, "
            + $"{purging.Purges} purges, {kills.WithSnapshot} with a snapshot to recover from, {kills.RowsToReplay} journal rows left to replay in all");
        kills.InBursts.ShouldBeGreaterThanOrEqualTo(Kills);
        kills.DuringRecovery.ShouldBeGreaterThan(0);
        if (TestSettings.Long)
        {
            kills.DuringSnapshot.ShouldBeGreaterThan(0);
            kills.DuringDeletion.ShouldBeGreaterThan(0);
        }

        await hub.StartAndWaitAsync();
        (await client.WaitForTerminalAsync(agent.Name, writer.Name, _ => true, TimeSpan.FromSeconds(30))).State
            .ShouldBe(TerminalState.Live, "the writer lasts through all kills");
        writer.Stop();
        var written = await writer.FinishAsync(TimeSpan.FromSeconds(90));
        await follower.WaitForAsync(r => r.Incarnations.Count > 0 && r.Last.Closed is not null, TimeSpan.FromSeconds(60));

        var read = await client.ReadAllAsync(agent.Name, writer.Name);
        Whole.Check(read, written);
        Whole.Check(follower.Record, written);
        workspace.Say($"the follower came back {follower.Returns} times");
        agent.Child.HasExited.ShouldBeFalse();
    }

    [SkippableFact]
    public async Task Gaps_are_exact_when_the_node_drops()
    {
        var seed = TestSettings.Seed(output);
        var random = new Random(seed);
        await using var workspace = new Workspace(output);
        var hub = workspace.NewHub();
        await hub.StartAndWaitAsync();
        using var client = new HubClient(hub);
        var agent = workspace.StartAgent(hub, new AgentOptions { BufferBytes = 64 * 1024 });
        await client.WaitForNodeAsync(agent.Name, NodeState.Online, TimeSpan.FromSeconds(30));
        var writer = await WriterTerminal.OpenAsync(workspace, client, agent.Name,
            WriterTerminal.Options(workspace, seed) with { PauseMilliseconds = 30 });
        await using var follower = client.Follow(agent.Name, writer.Name);

        for (var i = 0; i < (TestSettings.Long ? 20 : 2); i++)
        {
            await client.WaitForNodeAsync(agent.Name, NodeState.Online, TimeSpan.FromSeconds(60));
            await Task.Delay(TimeSpan.FromMilliseconds(random.Next(200, 2500)));
            var before = writer.Written;
            await hub.KillAsync();
            // Away long enough for the node's small buffer to run over.
            await Task.Delay(TimeSpan.FromMilliseconds(random.Next(500, 1500)));
            workspace.Say($"kill {i + 1}: writer at {before}, and at {writer.Written} when the hub was started again");
            await hub.StartAndWaitAsync();
        }

        await client.WaitForNodeAsync(agent.Name, NodeState.Online, TimeSpan.FromSeconds(60));
        writer.Stop();
        var written = await writer.FinishAsync(TimeSpan.FromSeconds(90));
        await follower.WaitForAsync(r => r.Incarnations.Count > 0 && r.Last.Closed is not null, TimeSpan.FromSeconds(60));

        var followed = Whole.Single(follower.Record);
        followed.Begin.ShouldBe(0);
        followed.End.ShouldBe(written.Length);
        (followed.Bytes + followed.Missing).ShouldBe(written.Length, "output and gaps together are all there was");
        followed.Compare(written).ShouldBeNull();
        followed.Gaps.ShouldContain(g => g.Cause == GapCause.NodeOverflow, "the node's buffer ran over while the hub was away");
        workspace.Say($"the follower came back {follower.Returns} times and saw {followed.Gaps.Count} gaps of {followed.Missing} bytes: "
            + string.Join(", ", followed.Gaps.Select(g => $"{g.FromOffset}+{g.ToOffset - g.FromOffset} {g.Cause}")));

        var kept = Whole.Single(await client.ReadAllAsync(agent.Name, writer.Name));
        kept.Compare(written).ShouldBeNull();
        kept.End.ShouldBe(written.Length);
        kept.Bytes.ShouldBeLessThanOrEqualTo(1024 * 1024, "the history is bounded");
    }

    // What this start of the hub has said so far.
    private static bool StoreIsOpen(HubProcess hub) => hub.Child.Tail.Any(l => l.Contains(" Hub.Host: Store ", StringComparison.Ordinal));

    private static bool IsReady(HubProcess hub) => hub.Child.Tail.Any(l => l.Contains(": Ready after ", StringComparison.Ordinal));

    private static async Task WaitUntilAsync(Func<bool> condition)
    {
        using var late = new CancellationTokenSource(Patience);
        using var again = new PeriodicTimer(TimeSpan.FromMilliseconds(5));
        while (!condition())
            await again.WaitForNextTickAsync(late.Token);
    }

    /// <summary>What the kills fell upon, by what they left in the store.</summary>
    private sealed class KillCount
    {
        public int All { get; private set; }
        public int InBursts { get; private set; }
        public int DuringRecovery { get; private set; }
        public int DuringSnapshot { get; private set; }
        public int DuringDeletion { get; private set; }
        public int WithSnapshot { get; private set; }
        public long RowsToReplay { get; private set; }

        /// <summary>Enough of them, and of each kind the length of this run promises.</summary>
        public bool Suffice => InBursts >= Kills && DuringRecovery > 0 && (!TestSettings.Long || (DuringSnapshot > 0 && DuringDeletion > 0));

        public void Add(StoreSnapshot left, DateTimeOffset lastPurge, bool inBursts, bool storeOpened, bool ready)
        {
            All++;
            InBursts += inBursts ? 1 : 0;
            RowsToReplay += left.RowsAbove;
            WithSnapshot += left.Snapshots > 0 ? 1 : 0;
            if (!ready)
            {
                // What is found now is what the kill before left: this one came while it was read.
                DuringRecovery += storeOpened ? 1 : 0;
                return;
            }

            // A purge is answered before its snapshot is taken: an older newest one means that this one never got into the store.
            DuringSnapshot += left.NewestTaken + TimeSpan.FromMilliseconds(20) < lastPurge ? 1 : 0;
            DuringDeletion += left.DeletionUnderWay ? 1 : 0;
        }
    }
}
