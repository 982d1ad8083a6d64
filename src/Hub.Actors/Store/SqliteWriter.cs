using System.Threading.Channels;
using Hub.Actors.Telemetry;
using Microsoft.Data.Sqlite;

namespace Hub.Actors.Store;

/// <summary>
/// The one writer of the embedded store. It writes in groups: what is asked for while a transaction is under way is the next
/// transaction. A task that ends without an error means that its change is on the disk (<c>synchronous=FULL</c>).
/// </summary>
/// <remarks>
/// A change that breaks a key fails alone. Any other error fails its whole transaction, and the next one begins with a connection
/// of its own: whether a failed commit reached the disk is unknown.
/// </remarks>
internal sealed class SqliteWriter
{
    // A transaction takes no more once it has this many changes or bytes: who asked first should not wait for too many others.
    private const int MaxChanges = 1000;
    private const long MaxBytes = 4 * 1024 * 1024;
    // Beyond it a change fails, so it exceeds the persistent actors of a member, each of which has a few under way.
    private const int MaxWaiting = 50_000;
    private const int DeletedAtOnce = 128;
    private const int SqliteConstraint = 19;

    private static readonly TimeSpan StallPoll = TimeSpan.FromMilliseconds(20);

    private readonly string _connectionString;
    private readonly SqliteStoreOptions _options;
    private readonly HubMetrics? _metrics;
    private readonly TimeProvider _time;
    private readonly Channel<SqliteChange> _asked =
        Channel.CreateBounded<SqliteChange>(new BoundedChannelOptions(MaxWaiting) { SingleReader = true });
    // What was read from there, apart: snapshots and deletions are few, and events that wait do not wait for each other's sake.
    private readonly Queue<SqliteChange> _events = new();
    private readonly Queue<SqliteChange> _snapshots = new();
    private readonly Queue<DeleteEvents> _deletions = new();
    private readonly SqliteCheckpoints _checkpoints;
    private SqliteStatements? _statements;
    private int _waiting;

    /// <param name="connectionString">Where the store is.</param>
    /// <param name="options">How it behaves.</param>
    /// <param name="metrics">Where transactions are counted; null for nowhere.</param>
    /// <param name="time">What rows are stamped with and durations are measured by.</param>
    public SqliteWriter(string connectionString, SqliteStoreOptions options, HubMetrics? metrics, TimeProvider time)
    {
        _connectionString = connectionString;
        _options = options;
        _metrics = metrics;
        _time = time;
        _checkpoints = new SqliteCheckpoints(connectionString);
        _ = RunAsync();
    }

    /// <summary>
    /// Makes a change, all of it or nothing. Changes of events are made in the order they were asked for; snapshots and deletions go
    /// before events that wait, a few at a time.
    /// </summary>
    public Task ApplyAsync(SqliteChange change)
    {
        if (Interlocked.Increment(ref _waiting) > MaxWaiting || !_asked.Writer.TryWrite(change))
        {
            Interlocked.Decrement(ref _waiting);
            change.SetException(new InvalidOperationException($"The store is stopped, or {MaxWaiting} changes wait for it."));
        }

        return change.Task;
    }

    /// <summary>What waits is still done; nothing new is taken.</summary>
    public void Stop() => _asked.Writer.TryComplete();

    private async Task RunAsync()
    {
        while (_events.Count + _snapshots.Count + _deletions.Count > 0 || await _asked.Reader.WaitToReadAsync().ConfigureAwait(false))
        {
            var made = new List<SqliteChange>();
            try
            {
                TakeAsked();
                await TransactAsync(made).ConfigureAwait(false);
            }
            catch (Exception e)
            {
                Close();
                Fail(made, e);
            }

            Interlocked.Add(ref _waiting, -made.Count);
            // Not on this thread: the next transaction does not wait until all of them have heard of this one.
            ThreadPool.UnsafeQueueUserWorkItem(
                static changes =>
                {
                    foreach (var change in changes)
                        change.Complete();
                },
                made,
                preferLocal: false);
            if (_statements is { } statements)
                await _checkpoints.AddedAsync(statements.TakePagesWritten()).ConfigureAwait(false);
        }

        _checkpoints.Dispose();
        Close();
    }

    private void TakeAsked()
    {
        while (_asked.Reader.TryRead(out var change))
        {
            switch (change)
            {
                case AddEvents:
                    _events.Enqueue(change);
                    break;
                case DeleteEvents deletion:
                    _deletions.Enqueue(deletion);
                    break;
                default:
                    _snapshots.Enqueue(change);
                    break;
            }
        }
    }

    private async Task TransactAsync(List<SqliteChange> made)
    {
        var began = _time.GetTimestamp();
        var statements = _statements ??= new SqliteStatements(_connectionString, _options.BusyTimeout);
        statements.Created = _time.GetUtcNow().Ticks;
        statements.Begin();
        var bytes = 0L;
        var rows = 0;
        Make(_snapshots, MaxBytes / 2);
        Make(_events, MaxBytes);
        // A node's events lie on as many pages, among those of others. A step at a time: nobody waits for a whole deletion. More
        // than come in, so that deletions keep up.
        if (_deletions.TryPeek(out var deletion)
            && statements.DeleteSome(deletion.PersistenceId, deletion.ToSequenceNumber, Math.Max(DeletedAtOnce, rows + rows / 4)))
        {
            made.Add(_deletions.Dequeue());
        }

        await MisbehaveAsync().ConfigureAwait(false);
        statements.Commit();
        _metrics?.StoreCommitted(rows, _time.GetElapsedTime(began));

        void Make(Queue<SqliteChange> changes, long maxBytes)
        {
            while (made.Count < MaxChanges && bytes < maxBytes && changes.TryDequeue(out var change))
            {
                made.Add(change);
                bytes += change.Bytes;
                if (TryApply(change, statements))
                    rows += change.JournalRows;
            }
        }
    }

    // Each that waits tries the store once: if not even a transaction could begin, one is told.
    private void Fail(List<SqliteChange> made, Exception failure)
    {
        if (made.Count == 0)
        {
            if (_events.TryDequeue(out var change) || _snapshots.TryDequeue(out change))
                made.Add(change);
            else if (_deletions.TryDequeue(out var deletion))
                made.Add(deletion);
        }

        foreach (var change in made)
            change.Failure ??= failure;
    }

    private static bool TryApply(SqliteChange change, SqliteStatements statements)
    {
        // A single statement that fails undoes itself.
        var several = change.JournalRows > 1;
        if (several)
            statements.Mark();
        try
        {
            change.ApplyTo(statements);
        }
        catch (SqliteException e) when (e.SqliteErrorCode == SqliteConstraint)
        {
            change.Failure = e;
            if (several)
                statements.UndoToMark();
        }

        if (several)
            statements.Unmark();
        return change.Failure is null;
    }

    // All is written and nothing durable, as when the disk is slow.
    private async ValueTask MisbehaveAsync()
    {
        if (_options.CommitDelay > TimeSpan.Zero)
            await Task.Delay(_options.CommitDelay, _time).ConfigureAwait(false);
        while (!string.IsNullOrEmpty(_options.StallFile) && File.Exists(_options.StallFile))
            await Task.Delay(StallPoll, _time).ConfigureAwait(false);
    }

    private void Close()
    {
        _statements?.Dispose();
        _statements = null;
    }
}
