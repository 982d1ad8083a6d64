using System.Text;

namespace Hub.Cli.Terminals;

/// <summary>Finds the keys that leave an attachment among what is typed. Not for concurrent use.</summary>
internal sealed class DetachKeys
{
    /// <summary>Keys when none are given.</summary>
    public const string Default = "ctrl-]";

    private readonly byte[] _keys;
    private int _matched;

    private DetachKeys(byte[] keys, string text) => (_keys, Text) = (keys, text);

    /// <summary>As people read it, such as 'Ctrl-P, Ctrl-Q'.</summary>
    public string Text { get; }

    /// <summary>Reads 'ctrl-X' and single characters joined by commas; X is a letter or one of @ [ \ ] ^ _.</summary>
    public static bool TryParse(string text, out DetachKeys? keys)
    {
        keys = null;
        var bytes = new List<byte>();
        var names = new StringBuilder();
        foreach (var part in text.Split(','))
        {
            var key = part.Trim();
            if (names.Length > 0)
                names.Append(", ");
            if (key.Length == 6 && key.StartsWith("ctrl-", StringComparison.OrdinalIgnoreCase)
                && char.ToUpperInvariant(key[5]) is >= '@' and <= '_' and var control)
            {
                bytes.Add((byte)(control & 0x1f));
                names.Append("Ctrl-").Append(control);
            }
            else if (key.Length == 1 && key[0] is > ' ' and <= '~')
            {
                bytes.Add((byte)key[0]);
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
    /// back until it is clear that they do not follow.
    /// </summary>
    /// <returns>True when the keys are complete; what was typed after them is not passed on.</returns>
    public bool Scan(ReadOnlySpan<byte> typed, List<byte> rest)
    {
        foreach (var b in typed)
        {
            if (b == _keys[_matched])
            {
                if (++_matched == _keys.Length)
                {
                    _matched = 0;
                    return true;
                }

                continue;
            }

            // Give back what was held, but for the longest end of it that is a beginning of the keys again.
            var held = new byte[_matched + 1];
            _keys.AsSpan(0, _matched).CopyTo(held);
            held[^1] = b;
            var keep = Math.Min(_matched, held.Length);
            while (keep > 0 && !held.AsSpan(held.Length - keep).SequenceEqual(_keys.AsSpan(0, keep)))
                keep--;
            rest.AddRange(held.AsSpan(0, held.Length - keep));
            _matched = keep;
        }

        return false;
    }
}
