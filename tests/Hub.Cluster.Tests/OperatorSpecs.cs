using AkkaHub.V1;
using Grpc.Core;
using Hub.Actors.Registry;
using Hub.Load.Processes;
using Hub.Protocol;
using Hub.SystemTests.Harness;
using Xunit.Abstractions;

namespace Hub.ClusterTests;

/// <summary>What an operator does to a member through another one: has it leave, goes on without it. And what is told of the nodes of one that stands still.</summary>
[Collection(SharedCluster.Collection)]
public sealed class OperatorSpecs(ITestOutputHelper output, SharedCluster shared) : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(120);

    // Three times NodeRegistry.ListTimeout.
    private static readonly TimeSpan ListPatience = TimeSpan.FromSeconds(24);
    private const int Partitions = 64;
    private const int Stop = 19;
    private const int Continue = 18;
    private const int Downed = 6;

    private HubClient? _client;

    public void Dispose() => _client?.Dispose();

    [SlowFact]
    public async Task A_member_that_another_one_tells_to_leave_ends_in_order_and_its_nodes_go_on_elsewhere()
    {
        await using var workspace = new Workspace(output);
        var cluster = await shared.WholeAsync(output);
        var log = new LogSinceNow(cluster);
        var (agent, writer) = await StartWriterAsync(workspace, cluster, "leave", cluster.Addresses);
        // The oldest, which carries the stream.
        var leaving = cluster.Members[0];
        var at = writer.Written;
        var (code, _, said) = await workspace.HubCommandAsync(cluster.Members[1], "cluster", "leave", leaving.Grpc.Authority);
        workspace.Say(said.Trim());
        code.ShouldBe(0, said);
        said.ShouldContain("has left");
        (await leaving.Child.WaitForExitAsync(Patience)).ShouldBe(0);
        await MembersSpecs.GoesOnAsync(_client!, agent.Name, writer);
        workspace.Say($"told to leave with the writer at {at}, goes on at {writer.Written}");
        var (_, shown, _) = await workspace.HubCommandAsync(cluster.Members[2], "cluster", "show");
        shown.Split('\n').Count(l => l.Contains(" up ", StringComparison.Ordinal)).ShouldBe(2, shown);
        shown.ShouldNotContain(leaving.Grpc.Authority);
        (await log.OfAsync(leaving)).ShouldSatisfyAllConditions(
            l => l.ShouldContain("to leave"), l => l.ShouldNotContain("Moving ", Case.Sensitive, "that would be in groups, as when it is drained"));

        await leaving.StartAndWaitAsync(Patience);
        await cluster.OldestFirstAsync();
        await MembersSpecs.FinishAsync(cluster, log, workspace, agent.Name, writer);
        await log.HasNoneAsync($"Node {agent.Name} is stale", "nobody is missed for a move");
        await log.HasNoneAsync("was downed and is fenced");
    }

    [LongFact]
    public async Task A_member_that_can_be_reached_is_downed_by_force_alone_and_ends_with_a_code_of_its_own()
    {
        await using var workspace = new Workspace(output);
        var cluster = await shared.WholeAsync(output);
        var log = new LogSinceNow(cluster);
        var (agent, writer) = await StartWriterAsync(workspace, cluster, "forced", cluster.Addresses);
        var downed = cluster.Members[0];
        var (code, _, said) = await workspace.HubCommandAsync(cluster.Members[1], "cluster", "down", downed.Grpc.Authority);
        workspace.Say(said.Trim());
        code.ShouldNotBe(0);
        said.ShouldContain("can be reached");
        await MembersSpecs.GoesOnAsync(_client!, agent.Name, writer);
        (await cluster.OldestFirstAsync()).Members.ShouldAllBe(m => !m.Child.HasExited);

        (code, _, said) = await workspace.HubCommandAsync(cluster.Members[1], "cluster", "down", downed.Grpc.Authority, "--force");
        workspace.Say(said.Trim());
        code.ShouldBe(0, said);
        (await downed.Child.WaitForExitAsync(Patience)).ShouldBe(Downed);
        foreach (var member in cluster.Members.Skip(1))
            await log.HasAsync(member, "was downed and is fenced", Patience);
        await MembersSpecs.GoesOnAsync(_client!, agent.Name, writer);
        await log.HasNoneAsync("23505", "the unique key is the last line, and was not needed");
        await downed.StartAndWaitAsync(Patience);
        await MembersSpecs.FinishAsync(cluster, log, workspace, agent.Name, writer);
    }

    /// <summary>The others do not miss it yet: an operator's word is all they have.</summary>
    [SlowFact]
    public async Task A_member_that_stands_still_and_is_downed_before_it_is_missed_is_fenced_at_once()
    {
        await using var workspace = new Workspace(output);
        var cluster = await shared.WholeAsync(output);
        var log = new LogSinceNow(cluster);
        var (agent, writer) = await StartWriterAsync(workspace, cluster, "halted", cluster.Addresses);
        var halted = cluster.Members[0];
        halted.Child.Send(Stop);
        var began = TimeProvider.System.GetTimestamp();
        await _client!.CallAsync((s, h) => s.ChangeMemberAsync(new ChangeMemberRequest { Member = halted.Grpc.Authority, Change = MemberChange.Down, Force = true }, h));
        foreach (var member in cluster.Members.Skip(1))
        {
            await log.HasAsync(member, "was downed and is fenced", Patience);
            (await log.OfAsync(member)).ShouldNotContain("SBR took decision", Case.Sensitive, "nobody waited for the resolver");
        }

        workspace.Say($"fenced {TimeProvider.System.GetElapsedTime(began).TotalSeconds:F1} s after it was stopped");
        await MembersSpecs.GoesOnAsync(_client!, agent.Name, writer);
        workspace.Say($"goes on {TimeProvider.System.GetElapsedTime(began).TotalSeconds:F1} s after it was stopped");
        halted.Child.Send(Continue);
        (await halted.Child.WaitForExitAsync(Patience)).ShouldBe(Downed);
        await log.HasNoneAsync("23505", "the unique key is the last line, and was not needed");
        await halted.StartAndWaitAsync(Patience);
        await MembersSpecs.FinishAsync(cluster, log, workspace, agent.Name, writer);
    }

    /// <summary>A list that leaves a node out without a word would say that it is forgotten.</summary>
    [SlowFact]
    public async Task While_the_member_with_a_nodes_partition_stands_still_the_node_is_listed_or_its_partition_named()
    {
        await using var workspace = new Workspace(output);
        var cluster = await shared.WholeAsync(output);
        await UntilEvenAsync(cluster);
        var log = new LogSinceNow(cluster);
        var (agent, writer, index) = await StartApartAsync(workspace, cluster, log);
        var still = cluster.Members[index];
        using var survivor = new HubClient(cluster.Members[(index + 1) % 3]);
        still.Child.Send(Stop);
        var began = TimeProvider.System.GetTimestamp();
        var (listed, named) = (0, 0);
        var partition = StableHash.PartitionOf(agent, Partitions);
        var least = TimeSpan.FromSeconds(TestSettings.Long ? 30 : 12);
        using var late = new CancellationTokenSource(Patience);
        while (listed == 0 || TimeProvider.System.GetElapsedTime(began) < least)
        {
            var asked = TimeProvider.System.GetTimestamp();
            var list = await survivor.Service.ListNodesAsync(new ListNodesRequest { PageSize = 1000 }, survivor.Headers, TimeProvider.System.GetUtcNow().UtcDateTime + ListPatience);
            var (has, misses) = (list.Nodes.Any(n => n.Name == Names.Node(agent)), list.UnreachablePartitions.Contains(partition));
            if (named + listed == 0 || (has && listed == 0))
            {
                workspace.Say($"{TimeProvider.System.GetElapsedTime(began).TotalSeconds:F1} s after the stop, asked {TimeProvider.System.GetElapsedTime(asked).TotalSeconds:F1} s before: "
                    + $"the node is {(has ? "" : "not ")}listed, partitions named: {list.UnreachablePartitions}");
            }

            (has || misses).ShouldBeTrue($"the list leaves {agent} out and does not name its partition {partition}, only {list.UnreachablePartitions}");
            (listed, named) = (listed + (has ? 1 : 0), named + (misses ? 1 : 0));
            await Task.Delay(TimeSpan.FromMilliseconds(100), late.Token);
        }

        await MembersSpecs.GoesOnAsync(survivor, agent, writer);
        workspace.Say($"listed {listed} times, its partition named {named} times; goes on while the member stands still, {TimeProvider.System.GetElapsedTime(began).TotalSeconds:F1} s after its stop");
        still.Child.HasExited.ShouldBeFalse();
        await log.HasAsync(cluster.Members[(index + 1) % 3], "was downed and is fenced", Patience);
        still.Child.Send(Continue);
        (await still.Child.WaitForExitAsync(Patience)).ShouldBe(Downed);
        await log.HasNoneAsync("23505", "the unique key is the last line, and was not needed");
        await still.StartAndWaitAsync(Patience);
        await MembersSpecs.FinishAsync(cluster, log, workspace, agent, writer);
    }

    private async Task<(AgentProcess Agent, WriterTerminal Writer)> StartWriterAsync(Workspace workspace, TestCluster cluster, string node, IReadOnlyList<Uri> members)
    {
        // The writer asks through it until the test ends; not through one that a test puts an end to.
        var client = _client = new HubClient(cluster.Members[2]);
        var agent = workspace.StartAgent(cluster.Members[0], new AgentOptions { Name = node, Wait = true, Members = members, Token = await TestCluster.NodeTokenAsync(client) });
        await client.WaitForNodeAsync(node, NodeState.Online, Patience);
        return (agent, await OpenAsync(workspace, client, node));
    }

    private async Task<WriterTerminal> OpenAsync(Workspace workspace, HubClient client, string node)
    {
        var writer = await WriterTerminal.OpenAsync(workspace, client, node, WriterTerminal.Options(workspace, TestSettings.Seed(output)) with { MostBytes = 8 * 1024 * 1024 });
        await MembersSpecs.GoesOnAsync(client, node, writer);
        return writer;
    }

    // A node whose stream one member carries and whose partition another one holds, which is one of several: which one that is, its name decides.
    private async Task<(string Node, WriterTerminal Writer, int Holder)> StartApartAsync(Workspace workspace, TestCluster cluster, LogSinceNow log)
    {
        var token = await TestCluster.NodeTokenAsync(_client = new HubClient(cluster.Members[2]));
        for (var i = 1; ; i++)
        {
            var agent = workspace.StartAgent(cluster.Members[2], new AgentOptions { Name = $"apart{i}", Wait = true, Members = [.. cluster.Addresses.Reverse()], Token = token });
            await _client.WaitForNodeAsync(agent.Name, NodeState.Online, Patience);
            var holder = await Roles.FindAsync(cluster, log, agent.Name, Role.HoldsThePartition, Patience);
            var carrier = await Roles.FindAsync(cluster, log, agent.Name, Role.CarriesTheStream, Patience);
            workspace.Say($"{agent.Name}: its partition is on member {holder + 1}, its stream on member {carrier + 1}");
            // The writer asks through the third.
            if (holder != carrier && holder != 2)
                return (agent.Name, await OpenAsync(workspace, _client, agent.Name), holder);
            i.ShouldBeLessThan(50);
            await agent.KillAsync();
        }
    }

    // What a new cluster, or a member that came back, has still to get moves then no more.
    private static async Task UntilEvenAsync(TestCluster cluster)
    {
        using var client = new HubClient(cluster.Members[0]);
        using var late = new CancellationTokenSource(Patience);
        while (true)
        {
            var seen = (await client.CallAsync((s, h) => s.ListMembersAsync(new ListMembersRequest(), h))).Members;
            if (seen.Sum(m => m.Partitions) == Partitions && seen.Max(m => m.Partitions) - seen.Min(m => m.Partitions) <= 2)
                return;
            await Task.Delay(TimeSpan.FromMilliseconds(100), late.Token);
        }
    }
}
