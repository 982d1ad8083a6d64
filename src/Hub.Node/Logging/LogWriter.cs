using System.Threading.Channels;

namespace Hub.Node.Logging;

/// <summary>
/// Writes log lines on a task of its own. Standard error may be stopped (Ctrl+S), a pipe that nobody empties, a full disk or a
/// terminal that has gone: neither the session with the hub nor the thread that serves all PTYs may wait for it or end with it.
/// So lines wait here, at most <see cref="Capacity"/>; what finds no room or cannot be written is lost, and counted.
/// </summary>
internal sealed class LogWriter : IAsyncDisposable
{
    /// <summary>Most lines that wait.</summary>
    public const int Capacity = 1024;
    private static readonly TimeSpan LastLinesWithin = TimeSpan.FromSeconds(1);

    private readonly Channel<string> _lines = Channel.CreateBounded<string>(new BoundedChannelOptions(Capacity) { SingleReader = true });
    private readonly Action<string> _write;
    private readonly TimeProvider _time;
    private readonly Task _writing;
    private long _lost;

    /// <summary>Begins to write.</summary>
    /// <param name="write">Writes text; it may wait or throw.</param>
    /// <param name="time">The clock.</param>
    public LogWriter(Action<string> write, TimeProvider time)
    {
        _write = write;
        _time = time;
        _writing = Task.Run(WriteAsync);
    }

    /// <summary>Takes a line, with its line end; it is lost when there is no room.</summary>
    public void Add(string line)
    {
        if (!_lines.Writer.TryWrite(line))
            Interlocked.Increment(ref _lost);
    }

    /// <summary>Writes what waits, for a second at most.</summary>
    public async ValueTask DisposeAsync()
    {
        _lines.Writer.TryComplete();
        await _writing.WaitAsync(LastLinesWithin, _time).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    private async Task WriteAsync()
    {
        await foreach (var line in _lines.Reader.ReadAllAsync().ConfigureAwait(false))
        {
            var lost = Interlocked.Read(ref _lost);
            try
            {
                _write(lost == 0 ? line : $"{line}({lost} lines of this log could not be written)\n");
                Interlocked.Add(ref _lost, -lost);
            }
            catch (Exception)
            {
                // Whatever it was, there is nowhere else to say it; the next line tries again.
                Interlocked.Increment(ref _lost);
            }
        }
    }
}
