using AkkaHub.V1;
using Google.Protobuf;
using Hub.Load.Processes;
using Hub.Protocol;
using Hub.SystemTests.Harness;
using Xunit.Abstractions;

namespace Hub.ClusterTests;

/// <summary>A member that only carries streams: no partition is there, and all nodes and clients are served.</summary>
public sealed class GatewaySpecs(ITestOutputHelper output)
{
    private const int Full = 3;
    private const int Partitions = 64;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(120);

    [LongFact]
    public async Task A_gateway_carries_the_streams_of_nodes_whose_partitions_are_elsewhere_while_members_die_and_it_stops_itself()
    {
        var seed = TestSettings.Seed(output);
        await using var workspace = new Workspace(output);
        await using var cluster = await TestCluster.StartAsync(workspace, Full + 1, SharedCluster.RoomForAll, gateways: 1);
        var log = new LogSinceNow(cluster);
        var gateway = cluster.Members[Full];
        using var client = new HubClient(gateway);
        using var full = new HubClient(cluster.Members[1]);
        var token = await TestCluster.NodeTokenAsync(client);
        var roams = workspace.StartAgent(gateway, new AgentOptions { Name = "roams", Wait = true, Members = [gateway.Grpc], Token = token });
        await client.WaitForNodeAsync(roams.Name, NodeState.Online, Patience);
        await full.WaitForNodeAsync(roams.Name, NodeState.Online, Patience);

        // Its terminal is typed into at one kind of member and read at the other.
        await client.OpenAsync(roams.Name, "shell", "/bin/cat");
        await TypeAsync(client, roams.Name, "by-the-gateway\n");
        await MembersSpecs.ShowsAsync(full, roams.Name, "shell", "by-the-gateway");
        await TypeAsync(full, roams.Name, "by-a-full-member\n");
        await MembersSpecs.ShowsAsync(client, roams.Name, "shell", "by-a-full-member");
        await HoldsNothingAsync(full, cluster);

        // Its partition's member is killed: the stream stays where it is.
        var writer = await WriterTerminal.OpenAsync(workspace, full, roams.Name, WriterTerminal.Options(workspace, seed) with { MostBytes = 8 * 1024 * 1024 });
        await MembersSpecs.GoesOnAsync(client, roams.Name, writer);
        var holder = await Roles.FindAsync(cluster, log, roams.Name, Role.HoldsThePartition, Patience);
        holder.ShouldBeLessThan(Full);
        (await Roles.FindAsync(cluster, log, roams.Name, Role.CarriesTheStream, Patience)).ShouldBe(Full);
        var dialled = Dials(workspace, roams);
        var began = TimeProvider.System.GetTimestamp();
        await cluster.Members[holder].KillAsync();
        await MembersSpecs.GoesOnAsync(client, roams.Name, writer);
        workspace.Say($"member {holder + 1} killed, goes on at the gateway after {TimeProvider.System.GetElapsedTime(began).TotalSeconds:F1} s");
        await cluster.Members[holder].StartAndWaitAsync(Patience);
        (await Roles.FindAsync(cluster, log, roams.Name, Role.CarriesTheStream, Patience)).ShouldBe(Full);
        Dials(workspace, roams).ShouldBe(dialled, "it kept its stream");

        // One of the gateway's own machine knows no other member and has to wait for it; the other goes to one that it was told of.
        var bound = workspace.StartAgent(gateway, new AgentOptions { Name = "bound", Wait = true });
        await full.WaitForNodeAsync(bound.Name, NodeState.Online, Patience);
        var own = await WriterTerminal.OpenAsync(workspace, full, bound.Name, WriterTerminal.Options(workspace, seed, "own") with { MostBytes = 1024 * 1024 });
        await MembersSpecs.GoesOnAsync(full, bound.Name, own);
        (await gateway.TerminateAsync(Patience)).ShouldBe(0);
        await MembersSpecs.GoesOnAsync(full, roams.Name, writer);
        await full.WaitForNodeAsync(bound.Name, NodeState.Stale, Patience);
        bound.Child.HasExited.ShouldBeFalse();
        await full.WaitForNodeAsync(roams.Name, NodeState.Online, Patience);
        await gateway.StartAndWaitAsync(Patience);
        await full.WaitForNodeAsync(bound.Name, NodeState.Online, Patience);
        await MembersSpecs.GoesOnAsync(full, bound.Name, own);
        await HoldsNothingAsync(full, cluster);

        await MembersSpecs.FinishAsync(cluster, log, workspace, roams.Name, writer);
        own.Stop();
        var written = await own.FinishAsync(Patience);
        Whole.Check(await client.ReadAllAsync(bound.Name, own.Name), written);
        await log.HasNoneAsync("Stops serving at once");
    }

    private static async Task TypeAsync(HubClient client, string node, string text) =>
        await client.CallAsync((s, h) => s.SendInputAsync(new SendInputRequest { Name = Names.Terminal(node, "shell"), Data = ByteString.CopyFromUtf8(text) }, h));

    private static int Dials(Workspace workspace, AgentProcess agent) => File.ReadAllLines(Path.Combine(workspace.PathOf(agent.Name), "agent.log")).Count(l => l.Contains("Dialling ", StringComparison.Ordinal));

    // The full members have all partitions and each a part of them.
    private static async Task HoldsNothingAsync(HubClient client, TestCluster cluster)
    {
        using var late = new CancellationTokenSource(Patience);
        while (true)
        {
            var seen = (await client.CallAsync((s, h) => s.ListMembersAsync(new ListMembersRequest(), h))).Members;
            if (seen.SingleOrDefault(m => Roles.IsOf(m, cluster.Members[Full])) is { HeardTime: not null } gateway)
            {
                gateway.ShouldSatisfyAllConditions(m => m.Role.ShouldBe("gateway"), m => m.Partitions.ShouldBe(0), m => m.Nodes.ShouldBe(0), m => m.Oldest.ShouldBeFalse());
                if (seen.Count == Full + 1 && seen.All(m => m.Role == "gateway" || (m is { Role: "full", Partitions: > 0 })) && seen.Sum(m => m.Partitions) == Partitions)
                    return;
            }

            await Task.Delay(TimeSpan.FromMilliseconds(100), late.Token);
        }
    }
}
