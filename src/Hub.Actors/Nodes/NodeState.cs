using AkkaHub.Internal.V1;
using AkkaHub.V1;
using Hub.Actors.History;
using Hub.Actors.Settings;
using Hub.Protocol;

namespace Hub.Actors.Nodes;

/// <summary>
/// The durable facts about one node: its claim, newest session, terminals and commands. Changed only by <see cref="Apply"/>,
/// which has no clock, no randomness and no logging, so that recovery gives what was there before. What is accepted but not
/// durable yet stands elsewhere (<see cref="PendingEvents"/>).
/// </summary>
public sealed class NodeState
{
    private readonly HistorySettings _terminalSettings;
    private readonly HistorySettings _commandSettings;
    private readonly Dictionary<string, TerminalHistory> _histories = new(StringComparer.Ordinal);
    private readonly Dictionary<IncarnationId, TerminalHistory> _live = [];
    private readonly Dictionary<string, CommandRecord> _commands = new(StringComparer.Ordinal);
    private readonly LinkedList<CommandRecord> _commandOrder = new();
    private long _storedHistories;
    private long _storedCommands;

    /// <summary>The state of a node nobody has seen yet.</summary>
    public NodeState(HubSettings settings)
    {
        _terminalSettings = settings.History;
        _commandSettings = settings.History with
        {
            HeadBytes = settings.Commands.HeadBytes,
            MaxBytes = settings.Commands.TailBytes,
            // Bytes bound a command's head and tail; this many chunks hold them as long as pieces are 256 bytes on average.
            MaxChunks = Math.Max(settings.History.MaxChunks, (int)Math.Min(int.MaxValue, Math.Max(settings.Commands.HeadBytes, settings.Commands.TailBytes) / 256)),
        };
    }

    /// <summary>SHA-256 of the claim key; null if the name is free.</summary>
    public byte[]? ClaimHash { get; private set; }
    /// <summary>First registration.</summary>
    public long RegisteredUnixUs { get; private set; }
    /// <summary>The newest session, ended or not.</summary>
    public SessionOpened? Session { get; private set; }
    /// <summary>The newest end of a session.</summary>
    public SessionClosed? SessionEnd { get; private set; }
    /// <summary>Bytes made durable in the newest session.</summary>
    public long SessionBytes { get; private set; }
    /// <summary>An operator wants it to take no new work.</summary>
    public bool Drained { get; private set; }
    /// <summary>The newest session has not ended.</summary>
    public bool SessionOpen => Session is not null && (SessionEnd is null || SessionEnd.Epoch < Session.Epoch);
    /// <summary>Histories by name, those of commands included.</summary>
    public IReadOnlyDictionary<string, TerminalHistory> Histories => _histories;
    /// <summary>Histories whose newest incarnation lives, by that incarnation.</summary>
    public IReadOnlyDictionary<IncarnationId, TerminalHistory> Live => _live;
    /// <summary>Commands by id.</summary>
    public IReadOnlyDictionary<string, CommandRecord> Commands => _commands;
    /// <summary>Commands, oldest first.</summary>
    public IEnumerable<CommandRecord> CommandsInOrder => _commandOrder;
    /// <summary>Terminals, ended ones included; commands' streams are not.</summary>
    public int TerminalCount => _histories.Count - CommandStreamCount;
    /// <summary>Streams of commands.</summary>
    public int CommandStreamCount { get; private set; }
    /// <summary>About how many bytes a snapshot takes.</summary>
    public long StoredSize => _storedHistories + _storedCommands + 256;

    /// <summary>Applies one durable fact.</summary>
    /// <exception cref="InvalidOperationException">The fact is of an unknown kind or does not follow from what is there: the journal is damaged or newer.</exception>
    public void Apply(NodeEvent e)
    {
        switch (e.EventCase)
        {
            case NodeEvent.EventOneofCase.Registered:
                ClaimHash = e.Registered.ClaimHash.ToByteArray();
                RegisteredUnixUs = e.Registered.TimeUnixUs;
                break;
            case NodeEvent.EventOneofCase.SessionOpened:
                Session = e.SessionOpened;
                SessionBytes = 0;
                break;
            case NodeEvent.EventOneofCase.SessionClosed:
                SessionEnd = e.SessionClosed;
                break;
            case NodeEvent.EventOneofCase.StreamOpened:
                Open(e.StreamOpened);
                break;
            case NodeEvent.EventOneofCase.Output:
                SessionBytes += e.Output.Data.Length;
                Change(IncarnationId.From(e.Output.Incarnation), e.Output, static (h, x) => h.Apply(x));
                break;
            case NodeEvent.EventOneofCase.Resized:
                Change(IncarnationId.From(e.Resized.Incarnation), e.Resized, static (h, x) => h.Apply(x));
                break;
            case NodeEvent.EventOneofCase.Gap:
                Change(IncarnationId.From(e.Gap.Incarnation), e.Gap, static (h, x) => h.Apply(x));
                break;
            case NodeEvent.EventOneofCase.Closed:
                var id = IncarnationId.From(e.Closed.Incarnation);
                Change(id, e.Closed, static (h, x) => h.Apply(x));
                _live.Remove(id);
                break;
            case NodeEvent.EventOneofCase.CommandAccepted:
                Add(new CommandRecord(e.CommandAccepted));
                break;
            case NodeEvent.EventOneofCase.CommandRunning:
                if (_commands.TryGetValue(e.CommandRunning.CommandId, out var started))
                    _storedCommands += started.Take(e.CommandRunning);
                break;
            case NodeEvent.EventOneofCase.CommandFinished:
                if (_commands.TryGetValue(e.CommandFinished.CommandId, out var finished))
                    _storedCommands += finished.Take(e.CommandFinished);
                break;
            case NodeEvent.EventOneofCase.CommandDropped:
                if (_commands.Remove(e.CommandDropped.CommandId, out var dropped))
                {
                    _commandOrder.Remove(dropped);
                    _storedCommands -= dropped.StoredSize;
                }

                Remove(Names.CommandStream(e.CommandDropped.CommandId));
                break;
            case NodeEvent.EventOneofCase.TerminalPurged:
                Purge(e.TerminalPurged.Name);
                break;
            case NodeEvent.EventOneofCase.DrainSet:
                Drained = e.DrainSet.On;
                break;
            case NodeEvent.EventOneofCase.Forgotten:
                Clear();
                break;
            default:
                throw new InvalidOperationException($"A stored event of kind {e.EventCase} is not known: the store was written by a newer hub, or is damaged.");
        }
    }

    /// <summary>Finds a history by the incarnation that lives in it.</summary>
    public TerminalHistory? FindLive(IncarnationId incarnation) => _live.GetValueOrDefault(incarnation);

    /// <summary>About how many bytes of memory a command's output takes; 0 if it has none.</summary>
    public long OutputMemory(CommandRecord command) =>
        _histories.TryGetValue(Names.CommandStream(command.Id), out var history) ? history.RetainedMemory : 0;

    /// <summary>The whole state in its stored form; shares immutable memory, so it may be serialized on another thread.</summary>
    public NodeSnapshot Capture()
    {
        var snapshot = new NodeSnapshot
        {
            ClaimHash = ClaimHash is null ? Google.Protobuf.ByteString.Empty : Google.Protobuf.ByteString.CopyFrom(ClaimHash),
            RegisteredUnixUs = RegisteredUnixUs,
            Session = Session,
            SessionEnd = SessionEnd,
            SessionBytes = SessionBytes,
            Drained = Drained,
        };
        foreach (var history in _histories.Values)
            snapshot.Terminals.Add(history.Capture());
        foreach (var command in _commandOrder)
            snapshot.Commands.Add(command.Capture());
        return snapshot;
    }

    /// <summary>The state that <see cref="Capture"/> saw.</summary>
    public static NodeState Restore(NodeSnapshot snapshot, HubSettings settings)
    {
        var state = new NodeState(settings)
        {
            ClaimHash = snapshot.ClaimHash.IsEmpty ? null : snapshot.ClaimHash.ToByteArray(),
            RegisteredUnixUs = snapshot.RegisteredUnixUs,
            Session = snapshot.Session,
            SessionEnd = snapshot.SessionEnd,
            SessionBytes = snapshot.SessionBytes,
            Drained = snapshot.Drained,
        };
        foreach (var stored in snapshot.Terminals)
            state.Add(TerminalHistory.Restore(stored, state.SettingsFor(stored.Kind)));
        foreach (var stored in snapshot.Commands)
        {
            var record = new CommandRecord(stored.Accepted);
            if (stored.Running is not null)
                record.Take(stored.Running);
            if (stored.Finished is not null)
                record.Take(stored.Finished);
            state.Add(record);
        }

        return state;
    }

    private HistorySettings SettingsFor(StreamKind kind) => kind == StreamKind.Command ? _commandSettings : _terminalSettings;

    private void Open(StreamOpened e)
    {
        if (!_histories.TryGetValue(e.Name, out var history))
        {
            history = new TerminalHistory(e.Name, e.Kind, SettingsFor(e.Kind));
            Add(history);
        }

        var before = history.StoredSize;
        history.Apply(e);
        _live[IncarnationId.From(e.Incarnation)] = history;
        _storedHistories += history.StoredSize - before;
    }

    private void Change<T>(IncarnationId incarnation, T e, Action<TerminalHistory, T> apply)
    {
        if (!_live.TryGetValue(incarnation, out var history))
            throw new InvalidOperationException($"A stored {typeof(T).Name} names the incarnation {incarnation.ToHex()}, which is not live: the store is damaged.");
        var before = history.StoredSize;
        apply(history, e);
        _storedHistories += history.StoredSize - before;
    }

    private void Purge(string name)
    {
        if (!_histories.TryGetValue(name, out var history))
            return;
        if (!history.IsLive)
        {
            Remove(name);
            return;
        }

        var before = history.StoredSize;
        history.Purge();
        _storedHistories += history.StoredSize - before;
    }

    private void Add(TerminalHistory history)
    {
        _histories.Add(history.Name, history);
        if (history.Kind == StreamKind.Command)
            CommandStreamCount++;
        if (history.IsLive)
            _live[history.Newest!.Id] = history;
        _storedHistories += history.StoredSize;
    }

    private void Add(CommandRecord record)
    {
        _commands.Add(record.Id, record);
        _commandOrder.AddLast(record);
        _storedCommands += record.StoredSize;
    }

    private void Remove(string name)
    {
        if (!_histories.Remove(name, out var history))
            return;
        if (history.Kind == StreamKind.Command)
            CommandStreamCount--;
        if (history.IsLive)
            _live.Remove(history.Newest!.Id);
        _storedHistories -= history.StoredSize;
    }

    private void Clear()
    {
        ClaimHash = null;
        RegisteredUnixUs = 0;
        SessionBytes = 0;
        Drained = false;
        // The epoch goes on: a later claim of the name must not be given one that an old session still uses.
        _histories.Clear();
        _live.Clear();
        _commands.Clear();
        _commandOrder.Clear();
        CommandStreamCount = 0;
        _storedHistories = _storedCommands = 0;
    }
}

/// <summary>A command as it is stored.</summary>
public sealed class CommandRecord(CommandAccepted accepted)
{
    private const int StoredOverhead = 16;

    /// <summary>Its id.</summary>
    public string Id => Accepted.CommandId;
    /// <summary>How it was accepted.</summary>
    public CommandAccepted Accepted { get; } = accepted;
    /// <summary>Its process started.</summary>
    public CommandRunning? Running { get; private set; }
    /// <summary>It ended.</summary>
    public CommandFinished? Finished { get; private set; }
    /// <summary>About how many bytes of a snapshot it takes: what it was asked to run may be large.</summary>
    public long StoredSize { get; private set; } = accepted.CalculateSize() + StoredOverhead;
    /// <summary>Where it is in its life.</summary>
    public CommandState State => Finished?.State ?? (Running is null ? CommandState.Pending : CommandState.Running);

    /// <summary>Its process runs; gives the bytes by which its stored form grew.</summary>
    internal long Take(CommandRunning running)
    {
        var grown = running.CalculateSize() - (Running?.CalculateSize() ?? 0);
        Running = running;
        StoredSize += grown;
        return grown;
    }

    /// <summary>It ended; gives the bytes by which its stored form grew.</summary>
    internal long Take(CommandFinished finished)
    {
        var grown = finished.CalculateSize() - (Finished?.CalculateSize() ?? 0);
        Finished = finished;
        StoredSize += grown;
        return grown;
    }

    /// <summary>The stored form.</summary>
    public StoredCommand Capture() => new() { Accepted = Accepted, Running = Running, Finished = Finished };
}
