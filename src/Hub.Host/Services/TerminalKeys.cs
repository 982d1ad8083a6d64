using System.Text;

namespace Hub.Host.Services;

/// <summary>
/// Key names and the bytes a terminal sends for them (xterm, normal cursor mode; xterm control sequences, "PC-Style Function
/// Keys").
/// </summary>
public static class TerminalKeys
{
    private static readonly Dictionary<string, string> Named = new(StringComparer.OrdinalIgnoreCase)
    {
        ["enter"] = "\r",
        ["return"] = "\r",
        ["tab"] = "\t",
        ["escape"] = "\e",
        ["esc"] = "\e",
        ["backspace"] = "\x7f",
        ["delete"] = "\e[3~",
        ["insert"] = "\e[2~",
        ["space"] = " ",
        ["up"] = "\e[A",
        ["down"] = "\e[B",
        ["right"] = "\e[C",
        ["left"] = "\e[D",
        ["home"] = "\e[H",
        ["end"] = "\e[F",
        ["page-up"] = "\e[5~",
        ["page-down"] = "\e[6~",
        ["f1"] = "\eOP",
        ["f2"] = "\eOQ",
        ["f3"] = "\eOR",
        ["f4"] = "\eOS",
        ["f5"] = "\e[15~",
        ["f6"] = "\e[17~",
        ["f7"] = "\e[18~",
        ["f8"] = "\e[19~",
        ["f9"] = "\e[20~",
        ["f10"] = "\e[21~",
        ["f11"] = "\e[23~",
        ["f12"] = "\e[24~",
    };

    /// <summary>The bytes of a sequence of keys.</summary>
    /// <exception cref="Grpc.Core.RpcException">INVALID_ARGUMENT: there is none, too many, or one that has no such name.</exception>
    public static byte[] Encode(IReadOnlyCollection<string> keys)
    {
        if (keys.Count is 0 or > 256)
            throw HubErrors.InvalidField("keys", "must be 1 to 256 key names");
        var text = new StringBuilder();
        foreach (var key in keys)
            text.Append(Encode(key));
        return Encoding.UTF8.GetBytes(text.ToString());
    }

    private static string Encode(string key)
    {
        if (Named.TryGetValue(key, out var sequence))
            return sequence;
        if (key.StartsWith("ctrl-", StringComparison.OrdinalIgnoreCase) && key.Length == 6 && char.ToLowerInvariant(key[5]) is >= 'a' and <= 'z' or '[' or '\\' or ']' or '^' or '_')
            return ((char)(char.ToUpperInvariant(key[5]) & 0x1f)).ToString();
        if (key.StartsWith("alt-", StringComparison.OrdinalIgnoreCase) && key.Length is 5 or 6 && new StringInfoLength(key[4..]).IsOne)
            return "\e" + key[4..];
        throw HubErrors.InvalidField("keys", $"'{Shown(key)}' is no key; the names are {string.Join(", ", Named.Keys)}, ctrl-a to ctrl-z, alt- and one character");
    }

    private static string Shown(string key) => new(key.Take(32).Select(c => char.IsControl(c) ? '?' : c).ToArray());

    private readonly record struct StringInfoLength(string Text)
    {
        public bool IsOne => new System.Globalization.StringInfo(Text).LengthInTextElements == 1;
    }
}
