using System.Text;
using AkkaHub.Internal.V1;
using AkkaHub.V1;
using Google.Protobuf;
using Hub.Actors.History;
using Hub.Actors.Settings;

namespace Hub.Actors.Tests.History;

public sealed class TerminalHistorySpecs
{
    private static readonly TerminalSize Wide = new() { Cols = 132, Rows = 50 };

    [Fact]
    public void An_empty_history_costs_less_than_a_kibibyte()
    {
        var settings = new HistorySettings();
        GC.KeepAlive(new TerminalHistory("warm", StreamKind.Terminal, settings));
        var before = GC.GetAllocatedBytesForCurrentThread();
        var history = new TerminalHistory("main", StreamKind.Terminal, settings);
        var allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        GC.KeepAlive(history);
        allocated.ShouldBeLessThan(1024);
    }

    [Fact]
    public void A_history_without_incarnation_has_nothing_to_read()
    {
        var history = new TerminalHistory("main", StreamKind.Terminal, new HistorySettings());
        history.Newest.ShouldBeNull();
        history.IsLive.ShouldBeFalse();
        var slice = history.Read(new HistoryCursor(IncarnationId.From(HistoryBuilder.Id(1)), 5), 10);
        slice.Records.ShouldBeEmpty();
        slice.AtEnd.ShouldBeTrue();
        slice.Known.ShouldBeFalse();
        Should.Throw<InvalidOperationException>(() => history.First);
        Should.Throw<InvalidOperationException>(() => history.End);
    }

    [Fact]
    public void Typed_letters_share_a_chunk_and_keep_their_times()
    {
        var builder = new HistoryBuilder().Open();
        foreach (var (letter, time) in "hello".Select((l, i) => (l, 1_000_000L * (i + 1))))
            builder.Write(letter.ToString(), time);
        builder.History.RetainedChunks.ShouldBe(1);

        var output = builder.Read(builder.At(1, 2)).ShouldHaveSingleItem().Output;
        output.Data.ToStringUtf8().ShouldBe("llo");
        output.Time.Seconds.ShouldBe(3);
        output.Marks.ShouldBe([new ArrivalMark { Index = 1, DeltaUs = 1_000_000 }, new ArrivalMark { Index = 2, DeltaUs = 2_000_000 }]);
    }

    [Fact]
    public void The_default_ring_keeps_150_chunks_and_a_mebibyte()
    {
        var builder = new HistoryBuilder().Open();
        for (var i = 0; i < 300; i++)
            builder.Write(new byte[5000]);
        builder.History.RetainedChunks.ShouldBe(150);
        builder.Write(new byte[8 * 1024 * 1024]);
        builder.History.RetainedBytes.ShouldBe(1024 * 1024);
        builder.History.RetainedChunks.ShouldBe(32);
        builder.History.EvictedBytes.ShouldBe((300 * 5000) + (7 * 1024 * 1024));
        builder.Items(builder.At(1, 1))[0].ShouldBe(HistoryItems.Gap(1, (300 * 5000) + (7 * 1024 * 1024), GapCause.Evicted));
    }

    [Fact]
    public void A_command_keeps_head_and_tail_with_the_hole_between_as_a_gap()
    {
        var builder = new HistoryBuilder(new HistorySettings { HeadBytes = 10, MaxBytes = 8, MaxChunkBytes = 4, MergeBytes = 0 }).Open();
        for (var i = 0; i < 10; i++)
            builder.Write(new string((char)('a' + i), 4));
        var records = builder.Read(builder.History.First);
        records.Select(r => r.RecordCase).Distinct().ShouldBe(
            [HistoryRecord.RecordOneofCase.Restart, HistoryRecord.RecordOneofCase.Output, HistoryRecord.RecordOneofCase.Gap]);
        builder.Text(builder.History.First).ShouldBe("aaaabbbbcciiiijjjj");
        records.Single(r => r.Gap is not null).Gap.ShouldBe(new HistoryGap { FromOffset = 10, ToOffset = 32, Cause = GapCause.Evicted });
        builder.Text(builder.History.TailBytes(10)).ShouldBe("cciiiijjjj");
    }

    [Fact]
    public void Output_in_tiny_pieces_ends_the_head_early_and_is_read_a_part_at_a_time()
    {
        var settings = new HistorySettings { HeadBytes = 256 * 1024, MaxChunks = 1000 };
        var builder = new HistoryBuilder(settings).Open();
        for (var i = 0; i < 5000; i++)
            builder.Write("x", channel: i % 2 == 0 ? OutputChannel.Stdout : OutputChannel.Stderr);
        builder.History.RetainedChunks.ShouldBe(2000);
        builder.History.RetainedMemory.ShouldBeGreaterThan(2000 * 100);
        var first = builder.History.Read(builder.History.First, int.MaxValue);
        (first.Records.Count, first.AtEnd).ShouldBe((TerminalHistory.MaxRecords, false));
        builder.Read(builder.History.First).Single(r => r.Gap is not null).Gap.ShouldBe(new HistoryGap { FromOffset = 1000, ToOffset = 4000, Cause = GapCause.Evicted });
        var restored = TerminalHistory.Restore(builder.History.Capture(), settings);
        restored.Capture().ShouldBe(builder.History.Capture());
        restored.RetainedMemory.ShouldBe(builder.History.RetainedMemory);
    }

    [Fact]
    public void Nonsense_from_a_nodes_clock_is_held_within_what_a_time_can_say()
    {
        var builder = new HistoryBuilder().Open();
        long[] times = [long.MaxValue, 1_000_000, long.MinValue, -1, long.MaxValue];
        foreach (var time in times)
            builder.Write("x", time);
        builder.History.RetainedChunks.ShouldBe(1);
        for (var from = 0; from < times.Length; from++)
        {
            var output = builder.Read(builder.At(1, from)).Single(r => r.Output is not null).Output;
            var start = output.Time.ToDateTimeOffset();
            start.ToUnixUs().ShouldBe(UnixTime.Hold(times[from]));
            output.Marks.Select(m => start.AddTicks(m.DeltaUs * TimeSpan.TicksPerMicrosecond).ToUnixUs()).ShouldBe(times.Skip(from + 1).Select(UnixTime.Hold));
        }
    }

    [Fact]
    public void A_reader_goes_over_into_the_next_life_by_its_marks()
    {
        var builder = new HistoryBuilder().Open(1, Wide).Write("one").Close(loss: true).Open(2, Wide).Write("two");
        builder.Items(builder.At(1, 0)).Where(i => !i.Contains('@')).ShouldBe([
            HistoryItems.Restart(IncarnationId.From(HistoryBuilder.Id(1)).ToHex()),
            HistoryItems.Unknown(GapCause.AgentLost),
            HistoryItems.Closed(3),
            HistoryItems.Restart(IncarnationId.From(HistoryBuilder.Id(2)).ToHex()),
        ]);
        builder.Text(builder.At(1, 0)).ShouldBe("onetwo");
    }

    [Fact]
    public void A_reader_at_the_end_gets_a_later_size_at_the_same_place_too()
    {
        var builder = new HistoryBuilder().Open(1, Wide).Write("x").Resize(100, 30);
        var seen = builder.History.Read(builder.History.First, 100).Next;
        builder.History.Read(seen, 100).Records.ShouldBeEmpty();
        builder.Resize(90, 20);
        var slice = builder.History.Read(seen, 100);
        slice.Records.ShouldHaveSingleItem().Resize.Size.ShouldBe(new TerminalSize { Cols = 90, Rows = 20 });
        slice.Next.ShouldBe(builder.History.End);
    }

    [Fact]
    public void Whoever_begins_in_the_middle_is_told_the_size_first()
    {
        var builder = new HistoryBuilder().Open(1, Wide).Write("abc").Resize(90, 20).Write("def");
        builder.Items(builder.History.TailBytes(2))[0].ShouldBe(HistoryItems.Resize(4, new TerminalSize { Cols = 90, Rows = 20 }));
        builder.Items(builder.History.TailBytes(5))[0].ShouldBe(HistoryItems.Resize(1, Wide));
        builder.Text(builder.History.TailBytes(5)).ShouldBe("bcdef");
        builder.History.TailBytes(6).ShouldBe(builder.History.First);
        builder.History.TailBytes(0).ShouldBe(builder.History.End);
    }

    [Theory]
    [InlineData("one\ntwo\nthree\n", 1, "three\n")]
    [InlineData("one\ntwo\nthree", 1, "three")]
    [InlineData("one\ntwo\nthree\n", 2, "two\nthree\n")]
    [InlineData("one\ntwo\n\n", 1, "\n")]
    [InlineData("one\ntwo\n\n", 2, "two\n\n")]
    [InlineData("one\ntwo\nthree\n", 3, "one\ntwo\nthree\n")]
    [InlineData("one\ntwo\nthree\n", 9, "one\ntwo\nthree\n")]
    [InlineData("one\ntwo\nthree\n", 0, "")]
    [InlineData("\n", 1, "\n")]
    public void The_last_lines_are_found_however_they_came(string text, int lines, string expected)
    {
        var whole = new HistoryBuilder().Open().Write(text);
        whole.Text(whole.History.TailLines(lines)).ShouldBe(expected);
        var letters = new HistoryBuilder(new HistorySettings { MergeBytes = 0 }).Open();
        foreach (var letter in text)
            letters.Write(letter.ToString());
        letters.Text(letters.History.TailLines(lines)).ShouldBe(expected);
    }

    [Fact]
    public void Each_life_begins_a_line()
    {
        var builder = new HistoryBuilder().Open(1).Write("one\ntwo\n").Close().Open(2).Write("three\nfour");
        builder.Text(builder.History.TailLines(2)).ShouldBe("three\nfour");
        builder.History.TailLines(2).ShouldBe(builder.At(2, 0));
        builder.Text(builder.History.TailLines(3)).ShouldBe("two\nthree\nfour");
    }

    [Fact]
    public void Since_finds_the_arrival_within_a_merged_chunk()
    {
        var builder = new HistoryBuilder().Open().Write("a", 10).Write("b", 20).Write("c", 30).Write(new string('d', 5000), 40);
        builder.History.RetainedChunks.ShouldBe(2);
        builder.Text(builder.History.Since(20))[..2].ShouldBe("bc");
        builder.Text(builder.History.Since(21))[..2].ShouldBe("cd");
        builder.History.Since(0).Offset.ShouldBe(0);
        builder.History.Since(40).Offset.ShouldBe(3);
        builder.History.Since(41).ShouldBe(builder.History.End);
    }

    [Fact]
    public void A_range_stops_where_it_is_told()
    {
        var builder = new HistoryBuilder().Open(1, Wide).Write("abc").Resize(90, 20).Write("def").Close().Open(2).Write("ghi");
        string Range(HistoryCursor from, HistoryCursor until) =>
            string.Concat(HistoryRun.ReadOn(builder.History, from, 2, until).Select(r => r.Output?.Data.ToStringUtf8() ?? $"[{r.RecordCase}]"));

        Range(builder.At(1, 0), builder.At(1, 2)).ShouldBe("[Restart]ab");
        Range(builder.At(1, 1), builder.At(1, 3)).ShouldBe("bc");
        Range(builder.At(1, 1), builder.At(1, 4)).ShouldBe("bc[Resize]d");
        Range(builder.At(1, 5), builder.At(2, 0)).ShouldBe("f[Closed]");
        Range(builder.At(1, 5), builder.History.End).ShouldBe("f[Closed][Restart]ghi");
        Range(builder.At(2, 1), builder.At(1, 4)).ShouldBe("");
        Range(builder.At(1, 1), builder.At(9, 4)).ShouldBe("");
        Range(default, builder.At(9, 4)).ShouldBe("[Gap]");
    }

    [Fact]
    public void No_cursor_makes_reading_throw()
    {
        var builder = new HistoryBuilder(new HistorySettings { MaxChunks = 3, MergeBytes = 0 }).Open(1, Wide);
        for (var i = 0; i < 5; i++)
            builder.Write("abcd");
        builder.Close().Open(2, Wide).Write("efgh").Resize(90, 20);
        uint[] steps = [0, 1, 2, 3, 4, 5, 77, 0x8000_0000, uint.MaxValue, CursorStep.AfterSize(Wide)];
        long[] offsets = [long.MinValue, -1, 0, 1, 4, 8, 19, 20, 21, long.MaxValue];
        foreach (var life in new byte[] { 1, 2, 3 })
        {
            foreach (var cursor in offsets.SelectMany(o => steps.Select(s => builder.At(life, o) with { Step = s })))
            {
                var slice = builder.History.Read(cursor, -5);
                slice.Known.ShouldBe(life < 3);
                builder.History.Read(cursor, 10, cursor).AtEnd.ShouldBeTrue();
                HistoryRun.ReadOn(builder.History, cursor, 3).Sum(r => r.Output?.Data.Length ?? 0).ShouldBeLessThanOrEqualTo(16);
            }
        }

        var beyond = builder.History.Read(builder.At(2, 5), 10);
        (beyond.Records.Count, beyond.AtEnd, beyond.Next).ShouldBe((0, true, builder.History.End));
    }

    [Fact]
    public void A_purged_terminal_says_so_and_goes_on()
    {
        var builder = new HistoryBuilder().Open(1).Write("gone").Close().Open(2, Wide).Write("secret").Resize(90, 20).Lose(4);
        builder.History.Purge();
        builder.History.RetainedBytes.ShouldBe(0);
        builder.History.Find(IncarnationId.From(HistoryBuilder.Id(1))).ShouldBeNull();
        builder.Write("after");
        builder.Items(builder.At(2, 3))[0].ShouldBe(HistoryItems.Gap(3, 10, GapCause.Purged));
        builder.Text(builder.At(2, 3)).ShouldBe("after");
        builder.Items(builder.History.First)[0].ShouldBe(HistoryItems.Resize(10, new TerminalSize { Cols = 90, Rows = 20 }));
        builder.Close();
        builder.History.Purge();
        builder.History.Newest.ShouldBeNull();
        builder.History.StoredSize.ShouldBe(0);
    }

    [Fact]
    public void Events_that_do_not_fit_are_refused()
    {
        var builder = new HistoryBuilder().Open().Write("abc");
        var id = HistoryBuilder.Id(1);
        var data = ByteString.CopyFromUtf8("x");
        void Refuse(Action act) => Should.Throw<InvalidOperationException>(act).Message.ShouldStartWith("History of 'main': ");

        Refuse(() => builder.Open(2));
        Refuse(() => builder.History.Apply(new OutputAppended { Incarnation = id, Offset = 2, Data = data }));
        Refuse(() => builder.History.Apply(new OutputAppended { Incarnation = id, Offset = 4, Data = data }));
        Refuse(() => builder.History.Apply(new OutputAppended { Incarnation = HistoryBuilder.Id(7), Offset = 0, Data = data }));
        Refuse(() => builder.History.Apply(new OutputAppended { Offset = 3, Data = data }));
        Refuse(() => builder.History.Apply(new OutputAppended { Incarnation = id, Offset = 3, Data = data, Lengths = { 1, 1 }, DeltasUs = { 0, 0 } }));
        Refuse(() => builder.History.Apply(new OutputAppended { Incarnation = id, Offset = 3, Data = data, Lengths = { 1 } }));
        Refuse(() => builder.History.Apply(new OutputAppended { Incarnation = id, Offset = 3, Data = data, Lengths = { 2, -1 }, DeltasUs = { 0, 0 } }));
        Refuse(() => builder.History.Apply(new StreamResized { Incarnation = id, Offset = 1, Size = Wide }));
        Refuse(() => builder.History.Apply(new StreamResized { Incarnation = id, Offset = 3 }));
        Refuse(() => builder.History.Apply(new StreamGap { Incarnation = id, FromOffset = 3, ToOffset = 3 }));
        Refuse(() => builder.History.Apply(new StreamGap { Incarnation = id, FromOffset = 2, ToOffset = 9 }));
        Refuse(() => builder.History.Apply(new StreamClosed { Incarnation = id, FinalOffset = 9 }));
        builder.Close();
        Refuse(() => builder.History.Apply(new OutputAppended { Incarnation = id, Offset = 3, Data = data }));
        Refuse(() => builder.Open(1));
        builder.Text(builder.At(1, 0)).ShouldBe("abc");
    }

    [Fact]
    public void A_stored_form_that_contradicts_itself_is_refused()
    {
        var stored = new HistoryBuilder().Open().Write("abc").History.Capture();
        void Refuse(Action<StoredTerminal> spoil)
        {
            var spoiled = stored.Clone();
            spoil(spoiled);
            Should.Throw<InvalidOperationException>(() => TerminalHistory.Restore(spoiled, new HistorySettings()));
        }

        Refuse(s => s.Incarnations[0].EndOffset = 2);
        Refuse(s => s.Incarnations[0].Opened = null);
        Refuse(s => s.Incarnations[0].Opened.Incarnation = ByteString.Empty);
        Refuse(s => s.Incarnations.Add(s.Incarnations[0].Clone()));
        Refuse(s => s.Incarnations[0].Chunks.Add(s.Incarnations[0].Chunks[0].Clone()));
    }

    [Fact]
    public async Task What_was_handed_out_never_changes_while_the_ring_goes_on()
    {
        const int Rounds = 3000;
        var builder = new HistoryBuilder(new HistorySettings { MaxChunks = 8, MaxBytes = 4096, MaxChunkBytes = 1024, MergeBytes = 512 }).Open();
        var held = System.Threading.Channels.Channel.CreateBounded<(HistorySlice Slice, StoredTerminal Stored, byte[] Then)>(64);
        var reader = Task.Run(async () =>
        {
            await foreach (var (slice, stored, then) in held.Reader.ReadAllAsync())
            {
                for (var again = 0; again < 2; again++)
                {
                    slice.Records.Where(r => r.Output is not null).SelectMany(r => r.Output.Data).ShouldBe(then);
                    stored.Incarnations.SelectMany(i => i.Chunks).SelectMany(c => c.Data).ShouldBe(then);
                    StoredTerminal.Parser.ParseFrom(stored.ToByteArray()).ShouldBe(stored);
                    await Task.Yield();
                }
            }
        });
        var random = new Random(4711);
        for (var i = 0; i < Rounds && !reader.IsCompleted; i++)
        {
            var bytes = new byte[random.Next(1, 90)];
            random.NextBytes(bytes);
            builder.Write(bytes, i);
            if (i % 3 == 0)
            {
                var slice = builder.History.Read(builder.History.First, int.MaxValue);
                var then = slice.Records.Where(r => r.Output is not null).SelectMany(r => r.Output.Data.ToByteArray()).ToArray();
                await held.Writer.WriteAsync((slice, builder.History.Capture(), then));
            }
        }

        held.Writer.Complete();
        await reader;
    }

    [Fact]
    public void A_captured_history_does_not_see_what_comes_after()
    {
        var builder = new HistoryBuilder().Open().Write("before");
        var captured = builder.History.Capture();
        var bytes = captured.ToByteArray();
        builder.Write(" after").Resize(90, 20).Write(new string('x', 100)).Close();
        captured.ToByteArray().ShouldBe(bytes);
        Encoding.UTF8.GetString(captured.Incarnations[0].Chunks[0].Data.Span).ShouldBe("before");
    }
}
