using System.Diagnostics;
using Microsoft.Data.Sqlite;

namespace Hub.Load.Baselines;

/// <summary>How fast this disk and SQLite are with nothing around them: one connection, one loop, WAL, synchronous=FULL.</summary>
internal static class RawSqlite
{
    /// <summary>Inserts rows of one size, so many in a transaction, until the time is over. Gives rows a second.</summary>
    public static double Run(string directory, int rowBytes, int rowsPerTransaction, TimeSpan duration)
    {
        var file = Path.Combine(directory, $"raw-{rowBytes}-{rowsPerTransaction}.db");
        using var connection = new SqliteConnection(new SqliteConnectionStringBuilder { DataSource = file, Pooling = false }.ToString());
        connection.Open();
        Execute(connection, "PRAGMA journal_mode=WAL");
        Execute(connection, "PRAGMA synchronous=FULL");
        // The columns of a journal: who, which, when, what kind, and the bytes.
        Execute(connection, "CREATE TABLE row (ordering INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, number INTEGER NOT NULL, "
            + "created INTEGER NOT NULL, manifest TEXT NOT NULL, data BLOB NOT NULL, UNIQUE (id, number))");
        var data = new byte[rowBytes];
        Random.Shared.NextBytes(data);
        long rows = 0;
        var watch = Stopwatch.StartNew();
        while (watch.Elapsed < duration)
        {
            using var transaction = connection.BeginTransaction();
            using var insert = connection.CreateCommand();
            insert.Transaction = transaction;
            insert.CommandText = "INSERT INTO row (id, number, created, manifest, data) VALUES ($id, $number, $created, 'row', $data)";
            var id = insert.Parameters.Add("$id", SqliteType.Text);
            var number = insert.Parameters.Add("$number", SqliteType.Integer);
            insert.Parameters.AddWithValue("$created", 0L);
            insert.Parameters.AddWithValue("$data", data);
            insert.Prepare();
            for (var i = 0; i < rowsPerTransaction; i++, rows++)
            {
                id.Value = $"node-{rows % 1000}";
                number.Value = rows / 1000;
                insert.ExecuteNonQuery();
            }

            transaction.Commit();
        }

        return rows / watch.Elapsed.TotalSeconds;
    }

    private static void Execute(SqliteConnection connection, string sql)
    {
        using var command = connection.CreateCommand();
        command.CommandText = sql;
        command.ExecuteNonQuery();
    }
}
