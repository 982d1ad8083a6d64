using System.Text;
using System.Threading.Channels;
using AkkaHub.V1;
using Google.Protobuf;
using Grpc.Core;
using Hub.Cli.Connection;
using Hub.Cli.Output;

namespace Hub.Cli.Terminals;

/// <summary>
/// One run of <c>attach</c>: keys and sizes to the terminal, its bytes to the screen. Over a break it goes on from its cursor;
/// what is typed meanwhile is dropped and said so, never sent late. Three loops touch it: the reader of the hub's stream,
/// the reader of keys, and the sender of sizes; the stream's writes are taken in turn.
/// </summary>
/// <remarks>Longer than most files: the three loops share one connection's state, which is easier to keep right in one place.</remarks>
internal sealed class AttachSession : IDisposable
{
    private const int HistoryBytes = 64 * 1024;
    /// <summary>A tail begins after a line end if there is one in its first bytes.</summary>
    private const int SaneStart = 4 * 1024;
    private const int MaxAsked = 16;
    /// <summary>Long enough for a program to see the first of two sizes.</summary>
    private static readonly TimeSpan NudgePause = TimeSpan.FromMilliseconds(80);

    private readonly Invocation _run;
    private readonly CliEnvironment _world;
    private readonly string _name;
    private readonly bool _readOnly;
    private readonly DetachKeys _keys;
    private readonly DetachKeys _interrupt = DetachKeys.ControlC();
    private readonly Reconnector _reconnector;
    private readonly ScreenModes _modes = new();
    private readonly List<byte> _screen = [];
    private readonly SemaphoreSlim _turn = new(1, 1);
    // Only the newest size matters: one waiting wish is enough, more are the same wish.
    private readonly Channel<bool> _resized = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });
    private readonly CancellationTokenSource _over;
    private IClientStreamWriter<AttachTerminalRequest>? _writer;
    private string _cursor = "";
    private string? _end;
    private bool _first = true;
    private bool _truncated;
    private bool _dropTold;
    private bool _nodeGoneTold;
    private bool _attachedBefore;
    // Sizes this attachment asked for and was not told of yet: they are no news when they come.
    private readonly Queue<TerminalSize> _asked = new();
    private TerminalSize? _sizeTold;

    /// <summary>Makes one; nothing is sent yet.</summary>
    public AttachSession(Invocation run, string name, bool readOnly, DetachKeys keys)
    {
        _run = run;
        _world = run.Environment;
        _name = name;
        _readOnly = readOnly;
        _keys = keys;
        _reconnector = new Reconnector(run.Hub, _world, $"the terminal ({keys.Text} leaves)");
        _over = CancellationTokenSource.CreateLinkedTokenSource(run.Cancellation);
    }

    /// <summary>Whether the person left, rather than the terminal ending.</summary>
    public bool Detached { get; private set; }

    /// <summary>Runs until the person leaves or the terminal ends; says how it ended, null if the person left.</summary>
    public async Task<string?> RunAsync()
    {
        using var raw = _world.Terminal.EnterRawMode();
        _world.RawTerminal = true;
        using var resize = _world.Terminal.OnResize(() => _resized.Writer.TryWrite(true));
        var beside = Task.WhenAll(KeysAsync(_over.Token), SizesAsync(_over.Token));
        try
        {
            await _reconnector.RunAsync(SessionAsync, _over.Token).ConfigureAwait(false);
        }
        catch (Exception e) when (Detached && e is OperationCanceledException or RpcException { StatusCode: StatusCode.Cancelled })
        {
            // Left.
        }
        finally
        {
            await _over.CancelAsync().ConfigureAwait(false);
            await beside.WaitAsync(TimeSpan.FromSeconds(1), CancellationToken.None).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            if (!_first)
            {
                await _world.Output.WriteAsync(Encoding.ASCII.GetBytes(_modes.Reset() + "\r\n"), CancellationToken.None).ConfigureAwait(false);
            }

            _world.RawTerminal = false;
        }

        return _end;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _over.Dispose();
        _turn.Dispose();
    }

    private async Task SessionAsync(HubService.HubServiceClient client, Action alive, CancellationToken cancellation)
    {
        using var call = client.AttachTerminal(cancellationToken: cancellation);
        var mine = _readOnly ? null : _world.Terminal.Size;
        var start = new AttachStart
        {
            Name = _name,
            ReadOnly = _readOnly,
            Start = _cursor.Length > 0 ? new HistoryStart { Cursor = _cursor } : new HistoryStart { TailBytes = HistoryBytes },
            Size = mine,
        };
        try
        {
            if (mine is not null)
                Ask(mine);
            await call.RequestStream.WriteAsync(new AttachTerminalRequest { Start = start }, cancellation).ConfigureAwait(false);
            var replay = true;
            var again = _attachedBefore;
            TerminalSize? before = null;
            await foreach (var answer in call.ResponseStream.ReadAllAsync(cancellation).ConfigureAwait(false))
            {
                alive();
                switch (answer.MessageCase)
                {
                    case AttachTerminalResponse.MessageOneofCase.Attached:
                        before = answer.Attached.Size;
                        _attachedBefore = true;
                        Volatile.Write(ref _writer, call.RequestStream);
                        _dropTold = false;
                        break;
                    case AttachTerminalResponse.MessageOneofCase.History:
                        await ShowAsync(answer.History, replay).ConfigureAwait(false);
                        if (answer.History.AtEnd && answer.History.TerminalState == TerminalState.Closed)
                            return;
                        if (replay && answer.History.AtEnd)
                        {
                            replay = false;
                            if (again)
                                _world.Note("connected again");
                            await RedrawAsync(mine, before, cancellation).ConfigureAwait(false);
                        }

                        break;
                    case AttachTerminalResponse.MessageOneofCase.InputFailed:
                        _world.Note(TextSanitizer.Line(answer.InputFailed.Message.Length > 0 ? answer.InputFailed.Message : answer.InputFailed.Reason));
                        break;
                }
            }

            throw Faults.EndedEarly();
        }
        finally
        {
            Volatile.Write(ref _writer, null);
        }
    }

    private async Task ShowAsync(FollowHistoryResponse part, bool replay)
    {
        foreach (var record in part.Records)
        {
            switch (record.RecordCase)
            {
                case HistoryRecord.RecordOneofCase.Output:
                    var data = record.Output.Data.Span;
                    if (_first)
                    {
                        // Main screen, plain text, everything cleared: what follows was written for an empty screen.
                        _first = false;
                        _truncated = record.Output.Offset > 0;
                        _screen.AddRange("\e[!p\e[0m\e(B\e[H\e[2J"u8);
                        if (_truncated)
                            data = data[SkipTo(data)..];
                    }

                    _modes.Filter(data, replay, _screen);
                    break;
                case HistoryRecord.RecordOneofCase.Gap:
                    _truncated = true;
                    await FlushAsync().ConfigureAwait(false);
                    _world.Note(HistoryPrinter.Gap(record.Gap));
                    break;
                case HistoryRecord.RecordOneofCase.Restart:
                    _end = null;
                    await FlushAsync().ConfigureAwait(false);
                    if (!_first)
                    {
                        // The program that switched them on is gone, and the next one begins on a terminal of its own.
                        _screen.AddRange(Encoding.ASCII.GetBytes(_modes.Reset() + "\r\n"));
                        await FlushAsync().ConfigureAwait(false);
                        _world.Note("--- terminal restarted ---");
                    }

                    break;
                case HistoryRecord.RecordOneofCase.Resize:
                    if (!replay)
                        await ResizedAsync(record.Resize.Size).ConfigureAwait(false);
                    break;
                case HistoryRecord.RecordOneofCase.Closed:
                    _end = TerminalTable.End(true, record.Closed.Exit, record.Closed.Cause);
                    break;
            }

            if (record.Cursor.Length > 0)
            {
                await FlushAsync().ConfigureAwait(false);
                _cursor = record.Cursor;
            }
        }

        await FlushAsync().ConfigureAwait(false);
        if (part.NextCursor.Length > 0)
            _cursor = part.NextCursor;
        var gone = part.NodeState == NodeState.Offline;
        if (gone && !_nodeGoneTold)
            _world.Note($"the node is offline; waiting for it ({_keys.Text} leaves)");
        _nodeGoneTold = gone;
        if (part.AtEnd && part.TerminalState == TerminalState.Closed)
            _end ??= "ended";
    }

    /// <summary>Somebody else who shares the terminal gave it another size than this one has: said once a size.</summary>
    private async ValueTask ResizedAsync(TerminalSize size)
    {
        lock (_asked)
        {
            if (_asked.Contains(size))
            {
                while (!_asked.Dequeue().Equals(size))
                {
                }

                _sizeTold = null;
                return;
            }
        }

        if (_world.Terminal.Size is not { } mine || mine.Equals(size))
        {
            _sizeTold = null;
            return;
        }

        if (size.Equals(_sizeTold))
            return;
        _sizeTold = size;
        await FlushAsync().ConfigureAwait(false);
        _world.Note($"the terminal is {size.Cols}x{size.Rows} now, as somebody else has it; this one is {mine.Cols}x{mine.Rows}");
    }

    private void Ask(TerminalSize size)
    {
        lock (_asked)
        {
            if (_asked.Count == MaxAsked)
                _asked.Dequeue();
            _asked.Enqueue(size);
        }
    }

    private async ValueTask FlushAsync()
    {
        if (_screen.Count == 0)
            return;
        var bytes = _screen.ToArray();
        _screen.Clear();
        await _world.Output.WriteAsync(bytes, _over.Token).ConfigureAwait(false);
    }

    /// <summary>Where to begin in a tail that starts anywhere: after a line end, or at least not inside a character.</summary>
    private static int SkipTo(ReadOnlySpan<byte> data)
    {
        var line = data[..Math.Min(data.Length, SaneStart)].IndexOf((byte)'\n');
        if (line >= 0)
            return line + 1;
        var at = 0;
        while (at < data.Length && at < 4 && (data[at] & 0xc0) == 0x80)
            at++;
        return at;
    }

    /// <summary>
    /// A full-screen program draws anew when the size changes. Where the replay cannot have shown the whole screen, and the
    /// terminal had this size already, another size for a moment makes it do so.
    /// </summary>
    private async Task RedrawAsync(TerminalSize? mine, TerminalSize? before, CancellationToken cancellation)
    {
        if (mine is null || (!_truncated && !_modes.AlternateScreen))
            return;
        if (mine.Equals(before))
        {
            await SendAsync(new AttachTerminalRequest { Size = new TerminalSize { Cols = mine.Cols, Rows = mine.Rows > 1 ? mine.Rows - 1 : 2 } }, cancellation).ConfigureAwait(false);
            await Task.Delay(NudgePause, _world.Time, cancellation).ConfigureAwait(false);
        }

        await SendAsync(new AttachTerminalRequest { Size = _world.Terminal.Size ?? mine }, cancellation).ConfigureAwait(false);
    }

    private async Task KeysAsync(CancellationToken cancellation)
    {
        var buffer = new byte[16 * 1024];
        var rest = new List<byte>();
        try
        {
            while (true)
            {
                var count = await _world.Input.ReadAsync(buffer, cancellation).ConfigureAwait(false);
                rest.Clear();
                var leave = count == 0 || _keys.Scan(buffer.AsSpan(0, count), rest) || (_readOnly && _interrupt.Scan(rest.ToArray(), []));
                if (rest.Count > 0 && !_readOnly
                    && !await SendAsync(new AttachTerminalRequest { Input = ByteString.CopyFrom([.. rest]) }, cancellation).ConfigureAwait(false))
                {
                    Dropped();
                }

                if (!leave)
                    continue;
                Detached = true;
                await _over.CancelAsync().ConfigureAwait(false);
                return;
            }
        }
        catch (OperationCanceledException)
        {
            // Over.
        }
    }

    private async Task SizesAsync(CancellationToken cancellation)
    {
        try
        {
            while (await _resized.Reader.WaitToReadAsync(cancellation).ConfigureAwait(false))
            {
                while (_resized.Reader.TryRead(out _))
                {
                }

                // While the way is broken nothing is lost: a new session begins with the size of then.
                if (!_readOnly && _world.Terminal.Size is { } size)
                    await SendAsync(new AttachTerminalRequest { Size = size }, cancellation).ConfigureAwait(false);
            }
        }
        catch (OperationCanceledException)
        {
            // Over.
        }
    }

    /// <summary>Sends one message; false if there is no way to, or it broke meanwhile.</summary>
    private async Task<bool> SendAsync(AttachTerminalRequest message, CancellationToken cancellation)
    {
        await _turn.WaitAsync(cancellation).ConfigureAwait(false);
        try
        {
            var writer = Volatile.Read(ref _writer);
            if (writer is null)
                return false;
            if (message.Size is { } size)
                Ask(size);
            await writer.WriteAsync(message, cancellation).ConfigureAwait(false);
            return true;
        }
        catch (Exception e) when (e is RpcException or InvalidOperationException && !cancellation.IsCancellationRequested)
        {
            return false;
        }
        finally
        {
            _turn.Release();
        }
    }

    private void Dropped()
    {
        if (_dropTold)
            return;
        _dropTold = true;
        _world.Note($"no connection: what is typed now is dropped ({_keys.Text} leaves)");
    }
}
