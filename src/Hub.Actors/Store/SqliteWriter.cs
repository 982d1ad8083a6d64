using System.Threading.Channels;
using Akka.Event;
using Hub.Actors.Telemetry;
using Microsoft.Data.Sqlite;

namespace Hub.Actors.Store;

/// <summary>
/// The one writer of the embedded store. It writes in groups: what is asked for while a transaction is under way is the next
/// transaction. A task that ends without an error means that its change is on the disk (<c>synchronous=FULL</c>).
/// </summary>
/// <remarks>
/// A change that breaks a key, or is larger than a row may be, fails alone; so does a deletion that fails. Any other error fails its
/// whole transaction, and the next one begins with a connection of its own: whether a failed commit reached the disk is unknown. If
/// not even a transaction could begin, all that wait for it are told.
/// </remarks>
internal sealed class SqliteWriter
{
    // A transaction takes no more once it has this many changes or bytes: who asked first should not wait for too many others.
    private const int MaxChanges = 1000;
    private const long MaxBytes = 4 * 1024 * 1024;
    // Beyond it a change fails, so it exceeds the persistent actors of a member, each of which has a few under way.
    private const int MaxWaiting = 50_000;
    private const int LeastDeleted = 128;
    private const int MostDeleted = 4000;
    // Primary and extended result codes of sqlite3.h.
    private const int SqliteTooBig = 18;
    private const int SqliteConstraintPrimaryKey = 1555;
    private const int SqliteConstraintUnique = 2067;

    private static readonly TimeSpan StallPoll = TimeSpan.FromMilliseconds(20);

    private readonly string _connectionString;
    private readonly SqliteStoreOptions _options;
    private readonly HubMetrics? _metrics;
    private readonly ILoggingAdapter? _log;
    private readonly TimeProvider _time;
    private readonly Channel<SqliteChange> _asked =
        Channel.CreateBounded<SqliteChange>(new BoundedChannelOptions(MaxWaiting) { SingleReader = true });
    // What was read from there, apart: snapshots and deletions go before events that wait.
    private readonly Queue<SqliteChange> _events = new();
    private readonly Queue<SqliteChange> _snapshots = new();
    private readonly LinkedList<DeleteEvents> _deletions = new();
    private readonly SqliteCheckpoints _checkpoints;
    private SqliteStatements? _statements;
    private int _waiting;
    private int _rowsAdded;

    /// <param name="connectionString">Where the store is.</param>
    /// <param name="options">How it behaves.</param>
    /// <param name="metrics">Where transactions are counted; null for nowhere.</param>
    /// <param name="time">What rows are stamped with and durations are measured by.</param>
    /// <param name="log">Where trouble is told that nobody waits for; null for nowhere.</param>
    public SqliteWriter(string connectionString, SqliteStoreOptions options, HubMetrics? metrics, TimeProvider time, ILoggingAdapter? log = null)
    {
        _connectionString = connectionString;
        _options = options;
        _metrics = metrics;
        _time = time;
        _log = log;
        _checkpoints = new SqliteCheckpoints(connectionString, metrics, log);
        Stopped = RunAsync();
    }

    /// <summary>Ends when it has stopped, and nothing of it touches the store any more.</summary>
    public Task Stopped { get; }

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
        try
        {
            while (Waits || await _asked.Reader.WaitToReadAsync().ConfigureAwait(false))
            {
                var made = new List<SqliteChange>();
                try
                {
                    TakeAsked();
                    await TransactAsync(made).ConfigureAwait(false);
                }
                catch (Exception e)
                {
                    Fail(made, e);
                    Tell(made);
                    Close();
                    continue;
                }

                Tell(made);
                if (_statements is { } statements)
                    await _checkpoints.AddedAsync(statements.TakePagesWritten()).ConfigureAwait(false);
            }
        }
        catch (Exception e)
        {
            // Not of the store's doing: nothing here is meant to throw.
            _log?.Error(e, "The store's writer ended; the hub must be restarted");
            _asked.Writer.TryComplete();
            TakeAsked();
            List<SqliteChange> made = [];
            Fail(made, e);
            Tell(made);
        }

        await _checkpoints.DisposeAsync().ConfigureAwait(false);
        Close();
    }

    private bool Waits => _events.Count + _snapshots.Count + _deletions.Count > 0;

    // Not on this thread: the next transaction does not wait until all of them have heard of this one.
    private void Tell(List<SqliteChange> made)
    {
        Interlocked.Add(ref _waiting, -made.Count);
        ThreadPool.UnsafeQueueUserWorkItem(
            static changes =>
            {
                foreach (var change in changes)
                    change.Complete();
            },
            made,
            preferLocal: false);
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
                    _deletions.AddLast(deletion);
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
        // First, so that one that fails takes nobody with it.
        Delete(statements, made);
        var bytes = 0L;
        var rows = 0;
        Make(_snapshots, MaxBytes / 2);
        Make(_events, MaxBytes);
        await MisbehaveAsync().ConfigureAwait(false);
        statements.Commit();
        _rowsAdded = rows;
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

    // A node's events lie on as many pages, among those of others. A step at a time: nobody waits for a whole deletion. More rows than
    // the last transaction added, so that deletions keep up.
    private void Delete(SqliteStatements statements, List<SqliteChange> made)
    {
        var left = Math.Clamp(_rowsAdded + _rowsAdded / 4, LeastDeleted, MostDeleted);
        // A step of one row would only mark it.
        while (left > 1 && _deletions.First is { Value: var deletion })
        {
            int touched;
            try
            {
                touched = statements.DeleteSome(deletion.PersistenceId, deletion.ToSequenceNumber, left);
            }
            catch
            {
                // What the others deleted is undone with the transaction; they are tried again.
                foreach (var other in made.OfType<DeleteEvents>())
                    _deletions.AddLast(other);
                made.Clear();
                _deletions.Remove(deletion);
                made.Add(deletion);
                throw;
            }

            if (touched >= left)
                return;
            left -= touched;
            _deletions.RemoveFirst();
            made.Add(deletion);
        }
    }

    private void Fail(List<SqliteChange> made, Exception failure)
    {
        if (made.Count == 0)
        {
            made.AddRange([.. _events, .. _snapshots, .. _deletions]);
            _events.Clear();
            _snapshots.Clear();
            _deletions.Clear();
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
        catch (SqliteException e) when (e.SqliteErrorCode == SqliteTooBig || e.SqliteExtendedErrorCode is SqliteConstraintPrimaryKey or SqliteConstraintUnique)
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
