namespace Hub.Load.Nodes;

/// <summary>
/// In which order a node dials the members, and when again, as the shipped agent does: after a loss in random order, the lost one last,
/// within half a second; after a round in vain with the back-off. With one member there is nothing to fail over to.
/// </summary>
/// <param name="members">How many there are.</param>
/// <param name="first">Who is dialled first, so that nodes begin spread.</param>
/// <param name="random">The order, and the part of the half second.</param>
/// <remarks>Not safe for several threads; each node has its own.</remarks>
public sealed class MemberRounds(int members, int first, Random random)
{
    private static readonly TimeSpan FailOverSpread = TimeSpan.FromMilliseconds(500);

    private int _lost = -1;
    private int _failedOver;
    private bool _began;

    /// <summary>The members by number in the order of the next round.</summary>
    public IReadOnlyList<int> Begin()
    {
        var round = Enumerable.Range(0, members).ToArray();
        if (_began)
            random.Shuffle(round);
        var last = _began ? _lost : -1;
        var order = round.OrderBy(m => m == last ? 1 : 0).ThenBy(m => !_began && m == first ? 0 : 1).ToArray();
        _began = true;
        _lost = -1;
        return order;
    }

    /// <summary>A session with a member ended. Gives the wait before the others are dialled; null for the back-off's.</summary>
    public TimeSpan? Lost(int member, TimeSpan lastedFor, SessionEnding ending)
    {
        _lost = member;
        if (lastedFor >= ReconnectBackoff.StableAfter)
            _failedOver = 0;
        if (members == 1)
            return null;
        if (ending.IsDrain)
            return ending.RetryHint < FailOverSpread ? ending.RetryHint : FailOverSpread;
        return ++_failedOver > members ? null : FailOverSpread * random.NextDouble();
    }
}
