using Hub.Node.Logging;
using Hub.Node.Pty;
using Microsoft.Extensions.Logging;

namespace Hub.Node.Streams;

/// <summary>Something with descriptors to poll and times to be called at. Both methods run on the reactor's thread only.</summary>
internal interface IReactorSource
{
    /// <summary>Whether the source is done and shall be forgotten.</summary>
    bool IsFinished { get; }
    /// <summary>Says which descriptors to poll for what, and when to be called at the latest.</summary>
    void Prepare(PollSet set);
    /// <summary>Looks at what became ready and at the time.</summary>
    void Handle(PollSet set);
    /// <summary>The source broke an invariant: it lets everything go.</summary>
    void Abort();
}

/// <summary>
/// Polls the descriptors of all PTYs, pipes and processes from one thread, the only one the agent makes: poll(2) waits, which
/// must not be done on the thread pool. It never waits elsewhere: descriptors are non-blocking, buffers are bounded, and a
/// source that cannot take bytes does not poll for them.
/// </summary>
internal sealed class Reactor : IDisposable
{
    private readonly ILogger _log;
    private readonly TimeProvider _time;
    private readonly long _started;
    private readonly Lock _gate = new();
    private readonly List<IReactorSource> _sources = [];
    private readonly int _wake;
    private readonly TaskCompletionSource _stopped = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _woken;
    private volatile bool _stopping;

    /// <summary>Starts the thread.</summary>
    /// <exception cref="IOException">No event descriptor could be made.</exception>
    public Reactor(TimeProvider time, ILogger log)
    {
        _time = time;
        _log = log;
        _started = time.GetTimestamp();
        _wake = Native.EventFd(0, Native.CloseOnExec | Native.NonBlocking);
        if (_wake < 0)
            throw new IOException($"cannot make an event descriptor: {Native.Describe(Native.LastError)}");
        new Thread(Run) { IsBackground = true, Name = "reactor" }.Start();
    }

    /// <summary>Completes when the thread has ended.</summary>
    public Task Stopped => _stopped.Task;

    /// <summary>Milliseconds since the reactor began; never goes back.</summary>
    public long NowMs => (long)_time.GetElapsedTime(_started).TotalMilliseconds;

    /// <summary>The node's clock, microseconds since the Unix epoch.</summary>
    public long NowUnixUs => (_time.GetUtcNow().UtcTicks - DateTimeOffset.UnixEpoch.UtcTicks) / TimeSpan.TicksPerMicrosecond;

    /// <summary>Polls a source from now on, until it is finished.</summary>
    public void Add(IReactorSource source)
    {
        lock (_gate)
            _sources.Add(source);
        Wake();
    }

    /// <summary>Lets every source say anew what it waits for. Cheap: many calls make one turn.</summary>
    public unsafe void Wake()
    {
        if (Interlocked.Exchange(ref _woken, 1) != 0)
            return;
        ulong one = 1;
        Native.Write(_wake, (byte*)&one, sizeof(ulong));
    }

    /// <summary>Ends the thread; sources still there are let go of.</summary>
    public void Dispose()
    {
        _stopping = true;
        Wake();
    }

    private unsafe void Run()
    {
        var set = new PollSet();
        var sources = new List<IReactorSource>();
        try
        {
            while (!_stopping)
            {
                set.Clear(NowMs);
                var wake = set.Add(_wake, Native.PollIn);
                foreach (var source in sources)
                    source.Prepare(set);
                set.Poll();
                set.NowMs = NowMs;
                if (set.Returned(wake) != 0)
                {
                    ulong count;
                    Native.Read(_wake, (byte*)&count, sizeof(ulong));
                    // Cleared after the read and before the sources look: a wake in between makes one turn too many, never too few.
                    Volatile.Write(ref _woken, 0);
                }

                foreach (var source in sources)
                    Handle(source, set);
                TakeSources(sources);
            }
        }
        finally
        {
            lock (_gate)
                _sources.ForEach(s => s.Abort());
            _stopped.TrySetResult();
        }
    }

    private void Handle(IReactorSource source, PollSet set)
    {
        try
        {
            source.Handle(set);
        }
        catch (Exception e)
        {
            _log.SourceFailed(e);
            source.Abort();
        }
    }

    private void TakeSources(List<IReactorSource> sources)
    {
        lock (_gate)
        {
            _sources.RemoveAll(s => s.IsFinished);
            sources.Clear();
            sources.AddRange(_sources);
        }
    }
}
