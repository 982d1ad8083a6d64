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
/// </summary>
internal sealed class ClearText(TimeProvider time)
{
    private const byte TlsHandshake = 22;
    private const string Words = "This port speaks TLS: use https://";
    private const uint InadequateSecurity = 0xc;

    // After the answer, so that it is not lost in a reset.
    private static readonly TimeSpan Linger = TimeSpan.FromSeconds(1);

    private static readonly byte[] Http2Answer = MakeHttp2Answer();
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

        await AnswerAsync(connection, isHttp2 ? Http2Answer : Http1Answer, stopping).ConfigureAwait(false);
    }

    private async Task AnswerAsync(ConnectionContext connection, byte[] answer, CancellationToken stopping)
    {
        using var patience = new CancellationTokenSource(Linger, time);
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(patience.Token, connection.ConnectionClosed, stopping);
        var input = connection.Transport.Input;
        try
        {
            await connection.Transport.Output.WriteAsync(answer, ended.Token).ConfigureAwait(false);
            ReadResult read;
            do
            {
                read = await input.ReadAsync(ended.Token).ConfigureAwait(false);
                input.AdvanceTo(read.Buffer.End);
            }
            while (!read.IsCompleted);
        }
        catch (Exception e) when (e is OperationCanceledException or IOException)
        {
            // It has had the time to read the answer, or did not want it.
        }
    }

    // 'PRI * HTTP/2.0': no method of HTTP/1.1 begins so.
    private static bool IsHttp2(ReadOnlySequence<byte> buffer) => buffer.FirstSpan.StartsWith("PRI "u8);

    private static byte[] MakeHttp2Answer()
    {
        const int header = 9;
        var debug = Encoding.ASCII.GetBytes(Words);
        // An empty SETTINGS, which must come first, then GOAWAY: last stream 0, the error, the words.
        var answer = new byte[header + header + 8 + debug.Length];
        answer[3] = 4;
        var goAway = answer.AsSpan(header);
        goAway[2] = (byte)(8 + debug.Length);
        goAway[3] = 7;
        BinaryPrimitives.WriteUInt32BigEndian(goAway[(header + 4)..], InadequateSecurity);
        debug.CopyTo(goAway[(header + 8)..]);
        return answer;
    }
}
