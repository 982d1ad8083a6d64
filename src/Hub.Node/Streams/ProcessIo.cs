using AkkaHub.V1;
using Hub.Node.Pty;

namespace Hub.Node.Streams;

/// <summary>
/// A running process, its descriptors and its end. The reactor's thread reads, writes what waits, and closes; other threads
/// write, resize and signal under the lock, which guards the descriptors' life.
/// <para>
/// The process is reaped only when all its output was read: until then its number, and that of its group and session, cannot
/// stand for anything else, so a late signal never hits a stranger. Children that hold the pipes or the PTY open after the
/// process ended are waited for while they write, but not beyond <see cref="SilenceMs"/> of silence or
/// <see cref="DrainMs"/> in all; time during which the hub takes no output does not count.
/// </para>
/// </summary>
/// <remarks>Longer than most files: reading, writing, signals and the end share the descriptors' life and the one lock that guards it.</remarks>
internal sealed class ProcessIo : IReactorSource
{
    /// <summary>Between the first signal to end a process and SIGKILL, milliseconds.</summary>
    public const long GraceMs = 5_000;
    private const long SilenceMs = 1_000;
    private const long DrainMs = 5_000;
    private const long HungUpRetryMs = 1_000;

    private readonly Lock _gate = new();
    private readonly Reactor _reactor;
    private readonly NodeStream _stream;
    private readonly Action<NodeStream> _ended;
    private readonly bool _pty;
    private readonly int _pid;
    private readonly int _pidFd;
    private readonly InputQueue _queue = new();
    private int _output;
    private int _error;
    private int _input;
    private CommandEnd _endCause = CommandEnd.Exited;
    private readonly long? _timeoutAt;
    private long? _killAt;
    private bool _ending;
    private bool _killed;
    private bool _exited;
    private bool _abandoned;
    private bool _closed;

    // Of the reactor's thread only.
    private long _silentSince;
    private long _drainUntil;
    private long _retryAt;
    private bool _reading;
    private int _pidSlot;
    private int _outputSlot;
    private int _errorSlot;
    private int _inputSlot;

    /// <summary>Takes over a started process. The caller adds it to the reactor.</summary>
    /// <param name="reactor">Clock and wake-up.</param>
    /// <param name="stream">Takes the output and the end.</param>
    /// <param name="process">The process and its descriptors.</param>
    /// <param name="timeoutMs">Ends the process after this time; null for never.</param>
    /// <param name="ended">Called on the reactor's thread after the end.</param>
    public ProcessIo(Reactor reactor, NodeStream stream, SpawnedProcess process, long? timeoutMs, Action<NodeStream> ended)
    {
        _reactor = reactor;
        _stream = stream;
        _ended = ended;
        _pid = process.Pid;
        _pidFd = process.PidFd;
        _output = process.Output;
        _error = process.Error;
        _input = process.Input;
        _pty = process.Input == process.Output;
        // A time-out of centuries is never, and must not overflow the clock.
        _timeoutAt = timeoutMs is { } ms and < long.MaxValue / 2 ? reactor.NowMs + ms : null;
    }

    /// <inheritdoc/>
    public bool IsFinished { get; private set; }

    /// <summary>Writes to the program's input, or queues what it does not take yet.</summary>
    public void Write(ReadOnlyMemory<byte> data, bool endOfInput, RequestDone done)
    {
        lock (_gate)
        {
            if (_closed || _exited)
                done(RequestOutcome.FailedPrecondition, "the program has ended");
            else if (_input < 0)
                done(RequestOutcome.FailedPrecondition, "standard input is closed");
            else if (endOfInput && _pty)
                done(RequestOutcome.FailedPrecondition, "a PTY's input cannot be closed");
            else
                WriteNow(data, endOfInput, done);
        }
    }

    /// <summary>Sets the size of the PTY.</summary>
    public void Resize(int columns, int rows, RequestDone done)
    {
        lock (_gate)
        {
            if (_closed || _exited)
            {
                done(RequestOutcome.FailedPrecondition, "the program has ended");
            }
            else if (!_pty)
            {
                done(RequestOutcome.FailedPrecondition, "the command has no PTY");
            }
            else if (!Native.SetWindowSize(_output, columns, rows))
            {
                done(RequestOutcome.Failed, Native.Describe(Native.LastError));
            }
            else
            {
                _stream.Resize(columns, rows, _reactor.NowUnixUs);
                done(RequestOutcome.Done, "");
            }
        }
    }

    /// <summary>Sends a signal to the foreground process group of the PTY, or to the command's process group.</summary>
    public void Signal(int signal, RequestDone done)
    {
        lock (_gate)
        {
            if (_closed || _exited)
            {
                done(RequestOutcome.FailedPrecondition, "the program has ended");
                return;
            }

            var group = _pty ? Native.ForegroundGroup(_output) : 0;
            if ((group > 0 && Native.Kill(-group, signal) == 0) || Native.Kill(-_pid, signal) == 0)
                done(RequestOutcome.Done, "");
            else
                done(RequestOutcome.Failed, Native.Describe(Native.LastError));
        }
    }

    /// <summary>Ends the process: a first signal now (hang-up to a terminal's session, terminate to a command's group), SIGKILL
    /// after the grace. False if it has ended already.</summary>
    public bool BeginEnd(CommandEnd cause, long graceMs)
    {
        lock (_gate)
        {
            if (_closed || _exited)
                return false;
            if (!_ending)
            {
                _endCause = cause;
                _ending = true;
                SignalAll(_stream.Identity.Kind == StreamKind.Terminal ? Native.SignalHangUp : Native.SignalTerminate);
            }

            var at = _reactor.NowMs + graceMs;
            _killAt = _killAt is { } before ? Math.Min(before, at) : at;
        }

        _reactor.Wake();
        return true;
    }

    /// <summary>Kills what is left and stops reading: the agent stops and waits no longer.</summary>
    public void Abandon()
    {
        lock (_gate)
        {
            if (_closed)
                return;
            _abandoned = true;
            SignalAll(Native.SignalKill);
        }

        _reactor.Wake();
    }

    /// <inheritdoc/>
    public void Prepare(PollSet set)
    {
        _reading = _stream.WantsBytes;
        lock (_gate)
        {
            _pidSlot = _exited ? -1 : set.Add(_pidFd, Native.PollIn);
            var hungUp = _retryAt > set.NowMs;
            var wanted = (short)((_reading && !hungUp ? Native.PollIn : 0) | (_pty && !_queue.IsEmpty ? Native.PollOut : 0));
            // A descriptor whose other end hung up is always 'ready': one we want nothing of must not be polled at all.
            _outputSlot = _output >= 0 && wanted != 0 ? set.Add(_output, wanted) : -1;
            _errorSlot = _error >= 0 && _reading ? set.Add(_error, Native.PollIn) : -1;
            _inputSlot = !_pty && _input >= 0 && !_queue.IsEmpty ? set.Add(_input, Native.PollOut) : -1;
            if (hungUp)
                set.DueAt(_retryAt);
            // Only what will be acted on then: a time that has passed would make every turn the next one.
            if (_timeoutAt is { } timeout && !_ending && !_exited)
                set.DueAt(timeout);
            if (_killAt is { } kill && !_killed)
                set.DueAt(kill);
            if (_exited && _reading && SilenceIsEnough)
                set.DueAt(Math.Min(_silentSince + SilenceMs, _drainUntil));
            if (_abandoned)
                set.DueAt(set.NowMs);
        }
    }

    /// <inheritdoc/>
    public void Handle(PollSet set)
    {
        if (set.Returned(_pidSlot) != 0)
        {
            lock (_gate)
                _exited = true;
            Restart(set.NowMs);
        }

        if (!_reading)
            Restart(set.NowMs);
        if (_reading && (set.Returned(_outputSlot) & ~Native.PollOut) != 0)
            Read(set, ref _output, OutputChannel.Stdout);
        if (set.Returned(_errorSlot) != 0)
            Read(set, ref _error, OutputChannel.Stderr);
        lock (_gate)
        {
            if (set.Returned(_pty ? _outputSlot : _inputSlot) != 0 && _input >= 0)
                Flushed(_queue.Flush(_input));
            CheckTimes(set.NowMs);
            if (IsOver(set.NowMs))
                Finish();
        }

        if (IsFinished)
            _ended(_stream);
    }

    /// <inheritdoc/>
    public void Abort()
    {
        lock (_gate)
        {
            if (_closed)
                return;
            SignalAll(Native.SignalKill);
            Finish();
        }

        _ended(_stream);
    }

    private void WriteNow(ReadOnlyMemory<byte> data, bool endOfInput, RequestDone done)
    {
        var idle = _queue.IsEmpty;
        _queue.Add(data, endOfInput, done);
        if (idle)
            Flushed(_queue.Flush(_input));
        if (!_queue.IsEmpty)
            _reactor.Wake();
    }

    private void Flushed(FlushResult result)
    {
        if (result is FlushResult.Drained or FlushResult.Blocked)
            return;
        // A PTY that nobody has open takes nothing now; whoever opens it next can be typed to.
        if (result == FlushResult.Broken)
            _queue.Fail(RequestOutcome.FailedPrecondition, "the program has closed its input", forGood: !_pty);
        if (!_pty)
            CloseDescriptor(ref _input);
    }

    private unsafe void Read(PollSet set, ref int fd, OutputChannel channel)
    {
        if (fd < 0)
            return;
        nint count;
        fixed (byte* buffer = set.ReadBuffer)
            count = Native.Read(fd, buffer, (nuint)set.ReadBuffer.Length);
        if (count > 0)
        {
            _silentSince = set.NowMs;
            _stream.Append(set.ReadBuffer.AsSpan(0, (int)count), channel, _reactor.NowUnixUs);
        }
        else if (count == 0 || Native.LastError is not (Native.WouldBlock or Native.Interrupted))
        {
            // A PTY says EIO while no process has it open. The shell may still live and open it again; its end is the end.
            if (_pty && !_exited)
            {
                _retryAt = set.NowMs + HungUpRetryMs;
                return;
            }

            lock (_gate)
            {
                CloseDescriptor(ref fd);
                if (_pty)
                    _input = -1;
            }
        }
    }

    private void Restart(long nowMs)
    {
        _silentSince = nowMs;
        _drainUntil = nowMs + DrainMs;
        _retryAt = 0;
    }

    private void CheckTimes(long nowMs)
    {
        if (!_ending && !_exited && _timeoutAt <= nowMs)
        {
            _endCause = CommandEnd.TimedOut;
            _ending = true;
            _killAt = nowMs + GraceMs;
            SignalAll(Native.SignalTerminate);
        }

        if (_ending && !_killed && _killAt <= nowMs)
        {
            _killed = true;
            SignalAll(Native.SignalKill);
        }
    }

    private bool IsOver(long nowMs)
    {
        if (_closed)
            return false;
        if (_abandoned)
            return true;
        if (!_exited)
            return false;
        if (_output < 0 && _error < 0)
            return true;
        return _reading && SilenceIsEnough && (nowMs >= _silentSince + SilenceMs || nowMs >= _drainUntil);
    }

    // What was told to end has its grace to say its last words; after that, and for others, silence is enough.
    private bool SilenceIsEnough => !_ending || _killed;

    private void Finish()
    {
        // A killed process may take a moment to be gone; it is not waited for, since this thread must never wait.
        var reaped = Native.WaitPid(_pid, out var status, _exited ? 0 : Native.NoHang) == _pid;
        var signal = reaped ? status & 0x7f : Native.SignalKill;
        var code = signal == 0 ? (status >> 8) & 0xff : 128 + signal;
        _queue.Fail(RequestOutcome.FailedPrecondition, "the program has ended");
        if (_pty)
            _input = -1;
        CloseDescriptor(ref _output);
        CloseDescriptor(ref _error);
        CloseDescriptor(ref _input);
        Native.Close(_pidFd);
        _closed = _exited = true;
        IsFinished = true;
        _stream.End(new StreamExit(_endCause, code, signal, _reactor.NowUnixUs));
    }

    private void SignalAll(int signal)
    {
        if (_stream.Identity.Kind == StreamKind.Terminal)
        {
            ProcessSession.Signal(_pid, signal);
            return;
        }

        Native.Kill(-_pid, signal);
        if (signal != Native.SignalKill)
            Native.Kill(-_pid, Native.SignalContinue);
    }

    private static void CloseDescriptor(ref int fd)
    {
        if (fd >= 0)
            Native.Close(fd);
        fd = -1;
    }
}
