using AkkaHub.V1;
using Hub.Protocol;
using Hub.SystemTests.Harness;
using Xunit.Abstractions;

namespace Hub.SystemTests.CrashProof;

/// <summary>The connection is cut, commits are slow, the store stands still, the agent is killed.</summary>
public sealed class TroubleSpecs(ITestOutputHelper output)
{
    private static Dictionary<string, string?> RoomForAll => new()
    {
        ["AKKAHUB_HISTORY_MAX_BYTES"] = "67108864",
        ["AKKAHUB_TERMINALS_MAX_PER_NODE"] = "8",
        ["AKKAHUB_HISTORY_MAX_CHUNKS"] = "100000",
    };

    [SkippableFact]
    public async Task No_byte_is_lost_or_doubled_when_connections_are_cut()
    {
        var seed = TestSettings.Seed(output);
        var random = new Random(seed);
        await using var workspace = new Workspace(output);
        var hub = workspace.NewHub(RoomForAll);
        await hub.StartAndWaitAsync();
        await using var cutter = new ConnectionCutter(hub.GrpcPort);
        using var client = new HubClient(hub);
        var agent = workspace.StartAgent(hub, new AgentOptions { Wait = true, Address = cutter.Address });
        var node = await client.WaitForNodeAsync(agent.Name, NodeState.Online, TimeSpan.FromSeconds(30));
        var writer = await WriterTerminal.OpenAsync(workspace, client, agent.Name,
            WriterTerminal.Options(workspace, seed) with { MostBytes = 48 * 1024 * 1024 });
        await using var follower = client.Follow(agent.Name, writer.Name, cutter.Address);

        for (var i = 0; i < (TestSettings.Long ? 12 : 3); i++)
        {
            await Task.Delay(TimeSpan.FromMilliseconds(random.Next(100, 1000)));
            var epoch = node.SessionEpoch;
            cutter.Cut();
            node = await WaitForNewSessionAsync(client, agent.Name, epoch);
        }

        workspace.Say($"{cutter.CutConnections} connections cut, {cutter.BytesForwarded} bytes forwarded, session epoch {node.SessionEpoch}");
        writer.Stop();
        var written = await writer.FinishAsync(TimeSpan.FromSeconds(90));
        await follower.WaitForAsync(r => r.Incarnations.Count > 0 && r.Last.Closed is not null, TimeSpan.FromSeconds(60));
        Whole.Check(await client.ReadAllAsync(agent.Name, writer.Name), written);
        Whole.Check(follower.Record, written);
        follower.Returns.ShouldBeGreaterThan(0);
    }

    [SkippableFact]
    public async Task No_byte_is_lost_or_doubled_when_each_commit_takes_half_a_second()
    {
        var seed = TestSettings.Seed(output);
        var random = new Random(seed);
        await using var workspace = new Workspace(output);
        var settings = RoomForAll;
        settings["AKKAHUB_DIAGNOSTICS"] = "on";
        settings["AKKAHUB_DIAGNOSTICS_COMMIT_DELAY"] = "500ms";
        var hub = workspace.NewHub(settings);
        await hub.StartAndWaitAsync(TimeSpan.FromSeconds(120));
        using var client = new HubClient(hub);
        // A small buffer: what is in it at the end is written half a second at a time.
        var agent = workspace.StartAgent(hub, new AgentOptions { Wait = true, BufferBytes = 1024 * 1024 });
        await client.WaitForNodeAsync(agent.Name, NodeState.Online, TimeSpan.FromSeconds(60));
        var writer = await WriterTerminal.OpenAsync(workspace, client, agent.Name,
            WriterTerminal.Options(workspace, seed) with { MostBytes = 48 * 1024 * 1024 });
        await using var follower = client.Follow(agent.Name, writer.Name);
        await ExpectSlowCommitAsync(workspace, client, agent.Name);
        for (var i = 0; i < (TestSettings.Long ? 5 : 1); i++)
        {
            await Task.Delay(TimeSpan.FromMilliseconds(random.Next(500, 2500)));
            await hub.KillAsync();
            await hub.StartAndWaitAsync(TimeSpan.FromSeconds(120));
            await client.WaitForNodeAsync(agent.Name, NodeState.Online, TimeSpan.FromSeconds(60));
        }

        writer.Stop();
        var written = await writer.FinishAsync(TimeSpan.FromSeconds(120));
        await follower.WaitForAsync(r => r.Incarnations.Count > 0 && r.Last.Closed is not null, TimeSpan.FromSeconds(60));
        Whole.Check(await client.ReadAllAsync(agent.Name, writer.Name), written);
        Whole.Check(follower.Record, written);
    }

    [SkippableFact]
    public async Task A_store_that_stands_still_holds_output_back_and_nothing_else()
    {
        var seed = TestSettings.Seed(output);
        await using var workspace = new Workspace(output);
        var stall = workspace.PathOf("stall");
        var settings = RoomForAll;
        settings["AKKAHUB_DIAGNOSTICS"] = "on";
        settings["AKKAHUB_DIAGNOSTICS_STALL_FILE"] = stall;
        settings["AKKAHUB_LIVENESS_HEARTBEAT_INTERVAL"] = "500ms";
        var hub = workspace.NewHub(settings);
        await hub.StartAndWaitAsync();
        using var client = new HubClient(hub);
        var agent = workspace.StartAgent(hub, new AgentOptions { Wait = true });
        var before = await client.WaitForNodeAsync(agent.Name, NodeState.Online, TimeSpan.FromSeconds(30));
        var writer = await WriterTerminal.OpenAsync(workspace, client, agent.Name,
            WriterTerminal.Options(workspace, seed) with { MostBytes = 48 * 1024 * 1024 });
        await using var follower = client.Follow(agent.Name, writer.Name);
        await follower.WaitForAsync(r => r.Incarnations.Count > 0 && r.Last.Bytes > 100_000, TimeSpan.FromSeconds(30));

        await File.WriteAllTextAsync(stall, "");
        // Longer than the node may miss beats before it is stale (three) and before its stream is ended (six). A commit that was
        // past the point where it stalls has ended by the middle.
        var half = TimeSpan.FromSeconds(TestSettings.Long ? 7.5 : 2);
        await Task.Delay(half);
        var durable = (await client.FindTerminalAsync(agent.Name, writer.Name))!.EndOffset;
        await Task.Delay(half);
        (await client.FindTerminalAsync(agent.Name, writer.Name))!.EndOffset.ShouldBe(durable, "nothing becomes durable while the store stands still");
        var during = await client.WaitForNodeAsync(agent.Name, NodeState.Online, TimeSpan.FromSeconds(5));
        during.SessionEpoch.ShouldBe(before.SessionEpoch, "heartbeats need no store");
        var held = writer.Written;
        held.ShouldBeGreaterThan(durable, "something was held back");
        workspace.Say($"stalled at {durable}, the writer at {held}");
        File.Delete(stall);

        await follower.WaitForAsync(r => r.Last.End > held, TimeSpan.FromSeconds(60));
        writer.Stop();
        var written = await writer.FinishAsync(TimeSpan.FromSeconds(60));
        await follower.WaitForAsync(r => r.Last.Closed is not null, TimeSpan.FromSeconds(60));
        Whole.Check(await client.ReadAllAsync(agent.Name, writer.Name), written);
        Whole.Check(follower.Record, written);
        (await client.WaitForNodeAsync(agent.Name, NodeState.Online, TimeSpan.FromSeconds(5))).SessionEpoch.ShouldBe(before.SessionEpoch);
    }

    [SkippableFact]
    public async Task A_killed_agent_comes_back_with_new_incarnations_and_its_loss_is_told()
    {
        var seed = TestSettings.Seed(output);
        await using var workspace = new Workspace(output);
        var hub = workspace.NewHub(RoomForAll);
        await hub.StartAndWaitAsync();
        using var client = new HubClient(hub);
        var agent = workspace.StartAgent(hub, new AgentOptions { Wait = true });
        await client.WaitForNodeAsync(agent.Name, NodeState.Online, TimeSpan.FromSeconds(30));
        var firstOptions = WriterTerminal.Options(workspace, seed, "first");
        var first = await WriterTerminal.OpenAsync(workspace, client, agent.Name, firstOptions);
        await using var follower = client.Follow(agent.Name, first.Name);
        await follower.WaitForAsync(r => r.Incarnations.Count > 0 && r.Last.Bytes > 200_000, TimeSpan.FromSeconds(30));

        await agent.KillAsync();
        await agent.DisposeAsync();
        agent = workspace.StartAgent(hub, new AgentOptions { Wait = true });
        await follower.WaitForAsync(r => r.Incarnations[0].Closed is not null, TimeSpan.FromSeconds(60));
        // The same seed and so the same lines: bytes of the second life that look like the first one's must not be taken for them.
        var second = await WriterTerminal.OpenAsync(workspace, client, agent.Name, WriterTerminal.Options(workspace, seed, "second"), first.Name);
        await follower.WaitForAsync(r => r.Incarnations.Count > 1 && r.Last.Bytes > 200_000, TimeSpan.FromSeconds(30));
        second.Stop();
        var written = await second.FinishAsync(TimeSpan.FromSeconds(60));
        await follower.WaitForAsync(r => r.Last.Closed is not null, TimeSpan.FromSeconds(60));

        var records = new[] { await client.ReadAllAsync(agent.Name, first.Name), follower.Record };
        var firstWritten = await File.ReadAllBytesAsync(firstOptions.Record);
        foreach (var record in records)
        {
            record.Faults.ShouldBeEmpty();
            record.Incarnations.Count.ShouldBe(2);
            var (old, now) = (record.Incarnations[0], record.Incarnations[1]);
            now.Id.ShouldNotBe(old.Id, "a restart mark names the new incarnation");
            now.Id.Length.ShouldBe(32);
            old.Compare(firstWritten).ShouldBeNull();
            old.Bytes.ShouldBeGreaterThan(0);
            (old.Closed?.Exit).ShouldBeNull("nobody saw how it ended");
            (old.Closed?.Cause).ShouldNotBeNullOrEmpty();
            var loss = old.Gaps.ShouldHaveSingleItem();
            loss.Unknown.ShouldBeTrue();
            loss.Cause.ShouldBe(GapCause.AgentLost);
            loss.FromOffset.ShouldBe(old.Bytes, "what was delivered stands whole before the loss");
            now.Gaps.ShouldBeEmpty();
            now.Begin.ShouldBe(0);
            now.Bytes.ShouldBe(written.Length);
            now.Compare(written).ShouldBeNull();
        }
    }

    // A purge is answered once it is durable: not before a commit, and no commit takes less than the delay.
    private static async Task ExpectSlowCommitAsync(Workspace workspace, HubClient client, string node)
    {
        await client.OpenAsync(node, "side", "/bin/sh", "-c", "echo something");
        await client.WaitForTerminalAsync(node, "side", t => t.EndOffset > 0, TimeSpan.FromSeconds(60));
        var began = TimeProvider.System.GetTimestamp();
        await client.CallAsync((s, h) => s.PurgeTerminalAsync(new PurgeTerminalRequest { Name = Names.Terminal(node, "side") }, h));
        var took = TimeProvider.System.GetElapsedTime(began);
        workspace.Say($"a purge was durable after {took.TotalMilliseconds:F0} ms");
        took.ShouldBeGreaterThanOrEqualTo(TimeSpan.FromMilliseconds(500), "commits are not slower than without the delay");
    }

    private static async Task<Node> WaitForNewSessionAsync(HubClient client, string node, long epoch)
    {
        using var again = new PeriodicTimer(TimeSpan.FromMilliseconds(50));
        using var late = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        while (await again.WaitForNextTickAsync(late.Token))
        {
            var seen = await client.WaitForNodeAsync(node, NodeState.Online, TimeSpan.FromSeconds(60));
            if (seen.SessionEpoch > epoch)
                return seen;
        }

        throw new InvalidOperationException("the timer ended");
    }
}
