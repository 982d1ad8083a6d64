using Akka.Actor;
using Akka.Hosting;
using Hub.Actors.Store;
using static Hub.Host.Tests.TestSupport;

namespace Hub.Host.Tests;

/// <summary>One server for the specs of the shared store.</summary>
public sealed class PostgresFixture : IAsyncLifetime
{
    private PostgresServer? _server;
    private int _databases;

    internal async Task<PostgresServer> ServerAsync() => _server ??= await PostgresServer.StartNewAsync();

    /// <summary>A connection string as the hub would have it, to an empty database of the spec's own.</summary>
    internal async Task<(PostgresServer Server, string Database, string ConnectionString)> NewDatabaseAsync()
    {
        var server = await ServerAsync();
        var database = $"spec{++_databases}";
        await server.QueryAsync($"CREATE DATABASE {database}");
        return (server, database, PostgresStore.Complete(server.ConnectionString(database))!);
    }

    public Task InitializeAsync() => Task.CompletedTask;

    public async Task DisposeAsync()
    {
        if (_server is not null)
            await _server.DisposeAsync();
    }
}

/// <summary>The shared store: what is refused, and that the plugin's journal and snapshots are there after a restart.</summary>
public sealed class PostgresStoreSpecs(PostgresFixture postgres) : IClassFixture<PostgresFixture>
{
    private static readonly TimeSpan NoPatience = TimeSpan.Zero;

    [SkippableFact]
    public async Task Events_and_snapshots_are_there_again_after_a_restart()
    {
        var (server, database, connection) = await postgres.NewDatabaseAsync();
        (await PostgresPreflight.RunAsync(connection, 64, TimeProvider.System)).ShouldBeTrue();
        await using var member = await PostgresMember.RegisterAsync(connection, "spec", alone: true, TimeProvider.System);
        var expected = 0;
        // One snapshot and deletion of each in each run: two deletions of one id at once fail with a deadlock, and the hub has one at a time.
        foreach (var events in (int[])[14, 9, 8])
        {
            using var host = await StartAsync(member.ConnectionString);
            var system = host.Services.GetRequiredService<ActorSystem>();
            expected += events;
            var writers = Enumerable.Range(0, 30).Select(i => system.ActorOf(Props.Create(() => new SqliteStoreSpecs.Writer($"w{i}")))).ToArray();
            var answers = await Task.WhenAll(writers.Select(w => w.Ask<SqliteStoreSpecs.Written>(new SqliteStoreSpecs.Write(events), Patience)));
            answers.ShouldAllBe(a => a.Count == expected);
            await host.StopAsync();
        }

        (await server.QueryAsync("SELECT count(*) > 0, count(*) FILTER (WHERE tags IS NOT NULL AND tags <> '') FROM journal", database)).ShouldBe("t|0");
        (await server.QueryAsync("SELECT count(DISTINCT persistence_id) FROM snapshot", database)).ShouldBe("30");
    }

    /// <summary>As a partition does that is moved to another member and comes back while the first one runs.</summary>
    [SkippableFact]
    public async Task Who_comes_back_to_a_member_where_it_was_before_is_recovered()
    {
        var (server, database, connection) = await postgres.NewDatabaseAsync();
        (await PostgresPreflight.RunAsync(connection, 64, TimeProvider.System)).ShouldBeTrue();
        await using var member = await PostgresMember.RegisterAsync(connection, "spec", alone: true, TimeProvider.System);
        using var first = await StartAsync(member.ConnectionString);
        using var second = await StartAsync(member.ConnectionString);
        var expected = 0;
        foreach (var host in (IHost[])[first, second, first, second])
        {
            var writer = host.Services.GetRequiredService<ActorSystem>().ActorOf(Props.Create(() => new SqliteStoreSpecs.Writer("moved")));
            (await writer.Ask<SqliteStoreSpecs.Written>(new SqliteStoreSpecs.Write(1), Patience)).Count.ShouldBe(++expected);
            (await writer.GracefulStop(Patience)).ShouldBeTrue();
        }

        (await server.QueryAsync("SELECT count(*), count(DISTINCT writer_uuid) FROM journal WHERE persistence_id = 'moved'", database)).ShouldBe("4|2");
        await first.StopAsync();
        await second.StopAsync();
    }

    [SkippableFact]
    public async Task A_store_that_does_not_fit_is_refused_and_left_as_it_was()
    {
        var (server, database, connection) = await postgres.NewDatabaseAsync();
        (await PostgresPreflight.RunAsync(connection, 64, TimeProvider.System)).ShouldBeTrue();
        (await PostgresPreflight.RunAsync(connection, 64, TimeProvider.System)).ShouldBeFalse();

        (await Refused(connection, 32)).ShouldContain("was made with 64 partitions; akkahub.registry.partitions (AKKAHUB_REGISTRY_PARTITIONS) says 32");
        await server.QueryAsync($"UPDATE akkahub_meta SET value = '{PostgresStore.SchemaVersion + 1}' WHERE key = 'schema'", database);
        (await Refused(connection, 64)).ShouldContain("made by a newer hub");
        (await server.QueryAsync("SELECT key, value FROM akkahub_meta ORDER BY key", database)).ShouldBe($"partitions|64\nschema|{PostgresStore.SchemaVersion + 1}");

        var (_, other, foreign) = await postgres.NewDatabaseAsync();
        await server.QueryAsync("CREATE TABLE journal (x int)", other);
        (await Refused(foreign, 64)).ShouldContain("of another program");
        (await server.QueryAsync("SELECT coalesce(to_regclass('akkahub_meta')::text, 'none')", other)).ShouldBe("none");

        (await Refused(PostgresStore.Complete(server.ConnectionString("nowhere"))!, 64)).ShouldContain("\"nowhere\" does not exist. Make it with 'createdb'");
        var nobody = await Refused(PostgresStore.Complete("Host=127.0.0.1;Port=1;Database=x;Username=u;Password=s3cret")!, 64);
        nobody.ShouldContain("AKKAHUB_CONNECTION_STRING");
        nobody.ShouldNotContain("s3cret");
    }

    [SkippableFact]
    public async Task Members_that_start_at_once_make_one_store()
    {
        var (_, _, connection) = await postgres.NewDatabaseAsync();
        var made = await Task.WhenAll(Enumerable.Range(0, 5).Select(_ => PostgresPreflight.RunAsync(connection, 64, TimeProvider.System)));
        made.Count(m => m).ShouldBe(1);
    }

    private static async Task<IHost> StartAsync(string connection)
    {
        var builder = Microsoft.Extensions.Hosting.Host.CreateEmptyApplicationBuilder(null);
        builder.Services.AddAkka("store", akka => akka.AddHocon("akka.loglevel = OFF\nakka.stdout-loglevel = OFF", HoconAddMode.Append).WithPostgresStore(connection));
        var host = builder.Build();
        await host.StartAsync();
        return host;
    }

    [Theory]
    [InlineData("")]
    [InlineData("Host=db")]
    [InlineData("Database=akkahub")]
    [InlineData("Host=db;Database=akkahub;Colour=blue")]
    [InlineData("Host=db;Database=akkahub;Port=many")]
    public void What_is_no_connection_string_is_none(string text) => PostgresStore.Complete(text).ShouldBeNull();

    [Fact]
    public void A_connection_string_keeps_what_the_operator_said()
    {
        var full = new Npgsql.NpgsqlConnectionStringBuilder(PostgresStore.Complete("Host=db;Database=akkahub;Maximum Pool Size=7;Options=-c work_mem=8MB"));
        full.MaxPoolSize.ShouldBe(7);
        full.KeepAlive.ShouldBeGreaterThan(0);
        full.Options.ShouldBe("-c work_mem=8MB -c synchronous_commit=on");
    }

    [Fact]
    public async Task The_connection_string_is_not_shown()
    {
        var (code, output, _) = await RunAsync(Isolated(Path.GetTempPath(), "--check-config"), build: null,
            ("AKKAHUB_STORE", "postgresql"), ("AKKAHUB_CONNECTION_STRING", "Host=db;Database=akkahub;Password=s3cret"));
        code.ShouldBe(ExitCodes.Ok);
        output.ShouldContain("akkahub.store.connection-string = (not shown)  # environment AKKAHUB_CONNECTION_STRING");
        output.ShouldNotContain("s3cret");

        var bad = await RunAsync(Isolated(Path.GetTempPath(), "--check-config"), build: null, ("AKKAHUB_CONNECTION_STRING", "Host=db;Password=s3cret"));
        bad.Code.ShouldBe(ExitCodes.Usage);
        bad.Error.ShouldContain("akkahub.store.connection-string = '(not shown)'");
        (bad.Output + bad.Error).ShouldNotContain("s3cret");
    }

    [Fact]
    public async Task Store_and_connection_string_have_to_agree()
    {
        (await RunAsync(Isolated(Path.GetTempPath(), "--check-config"), build: null, ("AKKAHUB_STORE", "postgresql"))).Error
            .ShouldContain("must be given with akkahub.store.kind = postgresql");
        (await RunAsync(Isolated(Path.GetTempPath(), "--check-config"), build: null, ("AKKAHUB_CONNECTION_STRING", "Host=db;Database=akkahub"))).Error
            .ShouldContain("needs akkahub.store.kind = postgresql");
    }

    private static async Task<string> Refused(string connection, int partitions) =>
        (await Should.ThrowAsync<StoreRefusedException>(() => PostgresPreflight.RunAsync(connection, partitions, TimeProvider.System, NoPatience))).Message;
}
