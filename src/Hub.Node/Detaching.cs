using System.Collections;
using System.Text;
using Hub.Node.Pty;
using Hub.Protocol;

namespace Hub.Node;

/// <summary>
/// Runs the agent where neither the end of the session it was started in nor a Ctrl+C in its terminal reaches it: as another
/// process in a session of its own, with nothing of whoever started this one. A descriptor that stayed open, as a pipe to a
/// log, would keep whoever reads it waiting for as long as the agent lives.
/// </summary>
internal static class Detaching
{
    /// <summary>Where the log of a detached agent is, in its state directory.</summary>
    public const string LogFileName = "agent.log";
    private static readonly TimeSpan StartWithin = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan StartPoll = TimeSpan.FromMilliseconds(50);

    /// <summary>Whether this is the process that was started so.</summary>
    public static bool IsDetached => Environment.GetEnvironmentVariable(ChildEnvironment.DetachedMark) is not null;

    /// <summary>Starts this program again, detached, and waits until it holds the lock of its state directory.</summary>
    /// <returns>0, or what it ended with.</returns>
    /// <exception cref="SpawnException">The system refused it.</exception>
    public static async Task<int> StartAsync(string stateDirectory, TextWriter error, TimeProvider time, CancellationToken cancellationToken)
    {
        var pid = Start();
        var began = time.GetTimestamp();
        while (true)
        {
            if (AgentPresence.Inspect(stateDirectory) is { IsRunning: true, Pid: { } holder } && holder == pid)
            {
                await error.WriteLineAsync($"The node agent runs as process {pid}.").ConfigureAwait(false);
                return ExitCodes.Ok;
            }

            var log = Path.Combine(stateDirectory, LogFileName);
            if (Native.WaitPid(pid, out var status, Native.NoHang) == pid)
            {
                var code = (status & 0x7f) == 0 ? (status >> 8) & 0xff : ExitCodes.Failure;
                await error.WriteLineAsync($"The node agent ended at once, with code {code}; {log} says why.").ConfigureAwait(false);
                return code;
            }

            if (time.GetElapsedTime(began) > StartWithin)
            {
                await error.WriteLineAsync($"The node agent, process {pid}, has not begun within {StartWithin.TotalSeconds:0} s; {log} may say why.").ConfigureAwait(false);
                return ExitCodes.Failure;
            }

            await Task.Delay(StartPoll, time, cancellationToken).ConfigureAwait(false);
        }
    }

    private static int Start()
    {
        var arguments = Encoding.UTF8.GetString(File.ReadAllBytes("/proc/self/cmdline")).TrimEnd('\0').Split('\0');
        List<string> environment = [$"{ChildEnvironment.DetachedMark}=1"];
        foreach (DictionaryEntry entry in Environment.GetEnvironmentVariables())
            environment.Add($"{entry.Key}={entry.Value}");
        Native.KeepInheritedDescriptors();
        return Spawner.Detached(new SpawnRequest(Environment.ProcessPath!, arguments, environment, Directory.GetCurrentDirectory()));
    }
}
