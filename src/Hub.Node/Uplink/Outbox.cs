using System.Threading.Channels;
using AkkaHub.V1;

namespace Hub.Node.Uplink;

/// <summary>
/// Control messages of one session on their way to the hub, and the signal that wakes its writer. Bounded: the reader of the
/// session takes a slot before it acts on a request and the writer gives it back when the answer is sent, so there are never
/// more than <see cref="MaxAnswers"/> answers; when they are used up no further request is read. Putting never waits.
/// </summary>
internal sealed class Outbox : IDisposable
{
    /// <summary>Most requests under way at once.</summary>
    public const int MaxAnswers = 1024;

    private readonly Lock _gate = new();
    private readonly Queue<(ConnectRequest Message, bool Slot)> _queue = new();
    private readonly SemaphoreSlim _slots = new(MaxAnswers, MaxAnswers);
    private readonly Channel<bool> _signal = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });
    private bool _closed;

    /// <summary>Whether half of the slots are taken: programs that do not read their input must not use up the rest.</summary>
    public bool IsCrowded => _slots.CurrentCount < MaxAnswers / 2;

    /// <summary>Takes the slot of one answer; waits while too many are under way.</summary>
    public Task TakeSlotAsync(CancellationToken cancellationToken) => _slots.WaitAsync(cancellationToken);

    /// <summary>Puts the answer for a slot that was taken. After the session it goes nowhere.</summary>
    public void Answer(ConnectRequest message) => Put(message, slot: true);

    /// <summary>Puts a message of which there are few: beats, state, farewell.</summary>
    public void Say(ConnectRequest message) => Put(message, slot: false);

    /// <summary>Gives a slot back without an answer.</summary>
    public void GiveSlotBack() => ReleaseSlot();

    /// <summary>Wakes the writer.</summary>
    public void Pulse() => _signal.Writer.TryWrite(true);

    /// <summary>Waits for a pulse.</summary>
    public ValueTask<bool> WaitAsync(CancellationToken cancellationToken) => _signal.Reader.ReadAsync(cancellationToken);

    /// <summary>The next message; its slot is free again.</summary>
    public bool TryTake(out ConnectRequest message)
    {
        bool slot;
        lock (_gate)
        {
            if (!_queue.TryDequeue(out var first))
            {
                message = null!;
                return false;
            }

            (message, slot) = first;
        }

        if (slot)
            ReleaseSlot();
        return true;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        lock (_gate)
        {
            _closed = true;
            _queue.Clear();
        }

        // Not disposed: an answer of a slow program may still come and must find it.
    }

    private void Put(ConnectRequest message, bool slot)
    {
        lock (_gate)
        {
            if (_closed)
                return;
            _queue.Enqueue((message, slot));
        }

        Pulse();
    }

    private void ReleaseSlot()
    {
        lock (_gate)
        {
            if (!_closed)
                _slots.Release();
        }
    }
}
