using System.Collections;
using System.Text;
using Hub.Node.Pty;

namespace Hub.Node;

/// <summary>
/// Leaves the session the agent was started in, so that neither its end nor a Ctrl+C in its terminal reaches the agent. A
/// process that leads its group, as one started from an interactive shell does, cannot make a session: it starts itself anew.
/// </summary>
internal static class Detaching
{
    /// <summary>Makes a session of this process; true if that is not possible and it must be started anew.</summary>
    public static bool NeedsOwnProcess() =>
        Environment.GetEnvironmentVariable(ChildEnvironment.DetachedMark) is null && Native.SetSession() < 0;

    /// <summary>Starts this program again, in a session of its own, and gives its process id.</summary>
    /// <exception cref="SpawnException">The system refused it.</exception>
    public static int StartOwnProcess()
    {
        var arguments = Encoding.UTF8.GetString(File.ReadAllBytes("/proc/self/cmdline")).TrimEnd('\0').Split('\0');
        List<string> environment = [$"{ChildEnvironment.DetachedMark}=1"];
        foreach (DictionaryEntry entry in Environment.GetEnvironmentVariables())
            environment.Add($"{entry.Key}={entry.Value}");
        return Spawner.Detached(new SpawnRequest(Environment.ProcessPath!, arguments, environment, Directory.GetCurrentDirectory()));
    }

    /// <summary>Points standard input, output and error to /dev/null.</summary>
    /// <exception cref="IOException">The system refused it.</exception>
    public static void LeaveTerminal()
    {
        var devNull = Native.Open("/dev/null", Native.ReadWrite | Native.CloseOnExec);
        if (devNull < 0)
            throw new IOException($"cannot open /dev/null: {Native.Describe(Native.LastError)}");
        for (var fd = 0; fd <= 2; fd++)
            Native.Duplicate(devNull, fd);
        Native.Close(devNull);
    }
}
