using Hub.Load.Chaos;

namespace Hub.ClusterTests;

/// <summary>What the other specs look into the store with finds what it is there for.</summary>
public sealed class HistoryAuditSpecs
{
    // As the hub makes it, as far as this is concerned.
    private const string Journal = """
        CREATE TABLE journal (ordering bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, persistence_id varchar(255) NOT NULL, sequence_number bigint NOT NULL, message bytea NOT NULL)
        """;

    [SkippableFact]
    public async Task It_sees_holes_and_writers_that_came_back_also_in_rows_that_are_gone()
    {
        await using var server = await PostgresServer.StartNewAsync();
        await server.QueryAsync(Journal);
        await WriteAsync("node-before", 7, "0a");
        await server.QueryAsync(HistoryAudit.Begin);
        await WriteAsync("node-before", 8, "0a");
        foreach (var number in (int[])[4, 5, 6])
            await WriteAsync("node-whole", number, number < 6 ? "0a" : "0b");
        await JudgedAsync("0", "0");

        await WriteAsync("node-hole", 1, "0a");
        await WriteAsync("node-hole", 3, "0a");
        await JudgedAsync("1", "0");
        await WriteAsync("events-3", 1, "0a");
        await WriteAsync("events-3", 2, "0b");
        await server.QueryAsync("DELETE FROM journal");
        await WriteAsync("events-3", 3, "0a");
        await server.QueryAsync("DELETE FROM journal");
        await JudgedAsync("1", "1");

        Task WriteAsync(string id, int number, string writer) =>
            server.QueryAsync($"INSERT INTO journal (persistence_id, sequence_number, message) VALUES ('{id}', {number}, '\\x08017d{writer}000000')");

        async Task JudgedAsync(string holes, string writers)
        {
            (await server.QueryAsync(HistoryAudit.Holes)).ShouldBe(holes);
            (await server.QueryAsync(HistoryAudit.WritersThatCameBack)).ShouldBe(writers);
        }
    }

    [SkippableFact]
    public async Task Without_rows_it_says_nothing()
    {
        await using var server = await PostgresServer.StartNewAsync();
        await server.QueryAsync(Journal);
        await server.QueryAsync(HistoryAudit.Begin);
        (await server.QueryAsync(HistoryAudit.Holes)).ShouldBe("-1");
        (await server.QueryAsync(HistoryAudit.WritersThatCameBack)).ShouldBe("-1");
    }
}
