using Akka.Actor;
using Akka.Hosting;
using AkkaHub.V1;
using Google.Protobuf;
using Grpc.Core;
using Hub.Actors;
using Hub.Actors.Bridge;
using Hub.Actors.Settings;
using Hub.Actors.Telemetry;
using Hub.Host.Auth;
using Hub.Host.Services;
using Microsoft.Extensions.Logging.Abstractions;
using static Hub.Host.Tests.TestSupport;

namespace Hub.Host.Tests;

public sealed class NodeBridgeEndpointSpecs : IAsyncLifetime
{
    private readonly ActorSystem _system = ActorSystem.Create("edge", "akka.loglevel = OFF");
    private readonly HubMetrics _metrics = new();
    private readonly TaskCompletionSource<OpenBridge> _asked = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _answer = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource<StreamEnded> _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public Task InitializeAsync() => Task.CompletedTask;

    public async Task DisposeAsync()
    {
        await _system.Terminate();
        _metrics.Dispose();
    }

    [Fact]
    public async Task A_node_that_breaks_off_while_its_bridge_is_made_leaves_none_behind()
    {
        var hub = new HubRuntime(new HubSettings(), _metrics, new Readiness(), TimeProvider.System, NullLogger.Instance);
        var bridge = _system.ActorOf(Props.Create(() => new BridgeStub(_ended)));
        var parent = _system.ActorOf(Props.Create(() => new ParentStub(_asked, _answer.Task, bridge)));
        await using var admission = new NodeAdmission(hub);
        using var call = new CancellationTokenSource();
        var endpoint = new NodeBridgeEndpoint(new Required(parent), hub, admission);
        var connected = endpoint.Connect(new Said(), new Heard(), new EndpointCall("NodeBridgeService/Connect", PrincipalKinds.Node, call.Token));
        await _asked.Task.WaitAsync(Patience);
        await call.CancelAsync();
        _answer.SetResult();
        (await _ended.Task.WaitAsync(Patience)).Cause.ShouldBe("stream-broken");
        await connected.WaitAsync(Patience);
    }

    private sealed class Required(IActorRef parent) : IRequiredActor<HubActorKeys.Bridges>
    {
        public IActorRef ActorRef => parent;

        public Task<IActorRef> GetAsync(CancellationToken cancellationToken = default) => Task.FromResult(parent);
    }

    /// <summary>Makes the bridge only when it is let.</summary>
    private sealed class ParentStub : ReceiveActor
    {
        public ParentStub(TaskCompletionSource<OpenBridge> asked, Task answer, IActorRef bridge) => ReceiveAsync<OpenBridge>(async m =>
        {
            var asker = Sender;
            asked.SetResult(m);
            await answer;
            asker.Tell(bridge);
        });
    }

    private sealed class BridgeStub : ReceiveActor
    {
        public BridgeStub(TaskCompletionSource<StreamEnded> ended) => Receive<StreamEnded>(m => ended.TrySetResult(m));
    }

    /// <summary>A hello, and then nothing until the call is cancelled.</summary>
    private sealed class Said : IAsyncStreamReader<ConnectRequest>
    {
        private int _read;

        public ConnectRequest Current { get; } = new()
        {
            Hello = new NodeHello { Name = "n1", ClaimKey = ByteString.CopyFrom(new byte[32]), InstanceId = ByteString.CopyFrom([.. new byte[15], 1]) },
        };

        public async Task<bool> MoveNext(CancellationToken cancellationToken)
        {
            if (Interlocked.Increment(ref _read) > 1)
                await Task.Delay(Timeout.Infinite, cancellationToken);
            return true;
        }
    }

    private sealed class Heard : IServerStreamWriter<ConnectResponse>
    {
        public WriteOptions? WriteOptions { get; set; }

        public Task WriteAsync(ConnectResponse message) => Task.CompletedTask;
    }
}
