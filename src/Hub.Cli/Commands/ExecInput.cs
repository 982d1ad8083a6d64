using AkkaHub.V1;
using Google.Protobuf;
using Grpc.Core;
using Hub.Cli.Connection;
using Hub.Cli.Terminals;
using Hub.Protocol;

namespace Hub.Cli.Commands;

/// <summary>
/// Passes standard input on to a command: in order, one request under way, each byte at most once. What certainly did not
/// arrive is sent when the way is back; where that is not certain the stream has a hole, and a command that reads a file
/// from here must not take half of it for the whole, so it is cancelled. Keys typed into a terminal are only reported lost.
/// </summary>
internal sealed class ExecInput(ExecSession session, Invocation run, bool withTerminal, bool keys)
{
    private const int ChunkBytes = 32 * 1024;
    private const byte ControlD = 4;
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(250);

    private readonly DetachKeys _interrupt = DetachKeys.ControlC();
    private bool _told;

    private enum Outcome
    {
        Written,
        Closed,
        NotWritten,
        Unknown,
    }

    /// <summary>Runs until the input or the command ends; a failure is told, never thrown.</summary>
    public async Task RunAsync(CancellationToken cancellation)
    {
        try
        {
            await session.Running.WaitAsync(cancellation).ConfigureAwait(false);
            var buffer = new byte[ChunkBytes];
            while (true)
            {
                var count = await run.Environment.Input.ReadAsync(buffer, cancellation).ConfigureAwait(false);
                var request = Request(buffer.AsSpan(0, count));
                if (keys && !session.IsUp)
                {
                    NotTyped(buffer.AsSpan(0, count), "no connection: what is typed now is dropped (Ctrl+C leaves)");
                    if (count == 0)
                        return;
                    continue;
                }

                var outcome = await SendAsync(request, cancellation).ConfigureAwait(false);
                if (count == 0 || outcome == Outcome.Closed)
                    return;
                if (outcome == Outcome.Written)
                {
                    _told = false;
                }
                else if (keys)
                {
                    NotTyped(buffer.AsSpan(0, count), outcome == Outcome.Unknown
                        ? "what was typed may not have arrived (Ctrl+C leaves when there is no way)"
                        : "the node cannot be reached: what was typed is dropped (Ctrl+C leaves)");
                }
                else
                {
                    session.Abort(ExitCodes.Failure, "the connection broke while input was on its way, and it is not known whether it arrived; the command is being cancelled");
                    return;
                }
            }
        }
        catch (OperationCanceledException)
        {
            // The command has ended; what was not read stays for the shell.
        }
        catch (IOException e)
        {
            run.Environment.Note($"standard input cannot be read: {e.Message}");
        }
    }

    private SendInputRequest Request(ReadOnlySpan<byte> data)
    {
        var request = new SendInputRequest { Name = session.Stream, Data = ByteString.CopyFrom(data) };
        if (data.IsEmpty && withTerminal)
            request.Data = ByteString.CopyFrom(ControlD); // A terminal has no end of input but this key.
        else if (data.IsEmpty)
            request.EndOfInput = true;
        return request;
    }

    private async Task<Outcome> SendAsync(SendInputRequest request, CancellationToken cancellation)
    {
        while (true)
        {
            try
            {
                // No deadline: the answer comes when the command has read so far, and when it reads is its own affair.
                await session.Hub.Client.SendInputAsync(request, new CallOptions(cancellationToken: cancellation)).ConfigureAwait(false);
                return Outcome.Written;
            }
            catch (RpcException e) when (!cancellation.IsCancellationRequested)
            {
                if (e.StatusCode == StatusCode.FailedPrecondition || Faults.Reason(e) is ErrorReasons.TerminalUnknown or ErrorReasons.CommandUnknown)
                    return Outcome.Closed; // It reads no more, or has ended: as with a pipe, that is its own affair.
                if (!Faults.NotDone(e))
                    return Outcome.Unknown;
                if (keys)
                    return Outcome.NotWritten;
                await Task.Delay(Faults.RetryDelay(e) ?? Pause, run.Environment.Time, cancellation).ConfigureAwait(false);
            }
            catch (RpcException e)
            {
                throw new OperationCanceledException(e.Message, e, cancellation);
            }
        }
    }

    /// <summary>Keys did not reach the command. Ctrl+C among them is this program's then: there must be a way out.</summary>
    private void NotTyped(ReadOnlySpan<byte> typed, string note)
    {
        if (_interrupt.Scan(typed, []))
        {
            run.Interrupts.End(ExitCodes.Interrupted);
            return;
        }

        if (_told)
            return;
        _told = true;
        run.Environment.Note(note);
    }
}
