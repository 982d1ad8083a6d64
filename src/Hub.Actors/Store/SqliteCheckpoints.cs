using Akka.Event;
using Hub.Actors.Telemetry;
using Microsoft.Data.Sqlite;
using Microsoft.Win32.SafeHandles;
using SQLitePCL;

namespace Hub.Actors.Store;

/// <summary>
/// Copies the write-ahead log into the database. SQLite's own checkpoints are part of a commit, and whoever waits for that commit
/// waits for the copying too. Here most of it is copied, and made durable, beside the writer, who then waits only for the rest, so
/// that the log can begin anew. How checkpoints and writers go together: https://www.sqlite.org/wal.html#ckpt.
/// </summary>
/// <param name="connectionString">Where the store is.</param>
/// <param name="metrics">Where the log's size is told; null for nowhere.</param>
/// <param name="log">Where a log that grows is told; null for nowhere.</param>
internal sealed class SqliteCheckpoints(string connectionString, HubMetrics? metrics, ILoggingAdapter? log) : IAsyncDisposable
{
    private const int PageBytes = 4096;
    // In pages. One that changes again and again is copied once a checkpoint, so rare ones copy less.
    private const int CopyAt = 4096;
    // The writer need not wait long for so many.
    private const int FewPages = 512;
    private const int MostPasses = 4;
    // When a reader still needs the log, or the copying failed.
    private const int AgainAfter = 1024;
    // 1 GiB: no reader of the hub itself takes so long.
    private const int WarnAt = 262_144;

    // SQLITE_CHECKPOINT_NOOP and SQLITE_IOERR_FSYNC of sqlite3.h.
    private const int CheckpointNothing = -1;
    private const int FsyncFailed = 1034;

    private SafeFileHandle? _database;
    private SqliteConnection? _connection;
    private Task? _copying;
    private bool _allCopied;
    private bool _warned;
    private int _pages;
    private int _next = CopyAt;
    private int _copyingFrom;

    /// <summary>To be awaited between two transactions.</summary>
    /// <param name="pages">Pages the last one added to the log.</param>
    public async ValueTask AddedAsync(int pages)
    {
        Volatile.Write(ref _pages, _pages + pages);
        metrics?.StoreLogSize((long)_pages * PageBytes);
        if (_allCopied && pages > 0)
            SeeWhetherItBeganAnew();
        if (_copying is null && _pages >= _next)
        {
            _copyingFrom = _pages;
            _copying = Task.Run(CopyBeside);
        }

        // A writer that is faster than the copying waits for it, or the log would grow without bound.
        if (_copying is not { } copying || (!copying.IsCompleted && _pages - _copyingFrom < CopyAt))
            return;
        _copying = null;
        await copying.ConfigureAwait(false);
        _allCopied = await Task.Run(() => TryCopy(out var all) && all).ConfigureAwait(false);
        if (_allCopied)
            (_pages, _next, _warned) = (0, CopyAt, false);
        else
            TryLater();
    }

    /// <summary>The writer has ended.</summary>
    public async ValueTask DisposeAsync()
    {
        if (_copying is { } copying)
            await copying.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _connection?.Dispose();
    }

    /// <summary>A reader that began before all was copied keeps the writer from beginning the log anew.</summary>
    private void SeeWhetherItBeganAnew()
    {
        _allCopied = false;
        if (raw.sqlite3_wal_checkpoint_v2(_connection!.Handle, "main", CheckpointNothing, out var inLog, out _) != raw.SQLITE_OK || inLog < CopyAt)
            return;
        Volatile.Write(ref _pages, inLog);
        TryLater();
    }

    private void TryLater()
    {
        _next = _pages + AgainAfter;
        if (_pages < WarnAt || _warned)
            return;
        _warned = true;
        log?.Warning(
            "The store's write-ahead log is at {0} MB and cannot begin anew: another program reads the store (a back-up, a shell), or the disk is full",
            (long)_pages * PageBytes / 1_000_000);
    }

    /// <summary>Again if much came meanwhile, so that little is left when the writer waits; but not for ever.</summary>
    private void CopyBeside()
    {
        for (var pass = 0; pass < MostPasses; pass++)
        {
            var before = Volatile.Read(ref _pages);
            if (!TryCopy(out _))
                return;
            // SQLite synchronises the database only once nothing is left to copy, which with a busy writer is the last pass.
            Synchronise();
            if (Volatile.Read(ref _pages) - before < FewPages)
                return;
        }
    }

    /// <summary>Copies what no reader needs in the log; false if that failed.</summary>
    /// <param name="all">That was all of it.</param>
    private bool TryCopy(out bool all)
    {
        all = false;
        try
        {
            _connection ??= Open();
        }
        catch (SqliteException)
        {
            // The log grows meanwhile; if the disk is full or broken, the next commit says so to those who wait for it.
            return false;
        }

        var result = raw.sqlite3_wal_checkpoint_v2(_connection.Handle, "main", raw.SQLITE_CHECKPOINT_PASSIVE, out var inLog, out var copied);
        if (result != raw.SQLITE_OK && raw.sqlite3_extended_errcode(_connection.Handle) == FsyncFailed)
            GiveUp(new IOException(raw.sqlite3_errmsg(_connection.Handle).utf8_to_string()));
        all = result == raw.SQLITE_OK && inLog >= 0 && inLog == copied;
        return result == raw.SQLITE_OK;
    }

    private void Synchronise()
    {
        try
        {
            _database ??= OpenForGood();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // SQLite synchronises it at the end, only later.
            return;
        }

        try
        {
            RandomAccess.FlushToDisk(_database);
        }
        catch (IOException e)
        {
            GiveUp(e);
        }
    }

    /// <summary>
    /// The system says once that pages did not reach the disk, and forgets them. SQLite takes them for copied and would write over
    /// their only whole copy in the log, so the process ends here and now: the next start copies all of the log again. PostgreSQL does
    /// the same: https://wiki.postgresql.org/wiki/Fsync_Errors.
    /// </summary>
    private void GiveUp(IOException e)
    {
        log?.Error(e, "The store's disk failed to synchronise; the hub ends without closing the store");
        Environment.FailFast($"The store's disk failed to synchronise, so the hub ended without closing the store. Nothing acknowledged is lost. {e.Message}");
    }

    private SqliteConnection Open()
    {
        var connection = new SqliteConnection(new SqliteConnectionStringBuilder(connectionString) { Pooling = false }.ToString());
        try
        {
            connection.Open();
            // SQLite knows of the log only once it has read. A checkpoint synchronises as its connection says.
            using var read = connection.CreateCommand();
            read.CommandText = "PRAGMA synchronous=FULL; SELECT count(*) FROM sqlite_schema";
            read.ExecuteScalar();
            return connection;
        }
        catch
        {
            connection.Dispose();
            throw;
        }
    }

    // Never closed while the process lives: to close any descriptor of a file gives up all of the process's POSIX locks on it, and
    // with them those of SQLite's connections (https://www.sqlite.org/howtocorrupt.html, section 2.2).
    private SafeFileHandle OpenForGood()
    {
        var path = new SqliteConnectionStringBuilder(connectionString).DataSource;
        var handle = File.OpenHandle(path, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite | FileShare.Delete);
        GC.SuppressFinalize(handle);
        return handle;
    }
}
