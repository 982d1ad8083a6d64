using System.Globalization;
using Npgsql;

namespace Hub.Actors.Store;

/// <summary>
/// Looks at the shared store before anything uses it, and prepares a new one, in one transaction that holds off other members which start
/// at the same time. What it refuses it leaves as it was.
/// </summary>
public static class PostgresPreflight
{
    /// <summary>How long a server that does not answer is waited for: it may be starting, as the hub is.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private const int LeastServer = 150_000;
    // Any number, the same in all hubs: 'ahub' as ASCII. Held by whoever makes tables or changes who is a member.
    internal const long PreparationLock = 0x61687562;
    private const string CannotConnectNow = "57P03";
    private const string DatabaseUnknown = "3D000";
    private static readonly TimeSpan Retry = TimeSpan.FromMilliseconds(500);

    // The tables of Akka.Persistence.Sql, made here and not by it: see StorePreflight.
    private const string Tables = """
        CREATE TABLE akkahub_meta (key text PRIMARY KEY, value text NOT NULL);
        CREATE TABLE journal (
            ordering bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            created bigint NOT NULL,
            deleted boolean NOT NULL,
            persistence_id varchar(255) NOT NULL,
            sequence_number bigint NOT NULL,
            message bytea NOT NULL,
            tags varchar(100),
            manifest varchar(500),
            identifier integer,
            writer_uuid varchar(128),
            CONSTRAINT journal_uq UNIQUE (persistence_id, sequence_number)
        );
        CREATE TABLE snapshot (
            persistence_id varchar(255) NOT NULL,
            sequence_number bigint NOT NULL,
            created bigint NOT NULL,
            snapshot bytea,
            manifest varchar(500),
            serializer_id integer,
            PRIMARY KEY (persistence_id, sequence_number)
        );
        """;

    /// <summary>Checks the store, and makes its tables if there are none.</summary>
    /// <param name="connectionString">A string that <see cref="PostgresStore.Complete"/> gave.</param>
    /// <param name="partitions">Number of partitions the hub is set to; stored with new data, compared with old.</param>
    /// <param name="time">The clock.</param>
    /// <param name="patience">How long a server that does not answer is waited for; null for <see cref="Patience"/>.</param>
    /// <param name="wire">Newest version of the forms that this hub reads: a store that may hold newer ones is refused.</param>
    /// <returns>Whether the tables are new.</returns>
    /// <exception cref="StoreRefusedException">The store cannot be used.</exception>
    public static async Task<bool> RunAsync(string connectionString, int partitions, TimeProvider time, TimeSpan? patience = null, int wire = HubVersion.Wire)
    {
        var name = PostgresStore.Describe(connectionString);
        // Not of the pool: nothing of this is left when the hub goes on.
        var own = PostgresRegistry.Own(connectionString, commandSeconds: 60);
        var began = time.GetTimestamp();
        while (true)
        {
            try
            {
                return await InspectAsync(own, partitions, name, wire).ConfigureAwait(false);
            }
            catch (NpgsqlException e)
            {
                if (MayPass(e) && time.GetElapsedTime(began) < (patience ?? Patience))
                {
                    await Task.Delay(Retry, time).ConfigureAwait(false);
                    continue;
                }

                var hint = e is PostgresException { SqlState: DatabaseUnknown } ? " Make it with 'createdb', or name another." : "";
                throw new StoreRefusedException($"store {name} cannot be used: {Reason(e)}.{hint} It is set by akkahub.store.connection-string (AKKAHUB_CONNECTION_STRING).", inner: e);
            }
        }
    }

    private static async Task<bool> InspectAsync(string connectionString, int partitions, string name, int wire)
    {
        await using var connection = new NpgsqlConnection(connectionString);
        await connection.OpenAsync().ConfigureAwait(false);
        var server = int.Parse(await ScalarAsync("SHOW server_version_num").ConfigureAwait(false), CultureInfo.InvariantCulture);
        if (server < LeastServer)
            throw new StoreRefusedException($"store {name} is of version {server / 10_000}; the hub needs {LeastServer / 10_000} or newer.");
        if (await ScalarAsync("SHOW fsync").ConfigureAwait(false) != "on")
            throw new StoreRefusedException($"store {name} has fsync off: what it acknowledges could be lost. Set fsync = on on the server.");
        await using var transaction = await connection.BeginTransactionAsync().ConfigureAwait(false);
        await ScalarAsync(string.Create(CultureInfo.InvariantCulture, $"SELECT pg_advisory_xact_lock({PreparationLock})")).ConfigureAwait(false);
        if (await ScalarAsync("SELECT to_regclass('akkahub_meta')::text").ConfigureAwait(false) is "")
        {
            if (await ScalarAsync("SELECT coalesce(to_regclass('journal'), to_regclass('snapshot'))::text").ConfigureAwait(false) is not "")
                throw new StoreRefusedException($"store {name} has tables 'journal' or 'snapshot' of another program. Give the hub a database, or a schema (Search Path=…), of its own.");
            await ExecuteAsync(Tables + PostgresRegistry.Tables).ConfigureAwait(false);
            await ExecuteAsync(string.Create(CultureInfo.InvariantCulture,
                $"INSERT INTO akkahub_meta VALUES ('schema', '{PostgresStore.SchemaVersion}'), ('partitions', '{partitions}')")).ConfigureAwait(false);
            await transaction.CommitAsync().ConfigureAwait(false);
            return true;
        }

        var schema = int.Parse(await ScalarAsync("SELECT value FROM akkahub_meta WHERE key = 'schema'").ConfigureAwait(false), CultureInfo.InvariantCulture);
        if (schema > PostgresStore.SchemaVersion)
        {
            throw new StoreRefusedException(
                $"store {name} has schema {schema}, made by a newer hub; this one reads up to schema {PostgresStore.SchemaVersion}. Run the newer hub.");
        }

        var stored = await ScalarAsync("SELECT value FROM akkahub_meta WHERE key = 'partitions'").ConfigureAwait(false);
        if (stored != partitions.ToString(CultureInfo.InvariantCulture))
        {
            throw new StoreRefusedException(
                $"store {name} was made with {stored} partitions; akkahub.registry.partitions (AKKAHUB_REGISTRY_PARTITIONS) says {partitions}. Set it to {stored}.");
        }

        // Newer than the first stores of this schema, and of no concern to hubs that do not know it.
        if (await ScalarAsync("SELECT count(*) FROM pg_attribute WHERE attrelid = 'akkahub_member'::regclass AND attname = 'cluster' AND NOT attisdropped").ConfigureAwait(false) == "0")
        {
            await ExecuteAsync("ALTER TABLE akkahub_member ADD COLUMN cluster integer").ConfigureAwait(false);
            await transaction.CommitAsync().ConfigureAwait(false);
        }

        await PostgresWire.RefuseOlderAsync(connection, name, wire).ConfigureAwait(false);
        return false;

        async Task<string> ScalarAsync(string sql)
        {
            await using var command = new NpgsqlCommand(sql, connection);
            return Convert.ToString(await command.ExecuteScalarAsync().ConfigureAwait(false), CultureInfo.InvariantCulture) ?? "";
        }

        async Task ExecuteAsync(string sql)
        {
            await using var command = new NpgsqlCommand(sql, connection);
            await command.ExecuteNonQueryAsync().ConfigureAwait(false);
        }
    }

    // No answer, or one that says 'not yet'. A password that is wrong stays wrong.
    private static bool MayPass(NpgsqlException e) => e is not PostgresException answer || answer.SqlState == CannotConnectNow;

    private static string Reason(NpgsqlException e) => (e is PostgresException answer ? answer.MessageText : e.InnerException?.Message ?? e.Message).TrimEnd('.');
}
