using System.Data.Common;
using System.Runtime.CompilerServices;
using Hub.Actors.Telemetry;
using LinqToDB.Common;
using LinqToDB.Data;
using LinqToDB.Interceptors;

namespace Hub.Actors.Store;

/// <summary>
/// Makes SQLite behave under Akka.Persistence.Sql. Three things:
/// <list type="number">
/// <item>A transaction leaves the plugin's stream thread before it begins. SQLite's asynchronous calls run synchronously; without
/// this the stream never gets to batch what arrives meanwhile, and nothing is ever committed in groups.</item>
/// <item><c>synchronous</c> and <c>busy_timeout</c> belong to a connection, so they are set on each.</item>
/// <item>Writers take turns, first come, first served, without holding a thread: SQLite itself lets waiting writers poll
/// with growing sleeps. A transaction takes its turn at its first write and keeps it until its connection closes.</item>
/// </list>
/// </summary>
internal sealed class SqliteWriteGate : IDisposable
{
    // After a checkpoint the write-ahead log is cut back to this many bytes.
    private const int LogSizeLimit = 32 * 1024 * 1024;
    // A transaction of many nodes touches a page of the key's index for each. With SQLite's own 1,000 pages nearly every commit
    // would copy them all into the database; with this many a page that changes again and again is copied once in a while.
    private const int CheckpointPages = 4096;
    // Those pages are held by whoever writes; with SQLite's own 2 MB they would be read, and even written, several times.
    private const int WriterCacheKilobytes = 16 * 1024;

    private static readonly string WriterPragmas = $"PRAGMA cache_size=-{WriterCacheKilobytes};";
    private static readonly TimeSpan StallPoll = TimeSpan.FromMilliseconds(20);

    private readonly SemaphoreSlim _turn = new(1, 1);
    private readonly ConditionalWeakTable<DataConnection, Transaction> _writing = [];
    private readonly SqliteStoreOptions _options;
    private readonly HubMetrics? _metrics;
    private readonly TimeProvider _time;
    private readonly string _pragmas;

    public SqliteWriteGate(SqliteStoreOptions options, HubMetrics? metrics, TimeProvider time)
    {
        _options = options;
        _metrics = metrics;
        _time = time;
        _pragmas = $"PRAGMA synchronous=FULL;PRAGMA busy_timeout={(long)options.BusyTimeout.TotalMilliseconds};PRAGMA journal_size_limit={LogSizeLimit};"
            + $"PRAGMA wal_autocheckpoint={CheckpointPages};";
        Interceptors = [new OnConnection(this), new OnCommand(this), new OnContext(this)];
    }

    /// <summary>What linq2db calls.</summary>
    public IInterceptor[] Interceptors { get; }

    public void Dispose() => _turn.Dispose();

    private async Task<int> WriteAsync(DataConnection connection, DbCommand command, CancellationToken cancellationToken)
    {
        var first = !_writing.TryGetValue(connection, out var transaction);
        if (first)
        {
            await _turn.WaitAsync(cancellationToken).ConfigureAwait(false);
            transaction = new Transaction(_time.GetTimestamp());
            _writing.Add(connection, transaction);
            // Not for readers: a member has many of them at its start.
            await ExecuteAsync(command.Connection!, WriterPragmas, cancellationToken).ConfigureAwait(false);
        }

        var rows = await command.ExecuteNonQueryAsync(cancellationToken).ConfigureAwait(false);
        if (command.CommandText.StartsWith("INSERT INTO [journal]", StringComparison.Ordinal))
            transaction!.JournalRows += rows;
        // The rows are written and the lock is held, as when the disk is slow to make them durable.
        if (first)
            await MisbehaveAsync(cancellationToken).ConfigureAwait(false);
        return rows;
    }

    private async Task MisbehaveAsync(CancellationToken cancellationToken)
    {
        if (_options.CommitDelay > TimeSpan.Zero)
            await Task.Delay(_options.CommitDelay, _time, cancellationToken).ConfigureAwait(false);
        while (!string.IsNullOrEmpty(_options.StallFile) && File.Exists(_options.StallFile))
            await Task.Delay(StallPoll, _time, cancellationToken).ConfigureAwait(false);
    }

    private void End(DataConnection connection)
    {
        if (!_writing.TryGetValue(connection, out var transaction) || !_writing.Remove(connection))
            return;
        _turn.Release();
        _metrics?.StoreCommitted(transaction.JournalRows, _time.GetElapsedTime(transaction.Started));
    }

    private static async Task ExecuteAsync(DbConnection connection, string text, CancellationToken cancellationToken)
    {
        var command = connection.CreateCommand();
        await using (command.ConfigureAwait(false))
        {
            command.CommandText = text;
            await command.ExecuteNonQueryAsync(cancellationToken).ConfigureAwait(false);
        }
    }

    private static bool IsRead(string text)
    {
        var start = text.AsSpan().TrimStart();
        return start.StartsWith("SELECT", StringComparison.OrdinalIgnoreCase) || start.StartsWith("PRAGMA", StringComparison.OrdinalIgnoreCase);
    }

    private sealed class Transaction(long started)
    {
        public long Started { get; } = started;
        public int JournalRows { get; set; }
    }

    private sealed class OnConnection(SqliteWriteGate gate) : ConnectionInterceptor
    {
        public override void ConnectionOpened(ConnectionEventData eventData, DbConnection connection)
        {
            using var command = connection.CreateCommand();
            command.CommandText = gate._pragmas;
            command.ExecuteNonQuery();
        }

        public override async Task ConnectionOpenedAsync(ConnectionEventData eventData, DbConnection connection, CancellationToken cancellationToken)
        {
            await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
            await ExecuteAsync(connection, gate._pragmas, cancellationToken).ConfigureAwait(false);
        }
    }

    private sealed class OnCommand(SqliteWriteGate gate) : CommandInterceptor
    {
        public override async Task<Option<int>> ExecuteNonQueryAsync(
            CommandEventData eventData, DbCommand command, Option<int> result, CancellationToken cancellationToken)
        {
            if (eventData.DataConnection is not { } connection || IsRead(command.CommandText))
                return result;
            return Option<int>.Some(await gate.WriteAsync(connection, command, cancellationToken).ConfigureAwait(false));
        }
    }

    private sealed class OnContext(SqliteWriteGate gate) : DataContextInterceptor
    {
        // Before the connection closes but after its commit or rollback, and also when one of them failed.
        public override void OnClosing(DataContextEventData eventData) => Close(eventData);

        public override Task OnClosingAsync(DataContextEventData eventData)
        {
            Close(eventData);
            return Task.CompletedTask;
        }

        private void Close(DataContextEventData eventData)
        {
            if (eventData.Context is DataConnection connection)
                gate.End(connection);
        }
    }
}
