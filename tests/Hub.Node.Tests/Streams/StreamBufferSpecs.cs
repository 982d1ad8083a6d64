using AkkaHub.V1;
using Hub.Node.Streams;

namespace Hub.Node.Tests.Streams;

public sealed class StreamBufferSpecs
{
    private const int Chunk = StreamBuffer.MaxMessageBytes;

    private static StreamBuffer Make(bool drop = true) => new(StreamBuffer.MinCapacity, drop);

    private static List<StreamMessage> TakeAll(StreamBuffer buffer)
    {
        var all = new List<StreamMessage>();
        while (buffer.TryNext(Chunk, out var message))
            all.Add(message);
        return all;
    }

    [Fact]
    public void A_new_stream_is_opened_before_its_output()
    {
        var buffer = Make();
        buffer.Append("hi"u8, OutputChannel.Stdout, 1);
        buffer.BeginSession();
        TakeAll(buffer).Select(m => m.Kind).ShouldBe([StreamMessageKind.Opened]);
        buffer.Grant(100, 1);
        TakeAll(buffer).Select(m => m.Kind).ShouldBe([StreamMessageKind.Output]);
    }

    [Fact]
    public void Arrivals_close_together_travel_as_one_and_others_keep_their_times()
    {
        var buffer = Make();
        buffer.Append("a"u8, OutputChannel.Stdout, 1_000);
        buffer.Append("b"u8, OutputChannel.Stdout, 2_000);
        buffer.Append("c"u8, OutputChannel.Stderr, 2_000);
        buffer.Append("d"u8, OutputChannel.Stderr, 2_000 + StreamBuffer.MergeWindowUs + 1);
        buffer.BeginSession(0, 100, 100);
        TakeAll(buffer).Select(m => (m.Offset, m.Data.Length, m.TimeUs, m.Channel)).ShouldBe([
            (0, 2, 1_000, OutputChannel.Stdout),
            (2, 1, 2_000, OutputChannel.Stderr),
            (3, 1, 22_001, OutputChannel.Stderr),
        ]);
    }

    [Fact]
    public void Credit_bounds_bytes_and_messages()
    {
        var buffer = Make();
        buffer.Append(new byte[10], OutputChannel.Stdout, 1);
        buffer.BeginSession(0, 4, 1);
        TakeAll(buffer).Single().Data.Length.ShouldBe(4);
        buffer.Grant(10, 1);
        TakeAll(buffer).ShouldBeEmpty("the one message is spent");
        buffer.Grant(10, 2);
        TakeAll(buffer).Single().Offset.ShouldBe(4);
    }

    [Fact]
    public void Overflow_while_offline_becomes_one_exact_gap_and_the_size_survives_it()
    {
        var buffer = Make();
        buffer.Resize(100, 30, 1);
        for (var i = 0; i < 5; i++)
            buffer.Append(new byte[Chunk], OutputChannel.Stdout, 1 + i * 100_000);
        buffer.FirstOffset.ShouldBeGreaterThan(0);
        buffer.BeginSession(0, long.MaxValue, long.MaxValue);
        var all = TakeAll(buffer);
        all[0].ShouldSatisfyAllConditions(m => m.Kind.ShouldBe(StreamMessageKind.Gap), m => m.Offset.ShouldBe(0), m => m.To.ShouldBe(buffer.FirstOffset));
        all[1].ShouldSatisfyAllConditions(m => m.Kind.ShouldBe(StreamMessageKind.Resized), m => m.Offset.ShouldBe(buffer.FirstOffset), m => m.Columns.ShouldBe(100));
        all.Skip(2).Sum(m => m.Data.Length).ShouldBe((int)(buffer.EndOffset - buffer.FirstOffset));
    }

    [Fact]
    public void A_full_buffer_wants_no_more_while_connected_or_waiting()
    {
        var waiting = Make(drop: false);
        while (waiting.WantsBytes)
            waiting.Append(new byte[Chunk], OutputChannel.Stdout, 1);
        waiting.FirstOffset.ShouldBe(0);
        waiting.BeginSession(0, long.MaxValue, long.MaxValue);
        waiting.WantsBytes.ShouldBeFalse();
        waiting.Acknowledge(Chunk);
        waiting.WantsBytes.ShouldBeTrue();

        var dropping = Make();
        dropping.BeginSession(0, 0, 0);
        while (dropping.WantsBytes)
            dropping.Append(new byte[Chunk], OutputChannel.Stdout, 1);
        dropping.DroppedBytes.ShouldBe(0);
        dropping.EndSession();
        dropping.WantsBytes.ShouldBeTrue();
    }

    [Fact]
    public void The_end_is_said_again_after_a_rewind_and_in_a_new_session()
    {
        var buffer = Make();
        buffer.Append("bye"u8, OutputChannel.Stdout, 1);
        buffer.End();
        buffer.BeginSession(0, 100, 100);
        TakeAll(buffer).Select(m => m.Kind).ShouldBe([StreamMessageKind.Output, StreamMessageKind.Ended]);
        buffer.Rewind(1, 3);
        TakeAll(buffer).Single().ShouldSatisfyAllConditions(m => m.Kind.ShouldBe(StreamMessageKind.Ended), m => m.Rewind.ShouldBe(1u));
        buffer.EndSession();
        buffer.BeginSession(3, 100, 100);
        TakeAll(buffer).Single().ShouldSatisfyAllConditions(m => m.Kind.ShouldBe(StreamMessageKind.Ended), m => m.Offset.ShouldBe(3), m => m.Rewind.ShouldBe(0u));
    }

    [Fact]
    public void A_rewind_goes_back_once_and_before_what_is_left_sends_a_gap()
    {
        var buffer = Make();
        buffer.Append(new byte[10], OutputChannel.Stdout, 1);
        buffer.BeginSession(0, 100, 100);
        TakeAll(buffer);
        buffer.Acknowledge(4);
        buffer.Rewind(2, 2);
        TakeAll(buffer).Select(m => (m.Kind, m.Offset, m.Rewind)).ShouldBe([(StreamMessageKind.Gap, 2, 2u), (StreamMessageKind.Output, 4, 2u)]);
        buffer.Rewind(1, 0);
        TakeAll(buffer).ShouldBeEmpty("an older rewind is not obeyed");
    }

    [Fact]
    public void Discarded_bytes_become_a_gap_before_the_end()
    {
        var buffer = Make();
        buffer.Append(new byte[10], OutputChannel.Stdout, 1);
        buffer.End();
        buffer.Discard(2);
        buffer.BeginSession(4, 100, 100);
        TakeAll(buffer).Select(m => (m.Kind, m.Offset)).ShouldBe([(StreamMessageKind.Gap, 4), (StreamMessageKind.Ended, 10)]);
    }
}
