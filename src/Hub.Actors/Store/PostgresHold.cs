using System.Globalization;
using Npgsql;

namespace Hub.Actors.Store;

/// <summary>
/// Keeps a second hub from a shared store, as the lock of the <see cref="DataDirectory"/> does for the embedded one: an advisory lock of
/// PostgreSQL that lives as long as its session. When the session breaks (the server restarts, the network is cut) the lock is taken
/// again; if somebody else has it by then, the hub must stop. Nobody can write while the server is away, and two who write after it came
/// back would meet at the journal's unique key; this is so that it does not come to that.
/// </summary>
public sealed class PostgresHold : IAsyncDisposable
{
    // Any number but that of the preflight, the same in all hubs: 'hold' as ASCII.
    private const string TryLock = "SELECT pg_try_advisory_lock(1752132708)";
    private const int AnswerSeconds = 5;
    private static readonly TimeSpan LookEvery = TimeSpan.FromSeconds(2);
    // After a cut the server may not have noticed yet that this hub's own old session is gone.
    private static readonly TimeSpan LostAfter = TimeSpan.FromSeconds(10);

    private readonly string _connectionString;
    private readonly TimeProvider _time;
    private readonly CancellationTokenSource _released = new();
    private readonly TaskCompletionSource _lost = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Task _keeping;
    private NpgsqlConnection? _connection;
    private Session? _session;

    private PostgresHold(string connectionString, TimeProvider time, NpgsqlConnection connection, Session session)
    {
        _connectionString = connectionString;
        _time = time;
        _connection = connection;
        _session = session;
        _keeping = KeepAsync();
    }

    /// <summary>Completes if another hub has the store; this one must write no more.</summary>
    public Task Lost => _lost.Task;

    /// <summary>Takes hold of a store that the preflight has accepted.</summary>
    /// <exception cref="StoreRefusedException">Another hub has it.</exception>
    public static async Task<PostgresHold> AcquireAsync(string connectionString, TimeProvider time)
    {
        var own = new NpgsqlConnectionStringBuilder(connectionString) { Pooling = false, Timeout = AnswerSeconds, CommandTimeout = AnswerSeconds }.ToString();
        var name = PostgresStore.Describe(connectionString);
        try
        {
            var (connection, session) = await TryLockAsync(own, before: null, CancellationToken.None).ConfigureAwait(false);
            return connection is null
                ? throw new StoreRefusedException($"store {name} is in use: another hub runs on it.", inUse: true)
                : new PostgresHold(own, time, connection, session!);
        }
        catch (NpgsqlException e)
        {
            throw new StoreRefusedException($"store {name} cannot be used: {e.InnerException?.Message ?? e.Message}", inner: e);
        }
    }

    /// <summary>Lets it go.</summary>
    public async ValueTask DisposeAsync()
    {
        await _released.CancelAsync().ConfigureAwait(false);
        await _keeping.ConfigureAwait(false);
        if (_connection is not null)
            await _connection.DisposeAsync().ConfigureAwait(false);
        _released.Dispose();
    }

    private async Task KeepAsync()
    {
        long? refusedSince = null;
        while (true)
        {
            try
            {
                await Task.Delay(LookEvery, _time, _released.Token).ConfigureAwait(false);
                if (_connection is not null)
                {
                    await ScalarAsync(_connection, "SELECT 1", _released.Token).ConfigureAwait(false);
                    continue;
                }

                var (connection, session) = await TryLockAsync(_connectionString, _session, _released.Token).ConfigureAwait(false);
                if (connection is not null)
                {
                    (_connection, _session, refusedSince) = (connection, session, null);
                    continue;
                }

                refusedSince ??= _time.GetTimestamp();
                if (_time.GetElapsedTime(refusedSince.Value) >= LostAfter)
                {
                    _lost.TrySetResult();
                    return;
                }
            }
            catch (OperationCanceledException) when (_released.IsCancellationRequested)
            {
                return;
            }
            catch (Exception e) when (e is NpgsqlException or TimeoutException or OperationCanceledException or InvalidOperationException)
            {
                // The server does not answer: nobody else can take the lock now. It is asked again.
                if (_connection is not null)
                    await _connection.DisposeAsync().ConfigureAwait(false);
                _connection = null;
            }
        }
    }

    private static async Task<(NpgsqlConnection? Connection, Session? Session)> TryLockAsync(string connectionString, Session? before, CancellationToken cancellationToken)
    {
        var connection = new NpgsqlConnection(connectionString);
        try
        {
            await connection.OpenAsync(cancellationToken).ConfigureAwait(false);
            if (before is not null)
                await ScalarAsync(connection, before.EndIt, cancellationToken).ConfigureAwait(false);
            if (await ScalarAsync(connection, TryLock, cancellationToken).ConfigureAwait(false) is not "True")
            {
                await connection.DisposeAsync().ConfigureAwait(false);
                return default;
            }

            var started = await ScalarAsync(connection, "SELECT backend_start::text FROM pg_stat_activity WHERE pid = pg_backend_pid()", cancellationToken).ConfigureAwait(false);
            return (connection, new Session(connection.ProcessID, started));
        }
        catch
        {
            await connection.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    private static async Task<string> ScalarAsync(NpgsqlConnection connection, string sql, CancellationToken cancellationToken)
    {
        await using var command = new NpgsqlCommand(sql, connection);
        return Convert.ToString(await command.ExecuteScalarAsync(cancellationToken).ConfigureAwait(false), CultureInfo.InvariantCulture) ?? "";
    }

    /// <summary>A session of this hub at the server, known by more than its number, which the server gives again.</summary>
    private sealed record Session(int ProcessId, string Started)
    {
        /// <summary>Ends it if the server still has it.</summary>
        public string EndIt => string.Create(CultureInfo.InvariantCulture,
            $"SELECT pg_terminate_backend(pid, 3000) FROM pg_stat_activity WHERE pid = {ProcessId} AND backend_start::text = '{Started}'");
    }
}
