using System.Runtime.InteropServices;

namespace Hub.Node.Pty;

/// <summary>The user the agent runs as, from the password database.</summary>
/// <param name="Name">Login name; the numeric id if the database does not know it.</param>
/// <param name="Home">Home directory; '/' if there is none.</param>
/// <param name="Shell">Login shell; empty if the database does not know the user.</param>
internal sealed record UserAccount(string Name, string Home, string Shell)
{
    private const int Executable = 1;

    /// <summary>Reads the account of the effective user.</summary>
    public static unsafe UserAccount Current()
    {
        var uid = Native.EffectiveUser();
        // struct passwd: name, passwd (pointers), uid, gid (32 bits each), gecos, dir, shell (pointers).
        var record = stackalloc byte[256];
        var buffer = stackalloc byte[16 * 1024];
        if (nint.Size == 8 && Native.GetUser(uid, record, buffer, 16 * 1024, out var found) == 0 && found != 0)
        {
            return new UserAccount(
                Text(record, 0) is { Length: > 0 } name ? name : uid.ToString(),
                Text(record, 32) is { Length: > 0 } home && Directory.Exists(home) ? home : "/",
                Text(record, 40));
        }

        var fallback = Environment.GetEnvironmentVariable("HOME");
        return new UserAccount(uid.ToString(), Directory.Exists(fallback) ? fallback : "/", "");
    }

    /// <summary>The shell for terminals: the one given, else the login shell, else <c>SHELL</c>, else /bin/sh.</summary>
    public string ChooseShell(string? given)
    {
        if (!string.IsNullOrEmpty(given))
            return given;
        if (IsShell(Shell))
            return Shell;
        var set = Environment.GetEnvironmentVariable("SHELL");
        return IsShell(set) ? set! : "/bin/sh";
    }

    /// <summary>Whether a path can be executed by this user.</summary>
    public static bool IsExecutable(string path) => File.Exists(path) && Native.Access(path, Executable) == 0;

    private static bool IsShell(string? path) =>
        !string.IsNullOrEmpty(path) && Path.IsPathRooted(path)
        && Path.GetFileName(path) is not ("nologin" or "false") && IsExecutable(path);

    private static unsafe string Text(byte* record, int offset) =>
        Marshal.PtrToStringUTF8(*(nint*)(record + offset)) ?? "";
}
