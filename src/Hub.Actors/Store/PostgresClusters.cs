using Npgsql;

namespace Hub.Actors.Store;

/// <summary>Of a store's members, which are of one cluster: at any time all that live and belong to a cluster belong to the same.</summary>
/// <remarks>
/// The column says: 0, registered and of no cluster yet, has written nothing of a node; a number, of the cluster that the member with
/// this number formed; nothing, of a build that does not say, which is taken for 'of some cluster'.
/// </remarks>
internal static class PostgresClusters
{
    /// <summary>
    /// Makes a member the first of a new cluster, if no other one lives that is of a cluster. Marks those that do not live as fenced; but
    /// each of them has to be in <paramref name="dead"/>, or nothing is done.
    /// </summary>
    /// <param name="connection">One of the registry's own sessions.</param>
    /// <param name="uid">The member.</param>
    /// <param name="dead">Members that were seen without a session for long enough.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <returns>Whether it is; the others are those that are in the way. Null if the one who asks is fenced.</returns>
    public static async Task<(bool Formed, IReadOnlyList<PostgresMemberEntry> Others)?> TryFormAsync(
        NpgsqlConnection connection, int uid, IReadOnlySet<int> dead, CancellationToken cancellationToken)
    {
        await using var transaction = await connection.BeginTransactionAsync(cancellationToken).ConfigureAwait(false);
        await PostgresRegistry.LockAsync(connection, cancellationToken).ConfigureAwait(false);
        if (!await PostgresRegistry.IsMemberAsync(connection, uid, cancellationToken).ConfigureAwait(false))
            return null;
        if (await ClusterOfAsync(connection, uid, cancellationToken).ConfigureAwait(false) > 0)
            return (true, []);
        var others = (await PostgresRegistry.OthersAsync(connection, uid, cancellationToken).ConfigureAwait(false)).Where(o => o.Cluster != 0).ToArray();
        if (others.Any(o => o.Alive || !dead.Contains(o.Uid)))
            return (false, others);
        await MarkAsync(connection, others, cancellationToken).ConfigureAwait(false);
        await SetAsync(connection, uid, uid, cancellationToken).ConfigureAwait(false);
        await transaction.CommitAsync(cancellationToken).ConfigureAwait(false);
        return (true, []);
    }

    /// <summary>
    /// Records of which cluster a member is that has joined one: that of those it sees there. Refused while a member lives that is of a
    /// cluster and is not among them: there would be two.
    /// </summary>
    /// <returns>False if it is refused, or the one who asks is fenced.</returns>
    public static async Task<bool> TryJoinAsync(NpgsqlConnection connection, int uid, IReadOnlySet<int> seen, CancellationToken cancellationToken)
    {
        await using var transaction = await connection.BeginTransactionAsync(cancellationToken).ConfigureAwait(false);
        await PostgresRegistry.LockAsync(connection, cancellationToken).ConfigureAwait(false);
        if (!await PostgresRegistry.IsMemberAsync(connection, uid, cancellationToken).ConfigureAwait(false))
            return false;
        if (await ClusterOfAsync(connection, uid, cancellationToken).ConfigureAwait(false) > 0)
            return true;
        var others = (await PostgresRegistry.OthersAsync(connection, uid, cancellationToken).ConfigureAwait(false)).Where(o => o.Cluster != 0).ToArray();
        // All that were of it and said so may be gone already: then it goes by the number of who comes first.
        var cluster = others.Where(o => seen.Contains(o.Uid)).Max(o => o.Cluster) ?? uid;
        // Of those that died outside of it the partitions' beginning takes care.
        if (others.Any(o => o.Alive && !seen.Contains(o.Uid) && o.Cluster is { } its && its != cluster))
            return false;
        await SetAsync(connection, uid, cluster, cancellationToken).ConfigureAwait(false);
        await transaction.CommitAsync(cancellationToken).ConfigureAwait(false);
        return true;
    }

    private static async Task<int> ClusterOfAsync(NpgsqlConnection connection, int uid, CancellationToken cancellationToken) =>
        await PostgresRegistry.ScalarAsync(connection, "SELECT cluster FROM akkahub_member WHERE uid = $1", cancellationToken, uid).ConfigureAwait(false) as int? ?? 0;

    private static Task SetAsync(NpgsqlConnection connection, int uid, int cluster, CancellationToken cancellationToken) =>
        PostgresRegistry.ScalarAsync(connection, "UPDATE akkahub_member SET cluster = $2 WHERE uid = $1", cancellationToken, uid, cluster);

    private static Task MarkAsync(NpgsqlConnection connection, IEnumerable<PostgresMemberEntry> members, CancellationToken cancellationToken) =>
        PostgresRegistry.ScalarAsync(connection, "UPDATE akkahub_member SET fenced = true WHERE uid = ANY($1)", cancellationToken, members.Select(m => m.Uid).ToArray());
}
