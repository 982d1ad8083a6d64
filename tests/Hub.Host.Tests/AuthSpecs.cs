using AkkaHub.Internal.V1;
using AkkaHub.V1;
using Google.Protobuf;
using Grpc.Core;
using Grpc.Net.Client;
using Hub.Actors;
using Hub.Actors.Store;
using Hub.Actors.Tokens;
using Hub.Host.Auth;
using Hub.Host.Hosting;
using Hub.Host.Services;
using Hub.Host.Settings;
using Hub.Protocol;
using static Hub.Host.Tests.TestSupport;

namespace Hub.Host.Tests;

public sealed class AccessPolicySpecs
{
    private static IEnumerable<string> Methods =>
        from service in (Google.Protobuf.Reflection.ServiceDescriptor[])[HubService.Descriptor, NodeBridgeService.Descriptor]
        from method in service.Methods
        select $"/{service.FullName}/{method.Name}";

    [Fact]
    public void Every_method_of_both_services_stands_in_the_table_and_nothing_else() =>
        AccessPolicy.Methods.Order(StringComparer.Ordinal).ShouldBe(Methods.Order(StringComparer.Ordinal));

    [Fact]
    public void What_is_not_in_the_table_is_denied_to_all()
    {
        foreach (var kind in (PrincipalKinds[])[PrincipalKinds.Admin, PrincipalKinds.Node, PrincipalKinds.Client])
            AccessPolicy.Allows(kind, "/akkahub.v1.HubService/Unheard").ShouldBeFalse();
    }

    [Fact]
    public void Each_kind_may_do_its_own()
    {
        string[] adminOnly = ["ChangeMember", "CreateToken", "ListMembers", "ListTokens", "RevokeToken", "StopHub"];
        foreach (var method in Methods)
        {
            var bridge = method == "/akkahub.v1.NodeBridgeService/Connect";
            var reserved = adminOnly.Any(m => method == $"/akkahub.v1.HubService/{m}");
            AccessPolicy.Allows(PrincipalKinds.Admin, method).ShouldBeTrue(method);
            AccessPolicy.Allows(PrincipalKinds.Node, method).ShouldBe(bridge, method);
            AccessPolicy.Allows(PrincipalKinds.Client, method).ShouldBe(!bridge && !reserved, method);
        }
    }
}

public sealed class AdminTokenSpecs : IDisposable
{
    private readonly TemporaryDirectory _data = new();

    public void Dispose() => _data.Dispose();

    [Fact]
    public void It_is_made_once_for_its_owner_alone()
    {
        var token = AdminToken.LoadOrCreate(_data.Path);
        token.ShouldMatch("^ahub_[A-Za-z0-9_-]{43}$");
        File.GetUnixFileMode(_data["admin.token"]).ShouldBe(UnixFileMode.UserRead | UnixFileMode.UserWrite);
        AdminToken.LoadOrCreate(_data.Path).ShouldBe(token);
        LocalHub.TryReadToken(_data.Path).ShouldBe(token);
    }

    [Fact]
    public void One_that_others_can_read_is_refused()
    {
        AdminToken.LoadOrCreate(_data.Path);
        File.SetUnixFileMode(_data["admin.token"], UnixFileMode.UserRead | UnixFileMode.GroupRead);
        Should.Throw<StoreRefusedException>(() => AdminToken.LoadOrCreate(_data.Path)).Message.ShouldContain("can be read by others");
    }

    [Fact]
    public void One_that_is_none_is_refused()
    {
        AdminToken.LoadOrCreate(_data.Path);
        File.WriteAllText(_data["admin.token"], "ahub_short");
        Should.Throw<StoreRefusedException>(() => AdminToken.LoadOrCreate(_data.Path)).Message.ShouldNotContain("ahub_short");
    }
}

/// <summary>The production interceptor on production listeners, before two services that do next to nothing.</summary>
public sealed class AuthInterceptorSpecs : IAsyncLifetime
{
    private readonly TemporaryDirectory _data = new();
    private readonly string _admin = AdminToken.NewSecret();
    private readonly string _node = AdminToken.NewSecret();
    private readonly string _client = AdminToken.NewSecret();
    private WebApplication _app = null!;
    private GrpcChannel _channel = null!;

    public async Task InitializeAsync()
    {
        var settings = new AllSettings { Host = new HostSettings { DataDir = _data.Path, GrpcPort = 0, HttpPort = 0, LocalNode = false } };
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.AddHubCore(settings, TimeProvider.System).AddHubAuth(_admin).AddHubListeners(settings.Host).AddHubServices().AddLocalNode();
        builder.Services.Configure<Grpc.AspNetCore.Server.GrpcServiceOptions>(options => options.EnableDetailedErrors = true);
        builder.Services.AddSingleton(_ => Akka.Actor.ActorSystem.Create("none", "akka.loglevel = OFF"));
        builder.Services.AddSingleton<FakeHub>();
        builder.Services.AddSingleton<FakeBridge>();
        _app = builder.Build();
        _app.MapGrpcService<FakeHub>();
        _app.MapGrpcService<FakeBridge>();
        await _app.StartAsync();
        _channel = GrpcChannel.ForAddress(_app.Services.GetRequiredService<HubListeners>().Grpc);
    }

    public async Task DisposeAsync()
    {
        _channel.Dispose();
        await _app.StopAsync();
        await _app.Services.GetRequiredService<Akka.Actor.ActorSystem>().Terminate();
        await _app.DisposeAsync();
        _data.Dispose();
    }

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("Bearer")]
    [InlineData("Bearer ahub_unknown")]
    [InlineData("Basic ahub_unknown")]
    public async Task Without_a_valid_token_nothing_is_allowed(string? header)
    {
        Publish();
        var metadata = new Metadata();
        if (header is not null)
            metadata.Add("authorization", header);
        var hub = new HubService.HubServiceClient(_channel);
        var failures = new[]
        {
            await Failure(() => hub.GetHubAsync(new GetHubRequest(), metadata).ResponseAsync),
            await Failure(() => hub.WatchNodes(new WatchNodesRequest(), metadata).ResponseStream.MoveNext(default)),
            await Failure(() => hub.AttachTerminal(metadata).ResponseStream.MoveNext(default)),
            await Failure(() => new NodeBridgeService.NodeBridgeServiceClient(_channel).Connect(metadata).ResponseStream.MoveNext(default)),
        };
        failures.ShouldAllBe(f => f.StatusCode == StatusCode.Unauthenticated && HubErrors.ReasonOf(f) == ErrorReasons.TokenInvalid);
        _app.Services.GetRequiredService<FakeHub>().Calls.ShouldBe(0);
    }

    [Fact]
    public async Task A_token_of_another_kind_is_not_allowed()
    {
        Publish();
        var hub = new HubService.HubServiceClient(_channel);
        var failures = new[]
        {
            await Failure(() => hub.GetHubAsync(new GetHubRequest(), Bearer(_node)).ResponseAsync),
            await Failure(() => hub.StopHubAsync(new StopHubRequest(), Bearer(_client)).ResponseAsync),
            await Failure(() => new NodeBridgeService.NodeBridgeServiceClient(_channel).Connect(Bearer(_client)).ResponseStream.MoveNext(default)),
        };
        failures.ShouldAllBe(f => f.StatusCode == StatusCode.PermissionDenied && HubErrors.ReasonOf(f) == ErrorReasons.NotAllowed);
    }

    [Fact]
    public async Task A_valid_token_reaches_the_handler_which_knows_who_calls()
    {
        Publish();
        var hub = new HubService.HubServiceClient(_channel);
        (await hub.GetHubAsync(new GetHubRequest(), Bearer(_admin))).Member.ShouldBe("Admin admin");
        (await hub.GetHubAsync(new GetHubRequest(), Bearer(_client))).Member.ShouldBe("Client client-1");
        using var bridge = new NodeBridgeService.NodeBridgeServiceClient(_channel).Connect(Bearer(_node));
        (await bridge.ResponseStream.MoveNext(default)).ShouldBeTrue();
        bridge.ResponseStream.Current.Welcome.HubMember.ShouldBe("Node node-1");
    }

    [Fact]
    public async Task Before_the_tokens_are_read_only_the_owner_is_known_and_others_are_told_to_come_back()
    {
        var hub = new HubService.HubServiceClient(_channel);
        await hub.GetHubAsync(new GetHubRequest(), Bearer(_admin));
        var failure = await Failure(() => hub.GetHubAsync(new GetHubRequest(), Bearer(_client)).ResponseAsync);
        (failure.StatusCode, HubErrors.ReasonOf(failure)).ShouldBe((StatusCode.Unavailable, ErrorReasons.NotReady));
        failure.GetRpcStatus()!.GetDetail<Google.Rpc.RetryInfo>().ShouldNotBeNull();
    }

    [Fact]
    public async Task Revoking_a_token_ends_its_streams_and_no_others()
    {
        Publish();
        var hub = new HubService.HubServiceClient(_channel);
        using var revoked = hub.WatchNodes(new WatchNodesRequest(), Bearer(_client));
        using var other = hub.WatchNodes(new WatchNodesRequest(), Bearer(_admin));
        using var node = new NodeBridgeService.NodeBridgeServiceClient(_channel).Connect(Bearer(_node));
        (await revoked.ResponseStream.MoveNext(default)).ShouldBeTrue();
        (await other.ResponseStream.MoveNext(default)).ShouldBeTrue();
        (await node.ResponseStream.MoveNext(default)).ShouldBeTrue();

        _app.Services.GetRequiredService<TokenDirectory>().Publish([]);
        var ended = await Failure(() => revoked.ResponseStream.MoveNext(default)).WaitAsync(Patience);
        (ended.StatusCode, HubErrors.ReasonOf(ended)).ShouldBe((StatusCode.Unauthenticated, ErrorReasons.TokenInvalid));
        // A node is told in its own words first; a handler that does not heed the revocation is ended after the grace.
        (await node.ResponseStream.MoveNext(default).WaitAsync(Patience)).ShouldBeTrue();
        node.ResponseStream.Current.Disconnect.Reason.ShouldBe(DisconnectReason.CredentialRevoked);
        (await Failure(() => node.ResponseStream.MoveNext(default)).WaitAsync(Patience)).StatusCode.ShouldBe(StatusCode.Unauthenticated);
        (await Failure(() => hub.GetHubAsync(new GetHubRequest(), Bearer(_client)).ResponseAsync)).StatusCode.ShouldBe(StatusCode.Unauthenticated);
        _app.Services.GetRequiredService<LiveCalls>().Count.ShouldBe(1);
    }

    [Fact]
    public async Task A_drain_ends_the_calls_that_do_not_end_by_themselves()
    {
        Publish();
        var hub = new HubService.HubServiceClient(_channel);
        using var stream = hub.WatchNodes(new WatchNodesRequest(), Bearer(_client));
        // This handler heeds nothing: its connection is cut.
        using var deaf = hub.WatchEvents(new WatchEventsRequest(), Bearer(_client));
        (await stream.ResponseStream.MoveNext(default)).ShouldBeTrue();
        (await deaf.ResponseStream.MoveNext(default)).ShouldBeTrue();
        var calls = _app.Services.GetRequiredService<LiveCalls>();
        (await calls.DrainAsync(TimeSpan.FromMilliseconds(50), () => HubErrors.NotReady("the hub is stopping", TimeSpan.FromSeconds(1)), TimeProvider.System)).ShouldBeInRange(1, 2);
        var ended = await Failure(() => stream.ResponseStream.MoveNext(default)).WaitAsync(Patience);
        (ended.StatusCode, HubErrors.ReasonOf(ended)).ShouldBe((StatusCode.Unavailable, ErrorReasons.NotReady));
        await Failure(() => deaf.ResponseStream.MoveNext(default)).WaitAsync(Patience);
        (await Failure(() => hub.GetHubAsync(new GetHubRequest(), Bearer(_client)).ResponseAsync)).StatusCode.ShouldBe(StatusCode.Unavailable);
        _app.Services.GetRequiredService<FakeHub>().Release.SetResult();
    }

    [Fact]
    public async Task What_a_handler_did_not_foresee_is_a_status_with_a_reason_all_the_same()
    {
        var hub = new HubService.HubServiceClient(_channel);
        var fault = await Failure(() => hub.ListTokensAsync(new ListTokensRequest(), Bearer(_admin)).ResponseAsync);
        (fault.StatusCode, HubErrors.ReasonOf(fault)).ShouldBe((StatusCode.Internal, ErrorReasons.Internal));
        fault.Status.Detail.ShouldNotContain(FakeHub.Secret);
        var silence = await Failure(() => hub.ListNodesAsync(new ListNodesRequest(), Bearer(_admin)).ResponseAsync);
        (silence.StatusCode, HubErrors.ReasonOf(silence)).ShouldBe((StatusCode.Unavailable, ErrorReasons.StoreUnavailable));
    }

    private void Publish() => _app.Services.GetRequiredService<TokenDirectory>().Publish(
        [Stored("node-1", TokenType.Node, _node), Stored("client-1", TokenType.Client, _client)]);

    private static StoredToken Stored(string id, TokenType type, string secret) => new()
    {
        Token = new Token { Id = id, Type = type },
        SecretHash = ByteString.CopyFrom(System.Security.Cryptography.SHA256.HashData(System.Text.Encoding.UTF8.GetBytes(secret))),
    };

    private static Metadata Bearer(string secret) => new() { { "authorization", $"Bearer {secret}" } };

    private static Task<RpcException> Failure(Func<Task> call) => Should.ThrowAsync<RpcException>(call);

    private sealed class FakeHub : HubService.HubServiceBase
    {
        public const string Secret = "what nobody should see";
        private int _calls;

        public int Calls => _calls;

        public TaskCompletionSource Release { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public override Task<GetHubResponse> GetHub(GetHubRequest request, ServerCallContext context)
        {
            Interlocked.Increment(ref _calls);
            var principal = context.GetPrincipal();
            return Task.FromResult(new GetHubResponse { Member = $"{principal.Kind} {principal.TokenId}" });
        }

        public override Task<ListTokensResponse> ListTokens(ListTokensRequest request, ServerCallContext context) => throw new InvalidOperationException(Secret);

        public override Task<ListNodesResponse> ListNodes(ListNodesRequest request, ServerCallContext context) => throw new Akka.Actor.AskTimeoutException(Secret);

        public override async Task WatchNodes(WatchNodesRequest request, IServerStreamWriter<WatchNodesResponse> responseStream, ServerCallContext context)
        {
            await responseStream.WriteAsync(new WatchNodesResponse());
            await Task.Delay(Timeout.Infinite, context.CancellationToken);
        }

        public override async Task WatchEvents(WatchEventsRequest request, IServerStreamWriter<WatchEventsResponse> responseStream, ServerCallContext context)
        {
            await responseStream.WriteAsync(new WatchEventsResponse());
            await Release.Task;
        }

        public override Task AttachTerminal(IAsyncStreamReader<AttachTerminalRequest> requestStream, IServerStreamWriter<AttachTerminalResponse> responseStream, ServerCallContext context)
        {
            Interlocked.Increment(ref _calls);
            return Task.CompletedTask;
        }
    }

    private sealed class FakeBridge : NodeBridgeService.NodeBridgeServiceBase
    {
        public override async Task Connect(IAsyncStreamReader<ConnectRequest> requestStream, IServerStreamWriter<ConnectResponse> responseStream, ServerCallContext context)
        {
            var principal = context.GetPrincipal();
            await responseStream.WriteAsync(new ConnectResponse { Welcome = new NodeWelcome { HubMember = $"{principal.Kind} {principal.TokenId}" } });
            var revoked = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            await using var registration = principal.Revoked.Register(revoked.SetResult);
            await revoked.Task;
            await responseStream.WriteAsync(new ConnectResponse { Disconnect = new HubDisconnect { Reason = DisconnectReason.CredentialRevoked } });
            await Task.Delay(Timeout.Infinite, context.CancellationToken);
        }
    }
}
