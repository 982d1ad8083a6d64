namespace Hub.Node.Pty;

/// <summary>All processes of one session, for ending them.</summary>
internal static class ProcessSession
{
    /// <summary>
    /// Sends a signal to each process of a session, found in /proc, and lets stopped ones go on so that they can take it. The
    /// session's leader must not have been reaped yet: until then the number cannot stand for another session.
    /// </summary>
    public static void Signal(int session, int signal)
    {
        foreach (var directory in Directory.EnumerateDirectories("/proc"))
        {
            if (!int.TryParse(Path.GetFileName(directory), out var pid) || SessionOf(directory) != session)
                continue;
            Native.Kill(pid, signal);
            if (signal != Native.SignalKill)
                Native.Kill(pid, Native.SignalContinue);
        }
    }

    private static int SessionOf(string directory)
    {
        try
        {
            // 'pid (name) state ppid pgrp session …'; the name may hold anything, so count from its last parenthesis.
            var stat = File.ReadAllText(Path.Combine(directory, "stat"));
            var fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ', 5);
            return int.Parse(fields[3]);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or FormatException or IndexOutOfRangeException)
        {
            // It ended meanwhile.
            return -1;
        }
    }
}
