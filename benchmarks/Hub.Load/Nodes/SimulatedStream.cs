using AkkaHub.V1;
using Google.Protobuf;

namespace Hub.Load.Nodes;

/// <summary>
/// The sending end of one terminal: what was produced, sent and acknowledged, the credit, and when each chunk was due. All of
/// it is counted in bytes of the incarnation, as the protocol does. Not safe for several threads; its node locks.
/// </summary>
public sealed class SimulatedStream
{
    private readonly int _chunkBytes;
    private readonly int _maxInFlight;
    private readonly int _phase;
    private readonly long[] _due;
    private long _limitOffset;
    private long _limitMessages;
    private long _messages;
    private uint _rewind;

    /// <summary>Makes a stream that has shown nothing yet.</summary>
    /// <param name="incarnation">16 bytes.</param>
    /// <param name="chunkBytes">Bytes in a chunk.</param>
    /// <param name="maxInFlight">Most chunks produced and not acknowledged; what is due beyond it is refused.</param>
    /// <param name="phase">Place in the <see cref="Pattern"/> of its first byte, so that no two streams show the same.</param>
    public SimulatedStream(ByteString incarnation, int chunkBytes, int maxInFlight, int phase = 0)
    {
        Incarnation = incarnation;
        _chunkBytes = chunkBytes;
        _maxInFlight = maxInFlight;
        _phase = phase;
        _due = new long[maxInFlight];
    }

    /// <summary>The incarnation, 16 bytes.</summary>
    public ByteString Incarnation { get; }
    /// <summary>One past the last byte produced.</summary>
    public long Produced { get; private set; }
    /// <summary>One past the last byte sent in this session.</summary>
    public long Sent { get; private set; }
    /// <summary>One past the last durable byte.</summary>
    public long Acknowledged { get; private set; }
    /// <summary>Whether there are bytes that the hub has not acknowledged.</summary>
    public bool IsPending => Acknowledged < Produced;
    /// <summary>Rewinds obeyed.</summary>
    public long Rewinds { get; private set; }
    /// <summary>Whether produced bytes wait for credit or for their turn.</summary>
    public bool HasUnsent => Sent < Produced;
    /// <summary>Credit exceeded by the hub's own words, or an acknowledgement of what was never produced: null while all is well.</summary>
    public string? Violation { get; private set; }

    /// <summary>A chunk is there to be sent; due is a stamp of the node's clock. False if too much is in flight already.</summary>
    public bool Produce(long due)
    {
        if (!HasRoom)
            return false;
        var chunk = Produced / _chunkBytes;
        _due[chunk % _maxInFlight] = due;
        Produced += _chunkBytes;
        return true;
    }

    /// <summary>Whether another chunk of the closed loop would be allowed out by the credit.</summary>
    public bool HasCreditForChunk => _messages < _limitMessages && Sent + _chunkBytes <= _limitOffset;

    /// <summary>Whether another chunk may be produced before one is acknowledged.</summary>
    public bool HasRoom => Produced / _chunkBytes - Acknowledged / _chunkBytes < _maxInFlight;

    /// <summary>A session begins: the hub says what it has, and grants.</summary>
    public void Begin(StreamFlow flow)
    {
        _messages = 0;
        _rewind = 0;
        _limitOffset = flow.LimitOffset;
        _limitMessages = flow.LimitMessages;
        if (flow.AckOffset < Acknowledged)
            Violation ??= $"the hub had acknowledged {Acknowledged} and now has {flow.AckOffset}";
        Acknowledge(flow.AckOffset, null, 0);
        Sent = flow.AckOffset;
    }

    /// <summary>An acknowledgement and a grant. Each chunk that became durable is given to the callback with its due stamp.</summary>
    public int Update(StreamFlow flow, Action<long, long>? durable, long now)
    {
        _limitOffset = Math.Max(_limitOffset, flow.LimitOffset);
        _limitMessages = Math.Max(_limitMessages, flow.LimitMessages);
        return Acknowledge(flow.AckOffset, durable, now);
    }

    /// <summary>The hub wants the stream again from an offset.</summary>
    public void Obey(Rewind rewind)
    {
        if (rewind.Number <= _rewind)
            return;
        _rewind = rewind.Number;
        if (rewind.FromOffset > Produced)
        {
            Violation ??= $"a rewind to {rewind.FromOffset}, beyond {Produced}";
            return;
        }

        Rewinds++;
        Sent = rewind.FromOffset;
    }

    /// <summary>Fills in the next message if credit allows one.</summary>
    public bool TryTake(TerminalOutput output, long nowUnixMicroseconds)
    {
        if (Sent >= Produced || _messages >= _limitMessages)
            return false;
        // Up to the end of the chunk that the offset is in: after a rewind into the middle this is its rest.
        var length = (int)Math.Min(_chunkBytes - Sent % _chunkBytes, _limitOffset - Sent);
        if (length <= 0 || (length < _chunkBytes - Sent % _chunkBytes && Sent > Acknowledged))
            return false;
        output.Incarnation = Incarnation;
        output.Offset = Sent;
        output.Data = Pattern.Slice(_phase + Sent, length);
        output.TimeUnixUs = nowUnixMicroseconds;
        output.Channel = OutputChannel.Stdout;
        output.Rewind = _rewind;
        Sent += length;
        _messages++;
        return true;
    }

    /// <summary>Whether data is what this stream shows from an offset on.</summary>
    public bool Matches(long offset, ReadOnlySpan<byte> data) => Pattern.Matches(_phase + offset, data);

    /// <summary>When the chunk that holds an offset was due, if that is still known.</summary>
    public bool TryGetDue(long chunk, out long due)
    {
        due = 0;
        var newest = Produced / _chunkBytes - 1;
        if (chunk > newest || chunk <= newest - _maxInFlight)
            return false;
        due = _due[chunk % _maxInFlight];
        return true;
    }

    private int Acknowledge(long offset, Action<long, long>? durable, long now)
    {
        if (offset > Produced)
        {
            Violation ??= $"an acknowledgement of {offset}, but only {Produced} was produced";
            return 0;
        }

        if (offset <= Acknowledged)
            return 0;
        var first = Acknowledged / _chunkBytes;
        var end = offset / _chunkBytes;
        Acknowledged = offset;
        if (durable is not null)
        {
            for (var chunk = first; chunk < end; chunk++)
                durable(_due[chunk % _maxInFlight], now);
        }

        return (int)(end - first);
    }
}
