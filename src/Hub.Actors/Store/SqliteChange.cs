namespace Hub.Actors.Store;

/// <summary>A change of the store that somebody waits for.</summary>
internal abstract class SqliteChange : TaskCompletionSource
{
    /// <summary>Rows it adds to the journal.</summary>
    public virtual int JournalRows => 0;

    /// <summary>About how many bytes it adds.</summary>
    public virtual long Bytes => 0;

    /// <summary>Why it was not made.</summary>
    public Exception? Failure { get; set; }

    /// <summary>Makes the change, within a transaction.</summary>
    public virtual void ApplyTo(SqliteStatements statements)
    {
    }

    /// <summary>Tells who waits.</summary>
    public void Complete()
    {
        if (Failure is { } failure)
            SetException(failure);
        else
            SetResult();
    }
}

/// <summary>An event or a snapshot as it is stored.</summary>
/// <param name="SequenceNumber">The event's number among those of its persistence id, or that of the last event in the snapshot.</param>
/// <param name="Message">The bytes.</param>
/// <param name="Manifest">Which form that is.</param>
/// <param name="Serializer">Whose form that is.</param>
internal readonly record struct StoredForm(long SequenceNumber, byte[] Message, string Manifest, int Serializer);

/// <summary>Adds events to a persistence id.</summary>
/// <param name="persistenceId">Whose they are.</param>
/// <param name="writerId">Stored with each; tells one run of the journal from another.</param>
/// <param name="rows">The events.</param>
internal sealed class AddEvents(string persistenceId, string writerId, IReadOnlyList<StoredForm> rows) : SqliteChange
{
    private readonly long _bytes = rows.Sum(r => (long)r.Message.Length);

    public override int JournalRows => rows.Count;

    public override long Bytes => _bytes;

    public override void ApplyTo(SqliteStatements statements)
    {
        for (var i = 0; i < rows.Count; i++)
            statements.Insert(persistenceId, writerId, rows[i]);
    }
}

/// <summary>
/// Deletes an id's events up to a number, in as many transactions as it takes. The highest one stays, marked, so that its number is never given again.
/// </summary>
internal sealed class DeleteEvents(string persistenceId, long toSequenceNumber) : SqliteChange
{
    public string PersistenceId => persistenceId;

    public long ToSequenceNumber => toSequenceNumber;
}

/// <summary>Saves a snapshot, in place of one with the same number.</summary>
internal sealed class SaveSnapshot(string persistenceId, DateTime created, StoredForm snapshot) : SqliteChange
{
    public override long Bytes => snapshot.Message.Length;

    public override void ApplyTo(SqliteStatements statements) => statements.SaveSnapshot(persistenceId, created.Ticks, snapshot);
}

/// <summary>Deletes an id's snapshots between two numbers, both included, that are not younger than a time.</summary>
internal sealed class DeleteSnapshots(string persistenceId, long from, long to, DateTime notAfter) : SqliteChange
{
    public override void ApplyTo(SqliteStatements statements) => statements.DeleteSnapshots(persistenceId, from, to, notAfter.Ticks);
}
