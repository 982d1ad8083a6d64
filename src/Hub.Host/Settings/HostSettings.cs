using System.Net;
using System.Net.Sockets;
using Hub.Actors;
using Hub.Actors.Settings;

namespace Hub.Host.Settings;

/// <summary>What the server itself is told: where it listens, where its data is, how it logs and stops. Immutable once bound.</summary>
public sealed record HostSettings
{
    /// <summary>Directory of everything the hub keeps; absolute. Empty until bound: the default depends on the user.</summary>
    public string DataDir { get; init; } = "";
    /// <summary>Address the listeners bind to. Other than loopback only with <see cref="Tls"/> and <see cref="Auth"/>.</summary>
    public string Bind { get; init; } = "127.0.0.1";
    /// <summary>Port of the gRPC listener (HTTP/2); 0 for any free one.</summary>
    public int GrpcPort { get; init; } = 5100;
    /// <summary>Port of the HTTP listener (HTTP/1.1); 0 for any free one.</summary>
    public int HttpPort { get; init; } = 5180;
    /// <summary>What the two listeners show of themselves; without it they speak clear text.</summary>
    public TlsSettings Tls { get; init; } = new();
    /// <summary>Whether callers need a token. Off: everybody who reaches the hub counts as its owner.</summary>
    public bool Auth { get; init; } = true;
    /// <summary>Most connections at once to each of the two listeners.</summary>
    public int MaxConnections { get; init; } = 20_000;
    /// <summary>Port on which members talk to each other; 0 for any free one.</summary>
    public int RemotePort { get; init; } = 5110;
    /// <summary>Whether the hub runs a node agent for the machine it is on. A member of a cluster does only if it is asked to.</summary>
    public bool LocalNode { get; init; } = true;
    /// <summary>The cluster the hub is a member of.</summary>
    public ClusterSettings Cluster { get; init; } = new();
    /// <summary>The least severe level that is logged.</summary>
    public HubLogLevel LogLevel { get; init; } = HubLogLevel.Information;
    /// <summary>How log lines look.</summary>
    public HubLogFormat LogFormat { get; init; } = HubLogFormat.Text;
    /// <summary>How long a stop in order may take; after it the process ends anyway.</summary>
    public TimeSpan ShutdownTimeout { get; init; } = TimeSpan.FromSeconds(20);
    /// <summary>Part of <see cref="ShutdownTimeout"/> in which streams may end by themselves; then they are ended.</summary>
    public TimeSpan DrainTimeout { get; init; } = TimeSpan.FromSeconds(5);
    /// <summary>Part of <see cref="DrainTimeout"/> over which a member's nodes are sent to others; the rest is for the last of them to go.</summary>
    public TimeSpan MoveTime => DrainTimeout * 0.6;
    /// <summary>What <see cref="ShutdownTimeout"/> leaves for the actors: three seconds are the listeners'.</summary>
    public TimeSpan ActorsStopTime => ShutdownTimeout - DrainTimeout - TimeSpan.FromSeconds(3);
    /// <summary>Largest message a gRPC client or node may send, bytes.</summary>
    public int MaxMessageBytes { get; init; } = 1024 * 1024;
    /// <summary>Most gRPC calls under way on one connection.</summary>
    public int MaxStreamsPerConnection { get; init; } = 10_000;
    /// <summary>Most tokens that exist at once.</summary>
    public int MaxTokens { get; init; } = 1000;
    /// <summary>Where journal and snapshots are.</summary>
    public StoreKind Store { get; init; } = StoreKind.Sqlite;
    /// <summary>How PostgreSQL is reached; empty for the embedded store. Holds a password: never logged.</summary>
    public string ConnectionString { get; init; } = "";
    /// <summary>How long the store may be locked by somebody else before a write fails.</summary>
    public TimeSpan StoreBusyTimeout { get; init; } = TimeSpan.FromSeconds(30);
    /// <summary>A larger store is not searched for corruption at start, bytes; its header and schema always are.</summary>
    public long StoreCheckMaxBytes { get; init; } = 512L * 1024 * 1024;
    /// <summary>Means to make the hub misbehave on purpose.</summary>
    public DiagnosticSettings Diagnostics { get; init; } = new();

    /// <summary><see cref="Bind"/>.</summary>
    public IPAddress BindAddress => IPAddress.Parse(Bind);

    /// <summary>
    /// Address the members' port binds to: that of the listeners in a cluster. A hub by itself is spoken to by nobody there, so it stays
    /// on loopback wherever the listeners are.
    /// </summary>
    public IPAddress RemoteAddress => Cluster.IsMember || IPAddress.IsLoopback(BindAddress) ? BindAddress
        : BindAddress.AddressFamily == AddressFamily.InterNetworkV6 ? IPAddress.IPv6Loopback : IPAddress.Loopback;
}

/// <summary>What the gRPC and the HTTP listener show of themselves.</summary>
public sealed record TlsSettings
{
    /// <summary>File of the certificate, PEM, with what stands between it and its authority after it; empty for clear text.</summary>
    public string Certificate { get; init; } = "";
    /// <summary>File of its private key, PEM.</summary>
    public string Key { get; init; } = "";

    /// <summary>Whether the listeners speak TLS.</summary>
    public bool IsOn => Certificate.Length > 0;
}

/// <summary>Means to make the hub misbehave on purpose, for tests of what it promises. All off unless enabled.</summary>
public sealed record DiagnosticSettings
{
    /// <summary>Allows the others to be set.</summary>
    public bool Enabled { get; init; }
    /// <summary>Every commit of the store takes this much longer.</summary>
    public TimeSpan CommitDelay { get; init; }
    /// <summary>While this file exists commits of the store wait; empty for none.</summary>
    public string StallFile { get; init; } = "";
}

/// <summary>What makes a hub a member of a cluster.</summary>
public sealed record ClusterSettings
{
    /// <summary>Members to join through, as <c>host:port</c> separated by commas; empty for a hub by itself.</summary>
    public string Seeds { get; init; } = "";
    /// <summary>Name or address by which other members reach this one; empty for the address it binds to.</summary>
    public string PublicHost { get; init; } = "";
    /// <summary>What nodes and clients dial to reach this member, host:port or a URL; empty for the public host and the gRPC port.</summary>
    public string ClientAddress { get; init; } = "";
    /// <summary>What this member does.</summary>
    public MemberRole Role { get; init; } = MemberRole.Full;
    /// <summary>Newest version of the forms this member writes, and says it reads: see <see cref="HubVersion.Wire"/>.</summary>
    public int WireVersion { get; init; } = HubVersion.Wire;
    /// <summary>File of this member's certificate, PEM.</summary>
    public string Certificate { get; init; } = "";
    /// <summary>File of its private key, PEM.</summary>
    public string Key { get; init; } = "";
    /// <summary>File of the authority that the certificates of all members are from, PEM.</summary>
    public string Authority { get; init; } = "";

    /// <summary>Whether the hub is one of several.</summary>
    public bool IsMember => Seeds.Length > 0;

    /// <summary>The seeds, apart.</summary>
    public IEnumerable<(string Host, int Port)> SeedList => Seeds.Split(',', StringSplitOptions.RemoveEmptyEntries).Select(static seed =>
    {
        var colon = seed.LastIndexOf(':');
        return (seed[..colon], int.Parse(seed.AsSpan(colon + 1), System.Globalization.CultureInfo.InvariantCulture));
    });
}

/// <summary>What a member of a cluster does.</summary>
public enum MemberRole
{
    /// <summary>Holds partitions and carries streams.</summary>
    Full,
    /// <summary>Only carries streams of nodes and clients.</summary>
    Gateway,
}

/// <summary>Where journal and snapshots are.</summary>
public enum StoreKind
{
    /// <summary>In a file of the data directory, for one member.</summary>
    Sqlite,
    /// <summary>In PostgreSQL, which several members share.</summary>
    Postgresql,
}

/// <summary>The least severe level that is logged.</summary>
public enum HubLogLevel
{
    /// <summary>Everything, for developers.</summary>
    Debug,
    /// <summary>What happens.</summary>
    Information,
    /// <summary>What may need a person.</summary>
    Warning,
    /// <summary>What failed.</summary>
    Error,
}

/// <summary>How log lines look.</summary>
public enum HubLogFormat
{
    /// <summary>For people.</summary>
    Text,
    /// <summary>One JSON object a line.</summary>
    Json,
}

/// <summary>Everything that can be set.</summary>
public sealed record AllSettings
{
    /// <summary>The server's.</summary>
    public HostSettings Host { get; init; } = new();
    /// <summary>The limits the actors keep.</summary>
    public HubSettings Hub { get; init; } = new();
}
