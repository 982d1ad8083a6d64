using AkkaHub.V1;
using Grpc.Core;
using Hub.Load.Processes;
using Hub.Protocol;
using Hub.SystemTests.Harness;
using Xunit.Abstractions;

namespace Hub.ClusterTests;

/// <summary>The mesh's events are the same at every member, and outlive all of them.</summary>
[Collection(SharedCluster.Collection)]
public sealed class EventsSpecs(ITestOutputHelper output, SharedCluster shared)
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(120);
    private static readonly string[] Nodes = ["ev1", "ev2", "ev3", "ev4"];

    [SlowFact]
    public async Task Every_event_is_there_once_and_in_order_at_every_member_after_all_were_killed_at_once()
    {
        await using var workspace = new Workspace(output);
        var cluster = await shared.WholeAsync(output);
        var clients = cluster.Members.Select(m => new HubClient(m)).ToArray();
        try
        {
            var token = await TestCluster.NodeTokenAsync(clients[0]);
            foreach (var (i, node) in Nodes.Index())
                workspace.StartAgent(cluster.Members[0], new AgentOptions { Name = node, Members = [.. cluster.Addresses.Skip(i % 3), .. cluster.Addresses.Take(i % 3)], Token = token });
            await RunOnAllAsync(clients, "c1");
            // Somebody watches at the first member, and comes back with what it saw to another.
            var (before, cursor) = await EventsAsync(clients[0], "");
            await RunOnAllAsync(clients, "c2");
            // Each answer said that the command's end is durable; that it is in the event log, nobody said.
            await Task.WhenAll(cluster.Members.Select(m => m.KillAsync()));
            await Task.WhenAll(cluster.Members.Select(m => m.StartAndWaitAsync(Patience)));
            await RunOnAllAsync(clients, "c3");

            foreach (var node in Nodes)
                await WaitForAsync(clients[1], node, "CommandFinished commands/c3");
            var (after, _) = await EventsAsync(clients[1], cursor);
            var whole = await Task.WhenAll(clients.Select(c => EventsAsync(c, "")));
            foreach (var node in Nodes)
            {
                var told = Of(node, whole[0].Events);
                output.WriteLine($"{node}: {string.Join(", ", told)}");
                foreach (var (events, _) in whole)
                    Of(node, events).ShouldBe(told, "every member says the same of a node, in the same order");
                Of(node, [.. before, .. after]).ShouldBe(told, "a cursor neither misses nor doubles");
                told.Where(t => t.StartsWith("Command", StringComparison.Ordinal) || t == "NodeRegistered").ShouldBe(
                [
                    "NodeRegistered", "CommandStarted commands/c1", "CommandFinished commands/c1", "CommandStarted commands/c2", "CommandFinished commands/c2",
                    "CommandStarted commands/c3", "CommandFinished commands/c3",
                ]);
                told.ShouldNotContain("NodeOffline");
            }
        }
        finally
        {
            foreach (var client in clients)
                client.Dispose();
        }
    }

    private static string[] Of(string node, IEnumerable<MeshEvent> events) =>
    [
        .. events.Where(e => e.Subject == Names.Node(node) || e.Subject.StartsWith(Names.Node(node) + "/commands/", StringComparison.Ordinal))
            .Select(e => $"{e.Type} {e.Subject[Names.Node(node).Length..].TrimStart('/')}".TrimEnd()),
    ];

    private static async Task RunOnAllAsync(HubClient[] clients, string id)
    {
        foreach (var (i, node) in Nodes.Index())
        {
            await clients[i % 3].WaitForNodeAsync(node, NodeState.Online, Patience);
            await clients[i % 3].RunAsync(node, id, "true");
        }
    }

    private static async Task WaitForAsync(HubClient client, string node, string told)
    {
        using var late = new CancellationTokenSource(Patience);
        while (!Of(node, (await EventsAsync(client, "")).Events).Contains(told))
            await Task.Delay(TimeSpan.FromMilliseconds(100), late.Token);
    }

    private static async Task<(List<MeshEvent> Events, string Next)> EventsAsync(HubClient client, string cursor)
    {
        var events = new List<MeshEvent>();
        using var call = client.Service.WatchEvents(new WatchEventsRequest { Cursor = cursor }, client.Headers);
        await foreach (var part in call.ResponseStream.ReadAllAsync())
        {
            events.AddRange(part.Events);
            cursor = part.NextCursor;
            part.UnreachablePartitions.ShouldBeEmpty();
        }

        return (events, cursor);
    }
}
