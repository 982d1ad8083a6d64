using Hub.Actors.Registry;

namespace Hub.Actors.Tests.Registry;

/// <summary>Stored partitions depend on these values: they never change.</summary>
public sealed class StableHashSpecs
{
    [Theory]
    [InlineData("", 17280346270528514342UL)]
    [InlineData("local", 4657621987950548190UL)]
    [InlineData("n1", 17708300346417107204UL)]
    [InlineData("build-07.example", 7661053410639143729UL)]
    [InlineData("größe", 3366605602710743713UL)]
    public void The_hash_of_a_name_is_for_ever(string name, ulong hash) => StableHash.Of(name).ShouldBe(hash);

    [Fact]
    public void Long_names_hash_like_short_ones()
    {
        // Names that do not fit the stack buffer take another way to the same bytes.
        StableHash.Of(new string('a', 85)).ShouldNotBe(StableHash.Of(new string('a', 86)));
        StableHash.Of(new string('é', 100)).ShouldBe(StableHash.Of(new string('é', 100)));
    }

    [Fact]
    public void Names_that_differ_in_a_digit_spread()
    {
        var counts = new int[64];
        for (var i = 0; i < 6400; i++)
            counts[StableHash.PartitionOf($"node-{i}", 64)]++;
        counts.Min().ShouldBeGreaterThan(50);
        counts.Max().ShouldBeLessThan(160);
    }
}
