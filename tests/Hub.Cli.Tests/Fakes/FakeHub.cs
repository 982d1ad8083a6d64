using System.Net;
using AkkaHub.V1;
using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;
using Google.Rpc;
using Grpc.Core;
using Hub.Protocol;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Status = Google.Rpc.Status;

namespace Hub.Cli.Tests.Fakes;

/// <summary>A real gRPC server on a loopback port whose answers the test decides.</summary>
public sealed class FakeHub : IAsyncDisposable
{
    private readonly WebApplication _app;

    private FakeHub(WebApplication app, Script script) => (_app, Script) = (app, script);

    /// <summary>What it answers, and what it was asked.</summary>
    public Script Script { get; }

    /// <summary>host:port.</summary>
    public string Address => new Uri(_app.Urls.First()).Authority;

    /// <summary>The port it listens on.</summary>
    public int Port => new Uri(_app.Urls.First()).Port;

    /// <summary>Starts one, on a free port unless one is given.</summary>
    public static async Task<FakeHub> StartAsync(Script? script = null, int port = 0)
    {
        script ??= new Script();
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.Services.AddSingleton(script);
        builder.Services.AddGrpc();
        builder.WebHost.ConfigureKestrel(k => k.Listen(IPAddress.Loopback, port, l =>
        {
            l.Protocols = HttpProtocols.Http2;
            // As the hub's line does with who gets no turn, once it has said something: so it is certain that it is connected.
            l.Use(next => async connection =>
            {
                if (!script.Resets())
                {
                    await next(connection);
                    return;
                }

                await connection.Transport.Input.ReadAsync(connection.ConnectionClosed);
                connection.Abort(new ConnectionAbortedException("reset by the script"));
            });
        }));
        builder.Services.Configure<Microsoft.Extensions.Hosting.HostOptions>(o => o.ShutdownTimeout = TimeSpan.Zero);
        var app = builder.Build();
        app.MapGrpcService<FakeService>();
        await app.StartAsync();
        return new FakeHub(app, script);
    }

    /// <summary>Takes it away with all its connections, as a kill does.</summary>
    public async ValueTask DisposeAsync()
    {
        using var now = new CancellationTokenSource();
        await now.CancelAsync();
        try
        {
            await _app.StopAsync(now.Token);
        }
        catch (OperationCanceledException)
        {
            // In no time, as asked.
        }

        await _app.DisposeAsync();
    }

    /// <summary>An error as the hub makes it.</summary>
    public static RpcException Error(StatusCode code, string reason, string message, params (string Key, string Value)[] details)
    {
        var info = new ErrorInfo { Domain = ErrorReasons.Domain, Reason = reason };
        foreach (var (key, value) in details)
            info.Metadata[key] = value;
        return new Status { Code = (int)code, Message = message, Details = { Any.Pack(info) } }.ToRpcException();
    }

    /// <summary>A record of output.</summary>
    public static HistoryRecord Output(long offset, string text, bool error = false) => Output(offset, System.Text.Encoding.UTF8.GetBytes(text), error);

    /// <summary>A record of output.</summary>
    public static HistoryRecord Output(long offset, byte[] bytes, bool error = false) => new()
    {
        Cursor = $"c{offset + bytes.Length}",
        Output = new HistoryOutput
        {
            Offset = offset,
            Data = ByteString.CopyFrom(bytes),
            Channel = error ? OutputChannel.Stderr : OutputChannel.Stdout,
        },
    };

    /// <summary>Part of a history that reaches the newest.</summary>
    public static FollowHistoryResponse Part(TerminalState state, params HistoryRecord[] records) => new()
    {
        Records = { records },
        NextCursor = records.LastOrDefault()?.Cursor ?? "",
        AtEnd = true,
        TerminalState = state,
        NodeState = NodeState.Online,
    };
}

/// <summary>What the fake hub answers. What has no answer fails with UNIMPLEMENTED.</summary>
public sealed class Script
{
    private readonly Lock _gate = new();
    private readonly List<IMessage> _asked = [];
    private readonly List<string?> _credentials = [];
    private readonly Dictionary<System.Type, DateTime> _deadlines = [];
    private readonly Dictionary<System.Type, Func<IMessage, IMessage>> _answers = [];

    /// <summary>Answer to FollowHistory.</summary>
    public Func<FollowHistoryRequest, IServerStreamWriter<FollowHistoryResponse>, ServerCallContext, Task>? Follow { get; set; }

    /// <summary>Answer to RunCommand.</summary>
    public Func<RunCommandRequest, IServerStreamWriter<RunCommandResponse>, ServerCallContext, Task>? Run { get; set; }

    /// <summary>Answer to WatchNodes.</summary>
    public Func<WatchNodesRequest, IServerStreamWriter<WatchNodesResponse>, ServerCallContext, Task>? WatchNodes { get; set; }

    /// <summary>Answer to WatchEvents.</summary>
    public Func<WatchEventsRequest, IServerStreamWriter<WatchEventsResponse>, ServerCallContext, Task>? WatchEvents { get; set; }

    /// <summary>Answer to AttachTerminal.</summary>
    public Func<IAsyncStreamReader<AttachTerminalRequest>, IServerStreamWriter<AttachTerminalResponse>, ServerCallContext, Task>? Attach { get; set; }

    /// <summary>Whether the next connection is reset before anything of it is handled.</summary>
    public Func<bool> Resets { get; set; } = () => false;

    /// <summary>Called with each request as it arrives.</summary>
    public Action<IMessage>? OnAsked { get; set; }

    /// <summary>Sets the answer to a request.</summary>
    public Script On<TRequest>(Func<TRequest, IMessage> answer) where TRequest : IMessage
    {
        _answers[typeof(TRequest)] = m => answer((TRequest)m);
        return this;
    }

    /// <summary>The requests of a type, in order.</summary>
    public IReadOnlyList<T> Asked<T>() where T : IMessage
    {
        lock (_gate)
            return [.. _asked.OfType<T>()];
    }

    /// <summary>The newest authorization header.</summary>
    public string? Credential
    {
        get
        {
            lock (_gate)
                return _credentials[^1];
        }
    }

    /// <summary>When the newest call of a type would end by itself; <see cref="DateTime.MaxValue"/> for never.</summary>
    public DateTime DeadlineOf<T>() where T : IMessage
    {
        lock (_gate)
            return _deadlines[typeof(T)];
    }

    internal void Note(IMessage message, ServerCallContext context)
    {
        lock (_gate)
        {
            _asked.Add(message.Descriptor.Parser.ParseFrom(message.ToByteString()));
            _deadlines[message.GetType()] = context.Deadline;
            _credentials.Add(context.RequestHeaders.GetValue("authorization"));
        }

        OnAsked?.Invoke(message);
    }

    internal T Answer<T>(IMessage message) where T : IMessage =>
        _answers.TryGetValue(message.GetType(), out var answer)
            ? (T)answer(message)
            : throw new RpcException(new Grpc.Core.Status(StatusCode.Unimplemented, $"no answer to {message.Descriptor.Name}"));
}

/// <summary>Hands every call to the script.</summary>
public sealed class FakeService(Script script) : HubService.HubServiceBase
{
    /// <inheritdoc/>
    public override Task<GetHubResponse> GetHub(GetHubRequest r, ServerCallContext c) => Unary<GetHubResponse>(r, c);
    /// <inheritdoc/>
    public override Task<StopHubResponse> StopHub(StopHubRequest r, ServerCallContext c) => Unary<StopHubResponse>(r, c);
    /// <inheritdoc/>
    public override Task<ListNodesResponse> ListNodes(ListNodesRequest r, ServerCallContext c) => Unary<ListNodesResponse>(r, c);
    /// <inheritdoc/>
    public override Task<GetNodeResponse> GetNode(GetNodeRequest r, ServerCallContext c) => Unary<GetNodeResponse>(r, c);
    /// <inheritdoc/>
    public override Task<ForgetNodeResponse> ForgetNode(ForgetNodeRequest r, ServerCallContext c) => Unary<ForgetNodeResponse>(r, c);
    /// <inheritdoc/>
    public override Task<DrainNodeResponse> DrainNode(DrainNodeRequest r, ServerCallContext c) => Unary<DrainNodeResponse>(r, c);
    /// <inheritdoc/>
    public override Task<ListTerminalsResponse> ListTerminals(ListTerminalsRequest r, ServerCallContext c) => Unary<ListTerminalsResponse>(r, c);
    /// <inheritdoc/>
    public override Task<OpenTerminalResponse> OpenTerminal(OpenTerminalRequest r, ServerCallContext c) => Unary<OpenTerminalResponse>(r, c);
    /// <inheritdoc/>
    public override Task<CloseTerminalResponse> CloseTerminal(CloseTerminalRequest r, ServerCallContext c) => Unary<CloseTerminalResponse>(r, c);
    /// <inheritdoc/>
    public override Task<PurgeTerminalResponse> PurgeTerminal(PurgeTerminalRequest r, ServerCallContext c) => Unary<PurgeTerminalResponse>(r, c);
    /// <inheritdoc/>
    public override Task<ReadHistoryResponse> ReadHistory(ReadHistoryRequest r, ServerCallContext c) => Unary<ReadHistoryResponse>(r, c);
    /// <inheritdoc/>
    public override Task<SendInputResponse> SendInput(SendInputRequest r, ServerCallContext c) => Unary<SendInputResponse>(r, c);
    /// <inheritdoc/>
    public override Task<SendKeysResponse> SendKeys(SendKeysRequest r, ServerCallContext c) => Unary<SendKeysResponse>(r, c);
    /// <inheritdoc/>
    public override Task<ResizeTerminalResponse> ResizeTerminal(ResizeTerminalRequest r, ServerCallContext c) => Unary<ResizeTerminalResponse>(r, c);
    /// <inheritdoc/>
    public override Task<SignalTerminalResponse> SignalTerminal(SignalTerminalRequest r, ServerCallContext c) => Unary<SignalTerminalResponse>(r, c);
    /// <inheritdoc/>
    public override Task<GetCommandResponse> GetCommand(GetCommandRequest r, ServerCallContext c) => Unary<GetCommandResponse>(r, c);
    /// <inheritdoc/>
    public override Task<ListCommandsResponse> ListCommands(ListCommandsRequest r, ServerCallContext c) => Unary<ListCommandsResponse>(r, c);
    /// <inheritdoc/>
    public override Task<CancelCommandResponse> CancelCommand(CancelCommandRequest r, ServerCallContext c) => Unary<CancelCommandResponse>(r, c);
    /// <inheritdoc/>
    public override Task<CreateTokenResponse> CreateToken(CreateTokenRequest r, ServerCallContext c) => Unary<CreateTokenResponse>(r, c);
    /// <inheritdoc/>
    public override Task<ListTokensResponse> ListTokens(ListTokensRequest r, ServerCallContext c) => Unary<ListTokensResponse>(r, c);
    /// <inheritdoc/>
    public override Task<RevokeTokenResponse> RevokeToken(RevokeTokenRequest r, ServerCallContext c) => Unary<RevokeTokenResponse>(r, c);

    /// <inheritdoc/>
    public override Task<ListMembersResponse> ListMembers(ListMembersRequest r, ServerCallContext c) => Unary<ListMembersResponse>(r, c);
    /// <inheritdoc/>
    public override Task<ChangeMemberResponse> ChangeMember(ChangeMemberRequest r, ServerCallContext c) => Unary<ChangeMemberResponse>(r, c);

    /// <inheritdoc/>
    public override Task FollowHistory(FollowHistoryRequest r, IServerStreamWriter<FollowHistoryResponse> w, ServerCallContext c) => Stream(r, w, c, script.Follow);
    /// <inheritdoc/>
    public override Task RunCommand(RunCommandRequest r, IServerStreamWriter<RunCommandResponse> w, ServerCallContext c) => Stream(r, w, c, script.Run);
    /// <inheritdoc/>
    public override Task WatchNodes(WatchNodesRequest r, IServerStreamWriter<WatchNodesResponse> w, ServerCallContext c) => Stream(r, w, c, script.WatchNodes);
    /// <inheritdoc/>
    public override Task WatchEvents(WatchEventsRequest r, IServerStreamWriter<WatchEventsResponse> w, ServerCallContext c) => Stream(r, w, c, script.WatchEvents);

    /// <inheritdoc/>
    public override Task AttachTerminal(IAsyncStreamReader<AttachTerminalRequest> r, IServerStreamWriter<AttachTerminalResponse> w, ServerCallContext c) =>
        script.Attach is { } attach ? attach(new Noting(r, script, c), w, c) : throw new RpcException(new Grpc.Core.Status(StatusCode.Unimplemented, "attach"));

    private Task<T> Unary<T>(IMessage request, ServerCallContext context) where T : IMessage
    {
        script.Note(request, context);
        return Task.FromResult(script.Answer<T>(request));
    }

    private Task Stream<TRequest, TResponse>(
        TRequest request, IServerStreamWriter<TResponse> writer, ServerCallContext context,
        Func<TRequest, IServerStreamWriter<TResponse>, ServerCallContext, Task>? answer) where TRequest : IMessage
    {
        script.Note(request, context);
        return answer is null
            ? throw new RpcException(new Grpc.Core.Status(StatusCode.Unimplemented, request.Descriptor.Name))
            : answer(request, writer, context);
    }

    private sealed class Noting(IAsyncStreamReader<AttachTerminalRequest> inner, Script script, ServerCallContext context) : IAsyncStreamReader<AttachTerminalRequest>
    {
        public AttachTerminalRequest Current => inner.Current;

        public async Task<bool> MoveNext(CancellationToken cancellationToken)
        {
            if (!await inner.MoveNext(cancellationToken))
                return false;
            script.Note(inner.Current, context);
            return true;
        }
    }
}
