using System.Threading.Channels;
using AkkaHub.V1;
using Google.Protobuf;
using Google.Rpc;
using Grpc.Core;
using Hub.Protocol;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Hub.Node.Tests.Uplink;

/// <summary>A hub of which the test plays the part: each call of a node is handed to the test as it comes.</summary>
internal sealed class FakeHub : IAsyncDisposable
{
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);
    private readonly WebApplication _app;
    private readonly Channel<FakeSession> _sessions = Channel.CreateBounded<FakeSession>(16);

    private FakeHub(WebApplication app) => _app = app;

    public Uri Address { get; private set; } = null!;

    public static async Task<FakeHub> StartAsync(int port = 0)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(k => k.ListenHttp2(port));
        builder.Services.AddGrpc();
        FakeHub? hub = null;
        builder.Services.AddSingleton(_ => new FakeBridge(hub!._sessions.Writer));
        var app = builder.Build();
        app.MapGrpcService<FakeBridge>();
        hub = new FakeHub(app);
        await app.StartAsync();
        hub.Address = new Uri(app.Services.GetRequiredService<Microsoft.AspNetCore.Hosting.Server.IServer>()
            .Features.Get<IServerAddressesFeature>()!.Addresses.First());
        return hub;
    }

    /// <summary>Calls that wait to be accepted.</summary>
    public int Calls => _sessions.Reader.Count;

    /// <summary>The next call of a node.</summary>
    public async Task<FakeSession> AcceptAsync() => await _sessions.Reader.ReadAsync().AsTask().WaitAsync(Patience);

    public async ValueTask DisposeAsync()
    {
        using var now = new CancellationTokenSource();
        await now.CancelAsync();
        await _app.StopAsync(now.Token);
        await _app.DisposeAsync();
    }

    private sealed class FakeBridge(ChannelWriter<FakeSession> sessions) : NodeBridgeService.NodeBridgeServiceBase
    {
        public override async Task Connect(IAsyncStreamReader<ConnectRequest> requests, IServerStreamWriter<ConnectResponse> responses, ServerCallContext context)
        {
            var session = new FakeSession(requests, responses, context);
            await sessions.WriteAsync(session, context.CancellationToken);
            var broken = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            await using var registration = context.CancellationToken.Register(() => broken.TrySetResult());
            await await Task.WhenAny(session.Ended, broken.Task);
        }
    }
}

/// <summary>One call of a node.</summary>
internal sealed class FakeSession(IAsyncStreamReader<ConnectRequest> requests, IServerStreamWriter<ConnectResponse> responses, ServerCallContext context)
{
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private long _request;

    public Task Ended => _ended.Task;
    public string? Authorization => context.RequestHeaders.GetValue("authorization");
    public NodeHello Hello { get; private set; } = null!;

    /// <summary>The next message that is not a heartbeat.</summary>
    public async Task<ConnectRequest> NextAsync()
    {
        while (true)
        {
            (await requests.MoveNext(CancellationToken.None).WaitAsync(FakeHub.Patience)).ShouldBeTrue("the node ended the call");
            if (requests.Current.Heartbeat is null)
                return requests.Current;
        }
    }

    public async Task<NodeHeartbeat> NextBeatAsync()
    {
        while (true)
        {
            (await requests.MoveNext(CancellationToken.None).WaitAsync(FakeHub.Patience)).ShouldBeTrue("the node ended the call");
            if (requests.Current.Heartbeat is { } beat)
                return beat;
        }
    }

    /// <summary>Reads on until a message fits.</summary>
    public async Task<ConnectRequest> UntilAsync(Func<ConnectRequest, bool> fits)
    {
        while (true)
        {
            var message = await NextAsync();
            if (fits(message))
                return message;
        }
    }

    /// <summary>Takes hello and answers welcome; each stream of hello goes on from where it is asked to.</summary>
    public async Task<NodeHello> WelcomeAsync(Func<LiveStream, StreamFlow?>? flow = null, uint beatMs = 60_000, uint maxOutput = 32 * 1024, HubMembers? members = null)
    {
        Hello = (await NextAsync()).Hello.ShouldNotBeNull();
        var welcome = new NodeWelcome
        {
            SessionEpoch = 1,
            HeartbeatIntervalMs = beatMs,
            HubMember = "fake",
            HubVersion = "test",
            Members = members,
            Limits = new NodeLimits { MaxOutputBytes = maxOutput, MaxTerminals = 16, MaxRunningCommands = 32 },
        };
        flow ??= s => Everything(s.Incarnation, s.FirstOffset);
        welcome.Streams.AddRange(Hello.Streams.Select(flow).OfType<StreamFlow>());
        await SayAsync(new ConnectResponse { Welcome = welcome });
        return Hello;
    }

    public Task SayAsync(ConnectResponse message) => responses.WriteAsync(message);

    public Task FlowAsync(StreamFlow flow) => SayAsync(new ConnectResponse { FlowUpdate = new FlowUpdate { Streams = { flow } } });

    public Task TypeAsync(ByteString incarnation, string text) => SayAsync(new ConnectResponse
    {
        TerminalInput = new TerminalInput { Request = ++_request, Incarnation = incarnation, Data = ByteString.CopyFromUtf8(text) },
    });

    public Task RunAsync(string id, string script) => SayAsync(new ConnectResponse
    {
        CommandRun = new CommandRun { CommandId = id, Argv = { "/bin/sh", "-c", script } },
    });

    public static StreamFlow Everything(ByteString incarnation, long ack = 0) =>
        new() { Incarnation = incarnation, AckOffset = ack, LimitOffset = long.MaxValue, LimitMessages = long.MaxValue };

    /// <summary>Ends the call in order, after a last message.</summary>
    public async Task DisconnectAsync(DisconnectReason reason, uint retryAfterMs = 0, HubMembers? members = null)
    {
        await SayAsync(new ConnectResponse { Disconnect = new HubDisconnect { Reason = reason, Message = "test", RetryAfterMs = retryAfterMs, Members = members } });
        _ended.TrySetResult();
    }

    /// <summary>Breaks the connection.</summary>
    public void Cut()
    {
        context.GetHttpContext().Abort();
        _ended.TrySetResult();
    }

    /// <summary>Ends the call with a status.</summary>
    public void Refuse(StatusCode code, string reason)
    {
        var status = new Google.Rpc.Status { Code = (int)code, Message = "refused" };
        status.Details.Add(Google.Protobuf.WellKnownTypes.Any.Pack(new ErrorInfo { Domain = ErrorReasons.Domain, Reason = reason }));
        _ended.TrySetException(status.ToRpcException());
    }

    public void End() => _ended.TrySetResult();
}

internal static class KestrelExtensions
{
    public static void ListenHttp2(this KestrelServerOptions kestrel, int port) =>
        kestrel.Listen(System.Net.IPAddress.Loopback, port, o => o.Protocols = HttpProtocols.Http2);
}
