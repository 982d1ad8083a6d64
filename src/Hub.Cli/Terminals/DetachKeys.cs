using System.Globalization;
using System.Text;

namespace Hub.Cli.Terminals;

/// <summary>Finds the keys that leave an attachment among what is typed. Not for concurrent use.</summary>
internal sealed class DetachKeys
{
    /// <summary>Keys when none are given.</summary>
    public const string Default = "ctrl-]";

    private const int OtherKey = -1;
    private const int NoKey = -2;

    private readonly int[] _keys;
    private readonly List<(int Key, byte[] Raw)> _held = [];

    private DetachKeys(int[] keys, string text) => (_keys, Text) = (keys, text);

    /// <summary>Ctrl+C alone.</summary>
    public static DetachKeys ControlC() => new([3], "Ctrl-C");

    /// <summary>As people read it, such as 'Ctrl-P, Ctrl-Q'.</summary>
    public string Text { get; }

    /// <summary>Reads 'ctrl-X' and single characters joined by commas; X is a letter or one of @ [ \ ] ^ _.</summary>
    public static bool TryParse(string text, out DetachKeys? keys)
    {
        keys = null;
        var bytes = new List<int>();
        var names = new StringBuilder();
        foreach (var part in text.Split(','))
        {
            var key = part.Trim();
            if (names.Length > 0)
                names.Append(", ");
            if (key.Length == 6 && key.StartsWith("ctrl-", StringComparison.OrdinalIgnoreCase)
                && char.ToUpperInvariant(key[5]) is >= '@' and <= '_' and var control)
            {
                bytes.Add(control & 0x1f);
                names.Append("Ctrl-").Append(control);
            }
            else if (key.Length == 1 && key[0] is > ' ' and <= '~')
            {
                bytes.Add(key[0]);
                names.Append(key);
            }
            else
            {
                return false;
            }
        }

        keys = new DetachKeys([.. bytes], names.ToString());
        return true;
    }

    /// <summary>
    /// Takes what was typed and appends what is to be passed on to <paramref name="rest"/>. The beginning of the keys is held
    /// back until it is clear that they do not follow. A key counts in each way a terminal may send it: programs switch on
    /// xterm's modifyOtherKeys (<c>CSI 27 ; modifiers ; code ~</c>) or kitty's keyboard protocol (<c>CSI code ; modifiers u</c>).
    /// A terminal sends such a sequence at once: only whole ones are looked at, and a lone Escape is never held back.
    /// </summary>
    /// <returns>True when the keys are complete; what was typed after them is not passed on.</returns>
    public bool Scan(ReadOnlySpan<byte> typed, List<byte> rest)
    {
        while (!typed.IsEmpty)
        {
            var (key, length) = First(typed);
            var raw = typed[..length].ToArray();
            typed = typed[length..];
            _held.Add((key, raw));
            // Give back from the front until what is held is a beginning of the keys again.
            while (_held.Count > 0 && !IsBeginning())
            {
                rest.AddRange(_held[0].Raw);
                _held.RemoveAt(0);
            }

            if (_held.Count(h => h.Key != NoKey) < _keys.Length)
                continue;
            _held.Clear();
            return true;
        }

        return false;
    }

    private bool IsBeginning() =>
        _held[0].Key != NoKey && _keys.AsSpan().StartsWith(_held.Where(h => h.Key != NoKey).Select(h => h.Key).ToArray());

    /// <summary>The first key of what was typed, and how many bytes it takes.</summary>
    private static (int Key, int Length) First(ReadOnlySpan<byte> typed)
    {
        if (typed is not [0x1b, (byte)'[', ..])
            return (typed[0], 1);
        var end = 2;
        while (end < typed.Length && typed[end] is >= 0x20 and <= 0x3f)
            end++;
        if (end == typed.Length)
            return (typed[0], 1);
        var fields = Encoding.ASCII.GetString(typed[2..end]).Split(';');
        var key = typed[end] switch
        {
            (byte)'u' => Key(fields[0], fields.Length > 1 ? fields[1] : "1"),
            (byte)'~' when fields is ["27", var modifiers, var code] => Key(code, modifiers),
            _ => OtherKey,
        };
        return (key, end + 1);
    }

    /// <summary>A key of the kitty protocol as the byte it was before: <c>code[:shifted[:base]]</c>, <c>modifiers[:event]</c>.</summary>
    private static int Key(string codes, string modifiers)
    {
        const int control = 4, lone = 0b0011_1111, shift = 1, released = 3, firstModifierKey = 57441, lastModifierKey = 57454;
        var how = modifiers.Split(':');
        if (!int.TryParse(codes.Split(':')[0], NumberStyles.None, CultureInfo.InvariantCulture, out var code)
            || !int.TryParse(how[0], NumberStyles.None, CultureInfo.InvariantCulture, out var pressed))
        {
            return OtherKey;
        }

        // That a key is let go, or that Ctrl itself is pressed, comes between keys and is none.
        if ((how.Length > 1 && how[1] == $"{released}") || code is >= firstModifierKey and <= lastModifierKey)
            return NoKey;
        // Caps lock and num lock are told as modifiers, too.
        var held = (pressed - 1) & lone;
        return (held & ~shift, code) switch
        {
            (control, >= '@' and <= '_' or >= 'a' and <= 'z') => code & 0x1f,
            (0, > ' ' and <= '~') when held == 0 => code,
            _ => OtherKey,
        };
    }
}
