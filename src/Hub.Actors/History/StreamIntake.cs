namespace Hub.Actors.History;

/// <summary>
/// Decides what of an arriving piece of a stream is new. Overlap is trimmed; bytes ahead of what is expected get one numbered
/// rewind, and until the node obeys it (its messages carry that number or a greater one) everything ahead is ignored. A
/// message of negative offset or length, or that ends before it begins, is nothing new.
/// </summary>
public sealed class StreamIntake
{
    // The rewind that was sent and is not obeyed yet; 0 for none.
    private uint _pending;

    /// <summary>Begins where the copy of the stream ends.</summary>
    public StreamIntake(long expected)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(expected);
        Expected = expected;
    }

    /// <summary>Offset of the next new byte.</summary>
    public long Expected { get; private set; }

    /// <summary>What to do with a message.</summary>
    public enum Verdict
    {
        /// <summary>It brings something new, which is to be recorded; <see cref="StreamIntake.Expected"/> has moved on.</summary>
        Take,
        /// <summary>It brings nothing new.</summary>
        Duplicate,
        /// <summary>It is ahead: ask the node to go back to <see cref="StreamIntake.Expected"/>, then call <see cref="StreamIntake.RewindSent"/>.</summary>
        Rewind,
        /// <summary>It is ahead, and a rewind is on its way.</summary>
        Ignore,
    }

    /// <summary>Bytes. On <see cref="Verdict.Take"/> those from <c>Skip</c> on (less than <paramref name="length"/>) are new.</summary>
    public (Verdict Verdict, int Skip) Offer(long offset, long length, uint rewind)
    {
        Obey(rewind);
        if (offset < 0 || length <= 0 || length > int.MaxValue || offset > long.MaxValue - length)
            return (Verdict.Duplicate, 0);
        if (offset > Expected)
            return (Ahead(), 0);
        var skip = Expected - offset;
        if (skip >= length)
            return (Verdict.Duplicate, 0);
        Expected = offset + length;
        return (Verdict.Take, (int)skip);
    }

    /// <summary>
    /// Bytes the node no longer has. On <see cref="Verdict.Take"/> the gap to record reaches from what was expected before
    /// this call to <paramref name="to"/>.
    /// </summary>
    public Verdict OfferGap(long from, long to, uint rewind)
    {
        Obey(rewind);
        if (from < 0 || to <= from || to <= Expected)
            return Verdict.Duplicate;
        if (from > Expected)
            return Ahead();
        Expected = to;
        return Verdict.Take;
    }

    /// <summary>
    /// The stream's end. <see cref="Verdict.Take"/> if everything before it is here. An end before what is already here
    /// contradicts what the node sent earlier; it is answered <see cref="Verdict.Duplicate"/>, and the caller decides whether to
    /// treat it as a breach of the protocol: taken, it would give a history that is longer than itself.
    /// </summary>
    public Verdict OfferEnd(long finalOffset, uint rewind)
    {
        Obey(rewind);
        if (finalOffset == Expected)
            return Verdict.Take;
        return finalOffset < Expected ? Verdict.Duplicate : Ahead();
    }

    /// <summary>A rewind to <see cref="Expected"/> with this number, greater than every earlier one of the stream, was sent.</summary>
    public void RewindSent(uint number)
    {
        ArgumentOutOfRangeException.ThrowIfZero(number);
        _pending = number;
    }

    private void Obey(uint rewind)
    {
        if (rewind >= _pending)
            _pending = 0;
    }

    private Verdict Ahead() => _pending == 0 ? Verdict.Rewind : Verdict.Ignore;
}
