namespace Hub.Actors.Nodes;

/// <summary>
/// Callers of RunCommand that are still there, and how far each has read: a command is not granted more than its history holds
/// beyond the slowest of them, so that what a caller pipes onwards is whole. A caller that does not read for 10 s is no longer
/// waited for; the command goes on and the caller gets a gap. Other readers hold nothing back. Bounded: at most 16 a command.
/// </summary>
internal sealed class CallerHolds(long retainedBytes)
{
    private const int MaxPerStream = 16;
    private const long PatienceUs = 10_000_000;

    private readonly Dictionary<string, Dictionary<long, Hold>> _streams = new(StringComparer.Ordinal);

    private readonly record struct Hold(long Position, long ExpiresUs);

    // Half: arrival marks of small output take room in the history too.
    private readonly long _ahead = retainedBytes / 2;

    public int Count => _streams.Count;

    /// <summary>A caller has read up to here.</summary>
    /// <returns>False if there are too many callers; this one is not waited for.</returns>
    public bool Set(string stream, long caller, long position, long nowUs)
    {
        if (!_streams.TryGetValue(stream, out var holds))
            _streams.Add(stream, holds = []);
        if (holds.Count >= MaxPerStream && !holds.ContainsKey(caller))
            return false;
        holds[caller] = new Hold(position, nowUs + PatienceUs);
        return true;
    }

    /// <summary>How far the node may send; no limit if nobody is waited for.</summary>
    public long LimitOf(string stream) =>
        _streams.TryGetValue(stream, out var holds) ? holds.Values.Min(h => h.Position) + _ahead : long.MaxValue;

    /// <summary>The stream is gone.</summary>
    public void Remove(string stream) => _streams.Remove(stream);

    /// <summary>Drops callers that do not read.</summary>
    /// <returns>The streams whose limit changed.</returns>
    public List<string> Expire(long nowUs)
    {
        var changed = new List<string>();
        foreach (var (stream, holds) in _streams)
        {
            foreach (var (caller, hold) in holds)
            {
                if (hold.ExpiresUs > nowUs)
                    continue;
                holds.Remove(caller);
                changed.Add(stream);
            }
        }

        foreach (var stream in changed)
        {
            if (_streams.TryGetValue(stream, out var holds) && holds.Count == 0)
                _streams.Remove(stream);
        }

        return changed;
    }
}
