using System.Diagnostics;
using System.Globalization;
using AkkaHub.V1;
using Hub.Load.Chaos;
using Hub.Load.Processes;
using Hub.SystemTests.Harness;

namespace Hub.ClusterTests;

/// <summary>Members on one PostgreSQL server, each a process with ports, data directory and certificate of its own.</summary>
public sealed class TestCluster : IAsyncDisposable
{
    private readonly PostgresServer _server;

    private TestCluster(PostgresServer server, IReadOnlyList<HubProcess> members)
    {
        _server = server;
        Members = members;
    }

    /// <summary>The members; the first is the first seed, or see <see cref="OldestFirstAsync"/>.</summary>
    public IReadOnlyList<HubProcess> Members { get; }

    /// <summary>Their addresses, as a node is given them.</summary>
    public IReadOnlyList<Uri> Addresses => [.. Members.Select(m => m.Grpc)];

    /// <summary>Makes certificates and starts the members; ends when all are ready. Or skips the test.</summary>
    /// <param name="workspace">Where it belongs.</param>
    /// <param name="members">How many.</param>
    /// <param name="settings">Settings of all of them.</param>
    /// <param name="hubAssembly">Another build of the hub; null for this one.</param>
    /// <param name="gateways">How many of them, the last ones, hold no partitions. They are no seeds.</param>
    public static async Task<TestCluster> StartAsync(
        Workspace workspace, int members, Dictionary<string, string?>? settings = null, string? hubAssembly = null, int gateways = 0)
    {
        Prerequisite.RequirePrograms("openssl");
        var server = await PostgresServer.StartNewAsync();
        var certificates = await MakeCertificatesAsync(workspace, members);
        var environments = Enumerable.Range(0, members).Select(_ => new Dictionary<string, string?>(settings ?? [])).ToArray();
        var hubs = environments.Index().Select(e => workspace.NewHub(e.Item, name: $"member{e.Index + 1}")).ToArray();
        foreach (var hub in hubs)
            hub.HubAssembly = hubAssembly ?? hub.HubAssembly;
        var seeds = string.Join(',', hubs.SkipLast(gateways).Select(h => $"127.0.0.1:{h.RemotePort}"));
        foreach (var (index, environment) in environments.Index())
        {
            if (index >= members - gateways)
                environment["AKKAHUB_ROLE"] = "gateway";
            environment["AKKAHUB_STORE"] = "postgresql";
            environment["AKKAHUB_CONNECTION_STRING"] = server.ConnectionString();
            environment["AKKAHUB_SEEDS"] = seeds;
            environment["AKKAHUB_REMOTE_CERTIFICATE"] = Path.Combine(certificates, $"member{index + 1}.pem");
            environment["AKKAHUB_REMOTE_KEY"] = Path.Combine(certificates, $"member{index + 1}.key");
            environment["AKKAHUB_REMOTE_CA"] = Path.Combine(certificates, "ca.pem");
        }

        var cluster = new TestCluster(server, hubs);
        try
        {
            foreach (var hub in hubs)
                hub.Start();
            foreach (var hub in hubs)
                await hub.WaitForReadyAsync(TimeSpan.FromSeconds(90));
            await cluster.QueryAsync(HistoryAudit.Begin);
            return cluster;
        }
        catch
        {
            await cluster.DisposeAsync();
            throw;
        }
    }

    /// <summary>The same members in another order, the oldest first, once all are up and reach each other. To be disposed of once.</summary>
    public async Task<TestCluster> OldestFirstAsync()
    {
        using var client = new HubClient(Members[0]);
        using var late = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        while (true)
        {
            var seen = (await client.CallAsync((s, h) => s.ListMembersAsync(new ListMembersRequest(), h))).Members;
            if (seen.Count == Members.Count && seen.All(m => m.State == MemberState.Up && m.UnreachableBy.Count == 0) && seen.FirstOrDefault(m => m.Oldest) is { } oldest)
                return new TestCluster(_server, [.. Members.OrderByDescending(m => oldest.ClientAddress == m.Grpc.Authority)]);
            await Task.Delay(TimeSpan.FromMilliseconds(100), late.Token);
        }
    }

    /// <summary>A token that any member takes from a node.</summary>
    public static async Task<string> NodeTokenAsync(HubClient client) =>
        (await client.CallAsync((s, h) => s.CreateTokenAsync(new CreateTokenRequest { Type = TokenType.Node }, h))).Secret;

    /// <summary>Waits until a member says that it is not ready, and why.</summary>
    public static async Task NotReadyAsync(HubProcess member, string because)
    {
        using var http = new HttpClient();
        using var late = new CancellationTokenSource(TimeSpan.FromSeconds(90));
        while (true)
        {
            using var answer = await http.GetAsync(new Uri($"http://127.0.0.1:{member.HttpPort}/readyz"), late.Token);
            if (!answer.IsSuccessStatusCode && (await answer.Content.ReadAsStringAsync(late.Token)).Contains(because, StringComparison.Ordinal))
                return;
            await Task.Delay(TimeSpan.FromMilliseconds(20), late.Token);
        }
    }

    /// <summary>Makes an authority and a certificate for each member, as deploy/make-certificates does. Gives the directory.</summary>
    public static async Task<string> MakeCertificatesAsync(Workspace workspace, int members, string directory = "certificates")
    {
        var path = workspace.PathOf(directory);
        var start = new ProcessStartInfo("bash",
            [Path.Combine(RepositoryPaths.Root, "deploy", "make-certificates"), path, .. Enumerable.Range(1, members).Select(i => string.Create(CultureInfo.InvariantCulture, $"member{i}"))])
        {
            RedirectStandardOutput = true,
        };
        using var script = Process.Start(start)!;
        await script.StandardOutput.ReadToEndAsync();
        await script.WaitForExitAsync();
        script.ExitCode.ShouldBe(0);
        return path;
    }

    /// <summary>Its store's server.</summary>
    internal PostgresServer Server => _server;

    /// <summary>Runs a statement in the store.</summary>
    public Task<string> QueryAsync(string sql) => _server.QueryAsync(sql);

    /// <summary>Fails if a persistence id's rows have a hole, or the rows of one writer lie on both sides of another's.</summary>
    public async Task JournalIsWholeAsync()
    {
        (await QueryAsync(HistoryAudit.Holes)).ShouldBe("0");
        (await QueryAsync(HistoryAudit.WritersThatCameBack)).ShouldBe("0");
    }

    /// <summary>Kills the members, ends the server.</summary>
    public async ValueTask DisposeAsync()
    {
        // Before their server, and disposed of with the workspace.
        foreach (var hub in Members)
            await hub.KillAsync();
        await _server.DisposeAsync();
    }
}
