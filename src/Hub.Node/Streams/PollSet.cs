using Hub.Node.Pty;

namespace Hub.Node.Streams;

/// <summary>The descriptors of one turn of the reactor and the time at which it must turn again.</summary>
internal sealed class PollSet
{
    private const long Never = long.MaxValue;
    private Native.PollFd[] _fds = new Native.PollFd[16];
    private int _count;
    private long _dueMs = Never;

    /// <summary>The reactor's clock, milliseconds.</summary>
    public long NowMs { get; set; }

    /// <summary>Where sources read into before they hand the bytes on; the size of the largest read.</summary>
    public byte[] ReadBuffer { get; } = GC.AllocateUninitializedArray<byte>(StreamBuffer.MaxMessageBytes, pinned: true);

    /// <summary>Begins a turn.</summary>
    public void Clear(long nowMs)
    {
        _count = 0;
        _dueMs = Never;
        NowMs = nowMs;
    }

    /// <summary>Polls a descriptor and gives the slot to ask with.</summary>
    public int Add(int fd, short events)
    {
        if (_count == _fds.Length)
            Array.Resize(ref _fds, 2 * _count);
        _fds[_count] = new Native.PollFd { Fd = fd, Events = events };
        return _count++;
    }

    /// <summary>What a slot returned; 0 for a negative slot.</summary>
    public short Returned(int slot) => slot < 0 ? (short)0 : _fds[slot].Returned;

    /// <summary>Turns again at this time at the latest.</summary>
    public void DueAt(long ms) => _dueMs = Math.Min(_dueMs, ms);

    /// <summary>Waits until a descriptor is ready or the time has come.</summary>
    public unsafe void Poll()
    {
        var timeout = _dueMs == Never ? -1 : (int)Math.Clamp(_dueMs - NowMs, 0, int.MaxValue);
        fixed (Native.PollFd* fds = _fds)
        {
            if (Native.Poll(fds, (nuint)_count, timeout) >= 0)
                return;
        }

        // Interrupted by a signal, or out of kernel memory for a moment: nothing is ready, and the next turn asks again.
        for (var i = 0; i < _count; i++)
            _fds[i].Returned = 0;
    }
}
