using AkkaHub.V1;

namespace Hub.Node.Streams;

/// <summary>
/// What the agent keeps of one stream: the bytes the hub has not acknowledged as durable, as arrivals with their times, with
/// the size changes between them, and the place up to which they were sent in this session. Pure: no clock, no lock, no I/O.
/// <para>
/// The retained bytes are always one run [first, end). Bytes leave it at the front only: because they are acknowledged, or,
/// while there is no session and the policy is to drop, because the buffer is full. What was dropped needs no record of its
/// own: a session that must send from before the first byte sends a gap up to it, so neighbouring gaps are merged and each
/// is exact. Memory is bounded by the capacity, which counts allocated bytes and <see cref="EntryOverhead"/> for each entry.
/// </para>
/// </summary>
internal sealed class StreamBuffer
{
    /// <summary>Most bytes of one message and of one entry.</summary>
    public const int MaxMessageBytes = 32 * 1024;
    /// <summary>What an entry costs besides its bytes.</summary>
    public const int EntryOverhead = 128;
    /// <summary>Smallest capacity: room for two entries.</summary>
    public const int MinCapacity = 2 * (MaxMessageBytes + EntryOverhead);
    /// <summary>
    /// Arrivals of one channel closer than this and not sent yet become one: it costs at most this much precision of time,
    /// and lets a program that writes faster than the hub takes it travel in few large messages.
    /// </summary>
    public const long MergeWindowUs = 20_000;

    private readonly int _capacity;
    private readonly bool _dropWhenOffline;
    private readonly LinkedList<Entry> _entries = [];
    private LinkedListNode<Entry>? _next;
    private long _cost;
    private long _dropTimeUs;
    private long _limitOffset;
    private long _limitMessages;
    private long _messages;
    private bool _openedPending;
    private bool _endSent;

    /// <summary>An empty buffer.</summary>
    /// <param name="capacity">Bytes, at least <see cref="MinCapacity"/>.</param>
    /// <param name="dropWhenOffline">Without a session a full buffer loses its oldest bytes; otherwise it takes no more.</param>
    public StreamBuffer(int capacity, bool dropWhenOffline)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(capacity, MinCapacity);
        _capacity = capacity;
        _dropWhenOffline = dropWhenOffline;
    }

    /// <summary>The oldest byte kept.</summary>
    public long FirstOffset { get; private set; }
    /// <summary>One past the newest byte.</summary>
    public long EndOffset { get; private set; }
    /// <summary>The next byte to send in this session.</summary>
    public long SendOffset { get; private set; }
    /// <summary>Whether a session is on.</summary>
    public bool Connected { get; private set; }
    /// <summary>Number of the last rewind obeyed in this session.</summary>
    public uint RewindNumber { get; private set; }
    /// <summary>Whether the stream has ended.</summary>
    public bool Ended { get; private set; }
    /// <summary>Bytes lost to overflow over the stream's life.</summary>
    public long DroppedBytes { get; private set; }
    /// <summary>What the buffer takes of its capacity.</summary>
    public long Cost => _cost;

    /// <summary>Whether the program's output should be read: there is room for a whole read, or the policy makes room.</summary>
    public bool WantsBytes =>
        !Ended && (_cost + MaxMessageBytes + EntryOverhead <= _capacity || (!Connected && _dropWhenOffline));

    /// <summary>Takes bytes that were read. The caller asks <see cref="WantsBytes"/> first and brings one read at most.</summary>
    public void Append(ReadOnlySpan<byte> data, OutputChannel channel, long timeUs)
    {
        while (!data.IsEmpty)
        {
            data = data[MergeIntoTail(data, channel, timeUs)..];
            if (data.IsEmpty)
                break;
            var part = data[..Math.Min(data.Length, MaxMessageBytes)];
            AddLast(new Entry { Offset = EndOffset, Data = part.ToArray(), Length = part.Length, Channel = channel, TimeUs = timeUs });
            EndOffset += part.Length;
            data = data[part.Length..];
        }

        if (!Connected && _dropWhenOffline)
            DropOldest(timeUs);
    }

    /// <summary>Marks a new size at the end of what was read. A second one at the same place replaces the first.</summary>
    public void Resize(int columns, int rows, long timeUs)
    {
        if (_entries.Last is { Value.IsResize: true } last && last.Value.Offset == EndOffset)
        {
            last.Value.Columns = columns;
            last.Value.Rows = rows;
            last.Value.TimeUs = timeUs;
            _next ??= last;
            return;
        }

        AddLast(new Entry { Offset = EndOffset, IsResize = true, Columns = columns, Rows = rows, TimeUs = timeUs });
    }

    /// <summary>No more bytes come.</summary>
    public void End() => Ended = true;

    /// <summary>Begins a session in which the hub knows the stream: it goes on from the durable offset.</summary>
    public void BeginSession(long ackOffset, long limitOffset, long limitMessages)
    {
        Begin(limitOffset, limitMessages, opened: false);
        Acknowledge(ackOffset);
        Seek(Math.Clamp(ackOffset, 0, EndOffset));
    }

    /// <summary>Begins a session in which the hub has not heard of the stream: it is opened first and waits for credit.</summary>
    public void BeginSession()
    {
        Begin(0, 0, opened: true);
        Seek(0);
    }

    /// <summary>The session is over; bytes are kept for the next.</summary>
    public void EndSession()
    {
        Connected = false;
        // Nothing counts as sent, so that what arrives meanwhile may be merged; the next session decides where to go on.
        SendOffset = FirstOffset;
        _next = _entries.First;
    }

    /// <summary>Everything before the offset is durable at the hub. An offset past the end is taken as the end.</summary>
    public void Acknowledge(long offset)
    {
        offset = Math.Min(offset, EndOffset);
        if (offset > SendOffset)
            Seek(offset);
        if (offset <= FirstOffset)
            return;
        FirstOffset = offset;
        // A size change at the offset itself is not known to be durable yet.
        while (_entries.First is { } first && (first.Value.IsResize ? first.Value.Offset < offset : first.Value.End <= offset))
            RemoveFirst();
    }

    /// <summary>Takes new credit; it never goes back within a session.</summary>
    public void Grant(long limitOffset, long limitMessages)
    {
        _limitOffset = Math.Max(_limitOffset, limitOffset);
        _limitMessages = Math.Max(_limitMessages, limitMessages);
    }

    /// <summary>Obeys a rewind, unless a later one was obeyed already.</summary>
    public void Rewind(uint number, long fromOffset)
    {
        if (number <= RewindNumber)
            return;
        RewindNumber = number;
        _endSent = false;
        Seek(Math.Clamp(fromOffset, 0, EndOffset));
    }

    /// <summary>Forgets all bytes of an ended stream; they become a gap.</summary>
    public void Discard(long timeUs)
    {
        DroppedBytes += EndOffset - FirstOffset;
        _dropTimeUs = timeUs;
        FirstOffset = EndOffset;
        _entries.Clear();
        _next = null;
        _cost = 0;
    }

    /// <summary>The next thing to send, and counts it as sent; false if there is none or no credit for it.</summary>
    /// <param name="maxBytes">Most bytes of output.</param>
    /// <param name="message">What to send.</param>
    public bool TryNext(int maxBytes, out StreamMessage message)
    {
        message = default;
        if (!Connected)
            return false;
        if (TryTakeOpened(out message))
            return true;
        if (SendOffset < FirstOffset)
        {
            message = new StreamMessage(StreamMessageKind.Gap, SendOffset, FirstOffset, TimeUs: _dropTimeUs, Rewind: RewindNumber);
            Seek(FirstOffset);
            return true;
        }

        if (_next is { } node)
            return TryNextEntry(node, maxBytes, out message);
        if (!Ended || _endSent)
            return false;
        _endSent = true;
        message = new StreamMessage(StreamMessageKind.Ended, EndOffset, Rewind: RewindNumber);
        return true;
    }

    /// <summary>That the stream was opened, if this session has not been told yet.</summary>
    public bool TryTakeOpened(out StreamMessage message)
    {
        message = new StreamMessage(StreamMessageKind.Opened, 0);
        var pending = Connected && _openedPending;
        _openedPending &= !pending;
        return pending;
    }

    private bool TryNextEntry(LinkedListNode<Entry> node, int maxBytes, out StreamMessage message)
    {
        var entry = node.Value;
        if (entry.IsResize)
        {
            _next = node.Next;
            message = new StreamMessage(StreamMessageKind.Resized, entry.Offset, TimeUs: entry.TimeUs, Columns: entry.Columns, Rows: entry.Rows,
                Rewind: RewindNumber);
            return true;
        }

        message = default;
        var length = (int)Math.Min(Math.Min(maxBytes, entry.End - SendOffset), _limitOffset - SendOffset);
        if (length <= 0 || _messages >= _limitMessages)
            return false;
        message = new StreamMessage(StreamMessageKind.Output, SendOffset, Data: entry.Data.AsMemory((int)(SendOffset - entry.Offset), length),
            Channel: entry.Channel, TimeUs: entry.TimeUs, Rewind: RewindNumber);
        _messages++;
        SendOffset += length;
        if (SendOffset == entry.End)
            _next = node.Next;
        return true;
    }

    private void Begin(long limitOffset, long limitMessages, bool opened)
    {
        Connected = true;
        RewindNumber = 0;
        _messages = 0;
        _limitOffset = limitOffset;
        _limitMessages = limitMessages;
        _openedPending = opened;
        _endSent = false;
    }

    private void Seek(long offset)
    {
        SendOffset = offset;
        var node = _entries.First;
        while (node is not null && (node.Value.IsResize ? node.Value.Offset < offset : node.Value.End <= offset))
            node = node.Next;
        _next = node;
    }

    private int MergeIntoTail(ReadOnlySpan<byte> data, OutputChannel channel, long timeUs)
    {
        if (_entries.Last?.Value is not { IsResize: false } tail || SendOffset > tail.Offset || tail.Channel != channel
            || tail.Length == MaxMessageBytes || timeUs - tail.TimeUs is < 0 or > MergeWindowUs)
        {
            return 0;
        }

        var taken = Math.Min(data.Length, MaxMessageBytes - tail.Length);
        if (tail.Length + taken > tail.Data.Length)
        {
            var size = Math.Min(MaxMessageBytes, Math.Max(2 * tail.Data.Length, tail.Length + taken));
            _cost += size - tail.Data.Length;
            var larger = new byte[size];
            tail.Data.AsSpan(0, tail.Length).CopyTo(larger);
            tail.Data = larger;
        }

        data[..taken].CopyTo(tail.Data.AsSpan(tail.Length));
        tail.Length += taken;
        EndOffset += taken;
        return taken;
    }

    private void DropOldest(long timeUs)
    {
        Entry? size = null;
        while (_cost > _capacity && _entries.First is { } first)
        {
            if (first.Value.IsResize)
            {
                size = first.Value;
            }
            else
            {
                DroppedBytes += first.Value.End - FirstOffset;
                FirstOffset = first.Value.End;
                _dropTimeUs = timeUs;
            }

            RemoveFirst();
        }

        // The size at the first byte left must still be told, unless another one stands there.
        if (size is not null && _entries.First is not { Value.IsResize: true })
        {
            size.Offset = FirstOffset;
            _entries.AddFirst(size);
            _cost += size.Cost;
        }

        SendOffset = FirstOffset;
        _next = _entries.First;
    }

    private void AddLast(Entry entry)
    {
        var node = _entries.AddLast(entry);
        _cost += entry.Cost;
        _next ??= node;
    }

    private void RemoveFirst()
    {
        var first = _entries.First!;
        if (_next == first)
            _next = first.Next;
        _cost -= first.Value.Cost;
        _entries.RemoveFirst();
    }

    /// <summary>An arrival or a size change.</summary>
    private sealed class Entry
    {
        public long Offset { get; set; }
        public byte[] Data { get; set; } = [];
        public int Length { get; set; }
        public OutputChannel Channel { get; init; }
        public long TimeUs { get; set; }
        public bool IsResize { get; init; }
        public int Columns { get; set; }
        public int Rows { get; set; }
        public long End => Offset + Length;
        public long Cost => Data.Length + EntryOverhead;
    }
}
