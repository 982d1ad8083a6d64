using Hub.Load.Processes;
using Microsoft.Data.Sqlite;

namespace Hub.SystemTests.Harness;

/// <summary>What a killed hub left in its store for one node: tells what it was doing when it was killed.</summary>
/// <param name="Snapshots">Snapshots of the node; in order there are at most two.</param>
/// <param name="NewestSnapshot">Sequence number of the newest; 0 for none.</param>
/// <param name="RowsBelowSnapshot">Journal rows that the newest snapshot covers and that are not deleted yet.</param>
/// <param name="RowsAbove">Journal rows after it: what a recovery replays.</param>
/// <param name="NewestTaken">When the newest snapshot was taken; the beginning of time for none.</param>
public sealed record StoreSnapshot(long Snapshots, long NewestSnapshot, long RowsBelowSnapshot, long RowsAbove, DateTimeOffset NewestTaken)
{
    /// <summary>It was killed between a snapshot and the end of the deletion that follows it.</summary>
    public bool DeletionUnderWay => Snapshots > 2 || RowsBelowSnapshot > 0;

    /// <summary>Reads a copy of the store, so that the store itself is not touched. Only while no hub runs on it.</summary>
    public static async Task<StoreSnapshot> ReadAsync(HubProcess hub, string node, string scratch)
    {
        Directory.CreateDirectory(scratch);
        foreach (var name in new[] { "hub.db", "hub.db-wal" })
        {
            var source = Path.Combine(hub.DataDirectory, name);
            var copy = Path.Combine(scratch, name);
            File.Delete(copy);
            if (File.Exists(source))
                File.Copy(source, copy);
        }

        await using var connection = new SqliteConnection(new SqliteConnectionStringBuilder
        {
            DataSource = Path.Combine(scratch, "hub.db"),
            Pooling = false,
        }.ToString());
        await connection.OpenAsync();
        var id = "node-" + node;
        var snapshots = await ScalarAsync(connection, "SELECT count(*) FROM snapshot WHERE persistence_id = $id", id);
        var newest = await ScalarAsync(connection, "SELECT coalesce(max(sequence_number), 0) FROM snapshot WHERE persistence_id = $id", id);
        var taken = await ScalarAsync(connection, "SELECT coalesce(max(created), 0) FROM snapshot WHERE persistence_id = $id", id);
        return new StoreSnapshot(snapshots, newest,
            await ScalarAsync(connection, $"SELECT count(*) FROM journal WHERE persistence_id = $id AND deleted = 0 AND sequence_number <= {newest}", id),
            await ScalarAsync(connection, $"SELECT count(*) FROM journal WHERE persistence_id = $id AND deleted = 0 AND sequence_number > {newest}", id),
            new DateTimeOffset(taken, TimeSpan.Zero));
    }

    /// <summary>Bytes of database and log.</summary>
    public static long Bytes(HubProcess hub) =>
        Directory.EnumerateFiles(hub.DataDirectory, "hub.db*").Sum(f => File.Exists(f) ? new FileInfo(f).Length : 0);

    private static async Task<long> ScalarAsync(SqliteConnection connection, string sql, string id)
    {
        await using var command = connection.CreateCommand();
        command.CommandText = sql;
        command.Parameters.AddWithValue("$id", id);
        try
        {
            return (long)(await command.ExecuteScalarAsync() ?? 0L);
        }
        catch (SqliteException e) when (e.Message.Contains("no such table", StringComparison.Ordinal))
        {
            // Killed before the tables were made.
            return 0;
        }
    }
}
