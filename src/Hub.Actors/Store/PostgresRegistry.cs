using System.Globalization;
using Npgsql;

namespace Hub.Actors.Store;

/// <summary>
/// The members of a shared store: their table, the trigger that keeps everybody else from writing, and the statements about them.
/// All locks have two keys. The first is the table's own number, so that hubs in other schemas of the same database have other locks; the
/// second is the member: its uid negated while its session lives (it is <i>alive</i>), its uid, shared, in each of its transactions that write.
/// </summary>
internal static class PostgresRegistry
{
    // The standard leaves the classes from I to Z to whoever wants them; PostgreSQL has none with Z.
    public const string FencedState = "ZF001";

    // The setting of a session that says whose it is.
    private const string MemberSetting = "akkahub.member";

    // PostgreSQL numbers tables without a sign, and the keys of locks with one.
    private const string Store = "('akkahub_member'::regclass::oid::bigint - 2147483648)::integer";

    // The check must see what was committed before the lock was had. Read committed does, each statement for itself; under the stricter
    // levels the transaction would go on seeing what was there when it began, so they are refused.
    // A fence is complete when its row is gone: one that is marked only was begun, and by whom it was begun may have died.
    public const string Tables = $"""
        CREATE TABLE akkahub_member (
            uid integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            address text NOT NULL,
            alone boolean NOT NULL,
            started timestamptz NOT NULL DEFAULT now(),
            fenced boolean NOT NULL DEFAULT false,
            cluster integer
        );
        CREATE FUNCTION akkahub_fence() RETURNS trigger LANGUAGE plpgsql AS $body$
        DECLARE
            member integer := nullif(current_setting('{MemberSetting}', true), '')::integer;
        BEGIN
            IF member IS NULL THEN
                RAISE EXCEPTION 'only a member of the hub writes here: the session has no {MemberSetting}' USING ERRCODE = '{FencedState}';
            END IF;
            IF current_setting('transaction_isolation') <> 'read committed' THEN
                RAISE EXCEPTION 'the fence does not hold for transactions that are %', current_setting('transaction_isolation') USING ERRCODE = '{FencedState}';
            END IF;
            PERFORM pg_advisory_xact_lock_shared({Store}, member);
            PERFORM FROM akkahub_member WHERE uid = member AND NOT fenced;
            IF NOT FOUND THEN
                RAISE EXCEPTION 'member % is fenced', member USING ERRCODE = '{FencedState}';
            END IF;
            RETURN NULL;
        END $body$;
        CREATE TRIGGER akkahub_fence BEFORE INSERT OR UPDATE OR DELETE ON journal FOR EACH STATEMENT EXECUTE FUNCTION akkahub_fence();
        CREATE TRIGGER akkahub_fence BEFORE INSERT OR UPDATE OR DELETE ON snapshot FOR EACH STATEMENT EXECUTE FUNCTION akkahub_fence();
        """;

    private const int AnswerSeconds = 5;
    // For what waits for others: a registration, or a commit that was under way when its member was fenced.
    private const int WaitSeconds = 30;

    // The locks of this store, as the server lists them.
    private const string Locks =
        $"pg_locks WHERE locktype = 'advisory' AND objsubid = 2 AND granted AND classid = ({Store})::oid " +
        "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";

    private const string Alive = $"EXISTS (SELECT FROM {Locks} AND objid = (-uid)::oid)";

    /// <summary>
    /// The connection string of the registry's own sessions. They are of no pool, and must neither wait for long nor keep others waiting:
    /// a process may be stopped in the middle of a transaction, and a machine may go without a word.
    /// </summary>
    public static string Own(string connectionString, int commandSeconds = AnswerSeconds)
    {
        var own = new NpgsqlConnectionStringBuilder(connectionString) { Pooling = false, Timeout = AnswerSeconds, CommandTimeout = commandSeconds };
        own.Options = $"{own.Options} -c idle_in_transaction_session_timeout=5s -c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3".Trim();
        return own.ConnectionString;
    }

    /// <summary>The connection string of a member's journal and snapshots.</summary>
    public static string Of(string connectionString, int uid)
    {
        var member = new NpgsqlConnectionStringBuilder(connectionString) { ApplicationName = Name(uid) };
        member.Options = string.Create(CultureInfo.InvariantCulture, $"{member.Options} -c default_transaction_isolation=read\\ committed -c {MemberSetting}={uid}").Trim();
        return member.ConnectionString;
    }

    public static async Task<NpgsqlConnection> OpenAsync(string own, CancellationToken cancellationToken)
    {
        var connection = new NpgsqlConnection(own);
        try
        {
            await connection.OpenAsync(cancellationToken).ConfigureAwait(false);
            return connection;
        }
        catch
        {
            await connection.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>
    /// Adds a member that is alive as long as this connection is open, unless one lives that does not share; one that is to be alone marks
    /// all others as fenced.
    /// </summary>
    /// <returns>Its uid; or the address of the member that does not share.</returns>
    public static async Task<(int Uid, string? InUseBy)> AddAsync(NpgsqlConnection connection, string address, bool alone)
    {
        await using var transaction = await connection.BeginTransactionAsync().ConfigureAwait(false);
        await LockAsync(connection, CancellationToken.None).ConfigureAwait(false);
        var inUseBy = await ScalarAsync(connection, $"SELECT address FROM akkahub_member WHERE NOT fenced AND (alone OR $1) AND {Alive} LIMIT 1", CancellationToken.None, alone).ConfigureAwait(false);
        if (inUseBy is string other)
            return (0, other);
        if (alone)
            await ScalarAsync(connection, "UPDATE akkahub_member SET fenced = true WHERE NOT fenced", CancellationToken.None).ConfigureAwait(false);
        var uid = (int)(await ScalarAsync(connection, "INSERT INTO akkahub_member (address, alone, cluster) VALUES ($1, $2, CASE WHEN $2 THEN NULL ELSE 0 END) RETURNING uid", CancellationToken.None, address, alone).ConfigureAwait(false))!;
        // Before others can see it: whoever is in the table and not alive is taken for dead.
        if (!await TryLiveAsync(connection, uid, CancellationToken.None).ConfigureAwait(false))
            throw new InvalidOperationException($"The lock of the new member {uid} is held by somebody else.");
        await transaction.CommitAsync().ConfigureAwait(false);
        return (uid, null);
    }

    /// <summary>Makes a member alive that may have been so with another session, which is ended.</summary>
    public static async Task<bool> TryLiveAsync(NpgsqlConnection connection, int uid, CancellationToken cancellationToken)
    {
        // Its own only: nobody else takes this lock.
        await ScalarAsync(connection, $"SELECT pg_terminate_backend(pid, 3000) FROM {Locks} AND objid = (-$1)::oid AND pid <> pg_backend_pid()", cancellationToken, uid).ConfigureAwait(false);
        await ScalarAsync(connection, "SELECT set_config('application_name', $1, false)", cancellationToken, Name(uid)).ConfigureAwait(false);
        return await ScalarAsync(connection, $"SELECT pg_try_advisory_lock({Store}, -$1)", cancellationToken, uid).ConfigureAwait(false) is true;
    }

    /// <summary>Whether it may write.</summary>
    public static async Task<bool> IsMemberAsync(NpgsqlConnection connection, int uid, CancellationToken cancellationToken) =>
        await ScalarAsync(connection, "SELECT true FROM akkahub_member WHERE uid = $1 AND NOT fenced", cancellationToken, uid).ConfigureAwait(false) is true;

    /// <summary>All members but this one that are not fenced, by number.</summary>
    public static async Task<IReadOnlyList<PostgresMemberEntry>> OthersAsync(NpgsqlConnection connection, int uid, CancellationToken cancellationToken)
    {
        await using var command = Command(connection, $"SELECT uid, address, started, {Alive}, cluster FROM akkahub_member WHERE NOT fenced AND uid <> $1 ORDER BY uid", uid);
        await using var reader = await command.ExecuteReaderAsync(cancellationToken).ConfigureAwait(false);
        var found = new List<PostgresMemberEntry>();
        while (await reader.ReadAsync(cancellationToken).ConfigureAwait(false))
        {
            found.Add(new PostgresMemberEntry(reader.GetInt32(0), reader.GetString(1), reader.GetFieldValue<DateTimeOffset>(2), reader.GetBoolean(3),
                await reader.IsDBNullAsync(4, cancellationToken).ConfigureAwait(false) ? null : reader.GetInt32(4)));
        }

        return found;
    }

    /// <summary>Which of these have no session, or none if <paramref name="uid"/> has none itself.</summary>
    public static async Task<IReadOnlyCollection<int>> GoneAsync(NpgsqlConnection connection, int uid, IReadOnlyCollection<int> uids, CancellationToken cancellationToken)
    {
        // Their rows may be gone, so it asks for numbers. One statement: one look at the server's locks.
        await using var command = Command(connection, $"SELECT uid, {Alive} FROM unnest($1::int[]) AS uid", uids.Append(uid).ToArray());
        await using var reader = await command.ExecuteReaderAsync(cancellationToken).ConfigureAwait(false);
        var gone = new HashSet<int>();
        while (await reader.ReadAsync(cancellationToken).ConfigureAwait(false))
        {
            if (!reader.GetBoolean(1))
                gone.Add(reader.GetInt32(0));
        }

        return gone.Contains(uid) ? [] : gone;
    }

    /// <summary>
    /// Marks a member as fenced, in the name of one that is not: of two that fence each other the first wins, and the other is told.
    /// </summary>
    /// <returns>Whether the one who asks may.</returns>
    public static async Task<bool> TryMarkAsync(NpgsqlConnection connection, int by, int uid, CancellationToken cancellationToken)
    {
        await using var transaction = await connection.BeginTransactionAsync(cancellationToken).ConfigureAwait(false);
        await LockAsync(connection, cancellationToken).ConfigureAwait(false);
        if (!await IsMemberAsync(connection, by, cancellationToken).ConfigureAwait(false))
            return false;
        await ScalarAsync(connection, "UPDATE akkahub_member SET fenced = true WHERE uid = $1 AND NOT fenced", cancellationToken, uid).ConfigureAwait(false);
        await transaction.CommitAsync(cancellationToken).ConfigureAwait(false);
        return true;
    }

    /// <summary>Completes the fences of all that are marked.</summary>
    public static async Task SealAllAsync(NpgsqlConnection connection)
    {
        var marked = (int[])(await ScalarAsync(connection, "SELECT coalesce(array_agg(uid), '{}') FROM akkahub_member WHERE fenced", CancellationToken.None).ConfigureAwait(false))!;
        foreach (var uid in marked)
            await SealAsync(connection, uid, CancellationToken.None).ConfigureAwait(false);
    }

    /// <summary>
    /// Completes the fence of a member that is marked: when it returns, nothing that the member wrote can land any more. What its
    /// transactions had written is undone; one whose commit is under way is waited for.
    /// </summary>
    public static async Task SealAsync(NpgsqlConnection connection, int uid, CancellationToken cancellationToken)
    {
        // All transactions that have written hold the lock, and none can begin to: the mark is committed. The session that keeps it alive
        // goes too, so that it learns of it.
        await ScalarAsync(connection,
            $"SELECT count(pg_terminate_backend(pid)) FROM {Locks} AND (objid = $1::oid AND mode = 'ShareLock' OR objid = (-$1)::oid) AND pid <> pg_backend_pid()",
            cancellationToken, uid).ConfigureAwait(false);
        await using var transaction = await connection.BeginTransactionAsync(cancellationToken).ConfigureAwait(false);
        await WaitAsync(connection, $"SELECT pg_advisory_xact_lock({Store}, $1)", cancellationToken, uid).ConfigureAwait(false);
        await ScalarAsync(connection, "DELETE FROM akkahub_member WHERE uid = $1 AND fenced", cancellationToken, uid).ConfigureAwait(false);
        await transaction.CommitAsync(cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Ends a member in order: what <see cref="SealAsync"/> says holds for it, whatever its process still does.</summary>
    public static async Task RemoveAsync(NpgsqlConnection connection, int uid, CancellationToken cancellationToken)
    {
        await ScalarAsync(connection, "UPDATE akkahub_member SET fenced = true WHERE uid = $1 AND NOT fenced", cancellationToken, uid).ConfigureAwait(false);
        await SealAsync(connection, uid, cancellationToken).ConfigureAwait(false);
    }

    // What pg_stat_activity shows.
    private static string Name(int uid) => string.Create(CultureInfo.InvariantCulture, $"akkahub member {uid}");

    /// <summary>Until the end of the transaction nobody else changes who is a member, or of which cluster.</summary>
    public static Task LockAsync(NpgsqlConnection connection, CancellationToken cancellationToken) =>
        WaitAsync(connection, "SELECT pg_advisory_xact_lock($1)", cancellationToken, PostgresPreflight.PreparationLock);

    /// <summary>Runs a statement and gives the first column of its first row.</summary>
    public static async Task<object?> ScalarAsync(NpgsqlConnection connection, string sql, CancellationToken cancellationToken, params object[] values)
    {
        await using var command = Command(connection, sql, values);
        return await command.ExecuteScalarAsync(cancellationToken).ConfigureAwait(false);
    }

    private static async Task WaitAsync(NpgsqlConnection connection, string sql, CancellationToken cancellationToken, object key)
    {
        await using var command = Command(connection, sql, key);
        command.CommandTimeout = WaitSeconds;
        await command.ExecuteNonQueryAsync(cancellationToken).ConfigureAwait(false);
    }

    private static NpgsqlCommand Command(NpgsqlConnection connection, string sql, params object[] values)
    {
        var command = new NpgsqlCommand(sql, connection);
        foreach (var value in values)
            command.Parameters.Add(new NpgsqlParameter { Value = value });
        return command;
    }
}
