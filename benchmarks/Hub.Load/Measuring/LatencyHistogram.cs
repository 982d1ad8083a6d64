using System.Numerics;

namespace Hub.Load.Measuring;

/// <summary>
/// Counts durations in logarithmic buckets of 64 linear steps each (the layout of HdrHistogram), so that a percentile is
/// exact to 1/64 of its value. Unit: microseconds, 0 to 2^40. Safe for many writers; memory is fixed at about 18 KiB.
/// </summary>
public sealed class LatencyHistogram
{
    private const int StepBits = 6;
    private const int Steps = 1 << StepBits;
    private const int MaxBits = 40;

    private readonly long[] _counts = new long[(MaxBits - StepBits + 1) * Steps];
    private long _count;
    private long _sum;
    private long _max;

    /// <summary>Values recorded.</summary>
    public long Count => Volatile.Read(ref _count);

    /// <summary>Largest value recorded, microseconds.</summary>
    public long MaxMicroseconds => Volatile.Read(ref _max);

    /// <summary>Arithmetic mean in microseconds; 0 when nothing was recorded.</summary>
    public double MeanMicroseconds => Count == 0 ? 0 : (double)Volatile.Read(ref _sum) / Count;

    /// <summary>Records the time between two stamps of <see cref="TimeProvider.GetTimestamp"/>.</summary>
    public void Record(TimeProvider time, long from, long to) =>
        Record((long)time.GetElapsedTime(from, to).TotalMicroseconds);

    /// <summary>Records a value in microseconds; negative ones count as 0.</summary>
    public void Record(long microseconds)
    {
        var value = Math.Clamp(microseconds, 0, (1L << MaxBits) - 1);
        Interlocked.Increment(ref _counts[IndexOf(value)]);
        Interlocked.Increment(ref _count);
        Interlocked.Add(ref _sum, value);
        var max = Volatile.Read(ref _max);
        while (value > max)
        {
            var seen = Interlocked.CompareExchange(ref _max, value, max);
            if (seen == max)
                return;
            max = seen;
        }
    }

    /// <summary>
    /// The value, in microseconds, that the given share (0 to 1) of all recorded values does not exceed; 0 when nothing was
    /// recorded. The upper end of its bucket is given, never more than the largest value.
    /// </summary>
    public long Percentile(double share)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(share, 0);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(share, 1);
        var count = Count;
        if (count == 0)
            return 0;
        var rank = Math.Max(1, (long)Math.Ceiling(share * count));
        long seen = 0;
        for (var i = 0; i < _counts.Length; i++)
        {
            seen += Volatile.Read(ref _counts[i]);
            if (seen >= rank)
                return Math.Min(UpperEnd(i), MaxMicroseconds);
        }

        return MaxMicroseconds;
    }

    /// <summary>The same as <see cref="Percentile"/>, in milliseconds.</summary>
    public double PercentileMilliseconds(double share) => Percentile(share) / 1000.0;

    private static int IndexOf(long value)
    {
        if (value < Steps)
            return (int)value;
        var shift = BitOperations.Log2((ulong)value) - StepBits;
        return (shift + 1) * Steps + (int)(value >> shift) - Steps;
    }

    private static long UpperEnd(int index)
    {
        if (index < Steps)
            return index;
        var shift = index / Steps - 1;
        return ((long)(index % Steps + Steps + 1) << shift) - 1;
    }
}
