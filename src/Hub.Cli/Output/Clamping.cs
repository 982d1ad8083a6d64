using Google.Protobuf.WellKnownTypes;

namespace Hub.Cli.Output;

/// <summary>Times as they came over the wire. One that cannot be is shown as the nearest that can: a list is not lost over it.</summary>
internal static class Clamping
{
    // 0001-01-01 and 9999-12-31, the bounds of a Timestamp.
    private const long FirstSecond = -62_135_596_800, LastSecond = 253_402_300_799;

    /// <summary>A point in time.</summary>
    public static DateTimeOffset Clamped(this Timestamp time) => DateTimeOffset.FromUnixTimeSeconds(Math.Clamp(time.Seconds, FirstSecond, LastSecond))
        .AddTicks(Math.Clamp(time.Nanos, 0, 999_999_999) / TimeSpan.NanosecondsPerTick);

    /// <summary>A span.</summary>
    public static TimeSpan Clamped(this Duration span) =>
        Seconds(span.Seconds) + TimeSpan.FromTicks(Math.Clamp(span.Nanos, -999_999_999, 999_999_999) / TimeSpan.NanosecondsPerTick);

    /// <summary>A span of whole seconds, at most 10,000 years either way.</summary>
    public static TimeSpan Seconds(long seconds) => TimeSpan.FromSeconds(Math.Clamp(seconds, -Duration.MaxSeconds, Duration.MaxSeconds));
}
