using System.Globalization;
using System.Runtime.InteropServices;

namespace Hub.Protocol;

/// <summary>
/// Whether a node agent runs on a state directory, which process it is, and how to end it. An agent holds an exclusive lock
/// on <see cref="LockFileName"/> for its whole life, and writes its process id and start time to <see cref="PidFileName"/>,
/// so that a number used again by another process is not mistaken for it. Linux only.
/// </summary>
/// <param name="IsRunning">Whether an agent holds the lock.</param>
/// <param name="Pid">Its process id; null if none runs, or the file does not name a living process.</param>
public sealed record AgentPresence(bool IsRunning, int? Pid)
{
    /// <summary>Name of the locked file.</summary>
    public const string LockFileName = "agent.lock";
    /// <summary>Name of the file with the process id and its start time in clock ticks since boot.</summary>
    public const string PidFileName = "agent.pid";

    private const int SysPidfdSendSignal = 424;
    private const int SysPidfdOpen = 434;
    private static readonly TimeSpan PollInterval = TimeSpan.FromMilliseconds(50);

    private string StateDirectory { get; init; } = "";

    /// <summary>Looks at a state directory. One that does not exist has no agent.</summary>
    /// <exception cref="IOException">The lock file cannot be opened.</exception>
    /// <exception cref="UnauthorizedAccessException">It belongs to somebody else.</exception>
    public static AgentPresence Inspect(string stateDirectory)
    {
        if (!AgentLock.IsHeld(stateDirectory))
            return new AgentPresence(false, null) { StateDirectory = stateDirectory };
        return new AgentPresence(true, TryReadPid(stateDirectory)?.Pid) { StateDirectory = stateDirectory };
    }

    /// <summary>
    /// Sends a signal to the agent; false if it is gone or cannot be told apart from a stranger. The process is held by a
    /// descriptor while its start time is compared, so the signal reaches the agent or nobody.
    /// </summary>
    /// <param name="signal">Number of the signal; SIGTERM (15) lets it hang up its shells and leave in order.</param>
    public bool Terminate(int signal = 15)
    {
        if (TryReadPid(StateDirectory) is not { } agent)
            return false;
        var descriptor = (int)SysCall(SysPidfdOpen, agent.Pid, 0, 0, 0);
        if (descriptor < 0)
            return false;
        try
        {
            return StartTime(agent.Pid) == agent.StartTicks && SysCall(SysPidfdSendSignal, descriptor, signal, 0, 0) == 0;
        }
        finally
        {
            Close(descriptor);
        }
    }

    /// <summary>Waits until no agent holds the lock; false if one still does after the time.</summary>
    public async Task<bool> WaitUntilGoneAsync(TimeSpan within, TimeProvider time, CancellationToken cancellationToken = default)
    {
        var began = time.GetTimestamp();
        while (AgentLock.IsHeld(StateDirectory))
        {
            if (time.GetElapsedTime(began) >= within)
                return false;
            await Task.Delay(PollInterval, time, cancellationToken).ConfigureAwait(false);
        }

        return true;
    }

    /// <summary>Writes the calling process's id and start time. Only the holder of the lock may.</summary>
    public static void WritePid(string stateDirectory) =>
        File.WriteAllText(
            Path.Combine(stateDirectory, PidFileName),
            string.Create(CultureInfo.InvariantCulture, $"{Environment.ProcessId} {StartTime(Environment.ProcessId)}\n"));

    private static (int Pid, long StartTicks)? TryReadPid(string stateDirectory)
    {
        try
        {
            var parts = File.ReadAllText(Path.Combine(stateDirectory, PidFileName)).Split(' ');
            if (parts.Length == 2 && int.TryParse(parts[0], CultureInfo.InvariantCulture, out var pid) && pid > 0
                && long.TryParse(parts[1], CultureInfo.InvariantCulture, out var ticks) && StartTime(pid) == ticks)
            {
                return (pid, ticks);
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // No agent wrote one.
        }

        return null;
    }

    /// <summary>Field 22 of /proc/PID/stat; -1 if there is no such process.</summary>
    private static long StartTime(int pid)
    {
        try
        {
            // The second field is the name in parentheses and may hold anything: count from the last one.
            var stat = File.ReadAllText(string.Create(CultureInfo.InvariantCulture, $"/proc/{pid}/stat"));
            return long.Parse(stat[(stat.LastIndexOf(')') + 2)..].Split(' ')[19], CultureInfo.InvariantCulture);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or FormatException or IndexOutOfRangeException)
        {
            return -1;
        }
    }

    [DllImport("libc", EntryPoint = "syscall", SetLastError = true)]
    private static extern nint SysCall(nint number, nint a, nint b, nint c, nint d);

    [DllImport("libc", EntryPoint = "close")]
    private static extern int Close(int descriptor);
}

/// <summary>The exclusive lock on an agent's state directory, held until disposed or until the process ends, however it ends.</summary>
public sealed class AgentLock : IDisposable
{
    private const int Exclusive = 2;
    private const int Shared = 1;
    private const int NonBlocking = 4;
    private const int OpenReadWrite = 0x2;
    private const int OpenCreate = 0x40;
    private const int OpenCloseOnExec = 0x80000;
    private const int WouldBlock = 11;
    private const int OwnerOnly = 0x180;

    private int _descriptor;

    private AgentLock(int descriptor) => _descriptor = descriptor;

    /// <summary>Takes the lock; null if another agent holds it.</summary>
    /// <exception cref="IOException">The file cannot be made or locked.</exception>
    public static AgentLock? TryAcquire(string stateDirectory)
    {
        var descriptor = Open(PathIn(stateDirectory), OpenReadWrite | OpenCreate | OpenCloseOnExec, OwnerOnly);
        if (descriptor < 0)
            throw Failed(stateDirectory);
        return Lock(descriptor, Exclusive, stateDirectory) ? new AgentLock(descriptor) : null;
    }

    /// <summary>
    /// Whether somebody holds the lock. Asking takes it shared for a moment, which an agent that starts just then may meet;
    /// so agents try more than once.
    /// </summary>
    internal static bool IsHeld(string stateDirectory)
    {
        if (!File.Exists(PathIn(stateDirectory)))
            return false;
        var descriptor = Open(PathIn(stateDirectory), OpenReadWrite | OpenCloseOnExec, 0);
        if (descriptor < 0)
            throw Failed(stateDirectory);
        if (!Lock(descriptor, Shared, stateDirectory))
            return true;
        _ = Close(descriptor);
        return false;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_descriptor >= 0)
            _ = Close(_descriptor);
        _descriptor = -1;
    }

    private static string PathIn(string stateDirectory) => Path.Combine(stateDirectory, AgentPresence.LockFileName);

    private static bool Lock(int descriptor, int kind, string stateDirectory)
    {
        if (Flock(descriptor, kind | NonBlocking) == 0)
            return true;
        var error = Marshal.GetLastPInvokeError();
        _ = Close(descriptor);
        return error == WouldBlock ? false : throw new IOException($"cannot lock '{PathIn(stateDirectory)}': {Marshal.GetPInvokeErrorMessage(error)}");
    }

    private static IOException Failed(string stateDirectory) =>
        new($"cannot open '{PathIn(stateDirectory)}': {Marshal.GetLastPInvokeErrorMessage()}");

    [DllImport("libc", EntryPoint = "open", SetLastError = true, CharSet = CharSet.Ansi, BestFitMapping = false, ThrowOnUnmappableChar = true)]
    private static extern int Open([MarshalAs(UnmanagedType.LPUTF8Str)] string path, int flags, int mode);

    [DllImport("libc", EntryPoint = "flock", SetLastError = true)]
    private static extern int Flock(int descriptor, int operation);

    [DllImport("libc", EntryPoint = "close")]
    private static extern int Close(int descriptor);
}
