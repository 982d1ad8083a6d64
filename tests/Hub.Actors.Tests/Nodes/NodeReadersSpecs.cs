using Akka.Actor;
using AkkaHub.V1;
using Hub.Actors.Nodes;

namespace Hub.Actors.Tests.Nodes;

public sealed class NodeReadersSpecs
{
    private static NodeReaders.Waiting Until(long deadline) => new(ActorRefs.Nobody, new ReadHistoryRequest(), deadline);

    [Fact]
    public void There_is_a_bound_and_each_is_taken_once()
    {
        var readers = new NodeReaders(2);
        readers.TryAdd("a", Until(10)).ShouldBeTrue();
        readers.TryAdd("b", Until(10)).ShouldBeTrue();
        readers.TryAdd("a", Until(10)).ShouldBeFalse();
        readers.Take("a").Count.ShouldBe(1);
        readers.Take("a").ShouldBeEmpty();
        readers.Count.ShouldBe(1);
        readers.TryAdd("a", Until(10)).ShouldBeTrue();
        readers.TakeAll().Count.ShouldBe(2);
        readers.Count.ShouldBe(0);
        readers.TakeAll().ShouldBeEmpty();
    }

    [Fact]
    public void Those_whose_time_has_run_out_go_and_the_others_stay()
    {
        var readers = new NodeReaders(9);
        readers.TryAdd("a", Until(10)).ShouldBeTrue();
        readers.TryAdd("a", Until(10)).ShouldBeTrue("the same question asked twice is two answers owed");
        readers.TryAdd("a", Until(11)).ShouldBeTrue();
        readers.TryAdd("b", Until(9)).ShouldBeTrue();
        readers.TakeExpired(10).Select(e => e.Stream).ShouldBe(["a", "a", "b"], ignoreOrder: true);
        readers.Count.ShouldBe(1);
        readers.Take("a").ShouldHaveSingleItem().DeadlineUs.ShouldBe(11);
        readers.TakeExpired(long.MaxValue).ShouldBeEmpty();
    }
}
