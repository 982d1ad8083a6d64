using System.Text;

namespace Hub.Protocol;

/// <summary>
/// Bounds of what a terminal or a command is started with, the same at the hub's edge and at the agent. All bytes are those of
/// UTF-8.
/// </summary>
public static class StartBounds
{
    /// <summary>Most arguments of a terminal's program, itself included.</summary>
    public const int MaxTerminalArguments = 128;
    /// <summary>Most bytes in all of them.</summary>
    public const int MaxTerminalArgumentBytes = 64 * 1024;
    /// <summary>Most arguments of a command, its program included.</summary>
    public const int MaxCommandArguments = 1024;
    /// <summary>Most bytes in all of them.</summary>
    public const int MaxCommandArgumentBytes = 256 * 1024;
    /// <summary>Most environment variables.</summary>
    public const int MaxVariables = 128;
    /// <summary>Most bytes in all their names and values.</summary>
    public const int MaxVariableBytes = 64 * 1024;
    /// <summary>Longest directory in bytes.</summary>
    public const int MaxDirectoryBytes = 4096;

    /// <summary>Bytes of all texts.</summary>
    public static long Bytes(IEnumerable<string> texts) => texts.Sum(static t => (long)Encoding.UTF8.GetByteCount(t));

    /// <summary>Whether environment variables are within their bounds.</summary>
    public static bool AreVariables(IDictionary<string, string> variables) =>
        variables.Count <= MaxVariables && Bytes(variables.Keys) + Bytes(variables.Values) <= MaxVariableBytes;
}
