namespace Hub.Load.Nodes;

/// <summary>
/// How long a node was without acknowledgement while it had bytes to send: what it sees of the hub being away. Not safe for several
/// threads; its node locks.
/// </summary>
public sealed class AckWaits(TimeProvider time)
{
    /// <summary>A shorter wait is the ordinary way of a chunk and not counted in <see cref="Total"/>.</summary>
    public static readonly TimeSpan Least = TimeSpan.FromSeconds(1);

    private long? _since;
    private TimeSpan _longest;

    /// <summary>All waits of at least <see cref="Least"/> that have ended.</summary>
    public TimeSpan Total { get; private set; }

    /// <summary>There are bytes to send.</summary>
    public void Pending(long now) => _since ??= now;

    /// <summary>Some were acknowledged; the wait for others begins now.</summary>
    public void Acknowledged(long now, bool isPending)
    {
        var waited = Running(now);
        if (waited > _longest)
            _longest = waited;
        if (waited >= Least)
            Total += waited;
        _since = isPending ? now : null;
    }

    /// <summary>The wait that is on; zero if none.</summary>
    public TimeSpan Running(long now) => _since is { } since ? time.GetElapsedTime(since, now) : TimeSpan.Zero;

    /// <summary>The longest wait since the last call, the one that is on included.</summary>
    public TimeSpan TakeLongest(long now)
    {
        var running = Running(now);
        var longest = running > _longest ? running : _longest;
        _longest = TimeSpan.Zero;
        return longest;
    }
}
