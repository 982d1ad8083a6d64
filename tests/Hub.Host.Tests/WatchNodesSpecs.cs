using System.Threading.Channels;
using Akka.Actor;
using Akka.Hosting;
using AkkaHub.V1;
using Grpc.Core;
using Hub.Actors;
using Hub.Actors.Events;
using Hub.Actors.Nodes;
using Hub.Actors.Registry;
using Hub.Actors.Settings;
using Hub.Actors.Telemetry;
using Hub.Host.Auth;
using Hub.Host.Services;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using static Hub.Host.Tests.TestSupport;

namespace Hub.Host.Tests;

/// <summary>A watch of the nodes of two partitions, of which the second does not answer at first.</summary>
public sealed class WatchNodesSpecs : IAsyncLifetime
{
    private const string Place = "here";

    private readonly ActorSystem _system = ActorSystem.Create("watch", "akka.loglevel = OFF");
    private readonly HubMetrics _metrics = new();

    public Task InitializeAsync() => Task.CompletedTask;

    public async Task DisposeAsync()
    {
        await _system.Terminate();
        _metrics.Dispose();
    }

    [Fact]
    public async Task There_is_no_token_until_the_last_node_of_a_partition_that_answers_late_is_told()
    {
        var time = new FakeTimeProvider();
        var hub = new HubRuntime(new HubSettings { Registry = new RegistrySettings { Partitions = 2 } }, _metrics, new Readiness(), time, NullLogger.Instance);
        using var answers = new ManualResetEventSlim();
        var registry = new NodeRegistry(_system.ActorOf(Props.Create(() => new RegionStub(answers))), hub);
        var events = new Required(_system.ActorOf(Props.Create(() => new EventsStub())));
        // A watch needs nothing of members, tokens and the end of the hub.
        var endpoint = new HubEndpoint(registry, hub, new HistoryFollower(registry, hub), events, null!, null!, null!, _system);
        using var call = new CancellationTokenSource();
        var told = new Told();
        var watch = endpoint.WatchNodes(new WatchNodesRequest(), told, new EndpointCall("HubService/WatchNodes", PrincipalKinds.Client, call.Token));
        foreach (var name in (string[])["nodes/n1", "nodes/n2", "nodes/n3"])
            Seen(await AdvanceUntilAsync(told.NextAsync())).ShouldBe((name, false, "", ""));
        Seen(await AdvanceUntilAsync(told.NextAsync())).ShouldBe(("", true, "1", ""));
        answers.Set();
        foreach (var name in (string[])["nodes/n4", "nodes/n5"])
            Seen(await AdvanceUntilAsync(told.NextAsync())).ShouldBe((name, false, "", ""));
        Seen(await told.NextAsync()).ShouldBe(("", false, "", Place));
        await call.CancelAsync();
        await Should.ThrowAsync<OperationCanceledException>(() => watch.WaitAsync(Patience));

        // What was asked and not answered is asked again after some time.
        async Task<T> AdvanceUntilAsync<T>(Task<T> task)
        {
            using var soon = new PeriodicTimer(TimeSpan.FromMilliseconds(10));
            while (!task.IsCompleted && await soon.WaitForNextTickAsync())
                time.Advance(TimeSpan.FromMilliseconds(500));
            return await task;
        }
    }

    private static (string Node, bool Synced, string Unreachable, string Token) Seen(WatchNodesResponse m) =>
        (m.Node?.Name ?? "", m.Synced, string.Join(',', m.UnreachablePartitions), m.ResumeToken);

    private sealed class Required(IActorRef events) : IRequiredActor<HubActorKeys.Events>
    {
        public IActorRef ActorRef => events;

        public Task<IActorRef> GetAsync(CancellationToken cancellationToken = default) => Task.FromResult(events);
    }

    /// <summary>Both partitions, the second from a moment on.</summary>
    private sealed class RegionStub : ReceiveActor
    {
        public RegionStub(ManualResetEventSlim answers)
        {
            Receive<ListPartition>(m =>
            {
                if (m.Partition == 0 || answers.IsSet)
                    Sender.Tell(new PartitionNodes(m.Partition, [.. (m.Partition == 0 ? (string[])["n1", "n2", "n3"] : ["n4", "n5"]).Select(Node)]));
            });
            Receive<NodeRequest>(m => Sender.Tell(new NodeReply(new GetNodeResponse { Node = Node(m.Node) })));
        }

        private static AkkaHub.V1.Node Node(string name) => new() { Name = "nodes/" + name };
    }

    /// <summary>Nothing happens: who would wait long for it waits until the end, and who looks for the partition in between goes on at once.</summary>
    private sealed class EventsStub : ReceiveActor
    {
        public EventsStub() => Receive<ReadEvents>(m =>
        {
            if (m.Wait is not { TotalSeconds: > 10 })
                Sender.Tell(new EventSlice([], Place, true, []));
        });
    }

    private sealed class Told : IServerStreamWriter<WatchNodesResponse>
    {
        private readonly Channel<WatchNodesResponse> _messages = Channel.CreateBounded<WatchNodesResponse>(16);

        public WriteOptions? WriteOptions { get; set; }

        public Task<WatchNodesResponse> NextAsync() => _messages.Reader.ReadAsync().AsTask().WaitAsync(Patience);

        public Task WriteAsync(WatchNodesResponse message) => WriteAsync(message, CancellationToken.None);

        public Task WriteAsync(WatchNodesResponse message, CancellationToken cancellationToken) => _messages.Writer.WriteAsync(message, cancellationToken).AsTask();
    }
}
