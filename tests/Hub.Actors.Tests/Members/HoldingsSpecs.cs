using Hub.Actors.Members;

namespace Hub.Actors.Tests.Members;

public sealed class HoldingsSpecs
{
    [Fact]
    public async Task Who_waits_until_no_partition_is_left_hears_of_the_last()
    {
        var held = new Holdings();
        held.WhenNoPartitionsAsync().IsCompleted.ShouldBeTrue();
        held.AddPartitions(1);
        held.AddPartitions(1);
        var (first, second) = (held.WhenNoPartitionsAsync(), held.WhenNoPartitionsAsync());
        held.AddPartitions(-1);
        first.IsCompleted.ShouldBeFalse();
        held.AddPartitions(-1);
        await Task.WhenAll(first, second).WaitAsync(TimeSpan.FromSeconds(20));
        held.AddPartitions(1);
        held.WhenNoPartitionsAsync().IsCompleted.ShouldBeFalse();
        held.Partitions.ShouldBe(1);
    }
}
