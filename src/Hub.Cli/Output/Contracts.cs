using AkkaHub.V1;
using Google.Protobuf.WellKnownTypes;
using Hub.Protocol;
using Command = AkkaHub.V1.Command;
using NodeInfo = AkkaHub.V1.Node;

namespace Hub.Cli.Output;

// What '-o json' and '-o yaml' print. These records are the contract of docs/cli.md: names stay, new ones may be added.

/// <summary>Columns and rows.</summary>
internal sealed record SizeDocument(int Cols, int Rows)
{
    /// <summary>From the protocol's form; null if not set.</summary>
    public static SizeDocument? From(TerminalSize? size) => size is null ? null : new SizeDocument((int)size.Cols, (int)size.Rows);
}

/// <summary>How a process ended.</summary>
internal sealed record ExitDocument(int Code, int? Signal)
{
    /// <summary>From the protocol's form; null if not set.</summary>
    public static ExitDocument? From(ProcessExit? exit) => exit is null ? null : new ExitDocument(exit.Code, exit.Signal == 0 ? null : exit.Signal);
}

/// <summary>What a node runs on.</summary>
internal sealed record PlatformDocument(string? Os, string? Arch, string? Host, int Cpus, string? User, long MemoryBytes)
{
    /// <summary>From the protocol's form; null if not set.</summary>
    public static PlatformDocument? From(Platform? p) => p is null
        ? null
        : new PlatformDocument(Json.Set(p.Os), Json.Set(p.Arch), Json.Set(p.Host), (int)p.Cpus, Json.Set(p.User), p.MemoryBytes);
}

/// <summary>Figures of a machine at the last heartbeat.</summary>
internal sealed record FiguresDocument(
    double? Cpu, long MemoryUsedBytes, long MemoryTotalBytes, double? Load1, double? Load5, double? Load15,
    long DiskUsedBytes, long DiskTotalBytes, long UptimeSeconds)
{
    /// <summary>From the protocol's form; null if not set.</summary>
    public static FiguresDocument? From(MachineFigures? f) => f is null
        ? null
        : new FiguresDocument(
            Json.Finite(Math.Round(f.Cpu, 4)), f.MemoryUsedBytes, f.MemoryTotalBytes, Json.Finite(f.Load1), Json.Finite(f.Load5), Json.Finite(f.Load15),
            f.DiskUsedBytes, f.DiskTotalBytes, f.UptimeSeconds);
}

/// <summary>How a node's last session ended.</summary>
internal sealed record SessionEndDocument(long SessionEpoch, string Cause, string? Message, string? Time, long LastOffset, long UnacknowledgedBytes)
{
    /// <summary>From the protocol's form; null if not set.</summary>
    public static SessionEndDocument? From(SessionEnd? e) => e is null
        ? null
        : new SessionEndDocument(e.SessionEpoch, e.Cause, Json.Set(e.Message), Json.Time(e.Time), e.LastOffset, e.UnacknowledgedBytes);
}

/// <summary>A node.</summary>
internal sealed record NodeDocument(
    string Name, string State, IReadOnlyDictionary<string, string> Labels, PlatformDocument? Platform, string? AgentVersion,
    string? CreateTime, string? StateTime, string? LastSeenTime, long SessionEpoch, FiguresDocument? Figures,
    SessionEndDocument? LastSessionEnd, long UnacknowledgedBytes, IReadOnlyList<string> Capabilities, long? ClockSkewMs)
{
    /// <summary>From the protocol's form.</summary>
    public static NodeDocument From(NodeInfo n) => new(
        Short.Node(n.Name), Json.Word(n.State), new SortedDictionary<string, string>(n.Labels, StringComparer.Ordinal),
        PlatformDocument.From(n.Platform), Json.Set(n.AgentVersion), Json.Time(n.CreateTime), Json.Time(n.StateTime), Json.Time(n.LastSeenTime),
        n.SessionEpoch, FiguresDocument.From(n.Figures), SessionEndDocument.From(n.LastSessionEnd), n.UnacknowledgedBytes,
        [.. n.Capabilities.Select(c => Json.Word(c))], n.ClockSkew is null ? null : (long)n.ClockSkew.Clamped().TotalMilliseconds);
}

/// <summary>A change of the set of nodes: 'node', 'removed' or 'synced'; or of the partitions that do not answer: 'unreachable'.</summary>
internal sealed record NodeChangeDocument(string Change, NodeDocument? Node = null, string? Name = null, IReadOnlyList<int>? Partitions = null);

/// <summary>A terminal.</summary>
internal sealed record TerminalDocument(
    string Name, string Node, string State, string? Incarnation, SizeDocument? Size, string? CommandLine, string? StartTime, string? EndTime,
    ExitDocument? Exit, string? EndCause, long EndOffset, long RetainedBytes, int RetainedChunks, string? FirstCursor, string? EndCursor, string? LastOutputTime)
{
    /// <summary>From the protocol's form.</summary>
    public static TerminalDocument From(Terminal t)
    {
        var (node, name) = Short.Terminal(t.Name);
        return new TerminalDocument(
            name, node, Json.Word(t.State), Json.Set(t.Incarnation), SizeDocument.From(t.Size), Json.Set(t.CommandLine), Json.Time(t.StartTime),
            Json.Time(t.EndTime), ExitDocument.From(t.Exit), Json.Set(t.EndCause), t.EndOffset, t.RetainedBytes, t.RetainedChunks,
            Json.Set(t.FirstCursor), Json.Set(t.EndCursor), Json.Time(t.LastOutputTime));
    }
}

/// <summary>A command.</summary>
internal sealed record CommandDocument(
    string Id, string Node, string State, IReadOnlyList<string> Argv, string? Cwd, string? RequestId, string? CreateTime, string? StartTime,
    string? EndTime, ExitDocument? Exit, string? Message, long OutputBytes, string Output, bool Pty)
{
    /// <summary>From the protocol's form.</summary>
    public static CommandDocument From(Command c)
    {
        var (node, id) = Short.Command(c.Name);
        return new CommandDocument(
            id, node, Json.Word(c.State), [.. c.Argv], Json.Set(c.Cwd), Json.Set(c.RequestId), Json.Time(c.CreateTime), Json.Time(c.StartTime),
            Json.Time(c.EndTime), ExitDocument.From(c.Exit), Json.Set(c.Message), c.OutputBytes, Names.CommandStream(id), c.Pty);
    }
}

/// <summary>A mesh event.</summary>
internal sealed record EventDocument(string Cursor, string? Time, string Type, string Subject, string? Message)
{
    /// <summary>From the protocol's form.</summary>
    public static EventDocument From(MeshEvent e) => new(e.Cursor, Json.Time(e.Time), Json.Word(e.Type), e.Subject, Json.Set(e.Message));
}

/// <summary>A credential; the secret only right after it was made.</summary>
internal sealed record TokenDocument(string Id, string Type, string? CreateTime, string? ExpireTime, string? Description, string? Secret = null)
{
    /// <summary>From the protocol's form.</summary>
    public static TokenDocument From(Token t, string? secret = null) =>
        new(t.Id, Json.Word(t.Type), Json.Time(t.CreateTime), Json.Time(t.ExpireTime), Json.Set(t.Description), secret);
}

/// <summary>Versions of this program and of the hub it speaks to.</summary>
internal sealed record VersionDocument(string Client, HubDocument? Hub);

/// <summary>About a hub.</summary>
internal sealed record HubDocument(string Version, string Member, string? StartTime, int Nodes, int NodesOnline, string? EventCursor)
{
    /// <summary>From the protocol's form.</summary>
    public static HubDocument From(GetHubResponse h) => new(h.Version, h.Member, Json.Time(h.StartTime), h.Nodes, h.NodesOnline, Json.Set(h.EventCursor));
}

/// <summary>A member of the cluster; what it has not said of itself is left out.</summary>
internal sealed record MemberDocument(
    string Address, string? ClientAddress, string Role, string State, IReadOnlyList<string> UnreachableBy, string? Version, int WireVersion, string? StartTime,
    int? Partitions, int? Nodes, int? NodeStreams, bool Draining, bool Leader, bool Oldest, bool Self, string? HeardTime)
{
    /// <summary>From the protocol's form.</summary>
    public static MemberDocument From(ClusterMember m) => new(
        m.Address, Json.Set(m.ClientAddress), m.Role, Json.Word(m.State), [.. m.UnreachableBy], Json.Set(m.Version), m.WireVersion, Json.Time(m.StartTime),
        Told(m, m.Partitions), Told(m, m.Nodes), Told(m, m.NodeStreams), m.Draining, m.Leader, m.Oldest, m.Self, Json.Time(m.HeardTime));

    private static int? Told(ClusterMember m, int value) => m.HeardTime is null ? null : value;
}

/// <summary>The members of the cluster.</summary>
internal sealed record ClusterDocument(IReadOnlyList<MemberDocument> Members, int LowestWireVersion)
{
    /// <summary>From the protocol's form.</summary>
    public static ClusterDocument From(ListMembersResponse r) => new([.. r.Members.Select(MemberDocument.From)], r.LowestWireVersion);
}

/// <summary>Nodes, and the partitions whose nodes are not among them because they did not answer.</summary>
internal sealed record NodesDocument(IReadOnlyList<NodeDocument> Nodes, IReadOnlyList<int>? UnreachablePartitions)
{
    /// <summary>From the protocol's form.</summary>
    public static NodesDocument From(ListNodesResponse r) => new([.. r.Nodes.Select(NodeDocument.From)], Json.Set(r.UnreachablePartitions));
}

/// <summary>Terminals of a node.</summary>
internal sealed record TerminalsDocument(string NodeState, IReadOnlyList<TerminalDocument> Terminals);

/// <summary>Commands of a node, newest first, and how many older ones the list had no room for.</summary>
internal sealed record CommandsDocument(IReadOnlyList<CommandDocument> Commands, int? Omitted);

/// <summary>Mesh events, where to go on, and the partitions whose events could not be read.</summary>
internal sealed record EventsDocument(IReadOnlyList<EventDocument> Events, string? NextCursor, IReadOnlyList<int>? UnreachablePartitions);

/// <summary>Credentials.</summary>
internal sealed record TokensDocument(IReadOnlyList<TokenDocument> Tokens);

/// <summary>A node with what is on it.</summary>
internal sealed record NodeDescription(
    NodeDocument Node, IReadOnlyList<TerminalDocument> Terminals, IReadOnlyList<CommandDocument> Commands, int? CommandsOmitted);

/// <summary>Resource names shortened to what a person types.</summary>
internal static class Short
{
    /// <summary>'nodes/x' as 'x'; another form stays as it is.</summary>
    public static string Node(string resource) => Names.TryParseNode(resource, out var node) ? node : resource;

    /// <summary>Node and terminal of a resource name.</summary>
    public static (string Node, string Terminal) Terminal(string resource) =>
        Names.TryParseTerminal(resource, out var node, out var terminal) ? (node, terminal) : ("", resource);

    /// <summary>Node and id of a command's resource name.</summary>
    public static (string Node, string Command) Command(string resource) =>
        Names.TryParseCommand(resource, out var node, out var command) ? (node, command) : ("", resource);
}
