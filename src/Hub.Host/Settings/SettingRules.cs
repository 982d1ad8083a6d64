using System.Net;

namespace Hub.Host.Settings;

/// <summary>What must hold between settings; each alone is checked by its own range.</summary>
internal static class SettingRules
{
    // SQLite's largest row is 1,000,000,000 bytes; what a snapshot holds besides output has the rest.
    private const long MaxSnapshotBytes = 900_000_000;

    // With the longest description each (255 characters of up to 3 bytes), below the frame of Akka.Remote (hocon/akka.hocon).
    private const int MaxTokensOfMembers = 4_000;
    private const int MaxMessageOfMembers = 3 * 1024 * 1024;

    /// <summary>Every broken rule: the path it is blamed on and what must hold.</summary>
    public static IEnumerable<(string Path, string Rule)> Broken(AllSettings all)
    {
        var (host, hub) = (all.Host, all.Hub);
        var flow = hub.Flow;
        if (hub.History.MaxChunkBytes > hub.History.MaxBytes)
            yield return ("akkahub.history.max-chunk-bytes", "must be at most akkahub.history.max-bytes");
        if (hub.History.MergeBytes > hub.History.MaxChunkBytes)
            yield return ("akkahub.history.merge-bytes", "must be at most akkahub.history.max-chunk-bytes");
        if (hub.Commands.MaxRunning > hub.Commands.MaxRecords)
            yield return ("akkahub.commands.max-running", "must be at most akkahub.commands.max-records");
        if ((decimal)hub.Terminals.MaxPerNode * (hub.History.MaxBytes + hub.History.HeadBytes) + hub.Commands.MaxOutputBytes > MaxSnapshotBytes)
        {
            yield return ("akkahub.history.max-bytes",
                $"with akkahub.history.head-bytes, times akkahub.terminals.max-per-node, plus akkahub.commands.max-output-bytes must be at most {MaxSnapshotBytes / 1_000_000} MB, or a node's snapshot would not fit in the store");
        }

        if (flow.InitialWindowBytes < hub.History.MaxChunkBytes)
            yield return ("akkahub.flow.initial-window", "must be at least akkahub.history.max-chunk-bytes");
        if (flow.MaxWindowBytes < flow.InitialWindowBytes)
            yield return ("akkahub.flow.max-window", "must be at least akkahub.flow.initial-window");
        if (flow.MaxEventBytes < hub.History.MaxChunkBytes)
            yield return ("akkahub.flow.max-event-bytes", "must be at least akkahub.history.max-chunk-bytes");
        if (flow.MaxWriteBytes < flow.MaxEventBytes)
            yield return ("akkahub.flow.max-write-bytes", "must be at least akkahub.flow.max-event-bytes");
        if (hub.Liveness.TimeoutAfterMissed <= hub.Liveness.StaleAfterMissed)
            yield return ("akkahub.liveness.timeout-after-missed", "must be more than akkahub.liveness.stale-after-missed");
        if (hub.Registry.MaxBackoff < hub.Registry.MinBackoff)
            yield return ("akkahub.registry.max-backoff", "must be at least akkahub.registry.min-backoff");
        // Readers may wait 30 s for output, events 25 s.
        if (hub.Registry.AskTimeout <= hub.Terminals.RequestTimeout || hub.Registry.AskTimeout <= TimeSpan.FromSeconds(30))
            yield return ("akkahub.registry.ask-timeout", "must be more than akkahub.terminals.request-timeout and more than 30s");
        if (host.DrainTimeout > host.ShutdownTimeout / 2)
            yield return ("akkahub.drain-timeout", "must be at most half of akkahub.shutdown-timeout");
        if (host.Store == StoreKind.Postgresql && host.ConnectionString.Length == 0)
            yield return ("akkahub.store.connection-string", "must be given with akkahub.store.kind = postgresql (AKKAHUB_STORE=postgresql)");
        if (host.Store == StoreKind.Sqlite && host.ConnectionString.Length > 0)
            yield return ("akkahub.store.connection-string", "needs akkahub.store.kind = postgresql (AKKAHUB_STORE=postgresql)");
        foreach (var broken in OfListeners(host).Concat(OfCluster(host)))
            yield return broken;
        foreach (var (path, same) in SamePorts(host))
            yield return (path, $"must differ from {same}");
        if (host.Store != StoreKind.Sqlite && (host.Diagnostics.CommitDelay != TimeSpan.Zero || host.Diagnostics.StallFile.Length > 0))
            yield return ("akkahub.diagnostics.enabled", "delays and stalls only the embedded store (akkahub.store.kind = sqlite)");
        if (host.Diagnostics.Enabled)
            yield break;
        if (host.Diagnostics.CommitDelay != TimeSpan.Zero)
            yield return ("akkahub.diagnostics.commit-delay", "needs akkahub.diagnostics.enabled = on (AKKAHUB_DIAGNOSTICS=on)");
        if (host.Diagnostics.StallFile.Length > 0)
            yield return ("akkahub.diagnostics.stall-file", "needs akkahub.diagnostics.enabled = on (AKKAHUB_DIAGNOSTICS=on)");
    }

    private static IEnumerable<(string Path, string Rule)> OfListeners(HostSettings host)
    {
        if (host.Tls.Certificate.Length > 0 && host.Tls.Key.Length == 0)
            yield return ("akkahub.tls.key", "must be given with akkahub.tls.certificate (AKKAHUB_TLS_CERTIFICATE)");
        if (host.Tls.Certificate.Length == 0 && host.Tls.Key.Length > 0)
            yield return ("akkahub.tls.certificate", "must be given with akkahub.tls.key (AKKAHUB_TLS_KEY)");
        if (IPAddress.IsLoopback(host.BindAddress))
            yield break;
        if (!host.Tls.IsOn || !host.Auth)
        {
            yield return ("akkahub.bind",
                "must be a loopback address, unless there is TLS and callers need tokens: akkahub.tls.certificate (AKKAHUB_TLS_CERTIFICATE), akkahub.tls.key (AKKAHUB_TLS_KEY) and akkahub.auth = on (AKKAHUB_AUTH=on)");
        }

        if (host.Cluster.IsMember && host.Cluster.PublicHost.Length == 0 && IsWildcard(host.BindAddress))
            yield return ("akkahub.cluster.public-host", "must be given with an akkahub.bind that stands for all addresses: other members have to dial this one by a name or an address");
    }

    private static bool IsWildcard(IPAddress address) => address.Equals(IPAddress.Any) || address.Equals(IPAddress.IPv6Any);

    private static IEnumerable<(string Path, string Rule)> OfCluster(HostSettings host)
    {
        var cluster = host.Cluster;
        if (cluster.IsMember && host.Store == StoreKind.Sqlite)
        {
            yield return ("akkahub.cluster.seeds",
                "needs a store that members share: akkahub.store.kind = postgresql (AKKAHUB_STORE=postgresql) with akkahub.store.connection-string (AKKAHUB_CONNECTION_STRING)");
        }

        foreach (var (path, file) in ((string, string)[])
            [("akkahub.remote.certificate", cluster.Certificate), ("akkahub.remote.key", cluster.Key), ("akkahub.remote.ca", cluster.Authority)])
        {
            if (cluster.IsMember && file.Length == 0)
                yield return (path, "must be given with akkahub.cluster.seeds (AKKAHUB_SEEDS): members know each other by certificates of one authority; deploy/make-certificates makes some to try with");
            else if (!cluster.IsMember && file.Length > 0)
                yield return (path, "needs akkahub.cluster.seeds (AKKAHUB_SEEDS)");
        }

        if (cluster.IsMember && host.MaxTokens > MaxTokensOfMembers)
            yield return ("akkahub.tokens.max-count", $"must be at most {MaxTokensOfMembers} with akkahub.cluster.seeds: members tell each other all tokens in one message");
        if (cluster.IsMember && host.MaxMessageBytes > MaxMessageOfMembers)
            yield return ("akkahub.grpc.max-message", $"must be at most {MaxMessageOfMembers / (1024 * 1024)} MiB with akkahub.cluster.seeds: a member passes what a node says on to another, in messages of at most 4 MiB");
        if (!cluster.IsMember && cluster.PublicHost.Length > 0)
            yield return ("akkahub.cluster.public-host", "needs akkahub.cluster.seeds (AKKAHUB_SEEDS)");
        if (!cluster.IsMember && cluster.ClientAddress.Length > 0)
            yield return ("akkahub.cluster.client-address", "needs akkahub.cluster.seeds (AKKAHUB_SEEDS)");
        if (!cluster.IsMember && cluster.Role != MemberRole.Full)
            yield return ("akkahub.cluster.role", "needs akkahub.cluster.seeds (AKKAHUB_SEEDS): a hub by itself holds its partitions");
    }

    private static IEnumerable<(string Path, string Same)> SamePorts(HostSettings host)
    {
        if (host.HttpPort != 0 && host.HttpPort == host.GrpcPort)
            yield return ("akkahub.http.port", "akkahub.grpc.port");
        if (host.RemotePort != 0 && host.RemotePort == host.GrpcPort)
            yield return ("akkahub.remote.port", "akkahub.grpc.port");
        if (host.RemotePort != 0 && host.RemotePort == host.HttpPort)
            yield return ("akkahub.remote.port", "akkahub.http.port");
    }
}
