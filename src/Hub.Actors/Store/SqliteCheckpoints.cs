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
internal sealed class SqliteCheckpoints(string connectionString) : IDisposable
{
    // In pages of 4 KiB. A page that changes again and again is copied once a checkpoint, so rare ones copy less.
    private const int CopyAt = 4096;
    // The writer need not wait long for so many.
    private const int FewPages = 512;
    private const int MostPasses = 4;
    // When a reader still needs the log's beginning, or the copying failed.
    private const int AgainAfter = 1024;

    private SafeFileHandle? _database;
    private SqliteConnection? _connection;
    private Task? _copying;
    private int _pages;
    private int _next = CopyAt;

    /// <summary>To be awaited between two transactions.</summary>
    /// <param name="pages">Pages the last one added to the log.</param>
    public async ValueTask AddedAsync(int pages)
    {
        Volatile.Write(ref _pages, _pages + pages);
        if (_copying is null && _pages >= _next)
            _copying = Task.Run(CopyBeside);
        if (_copying is not { IsCompleted: true })
            return;
        _copying = null;
        if (await Task.Run(Copy).ConfigureAwait(false))
            (_pages, _next) = (0, CopyAt);
        else
            _next = _pages + AgainAfter;
    }

    /// <summary>The writer has ended.</summary>
    public void Dispose() => _connection?.Dispose();

    /// <summary>Again if much came meanwhile, so that little is left when the writer waits; but not for ever.</summary>
    private void CopyBeside()
    {
        for (var pass = 0; pass < MostPasses; pass++)
        {
            var before = Volatile.Read(ref _pages);
            // SQLite synchronises the database only once nothing is left to copy, which with a busy writer is the last pass.
            if (!Copy() && _connection is null || !Synchronise() || Volatile.Read(ref _pages) - before < FewPages)
                return;
        }
    }

    /// <summary>Copies what no reader needs in the log; true if that was all of it.</summary>
    private bool Copy()
    {
        try
        {
            _connection ??= Open();
            var result = raw.sqlite3_wal_checkpoint_v2(_connection.Handle, "main", raw.SQLITE_CHECKPOINT_PASSIVE, out var inLog, out var copied);
            return result == raw.SQLITE_OK && inLog >= 0 && inLog == copied;
        }
        catch (SqliteException)
        {
            // The log grows meanwhile; if the disk is full or broken, the next commit says so to those who wait for it.
            _connection?.Dispose();
            _connection = null;
            return false;
        }
    }

    private bool Synchronise()
    {
        try
        {
            RandomAccess.FlushToDisk(_database ??= OpenForGood());
            return true;
        }
        catch (IOException)
        {
            return false;
        }
    }

    private SqliteConnection Open()
    {
        var connection = new SqliteConnection(new SqliteConnectionStringBuilder(connectionString) { Pooling = false }.ToString());
        try
        {
            connection.Open();
            // SQLite knows of the log only once it has read.
            using var read = connection.CreateCommand();
            read.CommandText = "SELECT count(*) FROM sqlite_schema";
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
