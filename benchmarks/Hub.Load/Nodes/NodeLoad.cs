namespace Hub.Load.Nodes;

/// <summary>What a simulated node does once it is welcome.</summary>
public enum NodeLoad
{
    /// <summary>It sends heartbeats and nothing else.</summary>
    Idle,
    /// <summary>It sends when told to, at the pace the fleet keeps; what is due while there is no credit waits.</summary>
    Paced,
    /// <summary>It sends whenever it has credit.</summary>
    ClosedLoop,
}

/// <summary>How a fleet of simulated nodes is made.</summary>
public sealed record FleetOptions
{
    /// <summary>Address of the hub's gRPC listener, cleartext HTTP/2.</summary>
    public required Uri Hub { get; init; }
    /// <summary>Addresses of all members of a cluster, among which nodes fail over as the shipped agent does; empty for <see cref="Hub"/> alone.</summary>
    public IReadOnlyList<Uri> Members { get; init; } = [];
    /// <summary>File of the authority that hubs dialled over TLS are known by; null for those of the system.</summary>
    public string? AuthorityFile { get; init; }
    /// <summary>Bearer token; null sends none.</summary>
    public string? Token { get; init; }
    /// <summary>How many nodes.</summary>
    public required int Nodes { get; init; }
    /// <summary>Nodes are named with this and a number.</summary>
    public string NamePrefix { get; init; } = "load-";
    /// <summary>What they do.</summary>
    public NodeLoad Load { get; init; } = NodeLoad.Idle;
    /// <summary>Bytes in a chunk, 1 to 32 KiB.</summary>
    public int ChunkBytes { get; init; } = 200;
    /// <summary>Chunks a second of each node, for <see cref="NodeLoad.Paced"/>.</summary>
    public double ChunksPerSecond { get; init; } = 10;
    /// <summary>Most chunks of a node without acknowledgement, whatever credit the hub gives.</summary>
    public int MaxInFlight { get; init; } = 4096;
    /// <summary>TCP connections the nodes share; 0 gives each its own.</summary>
    public int Connections { get; init; } = 16;
    /// <summary>Most nodes that dial at the same moment at the start; 0 for all of them.</summary>
    public int ConcurrentDials { get; init; } = 256;
    /// <summary>Whether each node has a terminal; a node that sends needs one.</summary>
    public bool HasTerminal { get; init; } = true;
    /// <summary>Heartbeats are sent in the interval the hub assigns; false for none at all.</summary>
    public bool Heartbeats { get; init; } = true;
    /// <summary>Longest wait before a node dials again; the shipped agent's unless a test has no use for it.</summary>
    public TimeSpan LongestBackoff { get; init; } = ReconnectBackoff.Shipped;
    /// <summary>Seed of names' claims, jitter and phases.</summary>
    public int Seed { get; init; } = 1;
}
