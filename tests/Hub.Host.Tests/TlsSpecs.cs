using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography;
using AkkaHub.V1;
using Grpc.Core;
using Grpc.Net.Client;
using Hub.Actors;
using Hub.Host.Hosting;
using Hub.Host.Services;
using Hub.Protocol;
using Microsoft.AspNetCore.Http;
using static Hub.Host.Tests.TestSupport;

namespace Hub.Host.Tests;

/// <summary>The whole server with a certificate: who gets through, who does not and is told why, and what becomes of a new certificate.</summary>
public sealed class TlsSpecs : IAsyncLifetime
{
    private readonly TemporaryDirectory _data = new();
    private readonly TemporaryDirectory _files = new();
    private readonly TestAuthority _authority = TestAuthority.Make("ours");
    private Task<(int Code, string Output, string Error)> _run = null!;
    private WebApplication _app = null!;
    private readonly List<GrpcChannel> _channels = [];
    private string _ca = "";
    private int _greeted;
    private LocalHub _hub = null!;
    private Metadata _owner = null!;

    public async Task InitializeAsync()
    {
        _ca = _authority.WriteTo(_files);
        var (certificate, key) = _authority.Give(_files, "hub", new Issue { Names = ["hub.example", "127.0.0.1"], Usages = [CertificateUsage.Server] });
        var built = new TaskCompletionSource<WebApplication>(TaskCreationOptions.RunContinuationsAsynchronously);
        _run = RunAsync(
            Isolated(_data.Path, "--set", "registry.partitions=2", "--set", "log.level=error", "--set", $"tls.certificate={certificate}", "--set", $"tls.key={key}"),
            start =>
            {
                var app = HubApplication.Build(start);
                app.Use((http, next) =>
                {
                    if (http.Request.Protocol == HttpProtocol.Http2 && http.Features.Get<Greeting>() is not null)
                        Interlocked.Increment(ref _greeted);
                    return next(http);
                });
                built.SetResult(app);
                return app;
            });
        (await Task.WhenAny(built.Task, _run).WaitAsync(Patience)).ShouldBe(built.Task, _run.IsCompleted ? (await _run).Error : "");
        _app = await built.Task;
        await _app.Services.GetRequiredService<Readiness>().WhenReadyAsync(CancellationToken.None).WaitAsync(Patience);
        var started = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var registered = _app.Lifetime.ApplicationStarted.Register(started.SetResult);
        await started.Task.WaitAsync(Patience);
        _hub = LocalHub.TryRead(_data.Path).ShouldNotBeNull();
        _owner = Bearer(LocalHub.TryReadToken(_data.Path)!);
    }

    public async Task DisposeAsync()
    {
        foreach (var channel in _channels)
            channel.Dispose();
        _app?.Services.GetRequiredService<HubLifetime>().RequestStop(localNode: false);
        await _run.WaitAsync(Patience);
        _data.Dispose();
        _files.Dispose();
    }

    [Fact]
    public async Task Who_trusts_the_authority_gets_through_to_both_listeners()
    {
        _hub.Grpc.ShouldStartWith("https://127.0.0.1:");
        await Client(HubTrust.OfAuthority(_ca)).GetHubAsync(new GetHubRequest(), _owner);
        // The line in front knows them as before: what it keeps of a connection goes through the handshake.
        _greeted.ShouldBe(1);
        using var http = Http(HubTrust.OfAuthority(_ca));
        (await http.GetStringAsync($"{_hub.Http}/readyz")).ShouldBe("ok\n");
        // A name of the certificate is a name of the hub; any other is not.
        (await CalledAsync("hub.example")).ShouldBe(HttpStatusCode.OK);
        (await CalledAsync("other.example")).ShouldBe(HttpStatusCode.BadRequest);
    }

    [Fact]
    public async Task Who_does_not_trust_it_or_dials_another_name_is_told_so()
    {
        var foreign = TestAuthority.Make("theirs").WriteTo(_files);
        const string unknown = "its certificate (CN=hub) is of no authority that is trusted here; give its authority's certificate with --ca or AKKAHUB_CA";
        (await FaultAsync(Client(HubTrust.OfAuthority(foreign)))).ShouldBe(unknown);
        (await FaultAsync(Client(HubTrust.OfAuthority(null)))).ShouldBe(unknown);
        (await FaultAsync(Client(HubTrust.OfAuthority(_ca), _hub.Grpc.Replace("127.0.0.1", "localhost", StringComparison.Ordinal)))).ShouldBe("its certificate (CN=hub) is not for this name or address");
    }

    [Fact]
    public async Task Who_speaks_clear_text_to_it_or_tls_where_there_is_none_is_told_so()
    {
        (await FaultAsync(Client(null, _hub.Grpc.Replace("https", "http", StringComparison.Ordinal)))).ShouldBe("it speaks TLS there; write the address with https://");
        using var http = new HttpClient();
        using var answer = await http.GetAsync($"{_hub.Http.Replace("https", "http", StringComparison.Ordinal)}/livez");
        answer.StatusCode.ShouldBe(HttpStatusCode.BadRequest);
        (await answer.Content.ReadAsStringAsync()).ShouldContain("https://");

        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        using var over = new CancellationTokenSource(Patience);
        var speaking = SpeakAsync(listener, over.Token);
        (await FaultAsync(Client(HubTrust.OfAuthority(_ca), $"https://{listener.LocalEndpoint}"))).ShouldContain("if the hub speaks clear text leave https:// out");
        await over.CancelAsync();
        await Should.ThrowAsync<OperationCanceledException>(speaking);

        // The channel may connect more than once.
        static async Task SpeakAsync(TcpListener listener, CancellationToken cancellationToken)
        {
            while (true)
            {
                using var connection = await listener.AcceptTcpClientAsync(cancellationToken);
                var stream = connection.GetStream();
                await stream.WriteAsync("clear text, much of it"u8.ToArray(), cancellationToken);
                await stream.CopyToAsync(Stream.Null, cancellationToken);
            }
        }
    }

    [Theory]
    [InlineData(true, "h2")]
    [InlineData(false, "http/1.1")]
    public async Task It_agrees_on_one_protocol_and_no_old_tls(bool grpc, string protocol)
    {
        var end = new Uri(grpc ? _hub.Grpc : _hub.Http);
        using var tcp = new TcpClient();
        await tcp.ConnectAsync(end.Host, end.Port);
        await using var tls = new SslStream(tcp.GetStream());
        var options = HubTrust.OfAuthority(_ca);
        options.TargetHost = "hub.example";
        options.ApplicationProtocols = [SslApplicationProtocol.Http2, SslApplicationProtocol.Http11];
        await tls.AuthenticateAsClientAsync(options);
        tls.NegotiatedApplicationProtocol.ToString().ShouldBe(protocol);
    }

    /// <summary>The owner's programs trust exactly the hub of the data directory, whatever names its certificate has.</summary>
    [Fact]
    public async Task The_owner_knows_the_hub_by_its_certificate()
    {
        _hub.OwnersAddress.ShouldNotBeNull().ToString().ShouldBe(_hub.Grpc);
        await Client(HubTrust.OfLocalHub(_data.Path), _hub.Grpc.Replace("127.0.0.1", "localhost", StringComparison.Ordinal)).GetHubAsync(new GetHubRequest(), _owner);
        (_hub with { Certificates = ["00"] }).Write(_data.Path);
        (await FaultAsync(Client(HubTrust.OfLocalHub(_data.Path)))).ShouldBe($"its certificate is not the one that {Path.Combine(_data.Path, LocalHub.FileName)} names");
        (_hub with { Certificates = [] }).OwnersAddress.ShouldBeNull("nobody would know who answers there");
    }

    /// <summary>As the watch does every few seconds.</summary>
    [Fact]
    public async Task A_new_certificate_is_shown_to_new_connections_and_old_ones_go_on()
    {
        var certificate = _app.Services.GetRequiredService<ListenerCertificate>();
        var old = Client(HubTrust.OfLocalHub(_data.Path));
        using var watch = old.WatchEvents(new WatchEventsRequest { Follow = true }, _owner);
        await watch.ResponseHeadersAsync.WaitAsync(Patience);
        var before = certificate.Current.GetCertHashString(HashAlgorithmName.SHA256);
        _hub.Certificates.ShouldBe([before]);

        _authority.Give(_files, "hub", new Issue { Names = ["new.example"] });
        (await certificate.LookAsync(CancellationToken.None)).ShouldBe((true, null));
        var after = certificate.Current.GetCertHashString(HashAlgorithmName.SHA256);
        after.ShouldNotBe(before);
        LocalHub.TryRead(_data.Path)!.Certificates.ShouldBe([after]);
        // The owner notices nothing, a client of the old name does, one of the new name gets through.
        await Client(HubTrust.OfLocalHub(_data.Path)).GetHubAsync(new GetHubRequest(), _owner);
        (await FaultAsync(Client(HubTrust.OfAuthority(_ca)))).ShouldBe("its certificate (CN=hub) is not for this name or address");
        (await CalledAsync("new.example")).ShouldBe(HttpStatusCode.OK);
        (await CalledAsync("hub.example")).ShouldBe(HttpStatusCode.BadRequest);
        await old.GetHubAsync(new GetHubRequest(), _owner);
        watch.ResponseStream.MoveNext(default).IsFaulted.ShouldBeFalse();
    }

    [Fact]
    public async Task Wrong_missing_and_revoked_tokens_are_refused_and_nothing_else_is_disturbed()
    {
        var client = Client(HubTrust.OfAuthority(_ca));
        var made = await client.CreateTokenAsync(new CreateTokenRequest { Type = TokenType.Client }, _owner);
        var other = await client.CreateTokenAsync(new CreateTokenRequest { Type = TokenType.Client }, _owner);
        using var going = client.WatchEvents(new WatchEventsRequest { Follow = true }, Bearer(other.Secret));
        using var ending = Client(HubTrust.OfAuthority(_ca)).WatchEvents(new WatchEventsRequest { Follow = true }, Bearer(made.Secret));
        await going.ResponseHeadersAsync.WaitAsync(Patience);
        await ending.ResponseHeadersAsync.WaitAsync(Patience);
        await client.GetHubAsync(new GetHubRequest(), Bearer(made.Secret));
        await client.RevokeTokenAsync(new RevokeTokenRequest { Id = made.Token.Id }, _owner);

        foreach (var headers in (Metadata[])[[], Bearer("ahub_wrong"), Bearer(made.Secret)])
        {
            var refused = await Should.ThrowAsync<RpcException>(() => client.GetHubAsync(new GetHubRequest(), headers).ResponseAsync);
            (refused.StatusCode, HubErrors.ReasonOf(refused)).ShouldBe((StatusCode.Unauthenticated, ErrorReasons.TokenInvalid));
            using var node = new NodeBridgeService.NodeBridgeServiceClient(Channel(HubTrust.OfAuthority(_ca), _hub.Grpc)).Connect(headers);
            (await Should.ThrowAsync<RpcException>(() => node.ResponseStream.MoveNext(default).WaitAsync(Patience))).StatusCode.ShouldBe(StatusCode.Unauthenticated);
        }

        (await Should.ThrowAsync<RpcException>(() => EndAsync(ending))).StatusCode.ShouldBe(StatusCode.Unauthenticated);
        await client.GetHubAsync(new GetHubRequest(), Bearer(other.Secret));
        EndAsync(going).IsCompleted.ShouldBeFalse();

        static async Task EndAsync(AsyncServerStreamingCall<WatchEventsResponse> call)
        {
            while (await call.ResponseStream.MoveNext(default).WaitAsync(Patience))
            {
            }
        }
    }

    private static HttpClient Http(SslClientAuthenticationOptions trust) => new(new SocketsHttpHandler { SslOptions = trust });

    // The HTTP listener, called by a name that it may have or not.
    private async Task<HttpStatusCode> CalledAsync(string name)
    {
        using var http = Http(HubTrust.OfLocalHub(_data.Path));
        using var ask = new HttpRequestMessage(HttpMethod.Get, $"{_hub.Http}/livez") { Headers = { Host = name } };
        using var answer = await http.SendAsync(ask);
        return answer.StatusCode;
    }

    private HubService.HubServiceClient Client(SslClientAuthenticationOptions? trust, string? address = null) => new(Channel(trust, address ?? _hub.Grpc));

    private GrpcChannel Channel(SslClientAuthenticationOptions? trust, string address)
    {
        var channel = GrpcChannel.ForAddress(address, new GrpcChannelOptions { HttpHandler = new SocketsHttpHandler { SslOptions = trust }, DisposeHttpClient = true });
        _channels.Add(channel);
        return channel;
    }

    private async Task<string> FaultAsync(HubService.HubServiceClient client)
    {
        var failure = await Should.ThrowAsync<RpcException>(() => client.GetHubAsync(new GetHubRequest(), _owner).ResponseAsync.WaitAsync(Patience));
        return TransportFault.Explain(failure.Status.DebugException).ShouldNotBeNull($"{failure.StatusCode}: {failure.Status.DebugException}");
    }

    private static Metadata Bearer(string token) => new() { { "authorization", $"Bearer {token}" } };
}
