using Hub.Actors;
using Hub.Actors.Store;

namespace Hub.Host.Tests;

/// <summary>Builds that are older than what may be in the shared store.</summary>
public sealed class PostgresWireSpecs(PostgresFixture postgres) : IClassFixture<PostgresFixture>
{
    [SkippableFact]
    public async Task A_build_that_cannot_read_all_that_may_be_there_is_refused()
    {
        var (server, database, connection) = await postgres.NewDatabaseAsync();
        (await PostgresPreflight.RunAsync(connection, 8, TimeProvider.System)).ShouldBeTrue();
        await PostgresWire.RecordAsync(connection, HubVersion.Wire);
        // A member of an older build that is late does not take it back.
        await PostgresWire.RecordAsync(connection, HubVersion.Wire - 1);
        (await server.QueryAsync("SELECT value FROM akkahub_meta WHERE key = 'wire'", database)).ShouldBe($"{HubVersion.Wire}");
        (await PostgresPreflight.RunAsync(connection, 8, TimeProvider.System)).ShouldBeFalse();

        // This build, kept at the forms of the one before, is as good as that.
        (await Should.ThrowAsync<StoreRefusedException>(PostgresPreflight.RunAsync(connection, 8, TimeProvider.System, wire: HubVersion.Wire - 1)))
            .Message.ShouldContain("Take akkahub.cluster.wire-version back");

        await PostgresWire.RecordAsync(connection, HubVersion.Wire + 1);
        var refused = await Should.ThrowAsync<StoreRefusedException>(PostgresPreflight.RunAsync(connection, 8, TimeProvider.System));
        refused.Message.ShouldContain($"wire version {HubVersion.Wire + 1} or newer");
        refused.Message.ShouldContain("Run the newer build");
    }
}
