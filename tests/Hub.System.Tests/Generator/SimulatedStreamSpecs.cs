using AkkaHub.V1;
using Google.Protobuf;
using Hub.Load.Nodes;

namespace Hub.SystemTests.Generator;

/// <summary>A simulated node that broke its own rules would measure something else than a node.</summary>
public sealed class SimulatedStreamSpecs
{
    private const int Chunk = 100;

    private readonly SimulatedStream _stream = new(ByteString.CopyFrom(new byte[16]), Chunk, 8);
    private readonly TerminalOutput _output = new();

    [Fact]
    public void Nothing_leaves_beyond_the_credit_in_bytes()
    {
        Begin(limit: 250, messages: 10);
        Produce(4);
        Take().ShouldBe((0, Chunk));
        Take().ShouldBe((100, Chunk));
        Take().ShouldBeNull("only half of the third chunk would be allowed");
        _stream.Update(Flow(200, 300, 10), null, 0).ShouldBe(2);
        Take().ShouldBe((200, Chunk));
    }

    [Fact]
    public void Nothing_leaves_beyond_the_credit_in_messages()
    {
        Begin(limit: 10_000, messages: 2);
        Produce(3);
        Take().ShouldNotBeNull();
        Take().ShouldNotBeNull();
        Take().ShouldBeNull();
        _stream.Update(Flow(100, 10_000, 3), null, 0);
        Take().ShouldBe((200, Chunk));
    }

    [Fact]
    public void A_rewind_is_obeyed_once_and_its_number_repeated()
    {
        Begin(limit: 10_000, messages: 100);
        Produce(3);
        Take();
        Take();
        _stream.Obey(new Rewind { Number = 1, FromOffset = 50 });
        // The rest of the chunk first, then chunks again.
        Take().ShouldBe((50, 50));
        _output.Rewind.ShouldBe(1u);
        Take().ShouldBe((100, Chunk));
        _stream.Obey(new Rewind { Number = 1, FromOffset = 0 });
        Take().ShouldBe((200, Chunk), "an old number is not obeyed");
        _stream.Rewinds.ShouldBe(1);
    }

    [Fact]
    public void A_new_session_goes_on_from_the_durable_offset_with_new_credit()
    {
        Begin(limit: 300, messages: 3);
        Produce(3);
        Take();
        Take();
        Take();
        _stream.Begin(Flow(100, 500, 2));
        _stream.Acknowledged.ShouldBe(100);
        Take().ShouldBe((100, Chunk));
        _output.Rewind.ShouldBe(0u);
        Take().ShouldBe((200, Chunk));
        _stream.Violation.ShouldBeNull();
    }

    [Fact]
    public void A_hub_that_forgets_what_it_acknowledged_is_caught()
    {
        Begin(limit: 300, messages: 3);
        Produce(2);
        Take();
        Take();
        _stream.Update(Flow(200, 500, 5), null, 0);
        _stream.Begin(Flow(100, 500, 5));
        _stream.Violation.ShouldNotBeNull().ShouldContain("200");
    }

    [Fact]
    public void Each_chunk_is_timed_from_its_own_due_time()
    {
        Begin(limit: 10_000, messages: 100);
        for (var due = 1; due <= 4; due++)
            _stream.Produce(due).ShouldBeTrue();
        for (var i = 0; i < 4; i++)
            Take();
        var timed = new List<long>();
        _stream.Update(Flow(250, 10_000, 100), (due, _) => timed.Add(due), 9).ShouldBe(2);
        _stream.Update(Flow(400, 10_000, 100), (due, _) => timed.Add(due), 9).ShouldBe(2);
        timed.ShouldBe([1L, 2L, 3L, 4L]);
    }

    [Fact]
    public void No_more_is_produced_than_may_be_in_flight()
    {
        Begin(limit: 0, messages: 0);
        Produce(8);
        _stream.Produce(9).ShouldBeFalse();
        _stream.HasRoom.ShouldBeFalse();
    }

    private void Begin(long limit, long messages) => _stream.Begin(Flow(0, limit, messages));

    private void Produce(int chunks)
    {
        for (var i = 0; i < chunks; i++)
            _stream.Produce(i).ShouldBeTrue();
    }

    private (long Offset, int Length)? Take()
    {
        if (!_stream.TryTake(_output, 1))
            return null;
        Pattern.Matches(_output.Offset, _output.Data.Span).ShouldBeTrue();
        return (_output.Offset, _output.Data.Length);
    }

    private StreamFlow Flow(long ack, long limit, long messages) =>
        new() { Incarnation = _stream.Incarnation, AckOffset = ack, LimitOffset = limit, LimitMessages = messages };
}
