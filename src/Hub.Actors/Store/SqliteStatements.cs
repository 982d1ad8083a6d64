using Microsoft.Data.Sqlite;
using SQLitePCL;

namespace Hub.Actors.Store;

/// <summary>The connection that writes, with its prepared statements, on the tables of Akka.Persistence.Sql.</summary>
internal sealed class SqliteStatements : IDisposable
{
    // After a checkpoint the write-ahead log is cut back to this many bytes.
    private const int LogSizeLimit = 32 * 1024 * 1024;
    // A transaction of many nodes touches a page of the key's index for each. With SQLite's own 2 MB they would be read, and even
    // written, several times. Held here, they stay from one transaction to the next, because no other connection writes.
    private const int CacheKilobytes = 32 * 1024;

    // SQLITE_DBSTATUS_CACHE_WRITE of sqlite3.h.
    private const int DbStatusCacheWrite = 9;

    private readonly SqliteConnection _connection;
    private readonly List<SqliteCommand> _commands = [];
    private readonly SqliteCommand _begin;
    private readonly SqliteCommand _commit;
    private readonly SqliteCommand _mark;
    private readonly SqliteCommand _unmark;
    private readonly SqliteCommand _undo;
    private readonly SqliteCommand _insert;
    private readonly SqliteCommand _lastOfStep;
    private readonly SqliteCommand _keepNumber;
    private readonly SqliteCommand _deleteEvents;
    private readonly SqliteCommand _saveSnapshot;
    private readonly SqliteCommand _deleteSnapshots;

    /// <exception cref="SqliteException">The store cannot be opened.</exception>
    public SqliteStatements(string connectionString, TimeSpan busyTimeout)
    {
        // Its own, not one of a pool: what was not committed is rolled back when it closes.
        _connection = new SqliteConnection(new SqliteConnectionStringBuilder(connectionString) { Pooling = false }.ToString());
        try
        {
            _connection.Open();
            Command(
                $"""
                PRAGMA synchronous=FULL; PRAGMA busy_timeout={(long)busyTimeout.TotalMilliseconds};
                PRAGMA journal_size_limit={LogSizeLimit}; PRAGMA wal_autocheckpoint=0; PRAGMA cache_size=-{CacheKilobytes};
                """).ExecuteNonQuery();
            _begin = Command("BEGIN IMMEDIATE");
            _commit = Command("COMMIT");
            _mark = Command("SAVEPOINT change");
            _unmark = Command("RELEASE change");
            _undo = Command("ROLLBACK TO change");
            _insert = Command(
                """
                INSERT INTO journal (created, deleted, persistence_id, sequence_number, message, tags, manifest, identifier, writer_uuid)
                VALUES ($created, 0, $id, $number, $message, '', $manifest, $serializer, $writer)
                """,
                "$created", "$id", "$number", "$message", "$manifest", "$serializer", "$writer");
            // Of the rows up to a number, the one that a step ends at; null if there is none.
            _lastOfStep = Command(
                """
                SELECT max(sequence_number) FROM
                (SELECT sequence_number FROM journal WHERE persistence_id = $id AND sequence_number <= $to ORDER BY sequence_number LIMIT $rows)
                """,
                "$id", "$to", "$rows");
            _keepNumber = Command("UPDATE journal SET deleted = 1 WHERE persistence_id = $id AND sequence_number = $to", "$id", "$to");
            _deleteEvents = Command("DELETE FROM journal WHERE persistence_id = $id AND sequence_number < $to", "$id", "$to");
            _saveSnapshot = Command(
                """
                INSERT OR REPLACE INTO snapshot (created, persistence_id, sequence_number, snapshot, manifest, serializer_id)
                VALUES ($created, $id, $number, $message, $manifest, $serializer)
                """,
                "$created", "$id", "$number", "$message", "$manifest", "$serializer");
            _deleteSnapshots = Command(
                "DELETE FROM snapshot WHERE persistence_id = $id AND sequence_number BETWEEN $from AND $to AND created <= $notAfter",
                "$id", "$from", "$to", "$notAfter");
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>What events are stamped with, in ticks.</summary>
    public long Created { get; set; }

    /// <summary>Begins a transaction.</summary>
    public void Begin() => _begin.ExecuteNonQuery();

    /// <summary>Makes it durable.</summary>
    public void Commit() => _commit.ExecuteNonQuery();

    /// <summary>Pages that were added to the log since this was last asked.</summary>
    public int TakePagesWritten()
    {
        _ = raw.sqlite3_db_status(_connection.Handle, DbStatusCacheWrite, out var pages, out _, resetFlg: 1);
        return pages;
    }

    /// <summary>Remembers where the transaction stands.</summary>
    public void Mark() => _mark.ExecuteNonQuery();

    /// <summary>Forgets the mark.</summary>
    public void Unmark() => _unmark.ExecuteNonQuery();

    /// <summary>Undoes what came since the mark, which stays.</summary>
    public void UndoToMark() => _undo.ExecuteNonQuery();

    /// <summary>Adds an event.</summary>
    public void Insert(string persistenceId, string writerId, in StoredForm row) =>
        Run(_insert, Created, persistenceId, row.SequenceNumber, row.Message, row.Manifest, row.Serializer, writerId);

    /// <summary>
    /// Deletes the lowest of an id's events up to a number. The highest of them stays and is marked, and goes with the next step or
    /// the next deletion.
    /// </summary>
    /// <param name="persistenceId">Whose events.</param>
    /// <param name="toSequenceNumber">Up to which number, included.</param>
    /// <param name="rows">The most rows to touch, at least 1.</param>
    /// <returns>Rows touched, the marked one among them; if it is less than the most, no more are left but that one.</returns>
    public int DeleteSome(string persistenceId, long toSequenceNumber, int rows)
    {
        Set(_lastOfStep, persistenceId, toSequenceNumber, rows);
        if (_lastOfStep.ExecuteScalar() is not long last)
            return 0;
        Run(_keepNumber, persistenceId, last);
        return Run(_deleteEvents, persistenceId, last) + 1;
    }

    /// <summary>Adds or replaces a snapshot.</summary>
    public void SaveSnapshot(string persistenceId, long created, in StoredForm snapshot) =>
        Run(_saveSnapshot, created, persistenceId, snapshot.SequenceNumber, snapshot.Message, snapshot.Manifest, snapshot.Serializer);

    /// <summary>Deletes an id's snapshots between two numbers that are not younger than a time, in ticks.</summary>
    public void DeleteSnapshots(string persistenceId, long from, long to, long notAfter) =>
        Run(_deleteSnapshots, persistenceId, from, to, notAfter);

    public void Dispose()
    {
        foreach (var command in _commands)
            command.Dispose();
        _connection.Dispose();
    }

    private static int Run(SqliteCommand command, params ReadOnlySpan<object> values)
    {
        Set(command, values);
        return command.ExecuteNonQuery();
    }

    private static void Set(SqliteCommand command, params ReadOnlySpan<object> values)
    {
        for (var i = 0; i < values.Length; i++)
            command.Parameters[i].Value = values[i];
    }

    private SqliteCommand Command(string text, params ReadOnlySpan<string> parameters)
    {
        var command = _connection.CreateCommand();
        _commands.Add(command);
        command.CommandText = text;
        foreach (var name in parameters)
            command.Parameters.Add(new SqliteParameter(name, null));
        return command;
    }
}
