namespace Hub.Actors.Store;

// Who else is there, and of which cluster.
public sealed partial class PostgresMember
{
    /// <summary>For how long a member has to be without a session before who would form a cluster may fence it.</summary>
    public static readonly TimeSpan DeadAfter = TimeSpan.FromSeconds(6);

    // Since when each has been seen without a session, of those that are in the way of forming a cluster.
    private readonly Dictionary<int, long> _dead = [];
    private volatile bool _joined;

    /// <inheritdoc/>
    public async Task<IReadOnlyList<PostgresMemberEntry>> OthersAsync(CancellationToken cancellationToken = default)
    {
        await using var connection = await PostgresRegistry.OpenAsync(_own, cancellationToken).ConfigureAwait(false);
        return await PostgresRegistry.OthersAsync(connection, Uid, cancellationToken).ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public async Task<IReadOnlyCollection<int>> GoneAsync(IReadOnlyCollection<int> uids, CancellationToken cancellationToken = default)
    {
        if (_time.GetElapsedTime(Volatile.Read(ref _sessionSince)) < Settled)
            return [];
        await using var connection = await PostgresRegistry.OpenAsync(_own, cancellationToken).ConfigureAwait(false);
        return await PostgresRegistry.GoneAsync(connection, Uid, uids, cancellationToken).ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public async Task<IReadOnlyList<PostgresMemberEntry>?> TryFormAsync(CancellationToken cancellationToken = default)
    {
        await using var connection = await PostgresRegistry.OpenAsync(_own, cancellationToken).ConfigureAwait(false);
        var dead = _dead.Where(d => _time.GetElapsedTime(d.Value) >= DeadAfter).Select(d => d.Key).ToHashSet();
        if (await PostgresClusters.TryFormAsync(connection, Uid, dead, cancellationToken).ConfigureAwait(false) is not { } answer)
        {
            _lost.TrySetResult();
            return null;
        }

        foreach (var other in answer.Others.Where(o => !o.Alive))
            _dead.TryAdd(other.Uid, _time.GetTimestamp());
        foreach (var back in _dead.Keys.Except(answer.Others.Where(o => !o.Alive).Select(o => o.Uid)).ToArray())
            _dead.Remove(back);
        return answer.Others;
    }

    /// <inheritdoc/>
    public async Task<bool> TryJoinAsync(IReadOnlySet<int> seen, CancellationToken cancellationToken = default)
    {
        if (_joined)
            return true;
        await using var connection = await PostgresRegistry.OpenAsync(_own, cancellationToken).ConfigureAwait(false);
        if (!await PostgresClusters.TryJoinAsync(connection, Uid, seen, cancellationToken).ConfigureAwait(false))
        {
            _lost.TrySetResult();
            return false;
        }

        return _joined = true;
    }
}

/// <summary>A member of a shared store.</summary>
/// <param name="Uid">Its number.</param>
/// <param name="Address">What it registered with.</param>
/// <param name="Started">When, by the server's clock.</param>
/// <param name="Alive">It has its session.</param>
/// <param name="Cluster">Which cluster it is of: 0, none yet; null, its build does not say.</param>
public sealed record PostgresMemberEntry(int Uid, string Address, DateTimeOffset Started, bool Alive, int? Cluster);
