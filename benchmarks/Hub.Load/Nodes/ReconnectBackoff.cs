namespace Hub.Load.Nodes;

/// <summary>
/// How long a node waits before it dials again: full jitter (a random part of a ceiling that doubles from 1 s to the longest),
/// never less than the hub's retry hint, and from the start again once a connection has lasted.
/// </summary>
/// <param name="random">The jitter.</param>
/// <param name="longest">Last ceiling; <see cref="Shipped"/> as agents have it.</param>
/// <remarks>Not safe for several threads; each node has its own.</remarks>
public sealed class ReconnectBackoff(Random random, TimeSpan longest)
{
    /// <summary>First ceiling.</summary>
    public static readonly TimeSpan First = TimeSpan.FromSeconds(1);
    /// <summary>Last ceiling of the shipped agent.</summary>
    public static readonly TimeSpan Shipped = TimeSpan.FromSeconds(30);
    /// <summary>A connection that lasted this long starts the series again.</summary>
    public static readonly TimeSpan StableAfter = TimeSpan.FromSeconds(30);

    private int _failures;

    /// <summary>The wait before the next try, in view of how long the last connection lasted and what the hub asked for.</summary>
    public TimeSpan Next(TimeSpan lastedFor, TimeSpan? retryHint)
    {
        if (lastedFor >= StableAfter)
            _failures = 0;
        var ceiling = Math.Min(longest.TotalSeconds, First.TotalSeconds * Math.Pow(2, Math.Min(_failures, 16)));
        _failures++;
        var wait = TimeSpan.FromSeconds(random.NextDouble() * ceiling);
        // As the shipped agent does: jitter of up to half comes on top of a hint, or all would come back together.
        var hinted = (retryHint ?? TimeSpan.Zero) * (1 + random.NextDouble() / 2);
        return hinted > wait ? hinted : wait;
    }
}
