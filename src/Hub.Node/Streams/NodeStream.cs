using AkkaHub.V1;
using Google.Protobuf;
using Hub.Protocol;

namespace Hub.Node.Streams;

/// <summary>How a stream's process ended.</summary>
/// <param name="End">How a command ended; for a terminal always exited.</param>
/// <param name="Code">Exit code, 128 + signal if a signal ended it.</param>
/// <param name="Signal">The signal, or 0.</param>
/// <param name="TimeUs">The node's clock, microseconds since the Unix epoch.</param>
internal sealed record StreamExit(CommandEnd End, int Code, int Signal, long TimeUs);

/// <summary>
/// One terminal or command: who it is and what is kept of its output. The reactor's thread fills it, the uplink empties it;
/// one lock guards the buffer. The two callbacks are called outside the lock: <c>changed</c> when there may be something to
/// send, <c>room</c> when a full buffer may be read into again.
/// </summary>
internal sealed class NodeStream
{
    private readonly Lock _gate = new();
    private readonly StreamBuffer _buffer;
    private readonly Action _changed;
    private readonly Action _room;
    private int _columns;
    private int _rows;
    private StreamExit? _exit;
    private bool _refused;

    /// <summary>A new stream.</summary>
    public NodeStream(StreamIdentity identity, StreamBuffer buffer, int columns, int rows, Action changed, Action room)
    {
        Identity = identity;
        OpenedSize = (columns, rows);
        _buffer = buffer;
        _columns = columns;
        _rows = rows;
        _changed = changed;
        _room = room;
    }

    /// <summary>Who it is.</summary>
    public StreamIdentity Identity { get; }
    /// <summary>Columns and rows at the start; later ones stand in the stream.</summary>
    public (int Columns, int Rows) OpenedSize { get; }
    /// <summary>What runs in it; set right after the start.</summary>
    public ProcessIo? Io { get; set; }
    /// <summary>How it ended; null while it lives.</summary>
    public StreamExit? Exit
    {
        get
        {
            lock (_gate)
                return _exit;
        }
    }

    /// <summary>Columns and rows now; 0 without a PTY.</summary>
    public (int Columns, int Rows) Size
    {
        get
        {
            lock (_gate)
                return (_columns, _rows);
        }
    }

    /// <summary>Whether the hub did not take it: it is being ended, and its output goes nowhere.</summary>
    public bool IsRefused
    {
        get
        {
            lock (_gate)
                return _refused;
        }
    }

    /// <summary>Whether the program's output should be read now.</summary>
    public bool WantsBytes
    {
        get
        {
            lock (_gate)
                return _refused || _buffer.WantsBytes;
        }
    }

    /// <summary>Bytes kept that are not acknowledged.</summary>
    public long UnacknowledgedBytes
    {
        get
        {
            lock (_gate)
                return _buffer.EndOffset - _buffer.FirstOffset;
        }
    }

    /// <summary>Bytes lost to overflow so far.</summary>
    public long DroppedBytes
    {
        get
        {
            lock (_gate)
                return _buffer.DroppedBytes;
        }
    }

    /// <summary>What the buffer takes of memory.</summary>
    public long Cost
    {
        get
        {
            lock (_gate)
                return _buffer.Cost;
        }
    }

    /// <summary>Takes what was read from the program.</summary>
    public void Append(ReadOnlySpan<byte> data, OutputChannel channel, long timeUs)
    {
        lock (_gate)
        {
            if (_refused)
                return;
            _buffer.Append(data, channel, timeUs);
        }

        _changed();
    }

    /// <summary>Marks a new size, unless it is the one there is.</summary>
    public void Resize(int columns, int rows, long timeUs)
    {
        lock (_gate)
        {
            if ((columns, rows) == (_columns, _rows))
                return;
            (_columns, _rows) = (columns, rows);
            _buffer.Resize(columns, rows, timeUs);
        }

        _changed();
    }

    /// <summary>All output was read and the process is gone.</summary>
    public void End(StreamExit exit)
    {
        lock (_gate)
        {
            _exit = exit;
            _buffer.End();
        }

        _changed();
    }

    /// <summary>The hub does not take the stream: its process is ended, and what it still says is read and dropped.</summary>
    public void Refuse()
    {
        lock (_gate)
            _refused = true;
        _room();
        Io?.BeginEnd(Identity.Kind == StreamKind.Terminal ? CommandEnd.Exited : CommandEnd.Cancelled, ProcessIo.GraceMs);
    }

    /// <summary>Lets go of an ended stream's bytes, which become a gap.</summary>
    public void Discard(long timeUs)
    {
        lock (_gate)
            _buffer.Discard(timeUs);
        _changed();
    }

    /// <summary>Begins a session with a stream the hub knows.</summary>
    public void BeginSession(StreamFlow flow) =>
        Unblock(() => _buffer.BeginSession(flow.AckOffset, flow.LimitOffset, flow.LimitMessages));

    /// <summary>Begins a session with a stream the hub has not heard of.</summary>
    public void BeginSession() => Unblock(_buffer.BeginSession);

    /// <summary>The session is over.</summary>
    public void EndSession() => Unblock(_buffer.EndSession);

    /// <summary>Takes an acknowledgement and a grant.</summary>
    public void Flow(StreamFlow flow)
    {
        Unblock(() =>
        {
            _buffer.Acknowledge(flow.AckOffset);
            _buffer.Grant(flow.LimitOffset, flow.LimitMessages);
        });
        _changed();
    }

    /// <summary>Goes back as the hub asked.</summary>
    public void Rewind(Rewind rewind)
    {
        lock (_gate)
            _buffer.Rewind(rewind.Number, rewind.FromOffset);
        _changed();
    }

    /// <summary>The next thing to send, as the wire has it; null if there is none or no credit for it.</summary>
    public ConnectRequest? Next(int maxBytes)
    {
        lock (_gate)
            return !_refused && _buffer.TryNext(maxBytes, out var message) ? StreamWire.ToRequest(this, message, _exit) : null;
    }

    /// <summary>That the stream was opened, if this session has not been told yet.</summary>
    public ConnectRequest? TakeOpened()
    {
        lock (_gate)
            return !_refused && _buffer.TryTakeOpened(out var message) ? StreamWire.ToRequest(this, message, _exit) : null;
    }

    /// <summary>The stream's entry in hello.</summary>
    public LiveStream Describe()
    {
        lock (_gate)
        {
            return new LiveStream
            {
                Name = Identity.Name,
                Incarnation = Identity.Incarnation,
                Kind = Identity.Kind,
                FirstOffset = _buffer.FirstOffset,
                EndOffset = _buffer.EndOffset,
                StartedUnixUs = Identity.StartedUs,
                Size = StreamWire.ToSize(_columns, _rows),
                CommandLine = Identity.CommandLine,
            };
        }
    }

    private void Unblock(Action change)
    {
        bool before, after;
        lock (_gate)
        {
            before = _buffer.WantsBytes;
            change();
            after = _buffer.WantsBytes;
        }

        if (after && !before)
            _room();
    }
}

/// <summary>Who a stream is.</summary>
/// <param name="Name">Terminal's name, or 'cmd/' and the command's id.</param>
/// <param name="Incarnation">16 random bytes.</param>
/// <param name="Kind">Terminal or command.</param>
/// <param name="StartedUs">When it started, the node's clock, microseconds since the Unix epoch.</param>
/// <param name="CommandLine">What runs in it, at most 4096 bytes.</param>
/// <param name="Pid">Its process.</param>
internal sealed record StreamIdentity(string Name, ByteString Incarnation, StreamKind Kind, long StartedUs, string CommandLine, int Pid)
{
    /// <summary>The command's id; empty for a terminal.</summary>
    public string CommandId => Kind == StreamKind.Command ? Name[Names.CommandStreamPrefix.Length..] : "";
}
