using AkkaHub.V1;
using Hub.Host.Services;

namespace Hub.Host.Tests;

public sealed class AttachmentSizeSpecs
{
    private static readonly TerminalSize Mine = new() { Cols = 100, Rows = 30 };
    private static readonly TerminalSize Other = new() { Cols = 80, Rows = 24 };

    [Fact]
    public void Whoever_types_gets_the_size_back_once()
    {
        var size = new AttachmentSize(Other);
        size.Wish(Mine);
        size.BeforeInput().ShouldBeNull();
        size.Show([Resized(Mine), Resized(Other)]);
        size.BeforeInput().ShouldBe(Mine);
        size.BeforeInput().ShouldBeNull("it is on its way");
        size.Show([Resized(Mine)]);
        size.BeforeInput().ShouldBeNull();
        size.Show([new HistoryRecord { Restart = new HistoryRestart { Size = Other } }]);
        size.BeforeInput().ShouldBe(Mine);
    }

    [Fact]
    public void Who_has_no_size_sets_none()
    {
        var size = new AttachmentSize(Mine);
        size.Show([Resized(Other)]);
        size.BeforeInput().ShouldBeNull();
    }

    private static HistoryRecord Resized(TerminalSize size) => new() { Resize = new HistoryResize { Size = size } };
}
