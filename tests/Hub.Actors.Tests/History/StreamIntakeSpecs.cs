using FsCheck.Xunit;
using Hub.Actors.History;
using static Hub.Actors.History.StreamIntake;

namespace Hub.Actors.Tests.History;

public sealed class StreamIntakeSpecs
{
    [Fact]
    public void Overlap_is_trimmed_and_repetition_is_nothing_new()
    {
        var intake = new StreamIntake(100);
        intake.Offer(100, 10, 0).ShouldBe((Verdict.Take, 0));
        intake.Offer(105, 10, 0).ShouldBe((Verdict.Take, 5));
        intake.Offer(100, 15, 0).ShouldBe((Verdict.Duplicate, 0));
        intake.Expected.ShouldBe(115);
    }

    [Fact]
    public void Bytes_ahead_get_one_rewind_until_it_is_obeyed()
    {
        var intake = new StreamIntake(0);
        intake.Offer(10, 5, 0).Verdict.ShouldBe(Verdict.Rewind);
        intake.RewindSent(1);
        intake.Offer(15, 5, 0).Verdict.ShouldBe(Verdict.Ignore);
        intake.OfferGap(20, 25, 0).ShouldBe(Verdict.Ignore);
        intake.OfferEnd(30, 0).ShouldBe(Verdict.Ignore);
        intake.Offer(0, 5, 1).ShouldBe((Verdict.Take, 0));
        intake.Offer(10, 5, 1).Verdict.ShouldBe(Verdict.Rewind);
        intake.RewindSent(2);
        intake.Offer(10, 5, 1).Verdict.ShouldBe(Verdict.Ignore);
        intake.Expected.ShouldBe(5);
    }

    [Fact]
    public void A_gap_counts_from_what_is_expected()
    {
        var intake = new StreamIntake(50);
        intake.OfferGap(20, 50, 0).ShouldBe(Verdict.Duplicate);
        intake.OfferGap(20, 60, 0).ShouldBe(Verdict.Take);
        intake.Expected.ShouldBe(60);
        intake.OfferGap(61, 70, 0).ShouldBe(Verdict.Rewind);
    }

    [Fact]
    public void The_end_counts_when_everything_before_it_is_here()
    {
        var intake = new StreamIntake(50);
        intake.OfferEnd(50, 0).ShouldBe(Verdict.Take);
        intake.OfferEnd(49, 0).ShouldBe(Verdict.Duplicate);
        intake.OfferEnd(51, 0).ShouldBe(Verdict.Rewind);
    }

    [Theory]
    [InlineData(-1, 5)]
    [InlineData(0, 0)]
    [InlineData(0, -5)]
    [InlineData(0, long.MaxValue)]
    [InlineData(long.MaxValue, 5)]
    [InlineData(long.MinValue, long.MaxValue)]
    public void Impossible_messages_bring_nothing(long offset, long length)
    {
        var intake = new StreamIntake(0);
        intake.Offer(offset, length, 0).Verdict.ShouldBe(Verdict.Duplicate);
        intake.OfferGap(offset, offset, 0).ShouldBe(Verdict.Duplicate);
        intake.Expected.ShouldBe(0);
    }

    [Fact]
    public void Numbers_and_positions_have_bounds()
    {
        Should.Throw<ArgumentOutOfRangeException>(() => new StreamIntake(-1));
        Should.Throw<ArgumentOutOfRangeException>(() => new StreamIntake(0).RewindSent(0));
    }

    [Property(MaxTest = 400)]
    public void What_is_taken_is_the_nodes_stream_with_only_declared_gaps(int seed)
    {
        var simulation = new LossyNode(new Random(seed));
        simulation.Run();
        simulation.Taken.Count.ShouldBe(simulation.Shown.Count);
        for (var i = 0; i < simulation.Taken.Count; i++)
        {
            if (simulation.Taken[i] is { } value)
                value.ShouldBe(simulation.Shown[i]);
            else
                simulation.Forgotten.ShouldContain(i, "only what the node itself no longer had may be missing");
        }

        simulation.Ended.ShouldBeTrue();
        simulation.MostRewindsAtOnce.ShouldBeLessThanOrEqualTo(1);
    }

    /// <summary>
    /// A node that keeps what is not acknowledged in a small buffer, and a line to the hub that drops messages in its middle
    /// and now and then breaks, after which the node goes on anywhere between the durable offset and its newest byte.
    /// </summary>
    private sealed class LossyNode(Random random)
    {
        private const int Kept = 40;
        private const int Length = 400;

        private readonly Queue<Message> _line = new();
        private StreamIntake _intake = new(0);
        private int _first;
        private int _sent;
        private uint _obeyed;
        private uint _asked;
        private int _pendingRewinds;

        public List<byte> Shown { get; } = [];
        public List<byte?> Taken { get; } = [];
        public HashSet<int> Forgotten { get; } = [];
        public bool Ended { get; private set; }
        public int MostRewindsAtOnce { get; private set; }

        public void Run()
        {
            for (var step = 0; !Ended; step++)
            {
                step.ShouldBeLessThan(200_000, "the stream must get through");
                // Losses stop after a while, so that it can.
                var lossy = step < 3000;
                switch (random.Next(6))
                {
                    case 0 when Shown.Count < Length:
                        for (var n = random.Next(1, 12); n > 0; n--)
                            Shown.Add((byte)random.Next(256));
                        for (; _first < Shown.Count - Kept; _first++)
                            Forgotten.Add(_first);
                        break;
                    case 1 or 2:
                        Send(lossy);
                        break;
                    case 3 when lossy && random.Next(30) == 0:
                        Break();
                        break;
                    default:
                        Deliver();
                        break;
                }
            }
        }

        private void Send(bool lossy)
        {
            Message message;
            if (_sent < _first)
            {
                message = new Message(_sent, _first, [], IsGap: true, IsEnd: false, _obeyed);
                _sent = _first;
            }
            else if (_sent < Shown.Count)
            {
                var length = Math.Min(random.Next(1, 10), Shown.Count - _sent);
                message = new Message(_sent, _sent + length, [.. Shown.Skip(_sent).Take(length)], false, false, _obeyed);
                _sent += length;
            }
            else if (Shown.Count >= Length)
            {
                message = new Message(_sent, _sent, [], false, IsEnd: true, _obeyed);
            }
            else
            {
                return;
            }

            if (!lossy || random.Next(10) != 0)
                _line.Enqueue(message);
        }

        private void Deliver()
        {
            if (!_line.TryDequeue(out var message))
                return;
            var before = (int)_intake.Expected;
            if (message.Rewind >= _asked)
                _pendingRewinds = 0;
            Verdict verdict;
            if (message.IsEnd)
            {
                verdict = _intake.OfferEnd(message.From, message.Rewind);
                Ended |= verdict == Verdict.Take;
            }
            else if (message.IsGap)
            {
                verdict = _intake.OfferGap(message.From, message.To, message.Rewind);
                if (verdict == Verdict.Take)
                    Taken.AddRange(Enumerable.Repeat<byte?>(null, message.To - before));
            }
            else
            {
                (verdict, var skip) = _intake.Offer(message.From, message.Data.Length, message.Rewind);
                if (verdict == Verdict.Take)
                    Taken.AddRange(message.Data.Skip(skip).Select(b => (byte?)b));
            }

            Taken.Count.ShouldBe((int)_intake.Expected);
            if (verdict != Verdict.Rewind)
                return;
            _intake.RewindSent(++_asked);
            MostRewindsAtOnce = Math.Max(MostRewindsAtOnce, ++_pendingRewinds);
            // The node obeys at once; what it sent before is still on the line and must be ignored.
            _obeyed = _asked;
            _sent = (int)_intake.Expected;
        }

        // A new session begins at the durable offset, with rewinds counted from nothing.
        private void Break()
        {
            _line.Clear();
            _intake = new StreamIntake(Taken.Count);
            (_asked, _obeyed, _pendingRewinds) = (0, 0, 0);
            _sent = random.Next(Math.Max(0, Taken.Count - 15), Taken.Count + 1);
        }

        private sealed record Message(int From, int To, byte[] Data, bool IsGap, bool IsEnd, uint Rewind);
    }
}
