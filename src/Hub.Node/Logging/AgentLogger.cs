using System.Globalization;
using Microsoft.Extensions.Logging;

namespace Hub.Node.Logging;

/// <summary>Makes one line of an event. It never waits and never throws: the lines are written elsewhere (<see cref="LogWriter"/>).</summary>
internal sealed class AgentLogger(Action<string> add, LogLevel level, TimeProvider time) : ILogger
{
    /// <inheritdoc/>
    public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

    /// <inheritdoc/>
    public bool IsEnabled(LogLevel logLevel) => logLevel >= level && logLevel != LogLevel.None;

    /// <inheritdoc/>
    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        if (!IsEnabled(logLevel))
            return;
        var name = logLevel switch
        {
            LogLevel.Trace => "TRC",
            LogLevel.Debug => "DBG",
            LogLevel.Information => "INF",
            LogLevel.Warning => "WRN",
            LogLevel.Error => "ERR",
            _ => "CRT",
        };
        // What a hub or the system said may hold control characters; a log is read in a terminal.
        var text = string.Create(CultureInfo.InvariantCulture, $"{time.GetUtcNow():yyyy-MM-ddTHH:mm:ss.fffZ} {name} [{eventId.Id}] {Harmless(formatter(state, exception))}");
        add(exception is null ? text + "\n" : $"{text}\n{exception}\n");
    }

    private static string Harmless(string text) =>
        text.Any(char.IsControl) ? string.Concat(text.Select(c => char.IsControl(c) ? '?' : c)) : text;
}

/// <summary>A log file of bounded size: at the bound it becomes <c>.1</c>, replacing the one before, and a new one begins.</summary>
internal sealed class RotatingFile(string path, long maxBytes)
{
    private readonly Lock _gate = new();
    private long _length = File.Exists(path) ? new FileInfo(path).Length : 0;

    /// <summary>Appends text. A full disk loses the line, not the agent.</summary>
    public void Write(string text)
    {
        lock (_gate)
        {
            try
            {
                if (_length >= maxBytes)
                {
                    File.Move(path, path + ".1", overwrite: true);
                    _length = 0;
                }

                File.AppendAllText(path, text);
                _length += System.Text.Encoding.UTF8.GetByteCount(text);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // There is nowhere else to say it.
            }
        }
    }
}
