using AkkaHub.Internal.V1;
using AkkaHub.V1;
using FsCheck.Xunit;
using Google.Protobuf;
using Hub.Actors.History;
using Hub.Actors.Nodes;

namespace Hub.Actors.Tests.Nodes;

public sealed class PendingEventsSpecs
{
    private const int MaxEventBytes = 256;

    private static ByteString Wire(byte n) => ByteString.CopyFrom([.. new byte[15], n]);

    private static IncarnationId Id(byte n) => IncarnationId.From(Wire(n));

    private static NodeEvent Closed(byte n, long at) => new() { Closed = new StreamClosed { Incarnation = Wire(n), FinalOffset = at } };

    [Property(MaxTest = 400, EndSize = 200)]
    public void What_is_taken_of_a_stream_is_what_was_added_whole_and_in_order(byte[] script)
    {
        var pending = new PendingEvents(MaxEventBytes);
        var added = new Dictionary<byte, List<byte>>();
        var gapAt = new Dictionary<byte, List<long>>();
        var rows = new List<PendingRow>();
        foreach (var step in script)
        {
            var stream = (byte)((step % 3) + 1);
            var all = added.TryGetValue(stream, out var list) ? list : added[stream] = [];
            switch (step % 8)
            {
                case 7:
                    pending.Add(new NodeEvent { Gap = new StreamGap { Incarnation = Wire(stream), FromOffset = all.Count, ToOffset = all.Count + 1 } }, Id(stream));
                    (gapAt.TryGetValue(stream, out var gaps) ? gaps : gapAt[stream] = []).Add(all.Count);
                    all.Add(0);
                    break;
                case 6:
                    rows.AddRange(pending.Take(step));
                    break;
                default:
                    var data = Enumerable.Repeat(step, (step / 8) + 1).ToArray();
                    pending.AddOutput(Id(stream), Wire(stream), all.Count, data, step % 2 == 0 ? OutputChannel.Stdout : OutputChannel.Stderr, step);
                    all.AddRange(data);
                    break;
            }
        }

        rows.AddRange(pending.Take(long.MaxValue));
        pending.IsEmpty.ShouldBeTrue();
        pending.Bytes.ShouldBe(0);
        var got = new Dictionary<byte, List<byte>>();
        foreach (var row in rows)
        {
            row.OutputBytes.ShouldBe(row.Events.Events.Sum(e => e.Output?.Data.Length ?? 0));
            // One event more than fits is in a row of its own.
            (row.OutputBytes <= MaxEventBytes || row.Events.Events.Count == 1).ShouldBeTrue();
            foreach (var e in row.Events.Events)
            {
                var id = e.Output?.Incarnation[15] ?? e.Gap.Incarnation[15];
                var list = got.TryGetValue(id, out var l) ? l : got[id] = [];
                if (e.Gap is { } gap)
                {
                    gap.FromOffset.ShouldBe(list.Count);
                    list.Add(0);
                    continue;
                }

                e.Output!.Offset.ShouldBe(list.Count);
                if (e.Output.Lengths.Count > 0)
                {
                    e.Output.Lengths.Sum().ShouldBe(e.Output.Data.Length);
                    e.Output.DeltasUs.Count.ShouldBe(e.Output.Lengths.Count);
                }

                list.AddRange(e.Output.Data);
            }
        }

        foreach (var (stream, bytes) in added.Where(a => a.Value.Count > 0))
            got[stream].ShouldBe(bytes);
    }

    [Fact]
    public void Arrivals_of_a_stream_become_one_event_with_their_times()
    {
        var pending = new PendingEvents(MaxEventBytes);
        pending.AddOutput(Id(1), Wire(1), 0, "ab"u8.ToArray(), OutputChannel.Stdout, 100);
        pending.AddOutput(Id(2), Wire(2), 0, "x"u8.ToArray(), OutputChannel.Stdout, 105);
        pending.AddOutput(Id(1), Wire(1), 2, "c"u8.ToArray(), OutputChannel.Stdout, 110);
        var row = pending.Take(1).ShouldHaveSingleItem();
        row.Events.Events.Count.ShouldBe(2);
        var first = row.Events.Events[0].Output;
        first.Data.ToStringUtf8().ShouldBe("abc");
        first.Lengths.ShouldBe([2, 1]);
        first.DeltasUs.ShouldBe([0, 10]);
    }

    [Fact]
    public void A_fact_of_a_stream_stands_between_the_bytes_before_and_after_it()
    {
        var pending = new PendingEvents(MaxEventBytes);
        pending.AddOutput(Id(1), Wire(1), 0, "a"u8.ToArray(), OutputChannel.Stdout, 1);
        pending.Add(Closed(1, 1), Id(1));
        pending.AddOutput(Id(1), Wire(1), 1, "b"u8.ToArray(), OutputChannel.Stdout, 1);
        var events = pending.Take(1).ShouldHaveSingleItem().Events.Events;
        events.Select(e => e.EventCase).ShouldBe([NodeEvent.EventOneofCase.Output, NodeEvent.EventOneofCase.Closed, NodeEvent.EventOneofCase.Output]);
    }

    [Fact]
    public void A_take_gives_at_least_one_row_and_no_more_than_asked_beyond_it()
    {
        var pending = new PendingEvents(MaxEventBytes);
        for (var i = 0; i < 4; i++)
            pending.AddOutput(Id(1), Wire(1), i * 200, new byte[200], OutputChannel.Stdout, i);
        pending.Bytes.ShouldBe(800);
        pending.Take(1).Count.ShouldBe(1);
        pending.Take(400).Count.ShouldBe(2);
        pending.Bytes.ShouldBe(200);
        pending.Take(400).Count.ShouldBe(1);
        pending.Take(400).ShouldBeEmpty();
    }

    [Fact]
    public void Callbacks_stay_with_their_row_in_order()
    {
        var pending = new PendingEvents(MaxEventBytes);
        var told = new List<string>();
        pending.Add(Closed(1, 0), durable: () => told.Add("1"), dropped: () => told.Add("dropped 1"));
        pending.AddOutput(Id(2), Wire(2), 0, new byte[250], OutputChannel.Stdout, 0);
        pending.Add(Closed(3, 0), durable: () => told.Add("2"));
        pending.AfterLast(() => told.Add("after 2"));
        var rows = pending.Take(long.MaxValue);
        rows.Count.ShouldBe(3);
        rows[0].Dropped!.Count.ShouldBe(1);
        foreach (var row in rows)
            row.Durable?.ForEach(d => d());
        told.ShouldBe(["1", "2", "after 2"]);
    }

    [Fact]
    public void Sizes_at_one_place_are_one_event_and_others_stay_where_they_are()
    {
        var pending = new PendingEvents(16 * MaxEventBytes);
        Resize(1, 5, 1);
        Resize(2, 0, 2);
        Resize(1, 5, 3);
        pending.AddOutput(Id(1), Wire(1), 5, "a"u8.ToArray(), OutputChannel.Stdout, 1);
        Resize(1, 6, 4);
        pending.Add(Closed(1, 6), Id(1));
        Resize(1, 6, 5);
        var waiting = pending.FactBytes;
        for (uint cols = 6; cols < 1000; cols++)
            Resize(1, 6, cols);
        pending.FactBytes.ShouldBe(waiting);
        var row = pending.Take(1).ShouldHaveSingleItem();
        row.Events.Events.Where(e => e.Resized is not null).Select(e => (e.Resized.Incarnation[15], e.Resized.Offset, e.Resized.Size.Cols))
            .ShouldBe([((byte)1, 5L, 3u), ((byte)2, 0L, 2u), ((byte)1, 6L, 4u), ((byte)1, 6L, 999u)]);
        row.FactBytes.ShouldBe(waiting);
        pending.FactBytes.ShouldBe(0);
        Resize(1, 6, 1);
        pending.Take(1).ShouldHaveSingleItem().Events.Events.ShouldHaveSingleItem().Resized.Size.Cols.ShouldBe(1u, "what is written is not changed");
        row.Events.Events[^1].Resized.Size.Cols.ShouldBe(999u);

        void Resize(byte stream, long offset, uint cols) => pending.Add(new NodeEvent
        {
            Resized = new StreamResized { Incarnation = Wire(stream), Offset = offset, Size = new TerminalSize { Cols = cols, Rows = 1 } },
        }, Id(stream));
    }
}
