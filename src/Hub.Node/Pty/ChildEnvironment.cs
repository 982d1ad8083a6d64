using System.Collections;

namespace Hub.Node.Pty;

/// <summary>The environment of what the agent starts, and the search for programs in it.</summary>
internal static class ChildEnvironment
{
    // The agent's own secrets and switches, a hub's where both are started from one environment, and what describes the terminal the agent itself was started in.
    private static readonly string[] Withheld =
        ["AKKAHUB_TOKEN", "AKKAHUB_CONNECTION_STRING", DetachedMark, "COLORTERM", "COLUMNS", "LINES", "TERM_PROGRAM", "TERM_PROGRAM_VERSION"];

    /// <summary>Set for the agent that <c>--detach</c> started anew, so that it does not do so again.</summary>
    public const string DetachedMark = "AKKAHUB_NODE_DETACHED";

    /// <summary>The agent's own environment without its secrets, the user's basics where missing, then what was asked for.</summary>
    public static Dictionary<string, string> Build(UserAccount user, string shell, bool pty, IEnumerable<KeyValuePair<string, string>> given)
    {
        var all = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (DictionaryEntry entry in Environment.GetEnvironmentVariables())
            all[(string)entry.Key] = (string?)entry.Value ?? "";
        foreach (var name in Withheld)
            all.Remove(name);
        all.TryAdd("HOME", user.Home);
        all.TryAdd("USER", user.Name);
        all.TryAdd("LOGNAME", user.Name);
        all.TryAdd("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        all["SHELL"] = shell;
        if (pty)
            all["TERM"] = "xterm-256color";
        foreach (var (name, value) in given)
            all[name] = value;
        return all;
    }

    /// <summary>As NAME=value.</summary>
    public static List<string> Render(Dictionary<string, string> environment) =>
        [.. environment.Select(e => $"{e.Key}={e.Value}")];

    /// <summary>
    /// Finds a program as a shell would: a name with a slash stands for itself, another is searched in the PATH the program
    /// will see (posix_spawnp would search the agent's own).
    /// </summary>
    /// <exception cref="SpawnException">There is none.</exception>
    public static string Find(string program, Dictionary<string, string> environment)
    {
        if (program.Length == 0)
            throw new SpawnException("cannot start a program without a name");
        if (program.Contains('/'))
            return program;
        foreach (var directory in environment["PATH"].Split(':'))
        {
            if (directory.Length == 0)
                continue;
            var path = Path.Combine(directory, program);
            if (UserAccount.IsExecutable(path))
                return path;
        }

        throw new SpawnException($"cannot start '{program}': no such program in PATH");
    }

    /// <summary>Refuses what the operating system could not be given: NUL characters, names with '=', a missing directory.</summary>
    /// <exception cref="SpawnException">It says what is wrong.</exception>
    public static void Check(IEnumerable<string> arguments, IEnumerable<KeyValuePair<string, string>> environment, string directory)
    {
        if (arguments.Any(a => a.Contains('\0')))
            throw new SpawnException("an argument holds a NUL character");
        foreach (var (name, value) in environment)
        {
            if (name.Length == 0 || name.Contains('=') || name.Contains('\0') || value.Contains('\0'))
                throw new SpawnException("an environment variable's name is empty or holds '=', or it holds a NUL character");
        }

        if (directory.Contains('\0') || !Directory.Exists(directory))
            throw new SpawnException($"cannot start in '{directory}': no such directory");
    }
}
