using Hub.Load.Measuring;
using Hub.Load.Nodes;

namespace Hub.SystemTests.Generator;

/// <summary>The instruments have to be right before their readings are.</summary>
public sealed class MeasuringSpecs
{
    [Theory]
    [InlineData(1)]
    [InlineData(63)]
    [InlineData(64)]
    [InlineData(127)]
    [InlineData(1_000)]
    [InlineData(999_999)]
    [InlineData(123_456_789)]
    public void A_value_alone_is_every_percentile(long value)
    {
        var histogram = new LatencyHistogram();
        histogram.Record(value);
        histogram.Percentile(0).ShouldBe(value);
        histogram.Percentile(0.5).ShouldBe(value);
        histogram.Percentile(1).ShouldBe(value);
        histogram.MaxMicroseconds.ShouldBe(value);
    }

    [Fact]
    public void Percentiles_agree_with_sorted_values_to_one_part_in_64()
    {
        var random = new Random(7);
        var histogram = new LatencyHistogram();
        var values = new long[50_000];
        for (var i = 0; i < values.Length; i++)
        {
            values[i] = (long)Math.Exp(random.NextDouble() * 16);
            histogram.Record(values[i]);
        }

        Array.Sort(values);
        foreach (var share in new[] { 0.01, 0.5, 0.9, 0.99, 0.999, 1 })
        {
            var exact = values[Math.Max(0, (int)Math.Ceiling(share * values.Length) - 1)];
            histogram.Percentile(share).ShouldBeInRange(exact, exact + exact / 64 + 1);
        }

        histogram.Count.ShouldBe(values.Length);
        histogram.MeanMicroseconds.ShouldBe(values.Average(), 1e-6 * values.Average());
    }

    [Fact]
    public void The_pattern_tells_right_bytes_from_bytes_at_another_offset()
    {
        foreach (var offset in new long[] { 0, 199, 65_520, 65_521, 1_000_003, 5_000_000_000 })
        {
            var slice = Pattern.Slice(offset, 4096);
            Pattern.Matches(offset, slice.Span).ShouldBeTrue();
            Pattern.Matches(offset + 1, slice.Span).ShouldBeFalse();
            Pattern.Matches(offset + 4096, Pattern.Slice(offset + 4096, 200).Span).ShouldBeTrue();
        }
    }

    [Fact]
    public void Back_off_grows_to_thirty_seconds_honours_hints_and_starts_again()
    {
        var backoff = new ReconnectBackoff(new Random(3), ReconnectBackoff.Shipped);
        for (var i = 0; i < 20; i++)
            backoff.Next(TimeSpan.Zero, null).ShouldBeLessThanOrEqualTo(TimeSpan.FromSeconds(Math.Min(30, Math.Pow(2, i))));
        backoff.Next(TimeSpan.Zero, TimeSpan.FromSeconds(40)).ShouldBeInRange(TimeSpan.FromSeconds(40), TimeSpan.FromSeconds(60));
        backoff.Next(TimeSpan.FromMinutes(1), null).ShouldBeLessThanOrEqualTo(TimeSpan.FromSeconds(1));
    }
}
