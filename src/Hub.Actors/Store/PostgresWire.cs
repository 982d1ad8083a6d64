using System.Globalization;
using Hub.Actors.Members;
using Npgsql;

namespace Hub.Actors.Store;

/// <summary>
/// The lowest wire version that reads all that may be in the shared store. Raised when every member reads a newer one, before anything
/// of that is written; a build that is older is refused at start.
/// </summary>
public static class PostgresWire
{
    private const string Key = "wire";

    /// <summary>Records that forms of this version may be in the store; a greater one that is recorded stays.</summary>
    /// <param name="connectionString">A member's: see <see cref="PostgresMember.ConnectionString"/>.</param>
    /// <param name="version">The version.</param>
    /// <exception cref="NpgsqlException">The store does not answer.</exception>
    public static async Task RecordAsync(string connectionString, int version)
    {
        await using var connection = new NpgsqlConnection(connectionString);
        await connection.OpenAsync().ConfigureAwait(false);
        await using var command = new NpgsqlCommand(
            $"INSERT INTO akkahub_meta VALUES ('{Key}', @version) ON CONFLICT (key) DO UPDATE SET value = greatest(akkahub_meta.value::int, excluded.value::int)::text", connection);
        command.Parameters.AddWithValue("version", version.ToString(CultureInfo.InvariantCulture));
        await command.ExecuteNonQueryAsync().ConfigureAwait(false);
    }

    /// <summary>Refuses a build that is older than what may be in the store.</summary>
    /// <param name="connection">To the store.</param>
    /// <param name="name">The store, for the message.</param>
    /// <param name="own">This build's version.</param>
    /// <exception cref="StoreRefusedException">It is older.</exception>
    internal static async Task RefuseOlderAsync(NpgsqlConnection connection, string name, int own)
    {
        await using var command = new NpgsqlCommand($"SELECT value::int FROM akkahub_meta WHERE key = '{Key}'", connection);
        var least = await command.ExecuteScalarAsync().ConfigureAwait(false) is int recorded ? recorded : WireForms.First;
        if (least > own)
            throw new StoreRefusedException($"store {name} may hold what only builds of wire version {least} or newer can read; this one is {(own == HubVersion.Wire ? $"of version {own}. Run the newer build." : $"set to version {own}. Take akkahub.cluster.wire-version back.")}");
    }
}
