using Hub.Actors.Events;

namespace Hub.Actors.Tests.Events;

public sealed class EventCursorSpecs
{
    [Fact]
    public void A_cursor_is_the_places_it_was_made_of()
    {
        var random = new Random(7);
        for (var round = 0; round < 500; round++)
        {
            var places = new long[random.Next(1, 80)];
            var start = random.NextInt64(1, long.MaxValue / 2);
            foreach (ref var place in places.AsSpan())
                place = random.Next(4) == 0 ? 0 : random.Next(8) == 0 ? random.NextInt64(1, long.MaxValue) : start + random.Next(1_000_000);
            var cursor = EventCursor.Encode(places);
            var back = new long[places.Length];
            EventCursor.TryDecode(cursor, back).ShouldBeTrue();
            back.ShouldBe(places);
            EventCursor.TryDecode(cursor, new long[places.Length + 1]).ShouldBeFalse("it is of another number of partitions");
        }
    }

    [Fact]
    public void Partitions_that_began_about_the_same_time_take_few_characters()
    {
        var places = Enumerable.Range(0, 64).Select(i => 1_790_000_000_000L + (i * 1000)).ToArray();
        EventCursor.Encode(places).Length.ShouldBeLessThan(300);
        EventCursor.Encode(new long[64]).Length.ShouldBeLessThan(100);
    }

    /// <summary>The same places, by one less each: they would be taken for others.</summary>
    [Fact]
    public void A_cursor_of_the_form_before_is_not_read()
    {
        var places = new long[3];
        EventCursor.TryDecode("AwMFAgAG", places).ShouldBeTrue();
        places.ShouldBe([5, 0, 9]);
        EventCursor.TryDecode("AgMFAQAF", places).ShouldBeFalse();
    }

    [Fact]
    public void What_is_no_cursor_is_not_read()
    {
        var good = EventCursor.Encode([5, 0, 9]);
        foreach (var wrong in new[] { "", "!!!", "nonsense", good[..^2], good + "AA", new string('A', 40_000), "AwMB_____________________w" })
            EventCursor.TryDecode(wrong, new long[3]).ShouldBeFalse(wrong);
        var random = new Random(11);
        var bytes = new byte[24];
        for (var i = 0; i < 5000; i++)
        {
            random.NextBytes(bytes);
            bytes[0] = 3;
            bytes[1] = 3;
            var places = new long[3];
            if (EventCursor.TryDecode(System.Buffers.Text.Base64Url.EncodeToString(bytes.AsSpan(0, random.Next(bytes.Length))), places))
                places.ShouldAllBe(p => p >= 0);
        }
    }
}
