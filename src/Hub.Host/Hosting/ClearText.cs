using System.Buffers;
using System.Buffers.Binary;
using System.IO.Pipelines;
using System.Text;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;

namespace Hub.Host.Hosting;

/// <summary>
/// Tells who speaks clear text to a listener of TLS so, in its own protocol: in HTTP/2 a GOAWAY of INADEQUATE_SECURITY (RFC 9113, 7), in HTTP/1.1
/// a 400. Otherwise it would see a connection that breaks, as when the hub is busy, and try again and again.
/// <para>The GOAWAY comes after the first call's HEADERS, for which it waits up to 1 s: a client that is told so earlier may take it for a connection
/// that did not come about, and forget why (.NET's does).</para>
/// </summary>
internal sealed class ClearText(TimeProvider time)
{
    private const byte TlsHandshake = 22;
    private const string Words = "This port speaks TLS: use https://";
    private const uint InadequateSecurity = 0xc;
    private const int Preface = 24;
    private const int FrameHeader = 9;
    private const byte HeadersFrame = 1;
    private const byte SettingsFrame = 4;
    private const byte GoAwayFrame = 7;

    // Before a first call there are a handful of settings.
    private const int MaxBeforeCall = 16 * 1024;

    // For the first call of HTTP/2.
    private static readonly TimeSpan CallWithin = TimeSpan.FromSeconds(1);

    // After the answer, so that it is not lost in a reset.
    private static readonly TimeSpan Linger = TimeSpan.FromSeconds(1);

    // An empty SETTINGS, which must come first.
    private static readonly byte[] Http2Greeting = [0, 0, 0, SettingsFrame, 0, 0, 0, 0, 0];
    private static readonly byte[] Http2Answer = MakeGoAway();
    private static readonly byte[] Http1Answer = Encoding.ASCII.GetBytes(
        $"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: {Words.Length + 1}\r\n\r\n{Words}\n");

    /// <summary>Passes a connection on that begins a TLS handshake in time, and answers or closes others; one that is reset ends quietly.</summary>
    public async Task OnConnectionAsync(ConnectionContext connection, ConnectionDelegate next)
    {
        var input = connection.Transport.Input;
        ReadResult read;
        // The listener, when it stops, waits for every connection: it need not for these.
        var stopping = connection.Features.Get<IConnectionLifetimeNotificationFeature>()?.ConnectionClosedRequested ?? CancellationToken.None;
        using (var patience = new CancellationTokenSource(HubListeners.HandshakeTimeout, time))
        using (var ended = CancellationTokenSource.CreateLinkedTokenSource(patience.Token, connection.ConnectionClosed, stopping))
        {
            try
            {
                read = await input.ReadAsync(ended.Token).ConfigureAwait(false);
            }
            catch (OperationCanceledException)
            {
                connection.Abort(new ConnectionAbortedException(
                    patience.IsCancellationRequested ? "No TLS handshake began in time." : "The other side gave up, or the hub stops."));
                return;
            }
            catch (IOException)
            {
                // Reset by the other side, as who only looks whether somebody listens does.
                return;
            }
        }

        if (read.Buffer.IsEmpty)
            return;
        var (first, isHttp2) = (read.Buffer.FirstSpan[0], IsHttp2(read.Buffer));
        input.AdvanceTo(read.Buffer.Start);
        if (first == TlsHandshake)
        {
            await next(connection).ConfigureAwait(false);
            return;
        }

        try
        {
            if (isHttp2)
                await GreetAsync(connection, stopping).ConfigureAwait(false);
            await AnswerAsync(connection, isHttp2 ? Http2Answer : Http1Answer, stopping).ConfigureAwait(false);
        }
        catch (Exception e) when (e is OperationCanceledException or IOException)
        {
            // It has had the time to read the answer, or did not want it.
        }
    }

    // Ends when the client has begun a call, or has not in time.
    private async Task GreetAsync(ConnectionContext connection, CancellationToken stopping)
    {
        using var patience = new CancellationTokenSource(CallWithin, time);
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(patience.Token, connection.ConnectionClosed, stopping);
        var input = connection.Transport.Input;
        await connection.Transport.Output.WriteAsync(Http2Greeting, ended.Token).ConfigureAwait(false);
        try
        {
            while (true)
            {
                var read = await input.ReadAsync(ended.Token).ConfigureAwait(false);
                var enough = read.IsCompleted || read.Buffer.Length > MaxBeforeCall || HasCall(read.Buffer);
                input.AdvanceTo(read.Buffer.Start, read.Buffer.End);
                if (enough)
                    return;
            }
        }
        catch (OperationCanceledException) when (patience.IsCancellationRequested)
        {
            // It is told all the same.
        }
    }

    private async Task AnswerAsync(ConnectionContext connection, byte[] answer, CancellationToken stopping)
    {
        using var patience = new CancellationTokenSource(Linger, time);
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(patience.Token, connection.ConnectionClosed, stopping);
        var input = connection.Transport.Input;
        await connection.Transport.Output.WriteAsync(answer, ended.Token).ConfigureAwait(false);
        ReadResult read;
        do
        {
            read = await input.ReadAsync(ended.Token).ConfigureAwait(false);
            input.AdvanceTo(read.Buffer.End);
        }
        while (!read.IsCompleted);
    }

    // 'PRI * HTTP/2.0': no method of HTTP/1.1 begins so.
    private static bool IsHttp2(ReadOnlySequence<byte> buffer) => buffer.FirstSpan.StartsWith("PRI "u8);

    // Frames of a length of three bytes and a type, after the preface.
    private static bool HasCall(ReadOnlySequence<byte> buffer)
    {
        Span<byte> header = stackalloc byte[FrameHeader];
        for (long at = Preface; at + FrameHeader <= buffer.Length; at += FrameHeader + (header[0] << 16 | header[1] << 8 | header[2]))
        {
            buffer.Slice(at, FrameHeader).CopyTo(header);
            if (header[3] == HeadersFrame)
                return true;
        }

        return false;
    }

    // Last stream 0, the error, the words.
    private static byte[] MakeGoAway()
    {
        var debug = Encoding.ASCII.GetBytes(Words);
        var answer = new byte[FrameHeader + 8 + debug.Length];
        answer[2] = (byte)(8 + debug.Length);
        answer[3] = GoAwayFrame;
        BinaryPrimitives.WriteUInt32BigEndian(answer.AsSpan(FrameHeader + 4), InadequateSecurity);
        debug.CopyTo(answer.AsSpan(FrameHeader + 8));
        return answer;
    }
}
