namespace Hub.Actors.Settings;

/// <summary>
/// Every limit of the hub, immutable once bound. Defaults here and in <c>hocon/hub.hocon</c> are the same (a test compares
/// them); units, ranges and environment overrides stand there.
/// </summary>
public sealed record HubSettings
{
    /// <summary>Terminal histories.</summary>
    public HistorySettings History { get; init; } = new();
    /// <summary>Terminals of a node.</summary>
    public TerminalSettings Terminals { get; init; } = new();
    /// <summary>Commands of a node.</summary>
    public CommandSettings Commands { get; init; } = new();
    /// <summary>Credit that nodes are given.</summary>
    public FlowSettings Flow { get; init; } = new();
    /// <summary>When a node counts as online, stale or offline.</summary>
    public LivenessSettings Liveness { get; init; } = new();
    /// <summary>How fast nodes are let in.</summary>
    public AdmissionSettings Admission { get; init; } = new();
    /// <summary>Partitions and the life of node actors.</summary>
    public RegistrySettings Registry { get; init; } = new();
    /// <summary>Snapshots.</summary>
    public SnapshotSettings Snapshots { get; init; } = new();
    /// <summary>Mesh events.</summary>
    public EventSettings Events { get; init; } = new();
}

/// <summary>Bounds of one terminal's history; the tighter one binds.</summary>
public sealed record HistorySettings
{
    /// <summary>Most chunks kept; as many at most of the beginning that <see cref="HeadBytes"/> keeps.</summary>
    public int MaxChunks { get; init; } = 150;
    /// <summary>Most bytes kept, arrival marks counted in (16 bytes each).</summary>
    public long MaxBytes { get; init; } = 1024 * 1024;
    /// <summary>Most bytes in a chunk; what a node may send in one message.</summary>
    public int MaxChunkBytes { get; init; } = 32 * 1024;
    /// <summary>Neighbouring small arrivals are merged up to a chunk of this many bytes; 0 for never.</summary>
    public int MergeBytes { get; init; } = 4 * 1024;
    /// <summary>Most arrival marks in a merged chunk.</summary>
    public int MaxMarks { get; init; } = 64;
    /// <summary>Bytes at the very beginning that are never evicted (commands keep head and tail); counted apart from <see cref="MaxBytes"/>.</summary>
    public long HeadBytes { get; init; }
    /// <summary>Most size changes and most gap records kept, each.</summary>
    public int MaxAnnotations { get; init; } = 256;
    /// <summary>Most incarnations of a terminal kept, those without retained bytes included.</summary>
    public int MaxIncarnations { get; init; } = 32;
}

/// <summary>Terminals of a node.</summary>
public sealed record TerminalSettings
{
    /// <summary>Most terminals of a node, ended ones included whose history is kept.</summary>
    public int MaxPerNode { get; init; } = 16;
    /// <summary>Most inputs of a node on their way to it.</summary>
    public int MaxPendingInputs { get; init; } = 256;
    /// <summary>Most readers waiting for output of a node.</summary>
    public int MaxWaitingReaders { get; init; } = 256;
    /// <summary>How long the hub waits for a node's answer to input, resize, signal, open and close.</summary>
    public TimeSpan RequestTimeout { get; init; } = TimeSpan.FromSeconds(30);
}

/// <summary>Commands of a node.</summary>
public sealed record CommandSettings
{
    /// <summary>Most command records kept; the oldest finished one goes first.</summary>
    public int MaxRecords { get; init; } = 100;
    /// <summary>How long a finished command is kept.</summary>
    public TimeSpan Retention { get; init; } = TimeSpan.FromHours(24);
    /// <summary>Bytes kept of the beginning of a command's output.</summary>
    public long HeadBytes { get; init; } = 256 * 1024;
    /// <summary>Bytes kept of the end of a command's output.</summary>
    public long TailBytes { get; init; } = 256 * 1024;
    /// <summary>Most output kept over all commands of a node, as memory it takes; the oldest finished command goes first.</summary>
    public long MaxOutputBytes { get; init; } = 16 * 1024 * 1024;
    /// <summary>Most commands of a node that run at once.</summary>
    public int MaxRunning { get; init; } = 32;
}

/// <summary>Credit that nodes are given.</summary>
public sealed record FlowSettings
{
    /// <summary>Window of an idle stream, bytes.</summary>
    public int InitialWindowBytes { get; init; } = 32 * 1024;
    /// <summary>Largest window of a busy stream, bytes.</summary>
    public int MaxWindowBytes { get; init; } = 512 * 1024;
    /// <summary>Messages of a stream that may be under way.</summary>
    public int WindowMessages { get; init; } = 256;
    /// <summary>Most bytes granted over all streams of a member beyond each one's initial window.</summary>
    public long MemoryBudgetBytes { get; init; } = 128L * 1024 * 1024;
    /// <summary>Most bytes of output in one journal row.</summary>
    public int MaxEventBytes { get; init; } = 64 * 1024;
    /// <summary>Most bytes of output in one write of a node.</summary>
    public int MaxWriteBytes { get; init; } = 512 * 1024;
    /// <summary>Most messages that need no credit (heartbeats, what opened, changed or ended; not answers) that a node may send in a second.</summary>
    public int MaxControlMessages { get; init; } = 1024;
    /// <summary>
    /// Most bytes of a node's facts that wait for the store: all that is not output, which its credit bounds. At half of it
    /// clients' requests are refused, at all of it a node that says more is cut off.
    /// </summary>
    public long MaxPendingFactBytes { get; init; } = 4 * 1024 * 1024;
}

/// <summary>When a node counts as online, stale or offline.</summary>
public sealed record LivenessSettings
{
    /// <summary>Shortest heartbeat interval.</summary>
    public TimeSpan HeartbeatInterval { get; init; } = TimeSpan.FromSeconds(5);
    /// <summary>Heartbeats a second a member wants to take at most: the interval lengthens as nodes grow in number.</summary>
    public int MaxHeartbeatsPerSecond { get; init; } = 1000;
    /// <summary>Missed beats after which a node is stale.</summary>
    public int StaleAfterMissed { get; init; } = 3;
    /// <summary>Missed beats after which the hub ends the stream.</summary>
    public int TimeoutAfterMissed { get; init; } = 6;
    /// <summary>How long a node without a stream is stale before it is offline.</summary>
    public TimeSpan OfflineAfter { get; init; } = TimeSpan.FromSeconds(60);
    /// <summary>After a start: how long nodes that were there before are expected back before they are offline. Never less than twice the agents' longest back-off (30 s).</summary>
    public TimeSpan StartGrace { get; init; } = TimeSpan.FromSeconds(90);
    /// <summary>Offline nodes are forgotten after this time; null for never.</summary>
    public TimeSpan? ForgetAfter { get; init; }
    /// <summary>How long a node may take to say hello.</summary>
    public TimeSpan HelloTimeout { get; init; } = TimeSpan.FromSeconds(10);
}

/// <summary>How fast nodes are let in.</summary>
public sealed record AdmissionSettings
{
    /// <summary>Attaches under way at once on a member, and connections being greeted.</summary>
    public int MaxConcurrentAttaches { get; init; } = 256;
    /// <summary>Connections, and streams of nodes that share some, that wait for their turn; one more is refused.</summary>
    public int MaxWaiting { get; init; } = 4096;
    /// <summary>Longest wait for the turn; less than the 10 s an agent waits for its welcome.</summary>
    public TimeSpan MaxWait { get; init; } = TimeSpan.FromSeconds(5);
    /// <summary>Retry hint given before the hub is ready; spread at random up to twice this.</summary>
    public TimeSpan RetryHint { get; init; } = TimeSpan.FromSeconds(1);
}

/// <summary>Partitions and the life of node actors.</summary>
public sealed record RegistrySettings
{
    /// <summary>Number of partitions; stored with the data and never changed.</summary>
    public int Partitions { get; init; } = 64;
    /// <summary>An idle, disconnected node's actor is stopped after this time.</summary>
    public TimeSpan PassivateAfter { get; init; } = TimeSpan.FromMinutes(2);
    /// <summary>Messages a partition keeps for a node whose actor is being made.</summary>
    public int MaxBufferedPerNode { get; init; } = 256;
    /// <summary>Most nodes of a partition.</summary>
    public int MaxNodesPerPartition { get; init; } = 10_000;
    /// <summary>First wait before a failed node actor is made again.</summary>
    public TimeSpan MinBackoff { get; init; } = TimeSpan.FromMilliseconds(200);
    /// <summary>Longest wait.</summary>
    public TimeSpan MaxBackoff { get; init; } = TimeSpan.FromSeconds(10);
    /// <summary>How long a client's request to a node's actor may take.</summary>
    public TimeSpan AskTimeout { get; init; } = TimeSpan.FromSeconds(45);
}

/// <summary>Snapshots.</summary>
public sealed record SnapshotSettings
{
    /// <summary>A snapshot is never due before this many journaled bytes.</summary>
    public long MinBytes { get; init; } = 128 * 1024;
    /// <summary>Snapshots and deletions under way at once on a member.</summary>
    public int MaxConcurrent { get; init; } = 4;
}

/// <summary>Mesh events.</summary>
public sealed record EventSettings
{
    /// <summary>Most events kept of a partition; every member holds a copy of all in memory, about 250 bytes each.</summary>
    public int MaxCount { get; init; } = 2000;
    /// <summary>Older events are not kept.</summary>
    public TimeSpan MaxAge { get; init; } = TimeSpan.FromDays(7);
    /// <summary>Most watchers of a member that wait for an event.</summary>
    public int MaxWaiting { get; init; } = 1024;
}
