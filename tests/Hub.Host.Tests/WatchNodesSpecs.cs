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

    /// <summary>Its partition is moving, or its member has died with the question: what happens elsewhere is told all the same.</summary>
    [Fact]
    public async Task A_node_that_cannot_be_asked_holds_the_others_back_for_a_moment_and_its_partition_is_named_and_listed_again()
    {
        var time = new FakeTimeProvider();
        var hub = new HubRuntime(new HubSettings { Registry = new RegistrySettings { Partitions = 2 } }, _metrics, new Readiness(), time, NullLogger.Instance);
        var here = Enumerable.Range(1, 100).Select(i => $"n{i}").First(n => StableHash.PartitionOf(n, 2) == 0);
        var away = Enumerable.Range(1, 100).Select(i => $"n{i}").First(n => StableHash.PartitionOf(n, 2) == 1);
        using var silent = new ManualResetEventSlim();
        var region = _system.ActorOf(Props.Create(() => new SilentRegion(here, away, silent)));
        var log = new Required(_system.ActorOf(Props.Create(() => new EventsOfTwo(away, here, silent))));
        var registry = new NodeRegistry(region, hub);
        var endpoint = new HubEndpoint(registry, hub, new HistoryFollower(registry, hub), log, null!, null!, null!, _system);
        using var call = new CancellationTokenSource();
        var told = new Told();
        var watch = endpoint.WatchNodes(new WatchNodesRequest(), told, new EndpointCall("HubService/WatchNodes", PrincipalKinds.Client, call.Token));
        (await told.NextAsync()).Node.ShouldNotBeNull();
        (await told.NextAsync()).Node.ShouldNotBeNull();
        Seen(await told.NextAsync()).ShouldBe(("", true, "", Place));

        var began = time.GetUtcNow();
        Seen(await AdvanceUntilAsync(told.NextAsync())).ShouldBe(($"nodes/{here}", false, "", ""));
        (time.GetUtcNow() - began).ShouldBeLessThan(TimeSpan.FromSeconds(10));
        Seen(await AdvanceUntilAsync(told.NextAsync())).ShouldBe(("", false, "1", ""));
        silent.Reset();
        Seen(await AdvanceUntilAsync(told.NextAsync())).ShouldBe(($"nodes/{away}", false, "", ""));
        Seen(await told.NextAsync()).ShouldBe(("", false, "", Place));
        await call.CancelAsync();
        await Should.ThrowAsync<OperationCanceledException>(() => watch.WaitAsync(Patience));

        async Task<T> AdvanceUntilAsync<T>(Task<T> task)
        {
            using var soon = new PeriodicTimer(TimeSpan.FromMilliseconds(10));
            while (!task.IsCompleted && await soon.WaitForNextTickAsync())
                time.Advance(TimeSpan.FromMilliseconds(100));
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

    /// <summary>Two partitions of one node each; the second is silent now and then.</summary>
    private sealed class SilentRegion : ReceiveActor
    {
        public SilentRegion(string here, string away, ManualResetEventSlim silent)
        {
            Receive<ListPartition>(m =>
            {
                if (m.Partition == 0 || !silent.IsSet)
                    Sender.Tell(new PartitionNodes(m.Partition, [Node(m.Partition == 0 ? here : away)]));
            });
            Receive<NodeRequest>(m =>
            {
                if (m.Node == here || !silent.IsSet)
                    Sender.Tell(new NodeReply(new GetNodeResponse { Node = Node(m.Node) }));
            });
        }

        private static AkkaHub.V1.Node Node(string name) => new() { Name = "nodes/" + name };
    }

    /// <summary>Something happens to both nodes, once, as the second falls silent.</summary>
    private sealed class EventsOfTwo : ReceiveActor
    {
        private bool _told;

        public EventsOfTwo(string first, string second, ManualResetEventSlim silent) => Receive<ReadEvents>(m =>
        {
            if (m.Wait is not null && !_told)
            {
                _told = true;
                silent.Set();
                Sender.Tell(new EventSlice([.. ((string[])[first, second]).Select(n => new MeshEvent { Type = MeshEventType.NodeOnline, Subject = "nodes/" + n, Cursor = Place })], Place, true, []));
            }
            else if (m.Wait is not { TotalSeconds: > 10 })
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
