using Microsoft.Data.Sqlite;

namespace Hub.Load.Measuring;

/// <summary>Looks into a running hub's store for what the hub itself does not tell a client.</summary>
internal static class Snapshots
{
    /// <summary>Snapshots saved since a moment and still kept: two a node at most, so never too many.</summary>
    /// <param name="dataDirectory">The hub's data directory.</param>
    /// <param name="since">UTC.</param>
    public static long CountSince(string dataDirectory, DateTimeOffset since)
    {
        using var connection = new SqliteConnection(new SqliteConnectionStringBuilder
        {
            DataSource = Path.Combine(dataDirectory, "hub.db"),
            Mode = SqliteOpenMode.ReadOnly,
            Pooling = false,
        }.ToString());
        connection.Open();
        using var command = connection.CreateCommand();
        // The plugin stores the time in ticks.
        command.CommandText = "SELECT count(*) FROM snapshot WHERE created >= $since AND persistence_id LIKE 'node-%'";
        command.Parameters.AddWithValue("$since", since.UtcTicks);
        return (long)command.ExecuteScalar()!;
    }
}
