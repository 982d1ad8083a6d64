using System.Globalization;
using AkkaHub.V1;
using Grpc.Core;
using Hub.Load.Nodes;
using Hub.Load.Processes;
using Hub.Load.Scenarios;
using Hub.Load.Watching;
using Hub.Protocol;

namespace Hub.Load.Chaos;

/// <summary>Compares what the members give back, and what stands in the store, with what the nodes showed and saw acknowledged.</summary>
internal static class HistoryAudit
{
    private const int PageBytes = 1024 * 1024;
    private static readonly TimeSpan CallTime = TimeSpan.FromSeconds(30);

    /// <summary>
    /// Has the store keep of every row, from now on, whose it is, its number and its writer, in the order in which rows came: rows behind a snapshot are deleted, and with them what
    /// a fault may have done. A row ends with its writer, as field 15 of four bytes (<c>stored.proto</c>).
    /// </summary>
    public const string Begin = """
        BEGIN;
        LOCK TABLE journal IN SHARE ROW EXCLUSIVE MODE;
        CREATE SCHEMA audit;
        CREATE TABLE audit.seen (ordering bigint PRIMARY KEY, persistence_id text NOT NULL, sequence_number bigint NOT NULL, writer bytea);
        CREATE FUNCTION audit.writer(persistence_id text, message bytea) RETURNS bytea IMMUTABLE LANGUAGE sql AS $$
          SELECT CASE WHEN persistence_id ~ '^(node|partition|events)-' AND length(message) > 4 AND get_byte(message, length(message) - 5) = 125 THEN substr(message, length(message) - 3) END
        $$;
        CREATE FUNCTION audit.see() RETURNS trigger LANGUAGE plpgsql AS $$
          BEGIN
            INSERT INTO audit.seen VALUES (NEW.ordering, NEW.persistence_id, NEW.sequence_number, audit.writer(NEW.persistence_id, NEW.message));
            RETURN NULL;
          END
        $$;
        CREATE TRIGGER audit_see AFTER INSERT ON journal FOR EACH ROW EXECUTE FUNCTION audit.see();
        INSERT INTO audit.seen SELECT ordering, persistence_id, sequence_number, audit.writer(persistence_id, message) FROM journal;
        COMMIT
        """;

    /// <summary>Counts the persistence ids whose numbers have a hole since <see cref="Begin"/>. −1 if no row was seen.</summary>
    public const string Holes = """
        SELECT CASE WHEN EXISTS (SELECT FROM audit.seen) THEN (SELECT count(*) FROM
          (SELECT FROM audit.seen GROUP BY persistence_id HAVING max(sequence_number) - min(sequence_number) + 1 <> count(DISTINCT sequence_number)) AS ids) ELSE -1 END
        """;

    /// <summary>Counts the writers that came back since <see cref="Begin"/>: that wrote a row after another one's of the same persistence id. −1 if no row has a writer.</summary>
    public const string WritersThatCameBack = """
        WITH rows AS (SELECT * FROM audit.seen WHERE writer IS NOT NULL),
          turns AS (SELECT persistence_id, writer, lag(writer) OVER (PARTITION BY persistence_id ORDER BY ordering) AS before FROM rows),
          back AS (SELECT FROM turns WHERE before IS DISTINCT FROM writer GROUP BY persistence_id, writer HAVING count(*) > 1)
        SELECT CASE WHEN EXISTS (SELECT FROM rows) THEN (SELECT count(*) FROM back) ELSE -1 END
        """;

    /// <summary>Reads the histories of all nodes, through the members in turn. Gives the bytes that are missing and those that are there twice.</summary>
    public static async Task<(long Lost, long Doubled)> ReadAllAsync(BenchmarkContext context, string scenario, LocalCluster cluster, IReadOnlyList<SimulatedNode> nodes)
    {
        long lost = 0, doubled = 0;
        foreach (var (i, node) in nodes.Index())
        {
            var check = await ReadAsync(cluster, i % cluster.Members.Count, node).ConfigureAwait(false);
            var missing = Math.Max(0, node.Position.Acknowledged - check.Position);
            lost += check.Lost + missing;
            doubled += check.Doubled;
            if (check.Fault is { } fault)
                context.Report.Note(scenario, $"history of {node.Name}: {fault}");
            if (missing > 0)
                context.Report.Note(scenario, $"history of {node.Name}: ends at {check.Position}, acknowledged was {node.Position.Acknowledged}");
        }

        return (lost, doubled);
    }

    /// <summary>Runs <see cref="Begin"/>.</summary>
    public static Task BeginAsync(PostgresProcess store) => store.QueryAsync(Begin);

    /// <summary>Persistence ids whose sequence numbers have holes; −1 if nothing was seen.</summary>
    public static async Task<long> CountHolesAsync(PostgresProcess store) => Number(await store.QueryAsync(Holes).ConfigureAwait(false));

    /// <summary>Writers whose rows lie on both sides of another's; −1 if none is noted.</summary>
    public static async Task<long> CountWritersThatCameBackAsync(PostgresProcess store) => Number(await store.QueryAsync(WritersThatCameBack).ConfigureAwait(false));

    private static async Task<HistoryCheck> ReadAsync(LocalCluster cluster, int member, SimulatedNode node)
    {
        var check = new HistoryCheck(node.Stream!);
        var request = new ReadHistoryRequest { Name = Names.Terminal(node.Name, SimulatedNode.TerminalName), MaxBytes = PageBytes };
        while (true)
        {
            var page = await cluster.Client(member).ReadHistoryAsync(request,
                new Metadata { { "authorization", "Bearer " + cluster.Tokens.Client } }, TimeProvider.System.GetUtcNow().UtcDateTime + CallTime).ConfigureAwait(false);
            foreach (var record in page.Records)
                check.Take(record);
            if (page.AtEnd)
                return check;
            request.Start = new HistoryStart { Cursor = page.NextCursor };
        }
    }

    private static long Number(string text) => long.Parse(text, CultureInfo.InvariantCulture);
}
