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
        }

        await MembersSpecs.FinishAsync(cluster, log, workspace, agent.Name, writer);
        foreach (var member in cluster.Members)
            await log.HasAsync(member, "All members read forms of version", Patience);
    }
}
