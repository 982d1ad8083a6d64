using AkkaHub.Internal.V1;
using Hub.Actors.Events;

namespace Hub.Actors.Tests.Events;

public sealed class EventRingSpecs
{
    [Fact]
    public void It_keeps_the_newest_under_their_numbers_whatever_is_done_to_it()
    {
        var random = new Random(5);
        for (var round = 0; round < 50; round++)
        {
            var most = random.Next(1, 400);
            var ring = new EventRing(most);
            var model = new List<(long Number, long Time)>();
            var (before, time) = ((long)random.Next(1000), 0L);
            ring.Begin(before);
            var end = before;
            for (var step = 0; step < 2000; step++)
            {
                switch (random.Next(40))
                {
                    case 0:
                        var through = before + random.Next(-3, most + 3);
                        ring.DropThrough(through);
                        model.RemoveAll(m => m.Number <= through);
                        break;
                    case 1:
                        var oldest = time - random.Next(50);
                        ring.DropOlderThan(oldest);
                        model = [.. model.SkipWhile(m => m.Time < oldest)];
                        break;
                    default:
                        // The clock may be set back.
                        time += random.Next(-2, 4);
                        ring.Add(new MeshFact { TimeUnixUs = time });
                        model.Add((++end, time));
                        if (model.Count > most)
                            model.RemoveAt(0);
                        break;
                }

                before = model.Count == 0 ? end : model[0].Number - 1;
                (ring.Before, ring.End, ring.Count).ShouldBe((before, end, model.Count));
            }

            model.ShouldAllBe(m => ring[m.Number].TimeUnixUs == m.Time);
            var from = before + random.Next(-5, 20);
            ring.After(from, 7).Select(f => f.TimeUnixUs).ShouldBe(model.Where(m => m.Number > from).Take(7).Select(m => m.Time));
        }
    }
}
