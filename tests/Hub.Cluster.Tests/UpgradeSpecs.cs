using AkkaHub.V1;
using Hub.Load.Processes;
using Hub.Protocol;
using Hub.SystemTests.Harness;
using Xunit.Abstractions;

namespace Hub.ClusterTests;

/// <summary>Members of an earlier build beside members of this one.</summary>
public sealed class UpgradeSpecs(ITestOutputHelper output)
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(120);

    [SlowFact]
    public async Task Members_of_the_build_before_are_replaced_one_by_one_under_load_and_all_that_are_there_serve_all_the_while()
    {
        var previous = Prerequisite.PreviousBuild();
        var seed = TestSettings.Seed(output);
        await using var workspace = new Workspace(output);
        await using var started = await TestCluster.StartAsync(workspace, 3, SharedCluster.RoomForAll, previous);
        var cluster = await started.OldestFirstAsync();
        var log = new LogSinceNow(cluster);
        using var client = new HubClient(cluster.Members[0]);
        var token = await TestCluster.NodeTokenAsync(client);
        var agent = workspace.StartAgent(cluster.Members[0], new AgentOptions { Name = "upgraded", Wait = true, Members = cluster.Addresses, Token = token });
        await client.WaitForNodeAsync(agent.Name, NodeState.Online, Patience);
        var writer = await WriterTerminal.OpenAsync(workspace, client, agent.Name, WriterTerminal.Options(workspace, seed) with { MostBytes = 16 * 1024 * 1024 });
        await client.OpenAsync(agent.Name, "cat", "/bin/cat");
        await MembersSpecs.GoesOnAsync(client, agent.Name, writer);

        var typed = 0;
        foreach (var (turn, member) in cluster.Members.Index())
        {
            // The last of the earlier build dies.
            if (turn == 2)
                await member.KillAsync();
            else
                (await member.TerminateAsync(Patience)).ShouldBe(0);
            using var survivor = new HubClient(cluster.Members[(turn + 1) % 3]);
            var began = TimeProvider.System.GetTimestamp();
            await MembersSpecs.GoesOnAsync(survivor, agent.Name, writer);
            workspace.Say($"member {turn + 1} of the earlier build ended, the writer at {writer.Written}; goes on after {TimeProvider.System.GetElapsedTime(began).TotalSeconds:F1} s");
            member.HubAssembly = RepositoryPaths.Program("Hub.Host");
            await member.StartAndWaitAsync(Patience);
            // Both builds serve, by partitions that are the other's.
            foreach (var any in cluster.Members)
            {
                using var through = new HubClient(any);
                await through.WaitForNodeAsync(agent.Name, NodeState.Online, Patience);
                await MembersSpecs.GoesOnAsync(through, agent.Name, writer);
                await through.CallAsync((s, h) => s.SendInputAsync(
                    new SendInputRequest { Name = Names.Terminal(agent.Name, "cat"), Data = Google.Protobuf.ByteString.CopyFromUtf8($"typed-{++typed}\n") }, h));
                await MembersSpecs.ShowsAsync(through, agent.Name, "cat", $"typed-{typed}");
            }

            // Who replaces one by one sees how far it is.
            using var newest = new HubClient(member);
            (await VersionsAsync(newest, cluster.Members.Count)).Distinct().Count().ShouldBe(turn == 2 ? 1 : 2);
        }

        await MembersSpecs.FinishAsync(cluster, log, workspace, agent.Name, writer);
    }

    /// <summary>
    /// As after an upgrade from a build of another wire version: members that write the old forms only are replaced by ones that write the new, and the
    /// gate opens with the last of them; then nobody may go back.
    /// </summary>
    [SlowFact]
    public async Task New_forms_are_written_once_the_last_member_reads_them_and_from_then_on_older_builds_are_refused()
    {
        const int Refused = 4;
        var seed = TestSettings.Seed(output);
        await using var workspace = new Workspace(output);
        var settings = new Dictionary<string, string?>(SharedCluster.RoomForAll) { [WireVersion] = "1" };
        await using var cluster = await TestCluster.StartAsync(workspace, 3, settings);
        var log = new LogSinceNow(cluster);
        using var client = new HubClient(cluster.Members[0]);
        var token = await TestCluster.NodeTokenAsync(client);
        var agent = workspace.StartAgent(cluster.Members[0], new AgentOptions { Name = "gate", Wait = true, Members = cluster.Addresses, Token = token });
        await client.WaitForNodeAsync(agent.Name, NodeState.Online, Patience);
        var writer = await WriterTerminal.OpenAsync(workspace, client, agent.Name, WriterTerminal.Options(workspace, seed) with { MostBytes = 8 * 1024 * 1024 });
        await MembersSpecs.GoesOnAsync(client, agent.Name, writer);
        (await LowestAsync(client)).ShouldBe(1);

        foreach (var (turn, member) in cluster.Members.Index())
        {
            (await member.TerminateAsync(Patience)).ShouldBe(0);
            member.Start(new Dictionary<string, string?> { [WireVersion] = null });
            await member.WaitForReadyAsync(Patience);
            using var through = new HubClient(member);
            await through.WaitForNodeAsync(agent.Name, NodeState.Online, Patience);
            await MembersSpecs.GoesOnAsync(through, agent.Name, writer);
            if (turn == 2)
                break;
            (await LowestAsync(through)).ShouldBe(1);
            (await cluster.QueryAsync("SELECT count(*) FROM akkahub_meta WHERE key = 'wire'")).ShouldBe("0", "nothing new may be in the store yet");
        }

        var newest = 0;
        foreach (var member in cluster.Members)
        {
            using var through = new HubClient(member);
            using var late = new CancellationTokenSource(Patience);
            while ((newest = await LowestAsync(through)) == 1)
                await Task.Delay(TimeSpan.FromMilliseconds(100), late.Token);
        }

        (await cluster.QueryAsync("SELECT value FROM akkahub_meta WHERE key = 'wire'")).ShouldBe($"{newest}");
        await MembersSpecs.FinishAsync(cluster, log, workspace, agent.Name, writer);
        var back = cluster.Members[2];
        (await back.TerminateAsync(Patience)).ShouldBe(0);
        back.Start();
        (await back.Child.WaitForExitAsync(Patience)).ShouldBe(Refused, string.Join('\n', back.Child.Tail));
        back.Child.Tail.ShouldContain(l => l.Contains("akkahub.cluster.wire-version", StringComparison.Ordinal));
    }

    private const string WireVersion = "AKKAHUB_CLUSTER_WIRE_VERSION";

    private static async Task<int> LowestAsync(HubClient client) =>
        (await client.CallAsync((s, h) => s.ListMembersAsync(new ListMembersRequest(), h))).LowestWireVersion;

    // Members tell each other every few seconds.
    private static async Task<IReadOnlyList<string>> VersionsAsync(HubClient client, int members)
    {
        using var late = new CancellationTokenSource(Patience);
        while (true)
        {
            var seen = (await client.CallAsync((s, h) => s.ListMembersAsync(new ListMembersRequest(), h))).Members;
            if (seen.Count(m => m.Version.Length > 0) == members)
                return [.. seen.Select(m => m.Version)];
            await Task.Delay(TimeSpan.FromMilliseconds(100), late.Token);
        }
    }
}
