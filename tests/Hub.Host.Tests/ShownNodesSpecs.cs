using Hub.Host.Services;

namespace Hub.Host.Tests;

public sealed class ShownNodesSpecs
{
    [Fact]
    public void A_watcher_is_told_once_that_a_node_left_its_selection()
    {
        var shown = new ShownNodes(resumed: false);
        shown.Take("nodes/a", matches: false).ShouldBeFalse("it never was in it");
        shown.Take("nodes/a", matches: true).ShouldBeTrue();
        shown.Take("nodes/a", matches: true).ShouldBeTrue("it changed");
        shown.Take("nodes/a", matches: false).ShouldBeTrue("it left");
        shown.Take("nodes/a", matches: false).ShouldBeFalse();
        shown.Take("nodes/a", matches: true).ShouldBeTrue();
        shown.Forget("nodes/a");
        shown.Take("nodes/a", matches: false).ShouldBeFalse();
    }

    [Fact]
    public void A_watcher_that_goes_on_is_told_of_what_it_may_have_seen_before()
    {
        var shown = new ShownNodes(resumed: true);
        shown.Take("nodes/a", matches: false).ShouldBeTrue();
        shown.Take("nodes/a", matches: false).ShouldBeFalse();
    }
}
