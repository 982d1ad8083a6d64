using System.Globalization;
using AkkaHub.V1;
using Grpc.Core;
using Grpc.Net.Client;
using Hub.Load.Scenarios;

namespace Hub.Load.Processes;

/// <summary>Members of one cluster as processes, and the PostgreSQL server they share. Dispose ends them all.</summary>
public sealed class LocalCluster : IAsyncDisposable
{
    private static readonly TimeSpan StartTime = TimeSpan.FromSeconds(120);
    private static readonly TimeSpan CallTime = TimeSpan.FromSeconds(3);

    private readonly List<GrpcChannel> _channels = [];

    private LocalCluster(PostgresProcess store, MemberNetwork? network, IReadOnlyList<HubProcess> members)
    {
        Store = store;
        Network = network;
        Members = members;
    }

    /// <summary>The server.</summary>
    public PostgresProcess Store { get; }

    /// <summary>What lies between members that are apart; null if all are on the loopback interface.</summary>
    public MemberNetwork? Network { get; }

    /// <summary>The members; the first is the first seed.</summary>
    public IReadOnlyList<HubProcess> Members { get; }

    /// <summary>Their addresses.</summary>
    public IReadOnlyList<Uri> Addresses => [.. Members.Select(m => m.Grpc)];

    /// <summary>The authority of their certificates; null if they speak clear text.</summary>
    public string? AuthorityFile => Members[0].AuthorityFile;

    /// <summary>A token of nodes and one of clients, which every member takes.</summary>
    public (string Node, string Client) Tokens { get; private set; } = ("", "");

    /// <summary>Starts the server and members; ends when all are ready.</summary>
    /// <param name="context">Where it belongs.</param>
    /// <param name="members">How many, 1 to 8.</param>
    /// <param name="apart">Each in a network namespace of its own, over TLS.</param>
    /// <param name="settings">Settings of all of them.</param>
    /// <param name="gateways">How many of them, the last ones, hold no partitions.</param>
    /// <exception cref="InvalidOperationException">Something for it is not there or not permitted here.</exception>
    public static async Task<LocalCluster> StartAsync(BenchmarkContext context, int members, bool apart = false,
        IReadOnlyDictionary<string, string?>? settings = null, int gateways = 0)
    {
        var network = apart ? await MemberNetwork.CreateAsync(members).ConfigureAwait(false) : null;
        PostgresProcess? store = null;
        LocalCluster? cluster = null;
        try
        {
            var certificates = context.NewDirectory("certificates");
            string HostOf(int member) => network?.AddressOf(member) ?? "127.0.0.1";
            await Programs.RunAsync("bash", [Path.Combine(RepositoryPaths.Root, "deploy", "make-certificates"), certificates,
                .. Enumerable.Range(0, members).Select(i => $"member{i}={HostOf(i)}")]).ConfigureAwait(false);
            store = await PostgresProcess.StartNewAsync(context.NewDirectory("postgres")).ConfigureAwait(false);
            var environments = Enumerable.Range(0, members).Select(_ => new Dictionary<string, string?>(settings ?? new Dictionary<string, string?>())).ToArray();
            var hubs = environments.Select((environment, i) => context.NewHub($"member{i}", environment, HostOf(i),
                apart ? Path.Combine(certificates, "ca.pem") : null, network?.LauncherOf(i))).ToArray();
            var seeds = string.Join(',', hubs.Select((h, i) => $"{HostOf(i)}:{h.RemotePort.ToString(CultureInfo.InvariantCulture)}"));
            foreach (var (i, environment) in environments.Index())
            {
                var (certificate, key) = (Path.Combine(certificates, $"member{i}.pem"), Path.Combine(certificates, $"member{i}.key"));
                environment["AKKAHUB_STORE"] = "postgresql";
                environment["AKKAHUB_CONNECTION_STRING"] = store.ConnectionString;
                environment["AKKAHUB_SEEDS"] = seeds;
                environment["AKKAHUB_REMOTE_CERTIFICATE"] = certificate;
                environment["AKKAHUB_REMOTE_KEY"] = key;
                environment["AKKAHUB_REMOTE_CA"] = Path.Combine(certificates, "ca.pem");
                if (i >= members - gateways)
                    environment["AKKAHUB_ROLE"] = "gateway";
                if (!apart)
                    continue;
                environment["AKKAHUB_BIND"] = HostOf(i);
                environment["AKKAHUB_TLS_CERTIFICATE"] = certificate;
                environment["AKKAHUB_TLS_KEY"] = key;
            }

            cluster = new LocalCluster(store, network, hubs);
            foreach (var hub in hubs)
                hub.Start();
            foreach (var hub in hubs)
                await hub.WaitForReadyAsync(StartTime).ConfigureAwait(false);
            cluster._channels.AddRange(hubs.Select(h => Nodes.NodeFleet.OpenChannel(h.Grpc, authorityFile: h.AuthorityFile, ofSeveral: true)));
            cluster.Tokens = (await cluster.TokenAsync(TokenType.Node).ConfigureAwait(false), await cluster.TokenAsync(TokenType.Client).ConfigureAwait(false));
            return cluster;
        }
        catch
        {
            if (cluster is not null)
                await cluster.DisposeAsync().ConfigureAwait(false);
            else
            {
                if (store is not null)
                    await store.DisposeAsync().ConfigureAwait(false);
                if (network is not null)
                    await network.DisposeAsync().ConfigureAwait(false);
            }

            throw;
        }
    }

    /// <summary>A client of a member, on a connection that is kept.</summary>
    public HubService.HubServiceClient Client(int member) => new(_channels[member]);

    /// <summary>The cluster as a member sees it; null if it does not answer within 3 s.</summary>
    public async Task<IReadOnlyList<ClusterMember>?> SeenByAsync(int member)
    {
        try
        {
            return (await Client(member).ListMembersAsync(new ListMembersRequest(), Members[member].Authorization,
                TimeProvider.System.GetUtcNow().UtcDateTime + CallTime).ConfigureAwait(false)).Members;
        }
        catch (RpcException)
        {
            return null;
        }
    }

    /// <summary>The number of a member in a list of them; −1 if it is none of these.</summary>
    public int NumberOf(ClusterMember member) => Members.ToList().FindIndex(
        m => member.Address.EndsWith($":{m.RemotePort.ToString(CultureInfo.InvariantCulture)}", StringComparison.Ordinal));

    /// <summary>Kills the members, ends the server, removes the network.</summary>
    public async ValueTask DisposeAsync()
    {
        foreach (var channel in _channels)
            channel.Dispose();
        foreach (var member in Members)
            await member.DisposeAsync().ConfigureAwait(false);
        await Store.DisposeAsync().ConfigureAwait(false);
        if (Network is not null)
            await Network.DisposeAsync().ConfigureAwait(false);
    }

    private async Task<string> TokenAsync(TokenType type) => (await Client(0).CreateTokenAsync(new CreateTokenRequest { Type = type },
        Members[0].Authorization, TimeProvider.System.GetUtcNow().UtcDateTime + StartTime).ConfigureAwait(false)).Secret;
}
