using System.Globalization;
using System.Net;
using Hub.Actors;
using Hub.Actors.Store;
using Hub.Protocol;
using static Hub.Host.Settings.Setting;

namespace Hub.Host.Settings;

/// <summary>
/// Every setting there is, in the order in which people read about them. Long because it is one table: splitting it would hide
/// a missing line.
/// </summary>
public static class SettingTable
{
    private const long Gigabyte = 1024L * 1024 * 1024;

    /// <summary>All settings.</summary>
    public static IReadOnlyList<Setting> All { get; } =
    [
        Of("akkahub.data-dir", new TextKind("a directory", FullPath), "Where the hub keeps everything: store, tokens, its own node. Made with mode 0700. Empty for $XDG_DATA_HOME/akkahub or ~/.local/share/akkahub.", s => s.Host.DataDir, "--data-dir"),
        Of("akkahub.bind", new TextKind("an address of this machine, or one for all (0.0.0.0, ::)", Address), "Address the listeners bind to, and the members' port in a cluster. Other than loopback only with tls.certificate, tls.key and auth = on.", s => s.Host.Bind, "--bind"),
        Of("akkahub.auth", new SwitchKind(), "Whether callers need a token. Off: everybody who reaches the hub counts as its owner; only with a loopback address of bind.", s => s.Host.Auth),
        Of("akkahub.max-connections", Int("connections", 100, 1_000_000), "Most connections at once to the gRPC port, and as many to the HTTP port; one more is closed.", s => s.Host.MaxConnections),
        Of("akkahub.tls.certificate", new TextKind("a file", FullPath), "The certificate of both listeners, PEM, followed by those between it and its authority. With it they speak TLS 1.2 or newer. Read again when it changes. Empty for clear text.", s => s.Host.Tls.Certificate),
        Of("akkahub.tls.key", new TextKind("a file", FullPath), "The certificate's private key, PEM without a password, owner-only.", s => s.Host.Tls.Key),
        Of("akkahub.grpc.port", Port, "Port of the gRPC listener (HTTP/2); 0 for any free one, which hub.json tells.", s => s.Host.GrpcPort, "--grpc-port"),
        Of("akkahub.grpc.max-message", Size<int>(512 * 1024, 64 * 1024 * 1024), "Largest message a client or node may send. The least takes the largest command.", s => s.Host.MaxMessageBytes),
        Of("akkahub.grpc.max-streams-per-connection", Int("calls", 100, 1_000_000), "Most gRPC calls under way on one connection.", s => s.Host.MaxStreamsPerConnection),
        Of("akkahub.http.port", Port, "Port of the HTTP listener (HTTP/1.1: health); 0 for any free one.", s => s.Host.HttpPort, "--http-port"),
        Of("akkahub.remote.port", Port, "Port on which members talk to each other; 0 for any free one.", s => s.Host.RemotePort, "--remote-port"),
        Of("akkahub.remote.certificate", new TextKind("a file", FullPath), "This member's certificate for the members' port, PEM, issued by remote.ca itself. Needed with cluster.seeds, read at start.", s => s.Host.Cluster.Certificate),
        Of("akkahub.remote.key", new TextKind("a file", FullPath), "The certificate's private key, PEM without a password, owner-only.", s => s.Host.Cluster.Key),
        Of("akkahub.remote.ca", new TextKind("a file", FullPath), "The authority whose certificates members accept from each other, PEM. One of the cluster's own: whoever has a certificate of it is a member.", s => s.Host.Cluster.Authority),
        Of("akkahub.cluster.seeds", new TextKind("host:port of the members' port of other members (and of itself, the same list everywhere), separated by commas; empty for a hub by itself", Seeds), "Makes the hub a member of a cluster, joined through any of these. The first of them forms the cluster when none of the others is there.", s => s.Host.Cluster.Seeds, environment: "AKKAHUB_SEEDS"),
        Of("akkahub.cluster.public-host", new TextKind("a host name or address, not one that stands for all (0.0.0.0, ::): other members are to dial it", PublicHost), "By what other members reach this one. Empty for the address of bind.", s => s.Host.Cluster.PublicHost, environment: "AKKAHUB_PUBLIC_HOST"),
        Of("akkahub.cluster.client-address", new TextKind("host:port or a URL beginning with http:// or https://, of a host that can be dialled (not 0.0.0.0 or ::)", ClientAddress), "What nodes and clients dial to reach this member: agents learn it from the other members. Empty for cluster.public-host (or bind) and the gRPC port.", s => s.Host.Cluster.ClientAddress, environment: "AKKAHUB_CLIENT_ADDRESS"),
        Of("akkahub.cluster.role", new ChoiceKind(typeof(MemberRole)), "A full member holds partitions, a gateway only carries streams of nodes and clients.", s => s.Host.Cluster.Role, environment: "AKKAHUB_ROLE"),
        Of("akkahub.cluster.wire-version", Int("version", 1, HubVersion.Wire), "Newest version of the forms that this member writes and says it reads. The version of the build before, on all members, keeps the way back to that build open after an upgrade.", s => s.Host.Cluster.WireVersion),
        Of("akkahub.local-node", new SwitchKind(), "Run a node agent for this machine, as node 'local'. With cluster.seeds it is off unless set, and named 'local-' and the machine's name.", s => s.Host.LocalNode, "--local-node"),
        Of("akkahub.log.level", new ChoiceKind(typeof(HubLogLevel)), "Least severe level that is logged.", s => s.Host.LogLevel),
        Of("akkahub.log.format", new ChoiceKind(typeof(HubLogFormat)), "How log lines look; they go to standard error.", s => s.Host.LogFormat),
        Of("akkahub.shutdown-timeout", Duration(TimeSpan.FromSeconds(10), TimeSpan.FromMinutes(10)), "How long a stop in order may take; after it the process ends anyway.", s => s.Host.ShutdownTimeout),
        Of("akkahub.drain-timeout", Duration(TimeSpan.Zero, TimeSpan.FromMinutes(5)), "Part of shutdown-timeout in which streams may end by themselves; the nodes of a member of a cluster are sent to others in the first 60 % of it, and its partitions move there in all of it. At most half of shutdown-timeout.", s => s.Host.DrainTimeout),
        Of("akkahub.tokens.max-count", Int("tokens", 1, 100_000), "Most tokens that exist at once.", s => s.Host.MaxTokens),

        Of("akkahub.store.kind", new ChoiceKind(typeof(StoreKind)), "Where journal and snapshots are: in the data directory, or in PostgreSQL, which members of a cluster share.", s => s.Host.Store, environment: "AKKAHUB_STORE"),
        Of("akkahub.store.connection-string", new TextKind("a PostgreSQL connection string of Npgsql with Host and Database, or empty", static t => t.Length == 0 ? "" : PostgresStore.Complete(t)), "How PostgreSQL is reached, such as Host=db;Database=akkahub;Username=akkahub;Passfile=/etc/akkahub/pgpass. Never shown.", s => s.Host.ConnectionString, environment: "AKKAHUB_CONNECTION_STRING", secret: true),
        Of("akkahub.store.busy-timeout", Duration(TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(50)), "How long another process may lock the embedded store before a write fails.", s => s.Host.StoreBusyTimeout),
        Of("akkahub.store.check-max-size", Size<long>(0, 1024 * Gigabyte), "A larger embedded store is not searched for corruption at start; its header and schema always are.", s => s.Host.StoreCheckMaxBytes),

        Of("akkahub.history.max-chunks", Int("chunks", 1, 1_000_000), "Most chunks kept of a terminal's history, and as many of what head-bytes keeps. The tighter of this and the bytes binds.", s => s.Hub.History.MaxChunks),
        Of("akkahub.history.max-bytes", Size<long>(4 * 1024, Gigabyte), "Most bytes kept of a terminal's history, arrival marks counted in (16 bytes each).", s => s.Hub.History.MaxBytes),
        Of("akkahub.history.max-chunk-bytes", Size<int>(1024, 64 * 1024), "Most bytes in a chunk; what a node may send in one message. At most max-bytes.", s => s.Hub.History.MaxChunkBytes),
        Of("akkahub.history.merge-bytes", Size<int>(0, 64 * 1024), "Neighbouring small arrivals are merged up to a chunk of this size; 0 for never. At most max-chunk-bytes.", s => s.Hub.History.MergeBytes),
        Of("akkahub.history.max-marks", Int("marks", 1, 4096), "Most arrival marks in a merged chunk.", s => s.Hub.History.MaxMarks),
        Of("akkahub.history.head-bytes", Size<long>(0, Gigabyte), "Bytes at the very beginning of a terminal that are never evicted, counted apart from max-bytes.", s => s.Hub.History.HeadBytes),
        Of("akkahub.history.max-annotations", Int("records", 1, 100_000), "Most size changes and most gap records kept of a terminal, each.", s => s.Hub.History.MaxAnnotations),
        Of("akkahub.history.max-incarnations", Int("incarnations", 1, 10_000), "Most incarnations of a terminal kept, those without retained bytes included.", s => s.Hub.History.MaxIncarnations),

        Of("akkahub.terminals.max-per-node", Int("terminals", 1, 1024), "Most terminals of a node, ended ones included whose history is kept.", s => s.Hub.Terminals.MaxPerNode),
        Of("akkahub.terminals.max-pending-inputs", Int("inputs", 1, 65_536), "Most inputs of a node on their way to it.", s => s.Hub.Terminals.MaxPendingInputs),
        Of("akkahub.terminals.max-waiting-readers", Int("readers", 1, 65_536), "Most readers waiting for output of a node.", s => s.Hub.Terminals.MaxWaitingReaders),
        Of("akkahub.terminals.request-timeout", Duration(TimeSpan.FromSeconds(1), TimeSpan.FromMinutes(10)), "How long the hub waits for a node's answer to resize, signal, open and close.", s => s.Hub.Terminals.RequestTimeout),

        Of("akkahub.commands.max-records", Int("commands", 1, 10_000), "Most commands of a node kept; the oldest finished one goes first.", s => s.Hub.Commands.MaxRecords),
        Of("akkahub.commands.retention", Duration(TimeSpan.FromMinutes(1), TimeSpan.FromDays(365)), "How long a finished command is kept.", s => s.Hub.Commands.Retention),
        Of("akkahub.commands.head-bytes", Size<long>(0, Gigabyte), "Kept of the beginning of a command's output.", s => s.Hub.Commands.HeadBytes),
        Of("akkahub.commands.tail-bytes", Size<long>(4 * 1024, Gigabyte), "Kept of the end of a command's output.", s => s.Hub.Commands.TailBytes),
        Of("akkahub.commands.max-output-bytes", Size<long>(64 * 1024, 16 * Gigabyte), "Most output kept over all commands of a node, as memory it takes; the oldest finished one goes first.", s => s.Hub.Commands.MaxOutputBytes),
        Of("akkahub.commands.max-running", Int("commands", 1, 1024), "Most commands of a node that run at once. At most max-records.", s => s.Hub.Commands.MaxRunning),

        Of("akkahub.flow.initial-window", Size<int>(4 * 1024, 16 * 1024 * 1024), "Window of an idle terminal's stream. At least history.max-chunk-bytes, so that every message fits.", s => s.Hub.Flow.InitialWindowBytes),
        Of("akkahub.flow.max-window", Size<int>(4 * 1024, 64 * 1024 * 1024), "Largest window of a busy terminal's stream. At least initial-window.", s => s.Hub.Flow.MaxWindowBytes),
        Of("akkahub.flow.window-messages", Int("messages", 2, 65_536), "Messages of a stream that may be under way.", s => s.Hub.Flow.WindowMessages),
        Of("akkahub.flow.memory-budget", Size<long>(1024 * 1024, 1024 * Gigabyte), "Most bytes granted over all streams of a member beyond each one's initial window.", s => s.Hub.Flow.MemoryBudgetBytes),
        Of("akkahub.flow.max-event-bytes", Size<int>(4 * 1024, 16 * 1024 * 1024), "Most output in one journal row. At least history.max-chunk-bytes.", s => s.Hub.Flow.MaxEventBytes),
        Of("akkahub.flow.max-write-bytes", Size<int>(4 * 1024, 64 * 1024 * 1024), "Most output in one write of a node. At least max-event-bytes.", s => s.Hub.Flow.MaxWriteBytes),
        Of("akkahub.flow.max-control-messages", Int("messages a second", 16, 1_000_000), "Most messages that need no credit (heartbeats, what opened, changed or ended; not answers) that a node may send in a second; one that sends more breaks the protocol.", s => s.Hub.Flow.MaxControlMessages),
        Of("akkahub.flow.max-pending-facts", Size<long>(256 * 1024, Gigabyte), "Most bytes of a node's openings, sizes, gaps, purges, commands and their like that wait for the store. At half of it requests are refused, at all of it a node that sends more is cut off.", s => s.Hub.Flow.MaxPendingFactBytes),

        Of("akkahub.liveness.heartbeat-interval", Duration(TimeSpan.FromMilliseconds(200), TimeSpan.FromMinutes(10)), "Shortest heartbeat interval.", s => s.Hub.Liveness.HeartbeatInterval),
        Of("akkahub.liveness.max-heartbeats-per-second", Int("heartbeats a second", 1, 1_000_000), "What a member wants to take at most: the interval lengthens as nodes grow in number.", s => s.Hub.Liveness.MaxHeartbeatsPerSecond),
        Of("akkahub.liveness.stale-after-missed", Int("beats", 1, 1000), "Missed beats after which a node is stale.", s => s.Hub.Liveness.StaleAfterMissed),
        Of("akkahub.liveness.timeout-after-missed", Int("beats", 2, 1000), "Missed beats after which the hub ends the stream. More than stale-after-missed.", s => s.Hub.Liveness.TimeoutAfterMissed),
        Of("akkahub.liveness.offline-after", Duration(TimeSpan.Zero, TimeSpan.FromDays(7)), "How long a node without a stream is stale before it is offline.", s => s.Hub.Liveness.OfflineAfter),
        Of("akkahub.liveness.start-grace", Duration(TimeSpan.FromSeconds(60), TimeSpan.FromHours(24)), "After a start: how long nodes that were there before are expected back before they are offline. The least is twice the agents' longest back-off (30 s), so that a restart never reports as down what is coming back.", s => s.Hub.Liveness.StartGrace),
        Of("akkahub.liveness.forget-after", new DurationKind(TimeSpan.FromMinutes(1), TimeSpan.FromDays(3650), orNever: true), "Offline nodes are forgotten after this time.", s => s.Hub.Liveness.ForgetAfter),
        Of("akkahub.liveness.hello-timeout", Duration(TimeSpan.FromSeconds(1), TimeSpan.FromMinutes(5)), "How long a node may take to say hello.", s => s.Hub.Liveness.HelloTimeout),

        Of("akkahub.admission.max-concurrent-attaches", Int("attaches", 1, 100_000), "Attaches under way at once on a member, and connections being greeted.", s => s.Hub.Admission.MaxConcurrentAttaches),
        Of("akkahub.admission.max-waiting", Int("connections", 0, 1_000_000), "Connections that wait for their turn to be greeted, and streams of nodes that share a connection; one more connection is reset, one more stream is refused with UNAVAILABLE.", s => s.Hub.Admission.MaxWaiting),
        Of("akkahub.admission.max-wait", Duration(TimeSpan.FromMilliseconds(100), TimeSpan.FromSeconds(9)), "Longest wait for the turn; a connection that has not had it by then is reset, a stream is refused with UNAVAILABLE. Less than the 10 s an agent waits for its welcome, or the hub would greet nodes that have gone.", s => s.Hub.Admission.MaxWait),
        Of("akkahub.admission.retry-hint", Duration(TimeSpan.FromMilliseconds(100), TimeSpan.FromMinutes(5)), "Retry hint given before the hub is ready; spread at random up to twice this.", s => s.Hub.Admission.RetryHint),

        Of("akkahub.registry.partitions", Int("partitions", 1, 4096), "Number of partitions; stored with the data and never changed.", s => s.Hub.Registry.Partitions),
        Of("akkahub.registry.passivate-after", Duration(TimeSpan.FromSeconds(1), TimeSpan.FromDays(1)), "An idle, disconnected node's actor is stopped after this time.", s => s.Hub.Registry.PassivateAfter),
        Of("akkahub.registry.max-buffered-per-node", Int("messages", 1, 65_536), "Messages a partition keeps for a node whose actor is being made.", s => s.Hub.Registry.MaxBufferedPerNode),
        Of("akkahub.registry.max-nodes-per-partition", Int("nodes", 1, 1_000_000), "Most nodes of a partition.", s => s.Hub.Registry.MaxNodesPerPartition),
        Of("akkahub.registry.min-backoff", Duration(TimeSpan.FromMilliseconds(10), TimeSpan.FromMinutes(1)), "First wait before a failed node's actor is made again.", s => s.Hub.Registry.MinBackoff),
        Of("akkahub.registry.max-backoff", Duration(TimeSpan.FromMilliseconds(10), TimeSpan.FromMinutes(10)), "Longest wait. At least min-backoff.", s => s.Hub.Registry.MaxBackoff),
        Of("akkahub.registry.ask-timeout", Duration(TimeSpan.FromSeconds(1), TimeSpan.FromMinutes(10)), "How long a client's request to a node's actor may take. More than terminals.request-timeout.", s => s.Hub.Registry.AskTimeout),

        Of("akkahub.snapshots.min-bytes", Size<long>(4 * 1024, Gigabyte), "A snapshot is never due before this many journaled bytes.", s => s.Hub.Snapshots.MinBytes),
        Of("akkahub.snapshots.max-concurrent", Int("snapshots", 1, 64), "Snapshots and deletions under way at once on a member.", s => s.Hub.Snapshots.MaxConcurrent),

        Of("akkahub.events.max-count", Int("events", 100, 1_000_000), "Most mesh events kept of a partition; every member holds all of them in memory, too, about 250 bytes each.", s => s.Hub.Events.MaxCount),
        Of("akkahub.events.max-age", Duration(TimeSpan.FromMinutes(1), TimeSpan.FromDays(3650)), "Mesh events older than this are not kept.", s => s.Hub.Events.MaxAge),
        Of("akkahub.events.max-waiting", Int("watchers", 1, 1_000_000), "Most watchers of events or nodes that wait for the next event on a member; one more is refused.", s => s.Hub.Events.MaxWaiting),

        Of("akkahub.diagnostics.enabled", new SwitchKind(), "Allows the other diagnostics to be set. For tests only.", s => s.Host.Diagnostics.Enabled, environment: "AKKAHUB_DIAGNOSTICS"),
        Of("akkahub.diagnostics.commit-delay", Duration(TimeSpan.Zero, TimeSpan.FromSeconds(30)), "Every commit of the store takes this much longer.", s => s.Host.Diagnostics.CommitDelay),
        Of("akkahub.diagnostics.stall-file", new TextKind("a file's path, or empty", static t => t.Length == 0 ? "" : FullPath(t)), "While this file exists commits of the store wait.", s => s.Host.Diagnostics.StallFile),
    ];

    private static SettingKind Port => Int("port", 0, 65_535);

    private static IntegerKind Int(string unit, int min, int max) => new(min, max, unit, typeof(int));

    private static SizeKind Size<T>(long min, long max) => new(min, max, typeof(T));

    private static DurationKind Duration(TimeSpan min, TimeSpan max) => new(min, max, orNever: false);

    private static string? FullPath(string text)
    {
        try
        {
            // Empty stays empty: the binder fills in the user's own default.
            return text.Length == 0 ? "" : Path.GetFullPath(text);
        }
        catch (ArgumentException)
        {
            return null;
        }
    }

    private static string? Seeds(string text)
    {
        var seeds = text.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        return seeds.All(IsSeed) ? string.Join(',', seeds) : null;
    }

    private static bool IsSeed(string seed)
    {
        var colon = seed.LastIndexOf(':');
        return colon > 0 && Uri.CheckHostName(seed[..colon]) != UriHostNameType.Unknown && !IsWildcard(seed[..colon])
            && int.TryParse(seed.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out var port) && port is > 0 and <= 65_535;
    }

    private static string? PublicHost(string text) =>
        text.Length == 0 || (Uri.CheckHostName(text) != UriHostNameType.Unknown && !IsWildcard(text)) ? text : null;

    private static string? ClientAddress(string text) =>
        text.Length == 0 || (text.Length <= 300 && HubAddress.TryParse(text, out var address) && !IsWildcard(address.Uri.Host.Trim('[', ']'))) ? text : null;

    private static bool IsWildcard(string host) =>
        IPAddress.TryParse(host, out var address) && (address.Equals(IPAddress.Any) || address.Equals(IPAddress.IPv6Any));

    private static string? Address(string text) => IPAddress.TryParse(text, out var address) ? address.ToString() : null;
}
