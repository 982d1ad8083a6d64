using System.Globalization;
using Google.Protobuf.WellKnownTypes;

namespace Hub.Cli.Output;

/// <summary>Figures as people read them.</summary>
internal static class Humanize
{
    /// <summary>Time since, as '5s', '12m', '3h', '4d'; '-' if not set.</summary>
    public static string Age(Timestamp? time, TimeProvider clock) =>
        time is null ? "-" : Span(clock.GetUtcNow() - time.Clamped());

    /// <summary>A span in its two greatest units at most; never negative.</summary>
    public static string Span(TimeSpan span)
    {
        if (span < TimeSpan.Zero)
            span = TimeSpan.Zero;
        if (span.TotalSeconds < 120)
            return Invariant($"{(int)span.TotalSeconds}s");
        if (span.TotalMinutes < 10)
            return span.Seconds == 0 ? Invariant($"{span.Minutes}m") : Invariant($"{span.Minutes}m{span.Seconds}s");
        if (span.TotalHours < 2)
            return Invariant($"{(int)span.TotalMinutes}m");
        if (span.TotalHours < 48)
            return span.Minutes == 0 || span.TotalHours >= 10 ? Invariant($"{(int)span.TotalHours}h") : Invariant($"{(int)span.TotalHours}h{span.Minutes}m");
        return Invariant($"{(int)span.TotalDays}d");
    }

    /// <summary>Bytes with a binary unit.</summary>
    public static string Bytes(long bytes)
    {
        string[] units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
        var value = (double)bytes;
        var unit = 0;
        while (Math.Abs(value) >= 1024 && unit < units.Length - 1)
        {
            value /= 1024;
            unit++;
        }

        return unit == 0 || value >= 100 ? Invariant($"{value:0} {units[unit]}") : Invariant($"{value:0.#} {units[unit]}");
    }

    /// <summary>A share in per cent.</summary>
    public static string Percent(double share) => double.IsFinite(share) ? Invariant($"{share * 100:0}%") : "-";

    /// <summary>A load average.</summary>
    public static string Load(double load) => double.IsFinite(load) ? Invariant($"{load:0.00}") : "-";

    /// <summary>A point in time, UTC, to the second, with how long ago that is.</summary>
    public static string Moment(Timestamp? time, TimeProvider clock) =>
        time is null ? "-" : Invariant($"{time.Clamped():yyyy-MM-dd HH:mm:ss}Z ({Age(time, clock)} ago)");

    /// <summary>'1 byte is' or 'N bytes are'.</summary>
    public static string BytesAre(long bytes) => bytes == 1 ? "1 byte is" : Invariant($"{bytes} bytes are");

    private static string Invariant(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
