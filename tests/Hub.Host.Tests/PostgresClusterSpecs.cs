using Hub.Actors.Store;
using Microsoft.Extensions.Time.Testing;
using static Hub.Host.Tests.TestSupport;

namespace Hub.Host.Tests;

/// <summary>On one store there is one cluster: who may form it, and who is of it.</summary>
public sealed class PostgresClusterSpecs(PostgresFixture postgres) : IClassFixture<PostgresFixture>
{
    private readonly FakeTimeProvider _time = new();

    [SkippableFact]
    public async Task Of_several_that_would_form_a_cluster_at_once_one_does()
    {
        var (_, _, connection) = await NewStoreAsync();
        var members = await Task.WhenAll(Enumerable.Range(0, 5).Select(i => RegisterAsync(connection, $"m{i}")));
        try
        {
            var answers = await Task.WhenAll(members.Select(m => m.TryFormAsync()));
            var former = members[Array.FindIndex(answers, a => a!.Count == 0)];
            foreach (var answer in answers.Where(a => a!.Count > 0))
                answer!.ShouldHaveSingleItem().Uid.ShouldBe(former.Uid);
            answers.Count(a => a!.Count == 0).ShouldBe(1);
            (await former.TryFormAsync()).ShouldBe([], "it may ask again");
        }
        finally
        {
            foreach (var member in members)
                await member.DisposeAsync();
        }
    }

    [SkippableFact]
    public async Task Nobody_forms_a_cluster_beside_one_that_lives_and_who_died_is_fenced_first()
    {
        var (server, database, connection) = await NewStoreAsync();
        // Its clock stands still: it does not open its session again.
        await using var old = await RegisterAsync(connection, "old", new FakeTimeProvider());
        (await old.TryFormAsync()).ShouldBe([]);
        await using var next = await RegisterAsync(connection, "next", _time);
        _time.Advance(PostgresMember.DeadAfter * 2);
        (await next.TryFormAsync())!.ShouldHaveSingleItem().Alive.ShouldBeTrue();

        await EndSessionAsync(server, database, old);
        (await next.TryFormAsync())!.ShouldHaveSingleItem().Alive.ShouldBeFalse();
        (await server.QueryAsync($"SELECT fenced FROM akkahub_member WHERE uid = {old.Uid}", database)).ShouldBe("f");
        _time.Advance(PostgresMember.DeadAfter);
        (await next.TryFormAsync()).ShouldBe([]);
        (await server.QueryAsync("SELECT string_agg(uid || '/' || cluster || '/' || fenced, ' ' ORDER BY uid) FROM akkahub_member", database))
            .ShouldBe($"{old.Uid}/{old.Uid}/true {next.Uid}/{next.Uid}/false");
    }

    [SkippableFact]
    public async Task Whose_session_came_back_in_time_is_in_the_way_still()
    {
        var (server, database, connection) = await NewStoreAsync();
        await using var old = await RegisterAsync(connection, "old");
        (await old.TryFormAsync()).ShouldBe([]);
        await using var next = await RegisterAsync(connection, "next", _time);
        await EndSessionAsync(server, database, old);
        using var late = new CancellationTokenSource(Patience);
        while (!(await next.TryFormAsync(late.Token))!.ShouldHaveSingleItem().Alive)
            await Task.Delay(TimeSpan.FromMilliseconds(50), late.Token);
        _time.Advance(PostgresMember.DeadAfter * 2);
        await EndSessionAsync(server, database, old);
        (await next.TryFormAsync())!.ShouldHaveSingleItem("it was seen alive since, so its time begins anew");
    }

    [SkippableFact]
    public async Task Who_joins_is_of_the_cluster_it_sees_and_is_lost_beside_another()
    {
        var (server, database, connection) = await NewStoreAsync();
        await using var first = await RegisterAsync(connection, "first");
        await using var second = await RegisterAsync(connection, "second");
        await using var astray = await RegisterAsync(connection, "astray");
        (await first.TryFormAsync()).ShouldBe([]);
        (await second.TryJoinAsync(new HashSet<int> { first.Uid, second.Uid })).ShouldBeTrue();
        (await server.QueryAsync($"SELECT cluster FROM akkahub_member WHERE uid = {second.Uid}", database)).ShouldBe($"{first.Uid}");

        (await astray.TryJoinAsync(new HashSet<int> { astray.Uid })).ShouldBeFalse();
        astray.Lost.IsCompleted.ShouldBeTrue();
        second.Lost.IsCompleted.ShouldBeFalse();
    }

    [SkippableFact]
    public async Task Of_those_whose_first_is_gone_without_a_word_all_are_of_one_cluster()
    {
        var (server, database, connection) = await NewStoreAsync();
        await using var a = await RegisterAsync(connection, "a");
        await using var b = await RegisterAsync(connection, "b");
        var seen = new HashSet<int> { a.Uid, b.Uid };
        (await Task.WhenAll(a.TryJoinAsync(seen), b.TryJoinAsync(seen))).ShouldBe([true, true]);
        (await server.QueryAsync("SELECT count(DISTINCT cluster) FROM akkahub_member WHERE cluster > 0", database)).ShouldBe("1");
    }

    [SkippableFact]
    public async Task Who_resigns_has_written_its_last()
    {
        var (server, database, connection) = await NewStoreAsync();
        await using var member = await RegisterAsync(connection, "m");
        await member.ResignAsync(CancellationToken.None);
        member.Lost.IsCompleted.ShouldBeTrue();
        (await server.QueryAsync("SELECT count(*) FROM akkahub_member", database)).ShouldBe("0");
    }

    [SkippableFact]
    public async Task Who_is_told_that_a_write_was_refused_looks_at_once()
    {
        var (server, database, connection) = await NewStoreAsync();
        // Its clock stands still: it would never look by itself.
        await using var member = await RegisterAsync(connection, "m", _time);
        await server.QueryAsync("UPDATE akkahub_member SET fenced = true", database);
        member.LookNow();
        await member.Lost.WaitAsync(Patience);
    }

    [SkippableFact]
    public async Task A_store_that_does_not_know_clusters_yet_learns_of_them()
    {
        var (server, database, connection) = await NewStoreAsync();
        await server.QueryAsync("ALTER TABLE akkahub_member DROP COLUMN cluster", database);
        (await PostgresPreflight.RunAsync(connection, 64, TimeProvider.System)).ShouldBeFalse();
        await using var member = await RegisterAsync(connection, "m");
        // As one of the build before: it does not say, and is taken for a member of some cluster.
        await server.QueryAsync($"UPDATE akkahub_member SET cluster = NULL WHERE uid = {member.Uid}", database);
        await using var next = await RegisterAsync(connection, "next");
        (await next.TryFormAsync())!.ShouldHaveSingleItem().Uid.ShouldBe(member.Uid);
    }

    private static async Task EndSessionAsync(PostgresServer server, string database, PostgresMember member)
    {
        await server.QueryAsync(
            "SELECT pg_terminate_backend(l.pid, 5000) FROM pg_locks l JOIN pg_database d ON d.oid = l.database " +
            $"WHERE l.locktype = 'advisory' AND l.granted AND l.objid = (-{member.Uid})::oid AND d.datname = current_database()", database);
    }

    private async Task<(PostgresServer Server, string Database, string ConnectionString)> NewStoreAsync()
    {
        var made = await postgres.NewDatabaseAsync();
        await PostgresPreflight.RunAsync(made.ConnectionString, 64, TimeProvider.System);
        return made;
    }

    private static Task<PostgresMember> RegisterAsync(string connection, string address, TimeProvider? time = null) =>
        PostgresMember.RegisterAsync(connection, address, alone: false, time ?? TimeProvider.System, TimeSpan.Zero);
}
