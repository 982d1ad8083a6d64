namespace Hub.Actors.Bridge;

/// <summary>Counts the node streams of a member, for the heartbeat interval. Thread-safe.</summary>
public sealed class StreamLoad
{
    private int _streams;
    private long _heartbeats;

    /// <summary>Streams now.</summary>
    public int Streams => Volatile.Read(ref _streams);

    /// <summary>Heartbeats taken since the member started.</summary>
    public long Heartbeats => Volatile.Read(ref _heartbeats);

    /// <summary>A heartbeat came.</summary>
    public void Beat() => Interlocked.Increment(ref _heartbeats);

    /// <summary>A stream began.</summary>
    public void Enter() => Interlocked.Increment(ref _streams);

    /// <summary>A stream ended.</summary>
    public void Leave() => Interlocked.Decrement(ref _streams);
}
