using AkkaHub.V1;
using Hub.Node.Pty;

namespace Hub.Node.Streams;

/// <summary>Says what became of one request: called once, with the outcome and, unless done, what went wrong. Must not wait.</summary>
internal delegate void RequestDone(RequestOutcome outcome, string message);

/// <summary>What a flush ended with.</summary>
internal enum FlushResult
{
    /// <summary>All is written.</summary>
    Drained,
    /// <summary>The program takes no more now.</summary>
    Blocked,
    /// <summary>All is written and the input shall be closed.</summary>
    EndOfInput,
    /// <summary>The descriptor takes nothing any more.</summary>
    Broken,
}

/// <summary>
/// Input on its way to a program, in order. Bounded in bytes and requests: beyond that a request is refused and nothing of it
/// is written. A request is done when its last byte is written. Not thread-safe.
/// </summary>
internal sealed class InputQueue
{
    /// <summary>Most bytes that wait.</summary>
    public const int MaxBytes = 256 * 1024;
    /// <summary>Most requests that wait.</summary>
    public const int MaxRequests = 64;

    private readonly Queue<Pending> _pending = new();
    private int _bytes;
    private int _written;
    private bool _ending;

    /// <summary>Whether nothing waits.</summary>
    public bool IsEmpty => _pending.Count == 0;

    /// <summary>Puts a request at the end, or answers it with a refusal.</summary>
    public void Add(ReadOnlyMemory<byte> data, bool endOfInput, RequestDone done)
    {
        if (_ending)
        {
            done(RequestOutcome.FailedPrecondition, "standard input is closed");
        }
        else if (_pending.Count >= MaxRequests || _bytes + data.Length > MaxBytes)
        {
            done(RequestOutcome.ResourceExhausted, $"the program has not read the {_bytes} bytes of input before this");
        }
        else
        {
            _pending.Enqueue(new Pending(data, endOfInput, done));
            _bytes += data.Length;
            _ending = endOfInput;
        }
    }

    /// <summary>Writes what the descriptor takes.</summary>
    public unsafe FlushResult Flush(int fd)
    {
        while (_pending.TryPeek(out var first))
        {
            while (_written < first.Data.Length)
            {
                nint count;
                fixed (byte* bytes = first.Data.Span)
                    count = Native.Write(fd, bytes + _written, (nuint)(first.Data.Length - _written));
                if (count > 0)
                {
                    _written += (int)count;
                }
                else
                {
                    var error = Native.LastError;
                    if (count == 0 || error == Native.WouldBlock)
                        return FlushResult.Blocked;
                    if (error != Native.Interrupted)
                        return FlushResult.Broken;
                }
            }

            _pending.Dequeue();
            _bytes -= _written;
            _written = 0;
            first.Done(RequestOutcome.Done, "");
            if (first.EndOfInput)
                return FlushResult.EndOfInput;
        }

        return FlushResult.Drained;
    }

    /// <summary>Answers all that waits, and, if it is for good, takes nothing any more.</summary>
    public void Fail(RequestOutcome outcome, string message, bool forGood = true)
    {
        _ending = forGood;
        while (_pending.TryDequeue(out var pending))
            pending.Done(outcome, message);
        _bytes = _written = 0;
    }

    private readonly record struct Pending(ReadOnlyMemory<byte> Data, bool EndOfInput, RequestDone Done);
}
