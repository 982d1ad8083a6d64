using AkkaHub.V1;
using FsCheck.Xunit;
using Hub.Node.Streams;

namespace Hub.Node.Tests.Streams;

/// <summary>
/// The buffer against a hub that takes, forgets, rewinds, grants and vanishes at random. Byte i of a stream is a function of i,
/// so every byte can be checked wherever it turns up.
/// </summary>
public sealed class StreamBufferProperties
{
    [Property(MaxTest = 200, EndSize = 200)]
    public void The_hub_has_every_byte_once_or_an_exact_gap(int[] steps) => Run(steps, drop: true);

    [Property(MaxTest = 200, EndSize = 200)]
    public void Without_dropping_the_hub_has_every_byte(int[] steps)
    {
        var world = Run(steps, drop: false);
        world.GapBytes.ShouldBe(0);
        world.Buffer.DroppedBytes.ShouldBe(0);
    }

    [Property(MaxTest = 100, EndSize = 200)]
    public void Nothing_is_dropped_while_connected(int[] steps)
    {
        var world = new World(drop: true);
        world.Connect(0);
        for (var i = 0; i < steps.Length; i++)
            world.Step(steps[i], i, mayDisconnect: false);
        world.Buffer.DroppedBytes.ShouldBe(0);
    }

    private static World Run(int[] steps, bool drop)
    {
        var world = new World(drop);
        for (var i = 0; i < steps.Length; i++)
            world.Step(steps[i], i);
        world.Finish();
        return world;
    }

    /// <summary>A buffer, the hub at its other end, and what must hold between them.</summary>
    private sealed class World(bool drop)
    {
        private const int Capacity = StreamBuffer.MinCapacity + 40_000;
        private readonly byte[] _chunk = new byte[StreamBuffer.MaxMessageBytes];
        private long _timeUs;
        private bool _known;
        // The hub: what is durable, what it has taken in this session, and what it has granted.
        private long _durable;
        private long _taken;
        private long _limit;
        private long _limitMessages;
        private long _messages;
        private uint _rewind;
        private bool _ended;
        private bool _endSeen;
        private (int, int) _size;
        private (int, int) _sizeSeen;

        public StreamBuffer Buffer { get; } = new(Capacity, drop);
        public long GapBytes { get; private set; }

        public void Step(int step, int index, bool mayDisconnect = true)
        {
            var spread = Spread(step, index);
            var argument = (int)(spread / 16 % 1_000_000);
            switch (spread % 16)
            {
                case < 3:
                    Read(1 + argument % (_chunk.Length - 1));
                    break;
                case < 5:
                    Read(1 + argument % 7);
                    break;
                case 5:
                    Resize(1 + argument % 200, 1 + argument % 60);
                    break;
                case 6 when mayDisconnect:
                    Connect(argument);
                    break;
                case 7 when mayDisconnect:
                    Buffer.EndSession();
                    break;
                case < 11:
                    Take(1 + argument % 9);
                    break;
                case < 14 when Buffer.Connected:
                    // Some, all but one, or all of what was taken becomes durable, and more may come.
                    _durable += (argument % 4) switch { 0 => 0, 1 => (_taken - _durable) / 2, 2 => Math.Max(0, _taken - _durable - 1), _ => _taken - _durable };
                    Grant(_durable + argument % 200_000, _messages + argument % 9);
                    Buffer.Acknowledge(_durable);
                    break;
                case 14 when Buffer.Connected && _known:
                    Buffer.Rewind(++_rewind, _durable);
                    _taken = _durable;
                    _endSeen = false;
                    break;
            }

            Check();
        }

        // Generators like small numbers and repeat them: make them differ in all their bits, and by their place.
        private static uint Spread(int step, int index)
        {
            var mixed = unchecked((uint)step * 2_654_435_761u + (uint)index * 2_246_822_519u);
            mixed = unchecked((mixed ^ mixed >> 15) * 3_266_489_917u);
            return mixed ^ mixed >> 13;
        }

        public void Connect(int argument)
        {
            if (Buffer.Connected)
                Buffer.EndSession();
            (_messages, _rewind, _endSeen) = (0, 0, false);
            (_limit, _limitMessages) = (0, 0);
            _taken = _durable;
            if (_known)
                Buffer.BeginSession(_durable, 0, 0);
            else
                Buffer.BeginSession();
            Grant(_durable + argument % 50_000, argument % 10);
        }

        public void Finish()
        {
            _ended = true;
            Buffer.End();
            Connect(0);
            Grant(long.MaxValue, long.MaxValue);
            Take(int.MaxValue);
            _taken.ShouldBe(Buffer.EndOffset);
            _endSeen.ShouldBeTrue();
            _sizeSeen.ShouldBe(_size);
            Buffer.Acknowledge(_taken);
            Buffer.FirstOffset.ShouldBe(Buffer.EndOffset);
        }

        private void Read(int length)
        {
            if (!Buffer.WantsBytes || _ended)
                return;
            for (var i = 0; i < length; i++)
                _chunk[i] = ByteAt(Buffer.EndOffset + i);
            Buffer.Append(_chunk.AsSpan(0, length), length % 5 == 0 ? OutputChannel.Stderr : OutputChannel.Stdout, _timeUs += length);
        }

        private void Resize(int columns, int rows)
        {
            Buffer.Resize(columns, rows, ++_timeUs);
            _size = (columns, rows);
        }

        private void Grant(long limit, long messages)
        {
            Buffer.Grant(limit, messages);
            _limit = Math.Max(_limit, limit);
            _limitMessages = Math.Max(_limitMessages, messages);
        }

        private void Take(int count)
        {
            while (count-- > 0)
            {
                if (!Buffer.TryNext(StreamBuffer.MaxMessageBytes, out var message))
                {
                    if (Buffer.Connected && _limit > _taken && _messages < _limitMessages)
                        _taken.ShouldBe(Buffer.EndOffset, "nothing is held back while there is credit");
                    return;
                }

                message.Rewind.ShouldBe(message.Kind == StreamMessageKind.Opened ? 0 : _rewind);
                _endSeen.ShouldBeFalse("nothing follows the end");
                switch (message.Kind)
                {
                    case StreamMessageKind.Opened:
                        _known.ShouldBeFalse();
                        _known = true;
                        break;
                    case StreamMessageKind.Output:
                        TakeOutput(message);
                        break;
                    case StreamMessageKind.Gap:
                        message.Offset.ShouldBe(_taken);
                        message.To.ShouldBe(Buffer.FirstOffset);
                        message.To.ShouldBeGreaterThan(message.Offset);
                        GapBytes += message.To - message.Offset;
                        _taken = message.To;
                        break;
                    case StreamMessageKind.Resized:
                        message.Offset.ShouldBe(_taken);
                        _sizeSeen = (message.Columns, message.Rows);
                        break;
                    case StreamMessageKind.Ended:
                        message.Offset.ShouldBe(_taken);
                        message.Offset.ShouldBe(Buffer.EndOffset);
                        _endSeen = true;
                        break;
                }
            }
        }

        private void TakeOutput(StreamMessage message)
        {
            message.Offset.ShouldBe(_taken);
            message.Data.Length.ShouldBeInRange(1, StreamBuffer.MaxMessageBytes);
            (message.Offset + message.Data.Length).ShouldBeLessThanOrEqualTo(_limit);
            (++_messages).ShouldBeLessThanOrEqualTo(_limitMessages);
            var data = message.Data.Span;
            for (var i = 0; i < data.Length; i++)
            {
                if (data[i] != ByteAt(message.Offset + i))
                    Assert.Fail($"byte {message.Offset + i} is wrong");
            }

            _taken += data.Length;
        }

        private void Check()
        {
            // A size that had to be carried over a gap may stand above the capacity by itself.
            Buffer.Cost.ShouldBeLessThanOrEqualTo(Capacity + 2 * StreamBuffer.EntryOverhead + (_size == default ? 0 : StreamBuffer.EntryOverhead));
            Buffer.FirstOffset.ShouldBeLessThanOrEqualTo(Buffer.EndOffset);
            if (!Buffer.Connected && drop)
                Buffer.WantsBytes.ShouldBeTrue();
        }

        private static byte ByteAt(long offset) => (byte)(offset * 31 + (offset >> 8));
    }
}
