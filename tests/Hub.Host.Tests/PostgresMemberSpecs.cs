using Hub.Actors.Store;
using Microsoft.Extensions.Time.Testing;
using Npgsql;
using static Hub.Host.Tests.TestSupport;

namespace Hub.Host.Tests;

// Longer than most files: the cases share one server and the helpers that write to it.
/// <summary>Who may write to a shared store, and that nobody else can.</summary>
public sealed class PostgresMemberSpecs(PostgresFixture postgres) : IClassFixture<PostgresFixture>
{
    private const string Insert = "INSERT INTO journal (created, deleted, persistence_id, sequence_number, message) VALUES (0, false, 'x', {0}, '')";
    private const string Snapshot = "INSERT INTO snapshot (persistence_id, sequence_number, created) VALUES ('x', {0}, 0) ON CONFLICT (persistence_id, sequence_number) DO UPDATE SET created = 1";

    [SkippableFact]
    public async Task Only_a_member_writes()
    {
        var (server, database, connection) = await NewStoreAsync();
        await using var member = await RegisterAsync(connection, alone: true);
        await WriteAsync(member.ConnectionString, Insert, 1);
        await WriteAsync(member.ConnectionString, Snapshot, 1);
        await WriteAsync(member.ConnectionString, Snapshot, 1);

        (await Refused(connection, Insert, 2)).ShouldContain("only a member");
        (await Refused(connection, Snapshot, 2)).ShouldContain("only a member");
        (await Refused(connection, "UPDATE journal SET deleted = true", 0)).ShouldContain("only a member");
        (await Refused(connection, "DELETE FROM snapshot", 0)).ShouldContain("only a member");
        (await Refused(connection + ";Options=-c akkahub.member=4711", Insert, 2)).ShouldContain("member 4711 is fenced");
        (await Rows(server, database)).ShouldBe("1|1");
        (await server.QueryAsync($"SELECT count(*) FROM pg_stat_activity WHERE application_name = 'akkahub member {member.Uid}'", database)).ShouldBe("2");
    }

    [SkippableFact]
    public async Task Under_a_stricter_isolation_nobody_writes_and_a_strict_database_is_no_hindrance()
    {
        var (server, database, connection) = await NewStoreAsync();
        await server.QueryAsync($"ALTER DATABASE {database} SET default_transaction_isolation = 'serializable'");
        await using var member = await RegisterAsync(connection, alone: true);
        await WriteAsync(member.ConnectionString, Insert, 1);

        await using var session = await OpenAsync(member.ConnectionString);
        await using var transaction = await session.BeginTransactionAsync(System.Data.IsolationLevel.RepeatableRead);
        (await Refused(session, Insert, 2)).ShouldContain("repeatable read");
    }

    [SkippableFact]
    public async Task Nothing_of_a_fenced_member_lands()
    {
        var (server, database, connection) = await NewStoreAsync();
        await using var fenced = await RegisterAsync(connection, alone: false);
        await using var other = await RegisterAsync(connection, alone: false);
        await WriteAsync(fenced.ConnectionString, Insert, 1);

        // The three that a process which is stopped can leave: it has written, it has only read, it has not begun.
        await using var wrote = await OpenAsync(fenced.ConnectionString);
        await using var wroteIn = await wrote.BeginTransactionAsync();
        await ExecuteAsync(wrote, Insert, 2);
        await using var read = await OpenAsync(fenced.ConnectionString);
        await using var readIn = await read.BeginTransactionAsync();
        await ExecuteAsync(read, "SELECT max(sequence_number) FROM journal", 0);
        await using var idle = await OpenAsync(fenced.ConnectionString);

        (await other.FenceAsync(fenced.Uid)).ShouldBeTrue();

        await Should.ThrowAsync<NpgsqlException>(() => wroteIn.CommitAsync());
        (await Refused(read, Insert, 3)).ShouldContain($"member {fenced.Uid} is fenced");
        (await Refused(idle, Insert, 4)).ShouldContain("is fenced");
        (await Refused(idle, Snapshot, 4)).ShouldContain("is fenced");
        (await Refused(idle, "DELETE FROM journal", 0)).ShouldContain("is fenced");
        (await Refused(fenced.ConnectionString, Insert, 5)).ShouldContain("is fenced");
        (await Rows(server, database)).ShouldBe("1|0");
        await WriteAsync(other.ConnectionString, Insert, 2);
    }

    [SkippableFact]
    public async Task What_was_acknowledged_before_the_fence_is_all_there_is_after_it()
    {
        var (server, database, connection) = await NewStoreAsync();
        await using var fenced = await RegisterAsync(connection, alone: false);
        await using var other = await RegisterAsync(connection, alone: false);
        var landed = new bool[8][];
        using var enough = new SemaphoreSlim(0);
        var writers = Enumerable.Range(0, 8).Select(async w =>
        {
            var mine = landed[w] = new bool[10_000];
            try
            {
                for (var i = 0; i < mine.Length; i++)
                {
                    await WriteAsync(fenced.ConnectionString, Insert.Replace("'x'", $"'w{w}'", StringComparison.Ordinal), i);
                    mine[i] = true;
                    enough.Release();
                }
            }
            catch (NpgsqlException)
            {
            }
        }).ToArray();
        for (var i = 0; i < 40; i++)
            (await enough.WaitAsync(Patience)).ShouldBeTrue();

        (await other.FenceAsync(fenced.Uid)).ShouldBeTrue();
        var after = await Rows(server, database);
        await Task.WhenAll(writers);
        (await Rows(server, database)).ShouldBe(after);
        // One commit of each may have landed without its answer.
        var acknowledged = landed.Sum(l => l.Count(i => i));
        int.Parse(after.Split('|')[0]).ShouldBeInRange(acknowledged, acknowledged + landed.Length);
        landed.Any(l => l.All(i => i)).ShouldBeFalse("the fence came too late to be one");
    }

    [SkippableFact]
    public async Task A_write_that_waited_for_the_fence_sees_it()
    {
        var (server, database, connection) = await NewStoreAsync();
        await using var fenced = await RegisterAsync(connection, alone: false);
        await using var fencer = await OpenAsync(connection);
        await using var sealing = await fencer.BeginTransactionAsync();
        await ExecuteAsync(fencer, $"SELECT pg_advisory_xact_lock(('akkahub_member'::regclass::oid::bigint - 2147483648)::integer, {fenced.Uid})", 0);
        await using var writer = await OpenAsync(fenced.ConnectionString);
        // Its transaction began before the mark.
        await using var transaction = await writer.BeginTransactionAsync();
        await ExecuteAsync(writer, "SELECT max(sequence_number) FROM journal", 0);
        var writing = Refused(writer, Insert, 1);
        using var late = new CancellationTokenSource(Patience);
        while (await server.QueryAsync("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted", database) == "0")
            await Task.Delay(TimeSpan.FromMilliseconds(50), late.Token);

        await server.QueryAsync($"UPDATE akkahub_member SET fenced = true WHERE uid = {fenced.Uid}", database);
        await sealing.CommitAsync();
        (await writing).ShouldContain("is fenced");
    }

    [SkippableFact]
    public async Task Fences_may_be_repeated_and_concurrent_and_the_fenced_fences_nobody()
    {
        var (server, database, connection) = await NewStoreAsync();
        var time = new FakeTimeProvider();
        await using var fenced = await PostgresMember.RegisterAsync(connection, "a", alone: false, time);
        await using var others = new Members([.. await Task.WhenAll(Enumerable.Range(0, 4).Select(i => RegisterAsync(connection, alone: false, $"b{i}")))]);
        (await others[0].OthersAsync()).Where(o => o.Alive).Select(o => o.Address).Order().ShouldBe(["a", "b1", "b2", "b3"]);
        await using var wrote = await OpenAsync(fenced.ConnectionString);
        await using var transaction = await wrote.BeginTransactionAsync();
        await ExecuteAsync(wrote, Insert, 1);

        (await Task.WhenAll(others.Select(o => o.FenceAsync(fenced.Uid)))).ShouldAllBe(done => done);
        (await others[0].FenceAsync(fenced.Uid)).ShouldBeTrue();
        (await others[0].OthersAsync()).Where(o => o.Alive).Select(o => o.Address).Order().ShouldBe(["b1", "b2", "b3"]);

        (await fenced.FenceAsync(others[0].Uid)).ShouldBeFalse();
        fenced.Lost.IsCompleted.ShouldBeTrue();
        await WriteAsync(others[0].ConnectionString, Insert, 1);
        (await Rows(server, database)).ShouldBe("1|0");
    }

    [SkippableFact]
    public async Task Who_has_no_session_is_gone_but_nobody_is_for_one_that_has_none_itself()
    {
        var (server, database, connection) = await NewStoreAsync();
        // Whose clock stands still opens no session again.
        var time = new FakeTimeProvider();
        await using var asks = await PostgresMember.RegisterAsync(connection, "a", alone: false, time);
        await using var lives = await PostgresMember.RegisterAsync(connection, "b", alone: false, time);
        await using var dies = await PostgresMember.RegisterAsync(connection, "c", alone: false, time);
        int[] both = [lives.Uid, dies.Uid];
        time.Advance(PostgresMember.Settled);
        (await asks.GoneAsync(both)).ShouldBeEmpty();

        await server.QueryAsync($"SELECT pg_terminate_backend({await Session(server, database, dies)}, 5000)", database);
        (await asks.GoneAsync(both)).ShouldBe([dies.Uid]);
        (await asks.GoneAsync([lives.Uid])).ShouldBeEmpty();
        // Also when others have fenced it.
        (await lives.FenceAsync(dies.Uid)).ShouldBeTrue();
        (await asks.GoneAsync(both)).ShouldBe([dies.Uid]);

        await server.QueryAsync($"SELECT pg_terminate_backend({await Session(server, database, asks)}, 5000)", database);
        (await asks.GoneAsync(both)).ShouldBeEmpty();
    }

    [SkippableFact]
    public async Task Who_has_just_opened_its_session_again_says_of_nobody_that_it_is_gone()
    {
        var (server, database, connection) = await NewStoreAsync();
        var (time, still) = (new FakeTimeProvider(), new FakeTimeProvider());
        await using var asks = await PostgresMember.RegisterAsync(connection, "a", alone: false, time);
        await using var slow = await PostgresMember.RegisterAsync(connection, "b", alone: false, still);
        time.Advance(PostgresMember.Settled);
        foreach (var member in (PostgresMember[])[asks, slow])
            await server.QueryAsync($"SELECT pg_terminate_backend({await Session(server, database, member)}, 5000)", database);
        (await asks.GoneAsync([slow.Uid])).ShouldBeEmpty();
        await PassUntil(time, async () => (await Session(server, database, asks)).Length > 0);
        (await asks.GoneAsync([slow.Uid])).ShouldBeEmpty("the other one may not have come to it yet");
        time.Advance(PostgresMember.Settled);
        (await asks.GoneAsync([slow.Uid])).ShouldBe([slow.Uid]);
    }

    [SkippableFact]
    public async Task Of_two_that_fence_each_other_one_remains()
    {
        var (_, _, connection) = await NewStoreAsync();
        for (var i = 0; i < 10; i++)
        {
            await using var a = await RegisterAsync(connection, alone: false);
            await using var b = await RegisterAsync(connection, alone: false);
            var won = await Task.WhenAll(Try(a, b), Try(b, a));
            won.Count(w => w).ShouldBe(1);
            await WriteAsync((won[0] ? a : b).ConnectionString, Insert, i);
            await Refused((won[0] ? b : a).ConnectionString, Insert, i);
        }

        static async Task<bool> Try(PostgresMember by, PostgresMember whom) => await by.FenceAsync(whom.Uid);
    }

    [SkippableFact]
    public async Task A_fence_that_was_begun_only_is_completed_by_who_comes_next()
    {
        var (server, database, connection) = await NewStoreAsync();
        await using var fenced = await RegisterAsync(connection, alone: false);
        await using var wrote = await OpenAsync(fenced.ConnectionString);
        await using var transaction = await wrote.BeginTransactionAsync();
        await ExecuteAsync(wrote, Insert, 1);
        await server.QueryAsync("UPDATE akkahub_member SET fenced = true", database);

        await using var next = await RegisterAsync(connection, alone: false);
        await Should.ThrowAsync<NpgsqlException>(() => transaction.CommitAsync());
        (await Rows(server, database)).ShouldBe("0|0");
        (await server.QueryAsync("SELECT uid FROM akkahub_member", database)).ShouldBe($"{next.Uid}");
    }

    [SkippableFact]
    public async Task Hubs_in_schemas_of_one_database_do_not_know_each_other()
    {
        var (server, database, connection) = await postgres.NewDatabaseAsync();
        await server.QueryAsync("CREATE SCHEMA one; CREATE SCHEMA two", database);
        await using var one = await InSchema("one");
        await using var two = await InSchema("two");
        two.Uid.ShouldBe(one.Uid);
        await using var wrote = await OpenAsync(one.ConnectionString);
        await using var transaction = await wrote.BeginTransactionAsync();
        await ExecuteAsync(wrote, Insert, 1);

        await two.DisposeAsync();
        await transaction.CommitAsync();
        (await server.QueryAsync("SELECT count(*) FROM one.journal", database)).ShouldBe("1");

        async Task<PostgresMember> InSchema(string schema)
        {
            await PostgresPreflight.RunAsync($"{connection};Search Path={schema}", 64, TimeProvider.System);
            return await RegisterAsync($"{connection};Search Path={schema}", alone: true);
        }
    }

    [SkippableFact]
    public async Task A_second_hub_is_refused_until_the_first_has_left()
    {
        var (_, _, connection) = await NewStoreAsync();
        string before;
        await using (var first = await RegisterAsync(connection, alone: true, "db7, process 42"))
        {
            before = first.ConnectionString;
            foreach (var alone in (bool[])[true, false])
            {
                var refused = await Should.ThrowAsync<StoreRefusedException>(() => RegisterAsync(connection, alone));
                refused.InUse.ShouldBeTrue();
                refused.Message.ShouldContain("another hub runs on it (db7, process 42)");
            }
        }

        await Refused(before, Insert, 1);
        await using (await RegisterAsync(connection, alone: false))
        {
            await using var another = await RegisterAsync(connection, alone: false);
            (await Should.ThrowAsync<StoreRefusedException>(() => RegisterAsync(connection, alone: true))).InUse.ShouldBeTrue();
        }

        await using var next = await RegisterAsync(connection, alone: true);
        next.Lost.IsCompleted.ShouldBeFalse();
    }

    [SkippableFact]
    public async Task Of_hubs_that_start_at_once_one_is_admitted()
    {
        var (_, _, connection) = await NewStoreAsync();
        var members = await Task.WhenAll(Enumerable.Range(0, 6).Select(async _ =>
        {
            try
            {
                return await RegisterAsync(connection, alone: true);
            }
            catch (StoreRefusedException e) when (e.InUse)
            {
                return null;
            }
        }));
        await using var admitted = members.Single(m => m is not null)!;
        await WriteAsync(admitted.ConnectionString, Insert, 1);
    }

    [SkippableFact]
    public async Task Whose_ghost_still_lives_is_waited_for()
    {
        var (server, database, connection) = await NewStoreAsync();
        await using var ghost = await PostgresMember.RegisterAsync(connection, "ghost", alone: true, new FakeTimeProvider());
        var next = PostgresMember.RegisterAsync(connection, "next", alone: true, TimeProvider.System, Patience);
        await server.QueryAsync($"SELECT pg_terminate_backend({await Session(server, database, ghost)}, 5000)", database);
        await using var admitted = await next;
        await Refused(ghost.ConnectionString, Insert, 1);
    }

    [SkippableFact]
    public async Task Whose_session_was_ended_lives_again()
    {
        var (server, database, connection) = await NewStoreAsync();
        var time = new FakeTimeProvider();
        await using var member = await PostgresMember.RegisterAsync(connection, "a", alone: true, time);
        var first = await Session(server, database, member);
        await server.QueryAsync($"SELECT pg_terminate_backend({first}, 5000)", database);
        await PassUntil(time, async () => (await Session(server, database, member)).Length > 0);
        (await Session(server, database, member)).ShouldNotBe(first);
        member.Lost.IsCompleted.ShouldBeFalse();
        (await Should.ThrowAsync<StoreRefusedException>(() => RegisterAsync(connection, alone: true))).InUse.ShouldBeTrue();
        await WriteAsync(member.ConnectionString, Insert, 1);
    }

    [SkippableFact]
    public async Task Who_was_fenced_while_away_is_told()
    {
        var (server, database, connection) = await NewStoreAsync();
        var time = new FakeTimeProvider();
        await using var first = await PostgresMember.RegisterAsync(connection, "a", alone: true, time);
        await server.QueryAsync($"SELECT pg_terminate_backend({await Session(server, database, first)}, 5000)", database);
        await using var second = await RegisterAsync(connection, alone: true);
        await Refused(first.ConnectionString, Insert, 1);
        await PassUntil(time, () => Task.FromResult(first.Lost.IsCompleted));
        second.Lost.IsCompleted.ShouldBeFalse();
        await first.DisposeAsync();
        await WriteAsync(second.ConnectionString, Insert, 1);
    }

    private async Task<(PostgresServer Server, string Database, string ConnectionString)> NewStoreAsync()
    {
        var made = await postgres.NewDatabaseAsync();
        await PostgresPreflight.RunAsync(made.ConnectionString, 64, TimeProvider.System);
        return made;
    }

    private static Task<PostgresMember> RegisterAsync(string connection, bool alone, string address = "spec") =>
        PostgresMember.RegisterAsync(connection, address, alone, TimeProvider.System, TimeSpan.Zero);

    // What keeps it alive: the lock of its number, negated, which the server shows without a sign.
    private static Task<string> Session(PostgresServer server, string database, PostgresMember member) => server.QueryAsync(
        $"SELECT l.pid FROM pg_locks l JOIN pg_database d ON d.oid = l.database WHERE l.locktype = 'advisory' AND l.granted AND l.objid = (-{member.Uid})::oid AND d.datname = current_database()", database);

    private static Task<string> Rows(PostgresServer server, string database) =>
        server.QueryAsync("SELECT (SELECT count(*) FROM journal), (SELECT count(*) FROM snapshot)", database);

    private static async Task<NpgsqlConnection> OpenAsync(string connectionString)
    {
        var connection = new NpgsqlConnection(connectionString);
        await connection.OpenAsync();
        return connection;
    }

    private static async Task WriteAsync(string connectionString, string sql, long sequenceNumber)
    {
        await using var connection = await OpenAsync(connectionString);
        await ExecuteAsync(connection, sql, sequenceNumber);
    }

    private static async Task ExecuteAsync(NpgsqlConnection connection, string sql, long sequenceNumber)
    {
        await using var command = new NpgsqlCommand(string.Format(System.Globalization.CultureInfo.InvariantCulture, sql, sequenceNumber), connection);
        await command.ExecuteNonQueryAsync();
    }

    private static async Task<string> Refused(string connectionString, string sql, long sequenceNumber)
    {
        await using var connection = await OpenAsync(new NpgsqlConnectionStringBuilder(connectionString) { Pooling = false }.ConnectionString);
        return await Refused(connection, sql, sequenceNumber);
    }

    private static async Task<string> Refused(NpgsqlConnection connection, string sql, long sequenceNumber)
    {
        var refused = await Should.ThrowAsync<PostgresException>(() => ExecuteAsync(connection, sql, sequenceNumber));
        refused.SqlState.ShouldBe(PostgresMember.FencedState);
        return refused.MessageText;
    }

    private static async Task PassUntil(FakeTimeProvider time, Func<Task<bool>> condition)
    {
        using var late = new CancellationTokenSource(Patience);
        while (!await condition())
        {
            time.Advance(TimeSpan.FromSeconds(2));
            await Task.Delay(TimeSpan.FromMilliseconds(50), late.Token);
        }
    }

    private sealed class Members(IReadOnlyList<PostgresMember> members) : IAsyncDisposable
    {
        public PostgresMember this[int index] => members[index];

        public IEnumerable<T> Select<T>(Func<PostgresMember, T> selector) => members.Select(selector);

        public async ValueTask DisposeAsync()
        {
            foreach (var member in members)
                await member.DisposeAsync();
        }
    }
}
