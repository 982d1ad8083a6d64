namespace Hub.Load.Nodes;

/// <summary>
/// How long a node waits before it dials again: full jitter (a random part of a ceiling that doubles from 1 s to 30 s),
/// never less than the hub's retry hint, and from the start again once a connection has lasted.
/// </summary>
/// <remarks>Not safe for several threads; each node has its own.</remarks>
public sealed class ReconnectBackoff(Random random)
{
    /// <summary>First ceiling.</summary>
    public static readonly TimeSpan First = TimeSpan.FromSeconds(1);
    /// <summary>Last ceiling.</summary>
    public static readonly TimeSpan Longest = TimeSpan.FromSeconds(30);
    /// <summary>A connection that lasted this long starts the series again.</summary>
    public static readonly TimeSpan StableAfter = TimeSpan.FromSeconds(30);

    private int _failures;

    /// <summary>The wait before the next try, in view of how long the last connection lasted and what the hub asked for.</summary>
    public TimeSpan Next(TimeSpan lastedFor, TimeSpan? retryHint)
    {
        if (lastedFor >= StableAfter)
            _failures = 0;
        var ceiling = Math.Min(Longest.TotalSeconds, First.TotalSeconds * Math.Pow(2, Math.Min(_failures, 16)));
        _failures++;
        var wait = TimeSpan.FromSeconds(random.NextDouble() * ceiling);
        // As the shipped agent does: jitter of up to half comes on top of a hint, or all would come back together.
        var hinted = (retryHint ?? TimeSpan.Zero) * (1 + random.NextDouble() / 2);
        return hinted > wait ? hinted : wait;
    }
}
