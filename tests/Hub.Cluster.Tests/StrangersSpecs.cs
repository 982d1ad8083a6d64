using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using AkkaHub.V1;
using Google.Rpc;
using Grpc.Core;
using Hub.Load.Nodes;
using Hub.Load.Processes;
using Hub.Protocol;
using Hub.SystemTests.Harness;
using Xunit.Abstractions;

namespace Hub.ClusterTests;

/// <summary>Who has no token, or no certificate of the cluster, is refused with the status that says so, and disturbs nobody.</summary>
public sealed class StrangersSpecs(ITestOutputHelper output)
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);
    private const int Failure = 1;
    private const int Usage = 2;

    [SlowFact]
    public async Task Whoever_does_not_belong_is_refused_and_nobody_is_disturbed()
    {
        await using var workspace = new Workspace(output);
        await using var cluster = await TestCluster.StartAsync(workspace, 3);
        using var client = new HubClient(cluster.Members[0]);
        var agent = workspace.StartAgent(cluster.Members[0], new AgentOptions { Wait = true, Members = cluster.Addresses, Token = await TestCluster.NodeTokenAsync(client) });
        await client.WaitForNodeAsync(agent.Name, NodeState.Online, Patience);
        var writer = await WriterTerminal.OpenAsync(workspace, client, agent.Name, WriterTerminal.Options(workspace, seed: 5) with { MostBytes = 256 * 1024 });
        var uids = await UidsAsync(cluster);

        await CallsAreRefusedAsync(cluster, client);
        await RevokedNodesAreSentAwayAsync(cluster, client);
        await StrangersAreNoMembersAsync(workspace, cluster);

        (await UidsAsync(cluster)).ShouldBe(uids, "no member came, none left");
        // The partitions of a new cluster still spread: its node's may move, and begin another session on the same stream.
        (await client.WaitForNodeAsync(agent.Name, NodeState.Online, Patience)).ShouldNotBeNull();
        foreach (var member in cluster.Members)
        {
            (await File.ReadAllLinesAsync(member.LogFile)).ShouldNotContain(
                l => l.Contains($"Node {agent.Name} is stale", StringComparison.Ordinal) || l.Contains($"Node {agent.Name} is offline", StringComparison.Ordinal), "nobody broke its stream");
        }

        writer.Stop();
        var written = await writer.FinishAsync(Patience);
        await client.WaitForTerminalAsync(agent.Name, writer.Name, t => t.State != TerminalState.Live, Patience);
        Whole.Check(await client.ReadAllAsync(agent.Name, writer.Name), written);
        foreach (var member in cluster.Members)
        {
            member.Child.HasExited.ShouldBeFalse();
            (await member.IsReadyAsync()).ShouldBeTrue();
        }
    }

    /// <summary>Whoever can open a port on a member's machine can be there when the others dial the one that died.</summary>
    [SlowFact]
    public async Task Who_listens_at_the_address_of_a_member_that_died_and_shows_another_certificate_disturbs_nobody()
    {
        await using var workspace = new Workspace(output);
        await using var cluster = await TestCluster.StartAsync(workspace, 3);
        var foreign = await TestCluster.MakeCertificatesAsync(workspace, 1, "foreign");
        using var certificate = System.Security.Cryptography.X509Certificates.X509Certificate2.CreateFromPemFile(
            Path.Combine(foreign, "member1.pem"), Path.Combine(foreign, "member1.key"));
        await cluster.Members[2].KillAsync();
        using var listener = new TcpListener(System.Net.IPAddress.Loopback, cluster.Members[2].RemotePort);
        listener.Start();
        using var late = new CancellationTokenSource(Patience);
        var dialled = 0;
        var gone = cluster.Members.Take(2).Select(m => m.Child.WaitForExitAsync(Patience)).ToArray();
        while (dialled < 4 && gone.All(g => !g.IsCompleted) && !(await File.ReadAllTextAsync(cluster.Members[0].LogFile, late.Token)).Contains("was downed and is fenced", StringComparison.Ordinal))
        {
            if (!listener.Pending())
            {
                await Task.Delay(TimeSpan.FromMilliseconds(50), late.Token);
                continue;
            }

            dialled++;
            using var socket = await listener.AcceptTcpClientAsync(late.Token);
            await using var tls = new SslStream(socket.GetStream());
            try
            {
                await tls.AuthenticateAsServerAsync(new SslServerAuthenticationOptions { ServerCertificate = certificate }, late.Token);
            }
            catch (Exception e) when (e is IOException or AuthenticationException)
            {
                // As it should be.
            }
        }

        workspace.Say($"dialled {dialled} times");
        dialled.ShouldBePositive();
        using var client = new HubClient(cluster.Members[0]);
        while ((await client.CallAsync((s, h) => s.ListMembersAsync(new ListMembersRequest(), h))).Members.Count != 2)
        {
            cluster.Members.Take(2).ShouldAllBe(m => !m.Child.HasExited);
            await Task.Delay(TimeSpan.FromMilliseconds(100), late.Token);
        }

        listener.Stop();
        await cluster.Members[2].StartAndWaitAsync(Patience);
        cluster.Members.ShouldAllBe(m => !m.Child.HasExited);
    }

    private static async Task CallsAreRefusedAsync(TestCluster cluster, HubClient admin)
    {
        var node = await admin.CallAsync((s, h) => s.CreateTokenAsync(new CreateTokenRequest { Type = TokenType.Node }, h));
        var revoked = await admin.CallAsync((s, h) => s.CreateTokenAsync(new CreateTokenRequest { Type = TokenType.Client }, h));
        foreach (var member in cluster.Members)
            await UntilAsync(member, revoked.Secret, StatusCode.OK);
        await admin.CallAsync((s, h) => s.RevokeTokenAsync(new RevokeTokenRequest { Id = revoked.Token.Id }, h));
        foreach (var member in cluster.Members)
        {
            await UntilAsync(member, revoked.Secret, StatusCode.Unauthenticated);
            (await ListAsync(member, null)).ShouldBe((StatusCode.Unauthenticated, ErrorReasons.TokenInvalid));
            (await ListAsync(member, "ahub_" + new string('x', 43))).ShouldBe((StatusCode.Unauthenticated, ErrorReasons.TokenInvalid));
            (await ListAsync(member, revoked.Secret)).ShouldBe((StatusCode.Unauthenticated, ErrorReasons.TokenInvalid));
            await UntilAsync(member, node.Secret, StatusCode.PermissionDenied);
            (await ListAsync(member, node.Secret)).ShouldBe((StatusCode.PermissionDenied, ErrorReasons.NotAllowed));
            if (member != cluster.Members[0])
                (await ListAsync(member, cluster.Members[0].Token)).ShouldBe((StatusCode.Unauthenticated, ErrorReasons.TokenInvalid), "the owner-only token is one member's");
        }
    }

    /// <summary>Simulated nodes: the first has a session when its token is revoked, the others come with none that is known.</summary>
    private static async Task RevokedNodesAreSentAwayAsync(TestCluster cluster, HubClient admin)
    {
        var token = await admin.CallAsync((s, h) => s.CreateTokenAsync(new CreateTokenRequest { Type = TokenType.Node }, h));
        await using var fleet = Fleet(cluster, "revoked-", token.Secret);
        fleet.Start();
        await fleet.WaitForOnlineAsync(1, Patience);
        await admin.CallAsync((s, h) => s.RevokeTokenAsync(new RevokeTokenRequest { Id = token.Token.Id }, h));
        await EndsWithAsync(fleet, "disconnect CredentialRevoked");
        foreach (var secret in (string?[])[null, "ahub_" + new string('y', 43), token.Secret])
        {
            await using var refused = Fleet(cluster, "refused-", secret);
            refused.Start();
            await EndsWithAsync(refused, "Unauthenticated TOKEN_INVALID");
            refused.Online.ShouldBe(0);
        }
    }

    private static async Task StrangersAreNoMembersAsync(Workspace workspace, TestCluster cluster)
    {
        var foreign = await TestCluster.MakeCertificatesAsync(workspace, 1, "foreign");
        var own = workspace.PathOf("certificates");
        // None at all, and one of an authority that it does not itself know: it does not start.
        (await RefusedAsync(workspace, cluster, "none", [])).ShouldContain("AKKAHUB_REMOTE_CERTIFICATE");
        (await RefusedAsync(workspace, cluster, "mixed", Certificates(foreign, own))).ShouldContain("it is not of the authority in akkahub.remote.ca");

        // One that trusts only its own authority, and one that trusts the cluster's, too, as an attacker would: nobody lets them in.
        var both = workspace.PathOf("both.pem");
        await File.WriteAllTextAsync(both, await File.ReadAllTextAsync(Path.Combine(foreign, "ca.pem")) + await File.ReadAllTextAsync(Path.Combine(own, "ca.pem")));
        foreach (var (name, authority) in ((string, string)[])[("stranger", Path.Combine(foreign, "ca.pem")), ("attacker", both)])
        {
            var stranger = workspace.NewHub(Environment(cluster, new Dictionary<string, string?>(Certificates(foreign, own)) { ["AKKAHUB_REMOTE_CA"] = authority }), name: name);
            stranger.Start();
            await IsLeftOutAsync(stranger);
            await stranger.KillAsync();
        }

        // Who only speaks TLS to the members' port does not get a word in.
        foreach (var member in cluster.Members)
            (await SpeaksAsync(member.RemotePort)).ShouldBeFalse();
    }

    // With TLS 1.3 the client's handshake ends before its certificate was judged: the end comes with the first read.
    private static async Task<bool> SpeaksAsync(int port)
    {
        using var late = new CancellationTokenSource(Patience);
        using var socket = new TcpClient();
        await socket.ConnectAsync("127.0.0.1", port, late.Token);
#pragma warning disable CA5359 // Whom it speaks to does not matter here.
        await using var tls = new SslStream(socket.GetStream(), leaveInnerStreamOpen: false, (_, _, _, _) => true);
#pragma warning restore CA5359
        try
        {
            await tls.AuthenticateAsClientAsync(new SslClientAuthenticationOptions { TargetHost = "member" }, late.Token);
            return await tls.ReadAsync(new byte[1], late.Token) > 0;
        }
        catch (Exception e) when (e is IOException or AuthenticationException)
        {
            return false;
        }
    }

    private static async Task<string> RefusedAsync(Workspace workspace, TestCluster cluster, string name, Dictionary<string, string?> certificates)
    {
        var hub = workspace.NewHub(Environment(cluster, certificates), name: name);
        hub.Start();
        (await hub.Child.WaitForExitAsync(Patience)).ShouldBe(Usage);
        return string.Join('\n', hub.Child.Tail);
    }

    private static Dictionary<string, string?> Certificates(string directory, string authority) => new()
    {
        ["AKKAHUB_REMOTE_CERTIFICATE"] = Path.Combine(directory, "member1.pem"),
        ["AKKAHUB_REMOTE_KEY"] = Path.Combine(directory, "member1.key"),
        ["AKKAHUB_REMOTE_CA"] = Path.Combine(authority, "ca.pem"),
    };

    private static Dictionary<string, string?> Environment(TestCluster cluster, Dictionary<string, string?> certificates) => new(certificates)
    {
        ["AKKAHUB_STORE"] = "postgresql",
        ["AKKAHUB_CONNECTION_STRING"] = cluster.Server.ConnectionString(),
        ["AKKAHUB_SEEDS"] = string.Join(',', cluster.Members.Select(m => $"127.0.0.1:{m.RemotePort}")),
    };

    private static NodeFleet Fleet(TestCluster cluster, string prefix, string? token) => new(new FleetOptions
    {
        Hub = cluster.Addresses[1],
        Token = token,
        Nodes = 1,
        NamePrefix = prefix,
        Connections = 0,
    });

    private static async Task EndsWithAsync(NodeFleet fleet, string why)
    {
        using var late = new CancellationTokenSource(Patience);
        while (!fleet.Meters.Endings.ContainsKey(why))
        {
            late.IsCancellationRequested.ShouldBeFalse($"sessions ended: {fleet.DescribeEndings()}");
            await Task.Delay(TimeSpan.FromMilliseconds(50));
        }
    }

    private static async Task<(StatusCode, string?)> ListAsync(HubProcess member, string? token)
    {
        using var channel = member.OpenChannel();
        try
        {
            await new HubService.HubServiceClient(channel).ListNodesAsync(new ListNodesRequest(), token is null ? [] : new Metadata { { "authorization", "Bearer " + token } });
            return (StatusCode.OK, null);
        }
        catch (RpcException e)
        {
            return (e.StatusCode, e.GetRpcStatus()?.GetDetail<ErrorInfo>()?.Reason);
        }
    }

    // A token's making and end reach the other members some milliseconds later.
    private static async Task UntilAsync(HubProcess member, string token, StatusCode wanted)
    {
        using var late = new CancellationTokenSource(Patience);
        while ((await ListAsync(member, token)).Item1 != wanted)
            await Task.Delay(TimeSpan.FromMilliseconds(50), late.Token);
    }

    private static Task<string> UidsAsync(TestCluster cluster) => cluster.QueryAsync("SELECT string_agg(uid::text, ',' ORDER BY uid) FROM akkahub_member WHERE cluster > 0");

    // Who does not trust the members, and whom they do not trust, waits as before a cluster that it cannot reach.
    private static async Task IsLeftOutAsync(HubProcess hub)
    {
        using var late = new CancellationTokenSource(Patience);
        while (!File.Exists(hub.LogFile) || !(await File.ReadAllTextAsync(hub.LogFile, late.Token)).Contains("Not in a cluster yet: a cluster lives on the store", StringComparison.Ordinal))
        {
            (await hub.IsReadyAsync(late.Token)).ShouldBeFalse();
            hub.Child.HasExited.ShouldBeFalse(hub.DescribeTail());
            await Task.Delay(TimeSpan.FromMilliseconds(100), late.Token);
        }

        (await hub.IsReadyAsync(late.Token)).ShouldBeFalse();
    }
}
