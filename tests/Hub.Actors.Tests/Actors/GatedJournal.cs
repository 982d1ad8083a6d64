using System.Collections.Immutable;
using System.Runtime.CompilerServices;
using Akka.Actor;
using Akka.Persistence;
using Akka.Persistence.Journal;
using Akka.Persistence.Snapshot;

namespace Hub.Actors.Tests.Actors;

/// <summary>What a spec tells the journal of its actor system: hold writes back, fail them, refuse recoveries.</summary>
public sealed class JournalGate
{
    private static readonly ConditionalWeakTable<ActorSystem, JournalGate> Gates = [];

    private readonly Lock _lock = new();
    private TaskCompletionSource? _closed;
    private string? _closedId;
    private Func<string, Exception?> _write = static _ => null;
    private Func<string, Exception?> _read = static _ => null;
    private Exception? _deleteRows;
    private Exception? _deleteSnapshots;
    private ImmutableList<string> _written = [];
    private ImmutableList<string> _reads = [];

    public static JournalGate Of(ActorSystem system) => Gates.GetValue(system, static _ => new JournalGate());

    /// <summary>Persistence ids of the writes that were asked for, in order.</summary>
    public IReadOnlyList<string> Asked => Volatile.Read(ref _written);

    /// <summary>Persistence ids of the recoveries, in order.</summary>
    public IReadOnlyList<string> Recoveries => Volatile.Read(ref _reads);

    /// <summary>Writes wait from now on until <see cref="Open"/>; those of one id if it is given.</summary>
    public void Close(string? id = null)
    {
        lock (_lock)
        {
            _closed ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            _closedId = id;
        }
    }

    /// <summary>Lets the writes that wait go on.</summary>
    public void Open()
    {
        lock (_lock)
        {
            _closed?.SetResult();
            _closed = null;
        }
    }

    /// <summary>Writes of ids for which this gives an exception fail with it.</summary>
    public void FailWrites(Func<string, Exception?> of) => Volatile.Write(ref _write, of);

    /// <summary>Recoveries of ids for which this gives an exception fail with it.</summary>
    public void FailReads(Func<string, Exception?> of) => Volatile.Write(ref _read, of);

    /// <summary>Deletions of rows, or of snapshots, fail with these.</summary>
    public void FailDeletions(Exception? ofRows, Exception? ofSnapshots)
    {
        Volatile.Write(ref _deleteRows, ofRows);
        Volatile.Write(ref _deleteSnapshots, ofSnapshots);
    }

    public void Heal()
    {
        FailDeletions(null, null);
        FailWrites(static _ => null);
        FailReads(static _ => null);
    }

    internal async Task BeforeWriteAsync(string id)
    {
        Task? wait;
        lock (_lock)
        {
            _written = _written.Add(id);
            wait = _closedId is null || _closedId == id ? _closed?.Task : null;
        }

        if (wait is not null)
            await wait;
        if (Volatile.Read(ref _write)(id) is { } failure)
            throw failure;
    }

    internal void BeforeDeletion(bool ofRows)
    {
        if ((ofRows ? Volatile.Read(ref _deleteRows) : Volatile.Read(ref _deleteSnapshots)) is { } failure)
            throw failure;
    }

    internal void BeforeRead(string id)
    {
        lock (_lock)
            _reads = _reads.Add(id);
        if (Volatile.Read(ref _read)(id) is { } failure)
            throw failure;
    }
}

/// <summary>The in-memory journal behind a <see cref="JournalGate"/>. What it stores goes through the hub's serializer both ways.</summary>
public sealed class GatedJournal : MemoryJournal
{
    private readonly JournalGate _gate = JournalGate.Of(Context.System);
    private readonly Akka.Serialization.Serialization _serialization = Context.System.Serialization;

    protected override async Task<IImmutableList<Exception>> WriteMessagesAsync(IEnumerable<AtomicWrite> messages, CancellationToken cancellationToken)
    {
        var writes = messages.ToList();
        foreach (var write in writes)
            await _gate.BeforeWriteAsync(write.PersistenceId);
        return await base.WriteMessagesAsync(writes.Select(Stored).ToList(), cancellationToken);
    }

    public override Task<long> ReadHighestSequenceNrAsync(string persistenceId, long fromSequenceNr, CancellationToken cancellationToken)
    {
        _gate.BeforeRead(persistenceId);
        return base.ReadHighestSequenceNrAsync(persistenceId, fromSequenceNr, cancellationToken);
    }

    protected override Task DeleteMessagesToAsync(string persistenceId, long toSequenceNr, CancellationToken cancellationToken)
    {
        _gate.BeforeDeletion(ofRows: true);
        return base.DeleteMessagesToAsync(persistenceId, toSequenceNr, cancellationToken);
    }

    private AtomicWrite Stored(AtomicWrite write) =>
        new(((IEnumerable<IPersistentRepresentation>)write.Payload).Select(Stored).ToImmutableList());

    private IPersistentRepresentation Stored(IPersistentRepresentation row)
    {
        var serializer = (Akka.Serialization.SerializerWithStringManifest)_serialization.FindSerializerFor(row.Payload);
        return row.WithPayload(serializer.FromBinary(serializer.ToBinary(row.Payload), serializer.Manifest(row.Payload)));
    }
}

/// <summary>The in-memory snapshot store behind the same gate.</summary>
public sealed class GatedSnapshotStore : MemorySnapshotStore
{
    private readonly JournalGate _gate = JournalGate.Of(Context.System);

    protected override Task DeleteAsync(string persistenceId, SnapshotSelectionCriteria criteria, CancellationToken cancellationToken)
    {
        _gate.BeforeDeletion(ofRows: false);
        return base.DeleteAsync(persistenceId, criteria, cancellationToken);
    }
}
