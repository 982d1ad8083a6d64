using System.Globalization;
using System.Text;

namespace Hub.Cli.Terminals;

/// <summary>
/// Watches what goes to the person's terminal. It knows which modes were switched on, to switch them off again at the end;
/// and while old output is replayed it leaves out the questions in it (device attributes, cursor position, colours, …): the
/// terminal would answer them now, and the answers would be typed into the program of today.
/// </summary>
/// <remarks>Sequences follow ECMA-48 and xterm's "Control Sequences"; an unfinished one is carried over. Not for concurrent use.</remarks>
internal sealed class ScreenModes
{
    /// <summary>A longer sequence is no question and is passed on.</summary>
    private const int MaxHeld = 256;

    private readonly SortedSet<int> _on = [];
    private readonly List<byte> _held = [];
    private State _state;
    private readonly int[] _pushed = new int[2];
    private bool _keyboard;
    private bool _flags;
    private bool _passing;

    private enum State
    {
        Ground,
        Escape,
        Intermediate,
        ControlSequence,
        ControlString,
        ControlStringEscape,
    }

    /// <summary>Whether the alternate screen is on, as full-screen programs have it.</summary>
    public bool AlternateScreen => _on.Contains(1049) || _on.Contains(1047) || _on.Contains(47);

    /// <summary>Passes output on to <paramref name="target"/>, without its questions when it is a replay.</summary>
    public void Filter(ReadOnlySpan<byte> output, bool replay, List<byte> target)
    {
        foreach (var b in output)
            Accept(b, replay, target);
    }

    /// <summary>Whether modes were switched at all, on or off.</summary>
    public bool Touched { get; private set; }

    /// <summary>What puts the terminal back to how a shell expects it, on the main screen; nothing is on after that.</summary>
    public string Reset()
    {
        var text = new StringBuilder();
        // Kitty's keyboard flags: each screen has a stack of its own, and what is below belongs to the person's shell.
        if (AlternateScreen && _pushed[1] > 0)
            text.Append(CultureInfo.InvariantCulture, $"\e[<{_pushed[1]}u");
        foreach (var mode in _on.Reverse())
        {
            if (mode is not (7 or 25))
                text.Append(CultureInfo.InvariantCulture, $"\e[?{mode}l");
        }

        if (_keyboard)
            text.Append("\e[>4m");
        if (_pushed[0] > 0)
            text.Append(CultureInfo.InvariantCulture, $"\e[<{_pushed[0]}u");
        if (_flags)
            text.Append("\e[=0u");
        _on.Clear();
        _held.Clear();
        _state = State.Ground;
        (_pushed[0], _pushed[1], _keyboard, _flags, Touched) = (0, 0, false, false, false);
        // Soft reset (DECSTR), cursor shown, wrapping on, plain text, ASCII in G0, numeric keypad.
        return text.Append("\e[!p\e[?25h\e[?7h\e[0m\e(B\e>").ToString();
    }

    private void Accept(byte b, bool replay, List<byte> target)
    {
        switch (_state)
        {
            case State.Ground:
                if (b == 0x1b)
                    Begin(b);
                else if (b != 0x05 || !replay) // ENQ asks for the answerback.
                    target.Add(b);
                return;
            case State.Escape:
                _held.Add(b);
                if (b == '[')
                    _state = State.ControlSequence;
                else if (b is (byte)']' or (byte)'P' or (byte)'X' or (byte)'^' or (byte)'_')
                    _state = State.ControlString;
                else if (b is >= 0x20 and <= 0x2f)
                    _state = State.Intermediate;
                else if (b == 'Z')
                    End(question: true, replay, target); // DECID
                else
                    End(question: false, replay, target);
                return;
            case State.Intermediate:
                _held.Add(b);
                if (b is < 0x20 or > 0x2f)
                    End(question: false, replay, target);
                return;
            case State.ControlSequence:
                if (b == 0x1b)
                {
                    End(question: false, replay, target);
                    Begin(b);
                    return;
                }

                _held.Add(b);
                if (b is >= 0x40 and <= 0x7e)
                    End(Learn(), replay, target);
                else if (_held.Count > MaxHeld)
                    End(question: false, replay, target);
                return;
            default:
                InString(b, replay, target);
                return;
        }
    }

    private void Begin(byte b)
    {
        _held.Clear();
        _held.Add(b);
        _passing = false;
        _state = State.Escape;
    }

    private void InString(byte b, bool replay, List<byte> target)
    {
        if (_passing)
            target.Add(b);
        else
            _held.Add(b);
        if (b is 0x07 or 0x18 or 0x1a || (_state == State.ControlStringEscape && b == '\\'))
        {
            if (_passing)
                _state = State.Ground;
            else
                End(AsksInString(), replay, target);
            return;
        }

        _state = b == 0x1b ? State.ControlStringEscape : State.ControlString;
        if (!_passing && _held.Count > MaxHeld)
        {
            // An image, a title, a clipboard: pass it on as it comes.
            target.AddRange(_held);
            _held.Clear();
            _passing = true;
        }
    }

    private void End(bool question, bool replay, List<byte> target)
    {
        if (!question || !replay)
            target.AddRange(_held);
        _held.Clear();
        _state = State.Ground;
    }

    /// <summary>OSC n ; ? asks for a colour or the clipboard; DCS $ q, + q and z ask for settings.</summary>
    private bool AsksInString()
    {
        var text = Encoding.Latin1.GetString([.. _held]);
        return text[1] switch
        {
            ']' => text.Contains(";?", StringComparison.Ordinal),
            'P' => text.StartsWith("\eP$q", StringComparison.Ordinal) || text.StartsWith("\eP+q", StringComparison.Ordinal),
            '_' => text.StartsWith("\e_G", StringComparison.Ordinal) && text.Contains("a=q", StringComparison.Ordinal),
            _ => false,
        };
    }

    private int Screen => AlternateScreen ? 1 : 0;

    /// <summary>Notes modes of a whole control sequence; true if it is a question.</summary>
    private bool Learn()
    {
        var text = Encoding.Latin1.GetString([.. _held]);
        var body = text[2..^1];
        switch (text[^1])
        {
            case 'c': // device attributes, all three levels
                return true;
            case 'n': // status and cursor position; '>Ps n' is a keyboard setting
                return !body.StartsWith('>');
            case 'x': // DECREQTPARM; '$x' fills a rectangle
                return !body.Contains('$', StringComparison.Ordinal);
            case 'p': // DECRQM
                return body.EndsWith('$');
            case 'q': // XTVERSION; ' q' sets the cursor's form
                return body.StartsWith('>');
            case 't': // reports of the window; 22 and 23 keep and restore titles
                return int.TryParse(body.Split(';')[0], NumberStyles.None, CultureInfo.InvariantCulture, out var what) && what is >= 11 and <= 21;
            case 'u' when body.StartsWith('?'):
                return true;
            case 'u' when body.StartsWith('>'):
                Touched = true;
                _pushed[Screen]++;
                return false;
            case 'u' when body.StartsWith('<'):
                var popped = int.TryParse(body[1..], NumberStyles.None, CultureInfo.InvariantCulture, out var count) ? count : 1;
                _pushed[Screen] = Math.Max(0, _pushed[Screen] - popped);
                return false;
            case 'u' when body.StartsWith('='):
                Touched = true;
                _flags |= _pushed[Screen] == 0;
                return false;
            case 'm' when body.StartsWith('>'):
                Touched = true;
                _keyboard = true;
                return false;
            case 'm' when body.StartsWith('?'): // XTQMODKEYS
                return true;
            case 'h' or 'l' when body.StartsWith('?'):
                foreach (var part in body[1..].Split(';'))
                {
                    if (!int.TryParse(part, NumberStyles.None, CultureInfo.InvariantCulture, out var mode) || _on.Count > 64)
                        continue;
                    Touched = true;
                    if (text[^1] == 'h')
                        _on.Add(mode);
                    else
                        _on.Remove(mode);
                }

                return false;
            default:
                return false;
        }
    }
}
