using System.Buffers;
using System.IO.Pipelines;
using System.Text;
using Hub.Host.Hosting;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.Time.Testing;
using static Hub.Host.Tests.TestSupport;

namespace Hub.Host.Tests;

/// <summary>What becomes of a connection to a listener of TLS by its first bytes.</summary>
public sealed class ClearTextSpecs
{
    private readonly FakeTimeProvider _time = new();
    private readonly Pipe _fromClient = new();
    private readonly Pipe _toClient = new();
    private readonly TaskCompletionSource<byte> _passed = new(TaskCreationOptions.RunContinuationsAsynchronously);

    [Fact]
    public async Task A_handshake_is_passed_on_whole()
    {
        var (_, done) = Come();
        await SendAsync([22, 3, 1]);
        (await _passed.Task.WaitAsync(Patience)).ShouldBe((byte)22);
        await done.WaitAsync(Patience);
    }

    /// <summary>Told before its call, .NET's client only says that no connection came about.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Http2_in_clear_text_is_told_so_when_it_calls_or_after_a_second(bool calls)
    {
        var (_, done) = Come();
        // Its preface and SETTINGS, then the HEADERS of its call.
        await SendAsync([.. "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"u8, 0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0]);
        (await ReadAsync(9)).ShouldBe([0, 0, 0, 4, 0, 0, 0, 0, 0], "an empty SETTINGS comes first");
        _toClient.Reader.TryRead(out _).ShouldBeFalse();
        if (calls)
            await SendAsync([0, 0, 1, 1, 5, 0, 0, 0, 1, 0x82]);
        else
            _time.Advance(TimeSpan.FromSeconds(1));
        var answer = await ReadAsync(17);
        answer[3].ShouldBe((byte)7, "GOAWAY");
        answer[9..17].ShouldBe([0, 0, 0, 0, 0, 0, 0, 0xc], "of INADEQUATE_SECURITY, nothing done");
        answer.Length.ShouldBe(9 + answer[2]);
        await _fromClient.Writer.CompleteAsync();
        await done.WaitAsync(Patience);
        _passed.Task.IsCompleted.ShouldBeFalse();
    }

    [Fact]
    public async Task A_browser_is_told_in_words()
    {
        var (_, done) = Come();
        await SendAsync("GET / HTTP/1.1\r\nHost: hub\r\n\r\n"u8.ToArray());
        Encoding.ASCII.GetString((await _toClient.Reader.ReadAsync().AsTask().WaitAsync(Patience)).Buffer.FirstSpan).ShouldStartWith("HTTP/1.1 400 ");
        // Who does not go by itself is let go.
        done.IsCompleted.ShouldBeFalse();
        using var over = new CancellationTokenSource(Patience);
        while (!done.IsCompleted)
        {
            over.Token.ThrowIfCancellationRequested();
            _time.Advance(TimeSpan.FromSeconds(1));
            await Task.Yield();
        }
    }

    [Fact]
    public async Task Who_says_nothing_is_reset_when_its_time_is_over()
    {
        var (connection, done) = Come();
        _time.Advance(HubListeners.HandshakeTimeout - TimeSpan.FromTicks(1));
        connection.Aborted.ShouldBeNull();
        _time.Advance(TimeSpan.FromTicks(1));
        await done.WaitAsync(Patience);
        connection.Aborted.ShouldBe("No TLS handshake began in time.");
        _passed.Task.IsCompleted.ShouldBeFalse();
    }

    /// <summary>Thrown on, it would be an error with a stack trace in the log for everybody who looks whether somebody listens.</summary>
    [Fact]
    public async Task Who_resets_the_connection_before_it_says_anything_is_let_go_quietly()
    {
        var (_, done) = Come();
        await _fromClient.Writer.CompleteAsync(new ConnectionResetException("reset"));
        await done.WaitAsync(Patience);
        _passed.Task.IsCompleted.ShouldBeFalse();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Who_resets_the_connection_instead_of_reading_the_answer_is_let_go_quietly(bool before)
    {
        if (before)
            await _toClient.Reader.CompleteAsync(new ConnectionResetException("reset"));
        var (_, done) = Come();
        await SendAsync("GET / HTTP/1.1\r\n\r\n"u8.ToArray());
        if (!before)
        {
            await _toClient.Reader.ReadAsync().AsTask().WaitAsync(Patience);
            await _fromClient.Writer.CompleteAsync(new ConnectionResetException("reset"));
        }

        await done.WaitAsync(Patience);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_listener_that_stops_waits_for_nobody_here(bool silent)
    {
        var (connection, done) = Come();
        if (!silent)
        {
            await SendAsync("GET / HTTP/1.1\r\n\r\n"u8.ToArray());
            await _toClient.Reader.ReadAsync().AsTask().WaitAsync(Patience);
        }

        done.IsCompleted.ShouldBeFalse();
        connection.RequestClose();
        await done.WaitAsync(Patience);
    }

    private (Connection Connection, Task Done) Come()
    {
        var connection = new Connection(_fromClient.Reader, _toClient.Writer);
        return (connection, new ClearText(_time).OnConnectionAsync(connection, async c =>
        {
            var read = await c.Transport.Input.ReadAsync();
            read.Buffer.Length.ShouldBe(3);
            _passed.SetResult(read.Buffer.FirstSpan[0]);
        }));
    }

    private async Task<byte[]> ReadAsync(int atLeast)
    {
        var buffer = (await _toClient.Reader.ReadAtLeastAsync(atLeast).AsTask().WaitAsync(Patience)).Buffer;
        var bytes = buffer.ToArray();
        _toClient.Reader.AdvanceTo(buffer.End);
        return bytes;
    }

    private async Task SendAsync(byte[] bytes) => await _fromClient.Writer.WriteAsync(bytes);

    private sealed class Connection(PipeReader input, PipeWriter output) : ConnectionContext, IDuplexPipe, IConnectionLifetimeNotificationFeature
    {
        private readonly CancellationTokenSource _stopping = new();
        private readonly FeatureCollection _features = new();

        public string? Aborted { get; private set; }
        public override string ConnectionId { get; set; } = "";
        public override IFeatureCollection Features
        {
            get
            {
                _features.Set<IConnectionLifetimeNotificationFeature>(this);
                return _features;
            }
        }

        public CancellationToken ConnectionClosedRequested { get => _stopping.Token; set => throw new NotSupportedException(); }
        public override IDictionary<object, object?> Items { get; set; } = new Dictionary<object, object?>();
        public override IDuplexPipe Transport { get => this; set => throw new NotSupportedException(); }
        public override void Abort(ConnectionAbortedException abortReason) => Aborted = abortReason.Message;
        public void RequestClose() => _stopping.Cancel();
        PipeReader IDuplexPipe.Input => input;
        PipeWriter IDuplexPipe.Output => output;
    }
}
