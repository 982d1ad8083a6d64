using System.Buffers.Binary;
using System.Globalization;
using Microsoft.Data.Sqlite;

namespace Hub.Actors.Store;

/// <summary>What the preflight found.</summary>
/// <param name="Created">The store is new.</param>
/// <param name="Checked">The whole file was searched for corruption; false if it is larger than that is done for.</param>
/// <param name="Bytes">Size of the file.</param>
public sealed record StoreReport(bool Created, bool Checked, long Bytes);

/// <summary>
/// Looks at the store before anything opens it for writing, and prepares a new one. What it refuses it leaves as it was, byte for
/// byte: everything is read first, read-only; only SQLite's own index of the write-ahead log (<c>-shm</c>) may be rebuilt.
/// Call it only while the <see cref="DataDirectory"/> is held.
/// </summary>
public static class StorePreflight
{
    private const int HeaderBytes = 100;
    private const int ApplicationIdAt = 68;
    private const string PartitionsKey = "partitions";
    // Checkpoints beside a writer could lose pages before this one: https://www.sqlite.org/wal.html#walresetbug.
    private static readonly Version LeastSqlite = new(3, 51, 3);

    // The tables of Akka.Persistence.Sql, made here and not by it: it would add indexes on time and on sequence number alone,
    // which no query of the journal or of snapshots uses, and which every row would have to be entered into.
    private const string Tables = """
        CREATE TABLE journal (
            ordering INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
            created INTEGER NOT NULL,
            deleted BIT NOT NULL,
            persistence_id NVARCHAR(255) NOT NULL,
            sequence_number INTEGER NOT NULL,
            message VARBINARY NOT NULL,
            tags NVARCHAR(100) NULL,
            manifest NVARCHAR(500) NULL,
            identifier INTEGER NULL,
            writer_uuid NVARCHAR(128) NULL
        );
        CREATE UNIQUE INDEX journal_uq ON journal (persistence_id, sequence_number);
        CREATE TABLE snapshot (
            persistence_id NVARCHAR(255) NOT NULL,
            sequence_number INTEGER NOT NULL,
            created INTEGER NOT NULL,
            snapshot VARBINARY NULL,
            manifest NVARCHAR(500) NULL,
            serializer_id INTEGER NULL,
            PRIMARY KEY (persistence_id, sequence_number)
        );
        """;

    /// <summary>Checks the store, and makes it if there is none.</summary>
    /// <param name="dataDirectory">The data directory.</param>
    /// <param name="partitions">Number of partitions the hub is set to; stored with new data, compared with old.</param>
    /// <param name="checkMaxBytes">A larger store is not searched for corruption.</param>
    /// <exception cref="StoreRefusedException">The store cannot be used.</exception>
    public static StoreReport Run(string dataDirectory, int partitions, long checkMaxBytes)
    {
        var path = SqliteStore.PathIn(dataDirectory);
        using var library = new SqliteConnection();
        if (Version.Parse(library.ServerVersion) is var sqlite && sqlite < LeastSqlite)
            throw new StoreRefusedException($"store {path} cannot be used with SQLite {sqlite}; the hub needs {LeastSqlite} or newer.");
        try
        {
            if (Directory.Exists(path))
                throw new StoreRefusedException($"store {path} is a directory.");
            if (!File.Exists(path) || new FileInfo(path).Length == 0)
            {
                Prepare(path, partitions);
                return new StoreReport(Created: true, Checked: true, new FileInfo(path).Length);
            }

            if (!IsUnfinished(path))
            {
                var whole = Inspect(path, partitions, checkMaxBytes);
                return new StoreReport(Created: false, whole, new FileInfo(path).Length);
            }

            Prepare(path, partitions);
            return new StoreReport(Created: true, Checked: true, new FileInfo(path).Length);
        }
        catch (SqliteException e)
        {
            throw new StoreRefusedException($"store {path} cannot be used: {e.Message} Restore it from a backup, or move it away to begin anew.", inner: e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new StoreRefusedException($"store {path} cannot be used: {e.Message}", inner: e);
        }
    }

    private static bool Inspect(string path, int partitions, long checkMaxBytes)
    {
        // Opened for writing so that a store that cannot be written is found now; nothing is written.
        long bytes;
        using (var file = new FileStream(path, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite, bufferSize: 0))
            bytes = file.Length;
        if (!ReadHeader(path).AsSpan().StartsWith("SQLite format 3\0"u8))
            throw new StoreRefusedException($"store {path} is corrupt: it is no SQLite database. Restore it from a backup, or move it away to begin anew.");
        // Through the log: a process that was killed may have left there what is not in the file yet.
        using var connection = OpenReadOnly(path);
        if (Number(connection, "PRAGMA application_id;") != SqliteStore.ApplicationId)
            throw new StoreRefusedException($"store {path} is a SQLite database of another program.");
        var version = Number(connection, "PRAGMA user_version;");
        if (version > SqliteStore.SchemaVersion)
        {
            throw new StoreRefusedException(
                $"store {path} has schema {version}, made by a newer hub; this one reads up to schema {SqliteStore.SchemaVersion}. Run the newer hub.");
        }

        var whole = bytes <= checkMaxBytes;
        if (Scalar(connection, whole ? "PRAGMA quick_check(1);" : "SELECT 'ok' FROM (SELECT count(*) FROM sqlite_schema);") is var verdict and not "ok")
            throw new StoreRefusedException($"store {path} is corrupt: {verdict}. Restore it from a backup, or move it away to begin anew.");
        var stored = Scalar(connection, $"SELECT value FROM akkahub_meta WHERE key = '{PartitionsKey}';");
        if (stored != partitions.ToString(CultureInfo.InvariantCulture))
        {
            throw new StoreRefusedException(
                $"store {path} was made with {stored} partitions; akkahub.registry.partitions (AKKAHUB_REGISTRY_PARTITIONS) says {partitions}. Set it to {stored}.");
        }

        return whole;
    }

    // A log that is not empty belongs to the data and must be read with it. Without one the file is whole, and SQLite is told that
    // nobody changes it, so that it makes no files beside it.
    private static SqliteConnection OpenReadOnly(string path)
    {
        var log = new FileInfo(path + "-wal");
        var source = log.Exists && log.Length > 0
            ? path
            : "file:" + string.Join('/', path.Split('/').Select(Uri.EscapeDataString)) + "?immutable=1";
        var connection = new SqliteConnection(
            new SqliteConnectionStringBuilder { DataSource = source, Mode = SqliteOpenMode.ReadOnly, Pooling = false }.ToString());
        connection.Open();
        return connection;
    }

    // The process ended while it made the store: SQLite's header may be there, but no table and no id.
    private static bool IsUnfinished(string path)
    {
        var header = ReadHeader(path);
        if (!header.AsSpan().StartsWith("SQLite format 3\0"u8) || BinaryPrimitives.ReadInt32BigEndian(header.AsSpan(ApplicationIdAt)) != 0)
            return false;
        using var connection = OpenReadOnly(path);
        return Number(connection, "SELECT count(*) FROM sqlite_schema WHERE name <> 'akkahub_meta';") == 0;
    }

    private static byte[] ReadHeader(string path)
    {
        var header = new byte[HeaderBytes];
        using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite, bufferSize: 0);
        file.ReadAtLeast(header, HeaderBytes, throwOnEndOfStream: false);
        return header;
    }

    private static void Prepare(string path, int partitions)
    {
        DataDirectory.OpenOwnerOnly(path, FileMode.OpenOrCreate).Dispose();
        using var connection = new SqliteConnection(
            new SqliteConnectionStringBuilder { DataSource = path, Mode = SqliteOpenMode.ReadWrite, Pooling = false }.ToString());
        connection.Open();
        using var command = connection.CreateCommand();
        command.CommandText = $"""
            PRAGMA journal_mode=WAL;
            PRAGMA synchronous=FULL;
            BEGIN IMMEDIATE;
            CREATE TABLE IF NOT EXISTS akkahub_meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
            {Tables}
            INSERT OR REPLACE INTO akkahub_meta (key, value) VALUES ('{PartitionsKey}', '{partitions.ToString(CultureInfo.InvariantCulture)}');
            PRAGMA application_id={SqliteStore.ApplicationId.ToString(CultureInfo.InvariantCulture)};
            PRAGMA user_version={SqliteStore.SchemaVersion.ToString(CultureInfo.InvariantCulture)};
            COMMIT;
            PRAGMA wal_checkpoint(TRUNCATE);
            """;
        command.ExecuteNonQuery();
    }

    private static long Number(SqliteConnection connection, string sql) => long.Parse(Scalar(connection, sql) ?? "", CultureInfo.InvariantCulture);

    private static string? Scalar(SqliteConnection connection, string sql)
    {
        using var command = connection.CreateCommand();
        command.CommandText = sql;
        return Convert.ToString(command.ExecuteScalar(), CultureInfo.InvariantCulture);
    }
}
