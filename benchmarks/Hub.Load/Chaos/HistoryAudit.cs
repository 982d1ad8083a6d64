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

    /// <summary>Counts the persistence ids whose numbers have a hole; rows are deleted from the front only.</summary>
    public const string Holes = """
        SELECT count(*) FROM (SELECT max(sequence_number) - min(sequence_number) + 1 - count(*) AS missing FROM journal GROUP BY persistence_id) AS ids WHERE missing <> 0
        """;

    /// <summary>
    /// Counts the writers that came back: whose rows lie on both sides of another's, in the order of their numbers. A row ends with its writer, as field 15 of four bytes
    /// (<c>stored.proto</c>). −1 if no row has one.
    /// </summary>
    public const string WritersThatCameBack = """
        WITH rows AS (SELECT persistence_id, sequence_number, substr(message, length(message) - 3) AS writer FROM journal
            WHERE persistence_id ~ '^(node|partition|events)-' AND length(message) > 4 AND get_byte(message, length(message) - 5) = 125),
          turns AS (SELECT persistence_id, writer, lag(writer) OVER (PARTITION BY persistence_id ORDER BY sequence_number) AS before FROM rows),
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

    /// <summary>Persistence ids whose sequence numbers have holes.</summary>
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
