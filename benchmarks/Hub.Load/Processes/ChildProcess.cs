using System.ComponentModel;
using System.Diagnostics;
using System.Runtime.InteropServices;

namespace Hub.Load.Processes;

/// <summary>
/// A child process with its output caught, ended by its process id when disposed. Output goes to a file; the last lines stay in
/// memory for error messages.
/// </summary>
public sealed partial class ChildProcess : IAsyncDisposable
{
    private const int TailLines = 400;
    private const int SignalTerminate = 15;
    private const int SignalKill = 9;
    private static readonly TimeSpan OutputGrace = TimeSpan.FromSeconds(1);

    private readonly Process _process;
    private readonly StreamWriter _log;
    private readonly Lock _gate = new();
    private readonly Queue<string> _tail = new();
    private readonly List<(Func<string, bool> Match, TaskCompletionSource<string> Seen)> _waiting = [];
    private readonly TaskCompletionSource _exited = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _outputEnded = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _openOutputs = 2;
    private bool _logClosed;
    private bool _disposed;

    private ChildProcess(Process process, StreamWriter log)
    {
        _process = process;
        _log = log;
    }

    /// <summary>Its process id.</summary>
    public int Id => _process.Id;

    /// <summary>It has ended.</summary>
    public bool HasExited => _process.HasExited;

    /// <summary>Its exit code, 128 + signal if a signal ended it.</summary>
    /// <exception cref="InvalidOperationException">It still runs.</exception>
    public int ExitCode => _process.ExitCode;

    /// <summary>The last lines of standard output and error, in the order they came.</summary>
    public IReadOnlyList<string> Tail
    {
        get
        {
            lock (_gate)
                return [.. _tail];
        }
    }

    /// <summary>Starts a program.</summary>
    /// <param name="file">Program.</param>
    /// <param name="arguments">Its arguments.</param>
    /// <param name="environment">Variables to set beside this process's own; null removes one.</param>
    /// <param name="logFile">Where its output is appended.</param>
    /// <param name="workingDirectory">Its directory; this process's if null.</param>
    public static ChildProcess Start(string file, IEnumerable<string> arguments, IReadOnlyDictionary<string, string?> environment,
        string logFile, string? workingDirectory = null)
    {
        var start = new ProcessStartInfo(file)
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            RedirectStandardInput = true,
            WorkingDirectory = workingDirectory ?? "",
        };
        foreach (var argument in arguments)
            start.ArgumentList.Add(argument);
        foreach (var (name, value) in environment)
        {
            if (value is null)
                start.Environment.Remove(name);
            else
                start.Environment[name] = value;
        }

        var log = new StreamWriter(new FileStream(logFile, FileMode.Append, FileAccess.Write, FileShare.ReadWrite));
        var process = new Process { StartInfo = start, EnableRaisingEvents = true };
        var child = new ChildProcess(process, log);
        process.OutputDataReceived += (_, e) => child.Take(e.Data);
        process.ErrorDataReceived += (_, e) => child.Take(e.Data);
        process.Exited += (_, _) => child._exited.TrySetResult();
        process.Start();
        process.StandardInput.Close();
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        return child;
    }

    /// <summary>Ends it at once, without a word (SIGKILL), and waits until it is gone.</summary>
    public async Task KillAsync()
    {
        if (!_process.HasExited)
            Send(SignalKill);
        await WaitForExitAsync(TimeSpan.FromSeconds(30)).ConfigureAwait(false);
    }

    /// <summary>Asks it to end (SIGTERM) and gives its exit code.</summary>
    /// <exception cref="TimeoutException">It did not end in time; it still runs.</exception>
    public async Task<int> TerminateAsync(TimeSpan timeout)
    {
        if (!_process.HasExited)
            Send(SignalTerminate);
        return await WaitForExitAsync(timeout).ConfigureAwait(false);
    }

    /// <summary>Waits for its end and gives its exit code.</summary>
    /// <exception cref="TimeoutException">It did not end in time; it still runs.</exception>
    public async Task<int> WaitForExitAsync(TimeSpan timeout)
    {
        try
        {
            await _exited.Task.WaitAsync(timeout).ConfigureAwait(false);
        }
        catch (TimeoutException)
        {
            throw new TimeoutException($"process {Id} still runs after {timeout}; its last lines:\n{string.Join('\n', Tail.TakeLast(20))}");
        }

        // Its last lines; not waited for long, because a child of its own may hold the pipe open.
        await Task.WhenAny(_outputEnded.Task, Task.Delay(OutputGrace)).ConfigureAwait(false);
        return _process.ExitCode;
    }

    /// <summary>Completes with the first line from now on that matches.</summary>
    public Task<string> WaitForLineAsync(Func<string, bool> match, TimeSpan timeout)
    {
        TaskCompletionSource<string> seen = new(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (_gate)
            _waiting.Add((match, seen));
        return seen.Task.WaitAsync(timeout);
    }

    /// <summary>Sends a signal.</summary>
    public void Send(int signal) => Send(Id, signal);

    /// <summary>Sends a signal to a process; false if there is none of this id.</summary>
    public static bool Send(int processId, int signal)
    {
        if (Kill(processId, signal) == 0)
            return true;
        const int noSuchProcess = 3;
        var error = Marshal.GetLastPInvokeError();
        return error == noSuchProcess ? false : throw new Win32Exception(error);
    }

    /// <summary>Ends it, if it still runs, and closes its log.</summary>
    public async ValueTask DisposeAsync()
    {
        if (_disposed)
            return;
        _disposed = true;
        await KillAsync().ConfigureAwait(false);
        lock (_gate)
        {
            _logClosed = true;
            _log.Dispose();
        }

        _process.Dispose();
    }

    private void Take(string? line)
    {
        if (line is null)
        {
            if (Interlocked.Decrement(ref _openOutputs) == 0)
                _outputEnded.TrySetResult();
            return;
        }

        lock (_gate)
        {
            if (!_logClosed)
            {
                _log.WriteLine(line);
                _log.Flush();
            }

            _tail.Enqueue(line);
            if (_tail.Count > TailLines)
                _tail.Dequeue();
            for (var i = _waiting.Count - 1; i >= 0; i--)
            {
                if (!_waiting[i].Match(line))
                    continue;
                _waiting[i].Seen.TrySetResult(line);
                _waiting.RemoveAt(i);
            }
        }
    }

    [LibraryImport("libc", EntryPoint = "kill", SetLastError = true)]
    private static partial int Kill(int processId, int signal);
}
