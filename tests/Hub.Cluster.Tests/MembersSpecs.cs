using AkkaHub.V1;
using Grpc.Core;
using Hub.Load.Processes;
using Hub.Protocol;
using Hub.SystemTests.Harness;
using Xunit.Abstractions;

namespace Hub.ClusterTests;

/// <summary>Three members on one store: any of them serves any node, also while one of them dies or leaves.</summary>
[Collection(SharedCluster.Collection)]
public sealed class MembersSpecs(ITestOutputHelper output, SharedCluster shared)
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(120);

    // The oldest, then the others: whoever holds the partition and whoever carries the stream are among them.
    private static readonly int[] InTurn = [0, 1, 2];

    // What the writer may write in bursts for each of them. It goes on with a line at a time, so it outlasts whatever that takes.
    private const int BytesEach = 12 * 1024 * 1024;

    // In bursts, which outlast what happens to the first member.
    private static int MostBytes => (TestSettings.Long ? 48 : 16) * 1024 * 1024;

    private static Role[] KilledInTurn => TestSettings.Long ? Enum.GetValues<Role>() : [Role.Oldest, Role.HoldsThePartition];

    private const int Stop = 19;
    private const int Continue = 18;
    private const int Downed = 6;

    [SkippableFact]
    public async Task Any_member_serves_any_node_and_knows_every_token()
    {
        await using var workspace = new Workspace(output);
        var cluster = await shared.WholeAsync(output);
        var log = new LogSinceNow(cluster);
        using var first = new HubClient(cluster.Members[0]);
        using var second = new HubClient(cluster.Members[1]);
        using var third = new HubClient(cluster.Members[2]);
        var token = await TestCluster.NodeTokenAsync(first);
        // Several nodes, so that more than one member has some of them.
        for (var i = 1; i <= 6; i++)
            workspace.StartAgent(cluster.Members[0], new AgentOptions { Name = $"any{i}", Members = [cluster.Members[i % 3].Grpc], Token = token });
        foreach (var client in (HubClient[])[first, second, third])
        {
            for (var i = 1; i <= 6; i++)
                await client.WaitForNodeAsync($"any{i}", NodeState.Online, Patience);
            (await client.CallAsync((s, h) => s.ListNodesAsync(new ListNodesRequest(), h))).Nodes.Select(n => n.Name).Where(n => n.StartsWith("nodes/any", StringComparison.Ordinal))
                .ShouldBe(Enumerable.Range(1, 6).Select(i => $"nodes/any{i}"));
        }

        await third.OpenAsync("any1", "t", "/bin/sh", "-c", "echo from-n1; cat");
        (await second.WaitForTerminalAsync("any1", "t", t => t.EndOffset > 0, Patience)).State.ShouldBe(TerminalState.Live);
        await second.CallAsync((s, h) => s.SendInputAsync(new SendInputRequest { Name = Names.Terminal("any1", "t"), Data = Google.Protobuf.ByteString.CopyFromUtf8("typed\n") }, h));
        await ShowsAsync(first, "any1", "t", "typed");

        // A client's token of one member is another's, until it is revoked at the third.
        var created = await first.CallAsync((s, h) => s.CreateTokenAsync(new CreateTokenRequest { Type = TokenType.Client }, h));
        var headers = new Metadata { { "authorization", "Bearer " + created.Secret } };
        await UntilAsync(second, headers, StatusCode.OK);
        await third.CallAsync((s, h) => s.RevokeTokenAsync(new RevokeTokenRequest { Id = created.Token.Id }, h));
        await UntilAsync(second, headers, StatusCode.Unauthenticated);
        await log.HasNoneAsync("wire form");
        await cluster.JournalIsWholeAsync();
    }

    [SlowFact]
    public async Task No_byte_is_lost_or_doubled_when_members_are_killed_for_what_they_are_and_no_node_is_reported_down()
    {
        var seed = TestSettings.Seed(output);
        var random = new Random(seed);
        await using var workspace = new Workspace(output);
        var cluster = await shared.WholeAsync(output);
        var log = new LogSinceNow(cluster);
        using var client = new HubClient(cluster.Members[0]);
        var token = await TestCluster.NodeTokenAsync(client);
        var agent = workspace.StartAgent(cluster.Members[0], new AgentOptions { Name = "killed", Wait = true, Members = cluster.Addresses, Token = token });
        await client.WaitForNodeAsync(agent.Name, NodeState.Online, Patience);
        var writer = await WriterTerminal.OpenAsync(workspace, client, agent.Name,
            WriterTerminal.Options(workspace, seed) with { MostBytes = MostBytes });

        foreach (var role in KilledInTurn)
        {
            await Task.Delay(TimeSpan.FromMilliseconds(random.Next(300, 1500)));
            var index = await Roles.FindAsync(cluster, log, agent.Name, role, Patience);
            var at = writer.Written;
            var since = new LogSinceNow(cluster);
            await cluster.Members[index].KillAsync();
            using var survivor = new HubClient(cluster.Members[(index + 1) % 3]);
            var watch = TimeProvider.System.GetTimestamp();
            await GoesOnAsync(survivor, agent.Name, writer);
            workspace.Say($"member {index + 1} ({role}) killed, the writer at {at}; goes on after {TimeProvider.System.GetElapsedTime(watch).TotalSeconds:F1} s, at {writer.Written}");
            string.Concat(await since.OfAllAsync()).ShouldContain("has died", Case.Sensitive, "nobody waited for the resolver");
            await cluster.Members[index].StartAndWaitAsync(Patience);
        }

        await FinishAsync(cluster, log, workspace, agent.Name, writer);
    }

    [SlowFact]
    public async Task No_byte_is_lost_or_doubled_when_each_member_is_stopped_in_order_in_turn()
    {
        var seed = TestSettings.Seed(output);
        var random = new Random(seed);
        await using var workspace = new Workspace(output);
        var cluster = await shared.WholeAsync(output);
        var log = new LogSinceNow(cluster);
        using var client = new HubClient(cluster.Members[0]);
        var token = await TestCluster.NodeTokenAsync(client);
        var agent = workspace.StartAgent(cluster.Members[0], new AgentOptions { Name = "stopped", Wait = true, Members = cluster.Addresses, Token = token });
        await client.WaitForNodeAsync(agent.Name, NodeState.Online, Patience);
        var writer = await WriterTerminal.OpenAsync(workspace, client, agent.Name, WriterTerminal.DealtOptions(workspace, seed));
        foreach (var index in InTurn)
        {
            var most = writer.Allow(BytesEach);
            await Task.Delay(TimeSpan.FromMilliseconds(random.Next(300, 1500)));
            var at = writer.Written;
            at.ShouldBeLessThan(most, "it is in its bursts when the member is stopped");
            (await cluster.Members[index].TerminateAsync(Patience)).ShouldBe(0);
            using var other = new HubClient(cluster.Members[(index + 1) % 3]);
            await GoesOnAsync(other, agent.Name, writer);
            workspace.Say($"member {index + 1} stopped in order, the writer at {at}; goes on at {writer.Written} of {most} in bursts");
            await cluster.Members[index].StartAndWaitAsync(Patience);
        }

        await FinishAsync(cluster, log, workspace, agent.Name, writer);
    }

    /// <summary>Stopped for longer than the others wait, then continued: it takes itself for a member, and has what it had in its hands.</summary>
    [SlowFact]
    public async Task A_member_that_stood_still_too_long_writes_nothing_more_and_ends_with_a_code_of_its_own()
    {
        var seed = TestSettings.Seed(output);
        await using var workspace = new Workspace(output);
        var cluster = await shared.WholeAsync(output);
        var log = new LogSinceNow(cluster);
        using var client = new HubClient(cluster.Members[0]);
        var token = await TestCluster.NodeTokenAsync(client);
        var agent = workspace.StartAgent(cluster.Members[0], new AgentOptions { Name = "frozen", Wait = true, Members = cluster.Addresses, Token = token });
        await client.WaitForNodeAsync(agent.Name, NodeState.Online, Patience);
        var writer = await WriterTerminal.OpenAsync(workspace, client, agent.Name,
            WriterTerminal.Options(workspace, seed) with { MostBytes = MostBytes });
        await GoesOnAsync(client, agent.Name, writer);
        // It carries the stream, as the first of the agent's list, and is the oldest.
        var zombie = cluster.Members[0];
        zombie.Child.Send(Stop);
        using var survivor = new HubClient(cluster.Members[1]);
        await GoesOnAsync(survivor, agent.Name, writer);
        zombie.Child.Send(Continue);
        (await zombie.Child.WaitForExitAsync(Patience)).ShouldBe(Downed);
        foreach (var member in cluster.Members.Skip(1))
            await log.HasAsync(member, "was downed and is fenced", Patience);
        await log.HasNoneAsync("23505", "the unique key is the last line, and was not needed");
        await log.HasNoneAsync("has died", "it had its session in the store");
        await zombie.StartAndWaitAsync(Patience);

        await FinishAsync(cluster, log, workspace, agent.Name, writer);
    }

    /// <summary>Waits until more of what the writer has written is acknowledged.</summary>
    internal static async Task GoesOnAsync(HubClient client, string node, WriterTerminal writer)
    {
        var at = writer.Written;
        using var late = new CancellationTokenSource(Patience);
        while (true)
        {
            try
            {
                if ((await client.FindTerminalAsync(node, writer.Name))?.EndOffset > at)
                    return;
            }
            catch (RpcException e) when (e.StatusCode is StatusCode.Aborted or StatusCode.NotFound or StatusCode.DeadlineExceeded)
            {
                // Its partition is on its way.
            }

            await Task.Delay(TimeSpan.FromMilliseconds(100), late.Token);
        }
    }

    /// <summary>Ends the writer and compares with its record what every member gives; the journal is whole, nobody was offline, and all that members said had a form.</summary>
    internal static async Task FinishAsync(TestCluster cluster, LogSinceNow log, Workspace workspace, string node, WriterTerminal writer)
    {
        using var client = new HubClient(cluster.Members[1]);
        await client.WaitForNodeAsync(node, NodeState.Online, Patience);
        writer.Stop();
        var written = await writer.FinishAsync(Patience);
        await client.WaitForTerminalAsync(node, writer.Name, t => t.State != TerminalState.Live, Patience);
        foreach (var member in cluster.Members)
        {
            using var reader = new HubClient(member);
            Whole.Check(await reader.ReadAllAsync(node, writer.Name), written);
        }

        await cluster.JournalIsWholeAsync();
        await log.HasNoneAsync("wire form");
        await log.HasNoneAsync($"Node {node} is offline");
        foreach (var member in cluster.Members)
            workspace.Say($"{member.LogFile}: {(await log.OfAsync(member)).Split('\n').Count(l => l.Contains($"Node {node} is stale", StringComparison.Ordinal))} times stale");
    }

    /// <summary>Waits until a terminal's history has some text in it.</summary>
    internal static async Task ShowsAsync(HubClient client, string node, string terminal, string text)
    {
        using var late = new CancellationTokenSource(Patience);
        while (!Text(await client.ReadAllAsync(node, terminal)).Contains(text, StringComparison.Ordinal))
            await Task.Delay(TimeSpan.FromMilliseconds(100), late.Token);
    }

    private static string Text(TerminalRecord record) =>
        System.Text.Encoding.UTF8.GetString([.. record.Incarnations.SelectMany(i => i.Pieces).SelectMany(p => p.Data)]);

    private static async Task UntilAsync(HubClient client, Metadata headers, StatusCode wanted)
    {
        using var late = new CancellationTokenSource(Patience);
        while (true)
        {
            var code = StatusCode.OK;
            try
            {
                await client.Service.ListNodesAsync(new ListNodesRequest(), headers);
            }
            catch (RpcException e)
            {
                code = e.StatusCode;
            }

            if (code == wanted)
                return;
            await Task.Delay(TimeSpan.FromMilliseconds(50), late.Token);
        }
    }
}
