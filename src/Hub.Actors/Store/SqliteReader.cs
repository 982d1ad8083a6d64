using System.Collections.Concurrent;
using Hub.Actors.Telemetry;
using Microsoft.Data.Sqlite;

namespace Hub.Actors.Store;

/// <summary>An event as it was stored.</summary>
/// <param name="Form">Number, bytes and their form.</param>
/// <param name="WriterId">Which run of the journal wrote it.</param>
/// <param name="Created">When, in ticks.</param>
internal readonly record struct StoredEvent(StoredForm Form, string WriterId, long Created);

/// <summary>A snapshot as it was stored.</summary>
/// <param name="Form">Number, bytes and their form.</param>
/// <param name="Created">When it was taken, in ticks.</param>
internal readonly record struct StoredSnapshot(StoredForm Form, long Created);

/// <summary>
/// What the embedded store is read with: a few connections, their statements prepared once. The plugin's own reads open a connection
/// and translate an expression to a statement for each of the three questions of a recovery; with ten thousand nodes that come
/// back after a restart that was 42 % of the processor time (docs/adr/0006).
/// </summary>
internal sealed class SqliteReader : IDisposable
{
    private static readonly int Turns = Math.Max(2, Environment.ProcessorCount);
    private readonly string _connectionString;
    private readonly TimeSpan _busyTimeout;
    private readonly HubMetrics? _metrics;
    // SQLite's calls block, and what they wait for is a processor or the disk: more at once would not be faster. A long replay holds
    // its turn to its end. Who waits for one is a recovery, of which akka.persistence.max-concurrent-recoveries lets 64 in at a time
    // and which gives up after 30 s without an event (recovery-event-timeout); a node's whole journal is read in a fraction of that.
    private readonly SemaphoreSlim _turns = new(Turns);
    private readonly ConcurrentBag<Statements> _idle = [];
    private readonly TaskCompletionSource _disposal = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile bool _disposed;

    /// <summary>Opens nothing yet.</summary>
    public SqliteReader(string connectionString, TimeSpan busyTimeout, HubMetrics? metrics = null)
    {
        _metrics = metrics;
        _connectionString = new SqliteConnectionStringBuilder(connectionString) { Pooling = false }.ToString();
        _busyTimeout = busyTimeout;
    }

    /// <summary>The highest number an id has used, those deleted included; 0 if none at or above the lowest.</summary>
    public Task<long> HighestSequenceNumberAsync(string persistenceId, long lowest, CancellationToken cancellationToken) =>
        ReadAsync(statements => statements.HighestSequenceNumber(persistenceId, lowest), cancellationToken);

    /// <summary>Hands over an id's events from one number to another, lowest first, at most so many.</summary>
    public Task ReadEventsAsync(string persistenceId, long from, long to, long most, Action<StoredEvent> take, CancellationToken cancellationToken) =>
        ReadAsync(
            statements =>
            {
                foreach (var stored in statements.Events(persistenceId, from, to, most))
                    take(stored);
                return true;
            },
            cancellationToken);

    /// <summary>The latest of an id's snapshots within bounds of number and time, in ticks; null if there is none.</summary>
    public Task<StoredSnapshot?> LatestSnapshotAsync(
        string persistenceId, long lowest, long highest, long notBefore, long notAfter, CancellationToken cancellationToken) =>
        ReadAsync(statements => statements.LatestSnapshot(persistenceId, lowest, highest, notBefore, notAfter), cancellationToken);

    /// <summary>Closes what nobody reads with; the others are closed as they come back.</summary>
    public void Dispose()
    {
        _disposed = true;
        while (_idle.TryTake(out var statements))
            statements.Dispose();
        _disposal.TrySetResult();
    }

    /// <summary>Ends when, after <see cref="Dispose"/>, the last connection is closed.</summary>
    public async Task StoppedAsync()
    {
        await _disposal.Task.ConfigureAwait(false);
        for (var turn = 0; turn < Turns; turn++)
            await _turns.WaitAsync().ConfigureAwait(false);
        Dispose();
        // Whoever asks now is told that it is over.
        _turns.Release(Turns);
    }

    private async Task<T> ReadAsync<T>(Func<Statements, T> read, CancellationToken cancellationToken)
    {
        _metrics?.QueueDepth(HubQueue.StoreReads, 1);
        try
        {
            await _turns.WaitAsync(cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            _metrics?.QueueDepth(HubQueue.StoreReads, -1);
        }

        try
        {
            // Who asks is an actor, and must not wait for the disk.
            return await Task.Run(() => Read(read), cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            _turns.Release();
        }
    }

    private T Read<T>(Func<Statements, T> read)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (!_idle.TryTake(out var statements))
            statements = new Statements(_connectionString, _busyTimeout);
        var intact = false;
        try
        {
            var answer = read(statements);
            intact = true;
            return answer;
        }
        finally
        {
            // One that failed may have failed for good.
            if (intact)
                _idle.Add(statements);
            else
                statements.Dispose();
            if (_disposed)
                Dispose();
        }
    }

    private sealed class Statements : IDisposable
    {
        private readonly SqliteConnection _connection;
        private readonly SqliteCommand _highest;
        private readonly SqliteCommand _events;
        private readonly SqliteCommand _snapshot;

        public Statements(string connectionString, TimeSpan busyTimeout)
        {
            _connection = new SqliteConnection(connectionString);
            _highest = Command("SELECT max(sequence_number) FROM journal WHERE persistence_id = $id AND sequence_number >= $lowest", "$id", "$lowest");
            _events = Command(
                """
                SELECT sequence_number, message, manifest, identifier, writer_uuid, created FROM journal
                WHERE persistence_id = $id AND sequence_number BETWEEN $from AND $to AND deleted = 0 ORDER BY sequence_number LIMIT $most
                """,
                "$id", "$from", "$to", "$most");
            _snapshot = Command(
                """
                SELECT sequence_number, snapshot, manifest, serializer_id, created FROM snapshot
                WHERE persistence_id = $id AND sequence_number BETWEEN $lowest AND $highest AND created BETWEEN $notBefore AND $notAfter
                ORDER BY sequence_number DESC LIMIT 1
                """,
                "$id", "$lowest", "$highest", "$notBefore", "$notAfter");
            try
            {
                _connection.Open();
                using var setUp = _connection.CreateCommand();
                setUp.CommandText = $"PRAGMA query_only=ON; PRAGMA busy_timeout={(long)busyTimeout.TotalMilliseconds}";
                setUp.ExecuteNonQuery();
            }
            catch
            {
                Dispose();
                throw;
            }
        }

        public long HighestSequenceNumber(string persistenceId, long lowest)
        {
            Set(_highest, persistenceId, lowest);
            return _highest.ExecuteScalar() is long highest ? highest : 0;
        }

        public IEnumerable<StoredEvent> Events(string persistenceId, long from, long to, long most)
        {
            Set(_events, persistenceId, from, to, most);
            using var rows = _events.ExecuteReader();
            while (rows.Read())
            {
                yield return new StoredEvent(
                    new StoredForm(rows.GetInt64(0), rows.GetFieldValue<byte[]>(1), rows.GetString(2), rows.GetInt32(3)), rows.GetString(4), rows.GetInt64(5));
            }
        }

        public StoredSnapshot? LatestSnapshot(string persistenceId, long lowest, long highest, long notBefore, long notAfter)
        {
            Set(_snapshot, persistenceId, lowest, highest, notBefore, notAfter);
            using var rows = _snapshot.ExecuteReader();
            return rows.Read()
                ? new StoredSnapshot(new StoredForm(rows.GetInt64(0), rows.GetFieldValue<byte[]>(1), rows.GetString(2), rows.GetInt32(3)), rows.GetInt64(4))
                : null;
        }

        public void Dispose()
        {
            _highest.Dispose();
            _events.Dispose();
            _snapshot.Dispose();
            _connection.Dispose();
        }

        private static void Set(SqliteCommand command, params ReadOnlySpan<object> values)
        {
            for (var i = 0; i < values.Length; i++)
                command.Parameters[i].Value = values[i];
        }

        private SqliteCommand Command(string text, params ReadOnlySpan<string> parameters)
        {
            var command = _connection.CreateCommand();
            command.CommandText = text;
            foreach (var name in parameters)
                command.Parameters.Add(new SqliteParameter(name, null));
            return command;
        }
    }
}
