using System.Diagnostics.CodeAnalysis;

namespace Hub.Protocol;

/// <summary>Rules for names, and resource names made of them.</summary>
public static class Names
{
    /// <summary>Longest node name in characters.</summary>
    public const int MaxNodeName = 63;
    /// <summary>Longest terminal name, command id or request id in characters.</summary>
    public const int MaxTerminalName = 64;
    /// <summary>What the stream of a command is called: this and the command's id.</summary>
    public const string CommandStreamPrefix = "cmd/";

    /// <summary>1 to 63 of a-z, 0-9, '.', '_', '-', beginning and ending with a letter or digit.</summary>
    public static bool IsNodeName([NotNullWhen(true)] string? name)
    {
        if (string.IsNullOrEmpty(name) || name.Length > MaxNodeName || !IsLowerOrDigit(name[0]) || !IsLowerOrDigit(name[^1]))
            return false;
        foreach (var c in name)
        {
            if (!IsLowerOrDigit(c) && c is not ('.' or '_' or '-'))
                return false;
        }

        return true;
    }

    /// <summary>1 to 64 of letters, digits, '.', '_', '-', and not '.' or '..'. Also the rule for command and request ids.</summary>
    public static bool IsTerminalName([NotNullWhen(true)] string? name)
    {
        if (string.IsNullOrEmpty(name) || name.Length > MaxTerminalName || name is "." or "..")
            return false;
        foreach (var c in name)
        {
            if (!char.IsAsciiLetterOrDigit(c) && c is not ('.' or '_' or '-'))
                return false;
        }

        return true;
    }

    /// <summary>A terminal's name, or 'cmd/' and a command's id.</summary>
    public static bool IsStreamName([NotNullWhen(true)] string? name) =>
        name is not null && name.StartsWith(CommandStreamPrefix, StringComparison.Ordinal)
            ? IsTerminalName(name[CommandStreamPrefix.Length..])
            : IsTerminalName(name);

    /// <summary>1 to 63 of letters, digits, '.', '_', '-', '/'.</summary>
    public static bool IsLabelKey([NotNullWhen(true)] string? key) =>
        !string.IsNullOrEmpty(key) && key.Length <= 63 && key.All(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '_' or '-' or '/');

    /// <summary>At most 255 characters, none of them a control character.</summary>
    public static bool IsLabelValue([NotNullWhen(true)] string? value) =>
        value is not null && value.Length <= 255 && !value.Any(char.IsControl);

    /// <summary>'nodes/{node}'.</summary>
    public static string Node(string node) => $"nodes/{node}";

    /// <summary>'nodes/{node}/terminals/{terminal}'.</summary>
    public static string Terminal(string node, string terminal) => $"nodes/{node}/terminals/{terminal}";

    /// <summary>'nodes/{node}/commands/{command}'.</summary>
    public static string Command(string node, string command) => $"nodes/{node}/commands/{command}";

    /// <summary>The name of a command's stream.</summary>
    public static string CommandStream(string command) => CommandStreamPrefix + command;

    /// <summary>Reads 'nodes/{node}'.</summary>
    public static bool TryParseNode(string? resource, [NotNullWhen(true)] out string? node)
    {
        node = null;
        if (resource is null || !resource.StartsWith("nodes/", StringComparison.Ordinal) || !IsNodeName(resource[6..]))
            return false;
        node = resource[6..];
        return true;
    }

    /// <summary>Reads 'nodes/{node}/terminals/{terminal}'; the terminal may be 'cmd/{command}'.</summary>
    public static bool TryParseTerminal(string? resource, [NotNullWhen(true)] out string? node, [NotNullWhen(true)] out string? terminal) =>
        TryParseChild(resource, "/terminals/", IsStreamName, out node, out terminal);

    /// <summary>Reads 'nodes/{node}/commands/{command}'.</summary>
    public static bool TryParseCommand(string? resource, [NotNullWhen(true)] out string? node, [NotNullWhen(true)] out string? command) =>
        TryParseChild(resource, "/commands/", IsTerminalName, out node, out command);

    private static bool TryParseChild(string? resource, string collection, Func<string?, bool> valid,
        [NotNullWhen(true)] out string? node, [NotNullWhen(true)] out string? child)
    {
        node = child = null;
        var at = resource?.IndexOf(collection, StringComparison.Ordinal) ?? -1;
        if (at < 0 || !TryParseNode(resource![..at], out var parent) || !valid(resource[(at + collection.Length)..]))
            return false;
        node = parent;
        child = resource[(at + collection.Length)..];
        return true;
    }

    private static bool IsLowerOrDigit(char c) => c is >= 'a' and <= 'z' or >= '0' and <= '9';
}
