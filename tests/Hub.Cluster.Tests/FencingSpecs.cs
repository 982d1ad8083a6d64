using System.Diagnostics;
using AkkaHub.V1;
using Grpc.Core;
using Hub.Load.Processes;
using Hub.SystemTests.Harness;
using Xunit.Abstractions;

namespace Hub.ClusterTests;

/// <summary>A member that others go on without stops at once and writes nothing more; one that is only slow is left alone.</summary>
[Collection(SharedCluster.Collection)]
public sealed class FencingSpecs(ITestOutputHelper output, SharedCluster shared) : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(90);
    private const int Stop = 19;
    private const int Continue = 18;
    private const int Downed = 6;

    private HubClient? _client;

    public void Dispose() => _client?.Dispose();

    [SlowFact]
    public async Task A_member_that_is_fenced_in_the_store_ends_its_streams_and_itself_and_the_others_go_on()
    {
        await using var workspace = new Workspace(output);
        var cluster = await shared.WholeAsync(output);
        var log = new LogSinceNow(cluster);
        var (agent, writer) = await StartWriterAsync(workspace, cluster, "fenced");
        var fenced = cluster.Members[0];
        using var client = new HubClient(fenced);
        using var watched = client.Service.WatchEvents(new WatchEventsRequest { Follow = true }, client.Headers);
        await watched.ResponseHeadersAsync;
        var ended = Should.ThrowAsync<RpcException>(async () =>
        {
            while (await watched.ResponseStream.MoveNext(CancellationToken.None))
            {
            }
        });
        await cluster.QueryAsync($"UPDATE akkahub_member SET fenced = true WHERE address = '127.0.0.1:{fenced.RemotePort}'");
        var began = TimeProvider.System.GetTimestamp();
        var status = (await ended.WaitAsync(Patience)).Status;
        workspace.Say($"its stream ended {TimeProvider.System.GetElapsedTime(began).TotalSeconds:F1} s after it was fenced, of which it may learn after 0.5 s: {status.Detail}");
        status.StatusCode.ShouldBe(StatusCode.Unavailable);
        status.Detail.ShouldContain("no longer part of its cluster");
        (await fenced.Child.WaitForExitAsync(Patience)).ShouldBe(Downed);
        await GoesOnAsync(cluster.Members[1], agent, writer);
        await FinishAsync(cluster, log, cluster.Members.Skip(1), agent, writer);
        await fenced.StartAndWaitAsync(Patience);
    }

    /// <summary>The zombie's own way out: what it is told by the others, with a store that answers nobody.</summary>
    [SlowFact]
    public async Task A_member_that_was_downed_ends_although_the_store_hangs()
    {
        await using var workspace = new Workspace(output);
        var cluster = await shared.WholeAsync(output);
        var log = new LogSinceNow(cluster);
        var zombie = cluster.Members[0];
        zombie.Child.Send(Stop);
        await log.HasAsync(cluster.Members[1], "was downed and is fenced", Patience);
        var server = await ServerProcessesAsync(cluster);
        foreach (var pid in server)
            ChildProcess.Send(pid, Stop);
        try
        {
            zombie.Child.Send(Continue);
            (await zombie.Child.WaitForExitAsync(Patience)).ShouldBe(Downed);
        }
        finally
        {
            foreach (var pid in server)
                ChildProcess.Send(pid, Continue);
        }

        await log.HasAsync(zombie, "Stops serving at once", Patience);
        await zombie.StartAndWaitAsync(Patience);
    }

    /// <summary>A write that is on its way and does not end while its partition is to move.</summary>
    [SlowFact]
    public async Task A_write_that_is_held_up_while_its_partition_moves_lands_before_its_successor_begins_or_never()
    {
        await using var workspace = new Workspace(output);
        var cluster = await shared.WholeAsync(output);
        var log = new LogSinceNow(cluster);
        var (agent, writer) = await StartWriterAsync(workspace, cluster, "held");
        var holder = cluster.Members[await Roles.FindAsync(cluster, log, agent, Role.HoldsThePartition, Patience)];
        workspace.Say($"the partition is on {holder.LogFile}");
        var released = cluster.QueryAsync("BEGIN; LOCK TABLE journal IN SHARE ROW EXCLUSIVE MODE; SELECT pg_sleep(25); COMMIT");
        await QueryUntilAsync(cluster, "SELECT count(*) > 0 FROM pg_locks WHERE relation = 'journal'::regclass AND NOT granted", "t");
        var code = await holder.TerminateAsync(Patience);
        await log.HasAsync(holder, "has to move, and after", Patience);
        code.ShouldBe(Downed);
        released.IsCompleted.ShouldBeFalse("it leaves without waiting for the write");
        await released;
        var other = cluster.Members.First(m => m != holder);
        await GoesOnAsync(other, agent, writer);
        await holder.StartAndWaitAsync(Patience);
        await FinishAsync(cluster, log, cluster.Members, agent, writer);
        await log.HasNoneAsync("23505", "the unique key is the last line, and was not needed");
    }

    [SlowFact]
    public async Task While_the_store_is_away_nobody_is_taken_for_dead_and_all_goes_on_when_it_is_back()
    {
        await using var workspace = new Workspace(output);
        var cluster = await shared.WholeAsync(output);
        var log = new LogSinceNow(cluster);
        var (agent, writer) = await StartWriterAsync(workspace, cluster, "away");
        var uids = await cluster.QueryAsync("SELECT string_agg(uid::text, ',' ORDER BY uid) FROM akkahub_member WHERE NOT fenced");
        await cluster.Server.StopAsync();
        workspace.Say($"the server is away, the writer at {writer.Written}");
        foreach (var member in cluster.Members)
            await TestCluster.NotReadyAsync(member, "store");
        await Task.Delay(TimeSpan.FromSeconds(TestSettings.Long ? 60 : 10));
        await cluster.Server.StartAsync();
        foreach (var member in cluster.Members)
            await member.WaitForReadyAsync(Patience);
        await GoesOnAsync(cluster.Members[1], agent, writer);
        workspace.Say($"goes on, the writer at {writer.Written}");
        (await cluster.QueryAsync("SELECT string_agg(uid::text, ',' ORDER BY uid) FROM akkahub_member WHERE NOT fenced")).ShouldBe(uids);
        await log.HasNoneAsync("has died", "a server that starts again has no sessions");
        await FinishAsync(cluster, log, cluster.Members, agent, writer);
    }

    /// <summary>Twice as many busy processes as processors, at the same priority.</summary>
    [SlowFact]
    public async Task Busy_processors_cost_no_member()
    {
        await using var workspace = new Workspace(output);
        var cluster = await shared.WholeAsync(output);
        var log = new LogSinceNow(cluster);
        var (agent, writer) = await StartWriterAsync(workspace, cluster, "busy");
        var seconds = TestSettings.Long ? 60 : 10;
        var busy = Enumerable.Range(0, Environment.ProcessorCount * 2)
            .Select(_ => Process.Start(new ProcessStartInfo("sh", ["-c", $"exec timeout {seconds} sh -c 'while :; do :; done'"]))!).ToArray();
        try
        {
            foreach (var process in busy)
                await process.WaitForExitAsync();
        }
        finally
        {
            foreach (var process in busy)
            {
                if (!process.HasExited)
                    process.Kill(entireProcessTree: true);
                process.Dispose();
            }
        }

        await GoesOnAsync(cluster.Members[1], agent, writer);
        (await cluster.QueryAsync("SELECT count(*) FROM akkahub_member WHERE NOT fenced")).ShouldBe("3");
        await FinishAsync(cluster, log, cluster.Members, agent, writer);
    }

    private async Task<(string Node, WriterTerminal Writer)> StartWriterAsync(Workspace workspace, TestCluster cluster, string node)
    {
        // The writer asks through it until the test ends; not through one that a test puts an end to.
        var client = _client = new HubClient(cluster.Members[2]);
        var token = await TestCluster.NodeTokenAsync(client);
        var agent = workspace.StartAgent(cluster.Members[0], new AgentOptions { Name = node, Wait = true, Members = cluster.Addresses, Token = token });
        await client.WaitForNodeAsync(agent.Name, NodeState.Online, Patience);
        var writer = await WriterTerminal.OpenAsync(workspace, client, agent.Name, WriterTerminal.Options(workspace, seed: 7) with { MostBytes = 4 * 1024 * 1024 });
        await GoesOnAsync(cluster.Members[0], agent.Name, writer);
        return (agent.Name, writer);
    }

    private static async Task GoesOnAsync(HubProcess member, string node, WriterTerminal writer)
    {
        using var client = new HubClient(member);
        var at = writer.Written;
        using var late = new CancellationTokenSource(Patience);
        while (true)
        {
            try
            {
                if ((await client.FindTerminalAsync(node, writer.Name)) is { } terminal && (terminal.EndOffset > at || terminal.State != TerminalState.Live))
                    return;
            }
            catch (RpcException e) when (e.StatusCode is StatusCode.Aborted or StatusCode.NotFound or StatusCode.DeadlineExceeded)
            {
                // Its partition is on its way.
            }

            await Task.Delay(TimeSpan.FromMilliseconds(100), late.Token);
        }
    }

    private static async Task FinishAsync(TestCluster cluster, LogSinceNow log, IEnumerable<HubProcess> members, string node, WriterTerminal writer)
    {
        writer.Stop();
        var written = await writer.FinishAsync(Patience);
        foreach (var member in members)
        {
            using var client = new HubClient(member);
            await client.WaitForTerminalAsync(node, writer.Name, t => t.State != TerminalState.Live, Patience);
            Whole.Check(await client.ReadAllAsync(node, writer.Name), written);
            member.Child.HasExited.ShouldBeFalse();
        }

        await cluster.JournalIsWholeAsync();
        await log.HasNoneAsync($"Node {node} is offline");
    }

    private static async Task QueryUntilAsync(TestCluster cluster, string sql, string wanted)
    {
        using var late = new CancellationTokenSource(Patience);
        while (await cluster.QueryAsync(sql) != wanted)
            await Task.Delay(TimeSpan.FromMilliseconds(100), late.Token);
    }

    private static async Task<IReadOnlyList<int>> ServerProcessesAsync(TestCluster cluster)
    {
        var directory = await cluster.QueryAsync("SHOW data_directory");
        var postmaster = int.Parse((await File.ReadAllLinesAsync(Path.Combine(directory, "postmaster.pid")))[0], System.Globalization.CultureInfo.InvariantCulture);
        var sessions = await cluster.QueryAsync("SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()");
        return [postmaster, .. sessions.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(p => int.Parse(p, System.Globalization.CultureInfo.InvariantCulture))];
    }
}
