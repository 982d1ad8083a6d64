namespace Hub.Node.Uplink;

/// <summary>
/// Pauses between rounds of dialling: exponential from 1 s to a most, with full jitter, so that nodes that lost their hub at
/// the same moment do not come back at the same moment.
/// </summary>
/// <param name="max">Longest pause.</param>
/// <param name="random">A number from 0 to 1.</param>
internal sealed class Backoff(TimeSpan max, Func<double> random)
{
    private static readonly TimeSpan First = TimeSpan.FromSeconds(1);
    private int _failures;

    /// <summary>Begins anew: a session was stable.</summary>
    public void Reset() => _failures = 0;

    /// <summary>The longest pause from now on, until reset: the hub will not have us soon.</summary>
    public void Raise() => _failures = 30;

    /// <summary>The next pause.</summary>
    /// <param name="atLeast">The hub's hint; jitter of up to half of it comes on top.</param>
    public TimeSpan Next(TimeSpan atLeast)
    {
        var cap = Math.Min(max.TotalSeconds, First.TotalSeconds * Math.Pow(2, Math.Min(_failures, 30)));
        _failures++;
        var pause = TimeSpan.FromSeconds(cap * random());
        var hinted = atLeast + atLeast * 0.5 * random();
        return pause > hinted ? pause : hinted;
    }
}
