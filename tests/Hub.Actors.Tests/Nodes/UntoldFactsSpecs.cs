using AkkaHub.Internal.V1;
using AkkaHub.V1;
using Hub.Actors.Nodes;

namespace Hub.Actors.Tests.Nodes;

public sealed class UntoldFactsSpecs
{
    private readonly UntoldFacts _untold = new("n1", 10);

    private static MeshFact Fact(int n) => new() { Type = MeshEventType.TerminalOpened, Message = $"{n}", TimeUnixUs = n };

    [Fact]
    public void A_row_is_there_until_the_log_has_it()
    {
        _untold.Add(3, Fact(1)).ShouldBeTrue();
        _untold.Add(3, Fact(2)).ShouldBeTrue();
        _untold.Add(7, Fact(3)).ShouldBeTrue();
        _untold.Rows.Select(r => (r.Number, r.Facts.Count)).ShouldBe([(3, 2), (7, 1)]);
        _untold.Confirm(6);
        _untold.Rows.Select(r => r.Number).ShouldBe([7]);
        _untold.Confirm(7);
        _untold.Newest.ShouldBeNull();
        _untold.Add(7, Fact(4)).ShouldBeFalse("that row is in the log");
        _untold.Confirm(2);
        _untold.ToldThrough.ShouldBe(7);
    }

    [Fact]
    public void Too_many_lose_the_oldest_rows_and_say_how_many()
    {
        for (var i = 1; i <= 25; i++)
            _untold.Add(i, Fact(i));
        var facts = _untold.Rows.SelectMany(r => r.Facts).ToList();
        facts.Count.ShouldBeLessThanOrEqualTo(11);
        facts[0].Type.ShouldBe(MeshEventType.EventsLost);
        facts[0].Subject.ShouldBe("nodes/n1");
        var kept = facts.Skip(1).Select(f => int.Parse(f.Message, System.Globalization.CultureInfo.InvariantCulture)).ToList();
        kept.ShouldBe(Enumerable.Range(26 - kept.Count, kept.Count));
        facts[0].Message.ShouldBe($"{25 - kept.Count} events could not be kept");
        // The log has what is left; the next loss counts from nothing.
        _untold.Confirm(25);
        for (var i = 26; i <= 37; i++)
            _untold.Add(i, Fact(i));
        var later = _untold.Rows.SelectMany(r => r.Facts).ToList();
        later[0].Message.ShouldBe($"{12 - (later.Count - 1)} events could not be kept");
    }

    [Fact]
    public void What_the_snapshot_said_is_there_again()
    {
        _untold.Add(3, Fact(1));
        _untold.Add(4, Fact(2));
        var other = new UntoldFacts("n1", 10);
        other.Restore(_untold.Rows);
        other.Add(5, Fact(3));
        other.Rows.Select(r => r.Number).ShouldBe([3, 4, 5]);
    }
}
