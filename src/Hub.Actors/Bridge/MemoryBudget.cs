using Hub.Actors.Telemetry;

namespace Hub.Actors.Bridge;

/// <summary>
/// The bytes a member may have granted to nodes at once beyond each stream's initial window (why: docs/adr/0004). Thread-safe.
/// A stream that gets nothing keeps its initial window: slower, never stuck.
/// </summary>
public sealed class MemoryBudget
{
    private readonly long _limit;
    private readonly HubMetrics _metrics;
    private long _used;

    /// <summary>A budget of <paramref name="limit"/> bytes.</summary>
    public MemoryBudget(long limit, HubMetrics metrics)
    {
        _limit = limit;
        _metrics = metrics;
        metrics.BudgetLimit(limit);
    }

    /// <summary>Bytes given out.</summary>
    public long Used => Volatile.Read(ref _used);

    /// <summary>Takes <paramref name="bytes"/>, or nothing.</summary>
    public bool TryReserve(long bytes)
    {
        var used = Interlocked.Add(ref _used, bytes);
        if (used > _limit)
        {
            Interlocked.Add(ref _used, -bytes);
            return false;
        }

        _metrics.BudgetUsed(used);
        return true;
    }

    /// <summary>Gives <paramref name="bytes"/> back.</summary>
    public void Release(long bytes) => _metrics.BudgetUsed(Interlocked.Add(ref _used, -bytes));
}
