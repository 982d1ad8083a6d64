using Hub.Actors.Bridge;
using Hub.Actors.Members;
using Hub.Actors.Registry;
using Hub.Actors.Settings;
using Hub.Actors.Telemetry;
using Microsoft.Extensions.Logging;

namespace Hub.Actors;

/// <summary>What every actor of a member shares. All of it is immutable or thread-safe.</summary>
/// <param name="Settings">The limits.</param>
/// <param name="Metrics">The instruments.</param>
/// <param name="Readiness">Why the member is not ready.</param>
/// <param name="Time">The clock.</param>
/// <param name="Log">Where actors log.</param>
public sealed record HubRuntime(HubSettings Settings, HubMetrics Metrics, Readiness Readiness, TimeProvider Time, ILogger Log)
{
    private readonly long _origin = Time.GetTimestamp();

    /// <summary>Credit of this member.</summary>
    public MemoryBudget Budget { get; } = new(Settings.Flow.MemoryBudgetBytes, Metrics);

    /// <summary>Streams of nodes on this member.</summary>
    public StreamLoad Load { get; } = new();

    /// <summary>Partitions and nodes this member holds.</summary>
    public Holdings Held { get; } = new();

    /// <summary>What is known of the members.</summary>
    public MemberDirectory Members { get; } = new();

    /// <summary>Members that were downed and may still write.</summary>
    public MemberFence Fence { get; } = new();

    /// <summary>When the member started, microseconds since the Unix epoch.</summary>
    public long StartedUnixUs { get; } = Time.GetUtcNow().ToUnixUs();

    /// <summary>The clock in microseconds since the Unix epoch: for what is shown or stored. It may be set, also by hours.</summary>
    public long NowUnixUs() => Time.GetUtcNow().ToUnixUs();

    /// <summary>Microseconds since the member started, by a clock that only goes on: for all that is waited for.</summary>
    public long ElapsedUs() => (long)Time.GetElapsedTime(_origin).TotalMicroseconds;
}

/// <summary>Times as they are stored: microseconds since the Unix epoch.</summary>
public static class UnixTime
{
    /// <summary>Microseconds since the Unix epoch.</summary>
    public static long ToUnixUs(this DateTimeOffset time) => (time.UtcTicks - DateTimeOffset.UnixEpoch.UtcTicks) / TimeSpan.TicksPerMicrosecond;

    /// <summary>A time of a node's clock, which may be nonsense, held within what the protobuf form can say: the years 1 to 9999.</summary>
    public static long Hold(long unixUs) => Math.Clamp(unixUs, -62_135_596_800_000_000, 253_402_300_799_000_000);

    /// <summary>The protobuf form; null for 0, which means 'not known'.</summary>
    public static Google.Protobuf.WellKnownTypes.Timestamp? ToTimestamp(this long unixUs) => unixUs == 0 ? null : ToKnownTimestamp(unixUs);

    /// <summary>The protobuf form of a time that is known.</summary>
    public static Google.Protobuf.WellKnownTypes.Timestamp ToKnownTimestamp(this long unixUs)
    {
        var seconds = Math.DivRem(Hold(unixUs), 1_000_000, out var rest);
        if (rest < 0)
        {
            seconds--;
            rest += 1_000_000;
        }

        return new() { Seconds = seconds, Nanos = (int)rest * 1000 };
    }
}
