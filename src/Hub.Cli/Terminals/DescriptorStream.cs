using System.Runtime.InteropServices;

namespace Hub.Cli.Terminals;

/// <summary>
/// A stream over one of the three standard descriptors. The framework's own console streams do not serve: the input one
/// edits lines and echoes on a terminal, and the output one hides that the reader of a pipe has gone.
/// </summary>
internal sealed class DescriptorStream(int descriptor, FileAccess access) : Stream
{
    /// <summary>How often a waiting read looks whether it was cancelled, milliseconds.</summary>
    private const int PollMilliseconds = 100;
    private const short PollOut = 4;
    /// <summary>A pipe that is ready takes this much without waiting (<c>PIPE_BUF</c>); a longer write would wait for its reader.</summary>
    private const int AtOnce = 4096;

    /// <inheritdoc/>
    public override bool CanRead => access == FileAccess.Read;
    /// <inheritdoc/>
    public override bool CanSeek => false;
    /// <inheritdoc/>
    public override bool CanWrite => access == FileAccess.Write;
    /// <inheritdoc/>
    public override long Length => throw new NotSupportedException();
    /// <inheritdoc/>
    public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

    /// <inheritdoc/>
    public override void Flush()
    {
    }

    /// <inheritdoc/>
    public override int Read(byte[] buffer, int offset, int count) => Read(buffer.AsSpan(offset, count), CancellationToken.None);

    /// <inheritdoc/>
    public override int Read(Span<byte> buffer) => Read(buffer, CancellationToken.None);

    /// <summary>Runs on a pool thread: there is one such read at a time in the whole program.</summary>
    public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) =>
        new(Task.Run(() => Read(buffer.Span, cancellationToken), cancellationToken));

    /// <inheritdoc/>
    public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    /// <inheritdoc/>
    public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

    /// <inheritdoc/>
    public override void Write(ReadOnlySpan<byte> buffer) => Write(buffer, CancellationToken.None);

    /// <inheritdoc/>
    public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default) =>
        new(Task.Run(() => Write(buffer.Span, cancellationToken), cancellationToken));

    /// <inheritdoc/>
    public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        WriteAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    /// <inheritdoc/>
    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    /// <inheritdoc/>
    public override void SetLength(long value) => throw new NotSupportedException();

    private unsafe int Read(Span<byte> buffer, CancellationToken cancellation)
    {
        if (buffer.IsEmpty)
            return 0;
        fixed (byte* start = buffer)
        {
            while (true)
            {
                AwaitReady(Native.PollIn, cancellation);
                var count = Native.Read(descriptor, start, (nuint)buffer.Length);
                if (count >= 0)
                    return (int)count;
                var error = Marshal.GetLastPInvokeError();
                if (error == Native.InputOutputError)
                    return 0; // The terminal has gone: there will be no more keys.
                if (error != Native.Interrupted && error != Native.TryAgain)
                    throw new IOException($"read: {Marshal.GetPInvokeErrorMessage(error)}");
            }
        }
    }

    private unsafe void Write(ReadOnlySpan<byte> buffer, CancellationToken cancellation)
    {
        fixed (byte* start = buffer)
        {
            var at = 0;
            while (at < buffer.Length)
            {
                var length = buffer.Length - at;
                if (cancellation.CanBeCanceled)
                {
                    AwaitReady(PollOut, cancellation);
                    length = Math.Min(length, AtOnce);
                }

                var count = Native.Write(descriptor, start + at, (nuint)length);
                if (count >= 0)
                {
                    at += (int)count;
                    continue;
                }

                var error = Marshal.GetLastPInvokeError();
                if (error == Native.BrokenPipe)
                    throw new BrokenPipeException();
                if (error == Native.TryAgain)
                    AwaitReady(PollOut, cancellation); // Another program made the shared terminal non-blocking.
                else if (error != Native.Interrupted)
                    throw new IOException($"write: {Marshal.GetPInvokeErrorMessage(error)}");
            }
        }
    }

    private unsafe void AwaitReady(short events, CancellationToken cancellation)
    {
        while (true)
        {
            cancellation.ThrowIfCancellationRequested();
            var poll = new Native.PollDescriptor { Descriptor = descriptor, Events = events };
            var ready = Native.Poll(&poll, 1, PollMilliseconds);
            if (ready > 0)
                return;
            if (ready < 0 && Marshal.GetLastPInvokeError() != Native.Interrupted)
                return; // Let the read or write itself say what is wrong.
        }
    }
}
