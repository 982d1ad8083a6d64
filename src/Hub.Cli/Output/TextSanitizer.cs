using System.Text;

namespace Hub.Cli.Output;

/// <summary>
/// Makes text from a node harmless for a person's terminal. Escape sequences are taken out whole (the parser follows
/// Paul Williams' state machine, https://vt100.net/emu/dec_ansi_parser), other control characters become caret notation or
/// go, and what is left is printable text, '\n' and '\t'. Characters split over chunks are carried over.
/// </summary>
/// <remarks>
/// A string sequence (OSC, DCS, APC, PM, SOS) ends at the next line end at the latest, so that half a sequence cannot hide
/// the rest of a log. "\r\n" is '\n'; a '\r' alone, as of a progress bar, begins a new line.
/// </remarks>
internal sealed class TextSanitizer
{
    private readonly Decoder _decoder = Encoding.UTF8.GetDecoder();
    private State _state;
    private bool _carriageReturn;
    private bool _lineHasText;
    private char _high;

    private enum State
    {
        Ground,
        Escape,
        ControlSequence,
        ControlString,
        ControlStringEscape,
    }

    /// <summary>Makes one whole text harmless; line ends stay.</summary>
    public static string Text(string text)
    {
        var target = new StringBuilder(text.Length);
        var sanitizer = new TextSanitizer();
        foreach (var c in text)
            sanitizer.Accept(c, target);
        sanitizer.Finish(target);
        return target.ToString();
    }

    /// <summary>Makes a name or message harmless that stands on one line: line ends and tabs become spaces.</summary>
    public static string Line(string? text) =>
        string.IsNullOrEmpty(text) ? "" : Text(text).Replace('\n', ' ').Replace('\t', ' ').TrimEnd();

    /// <summary>Takes bytes of UTF-8 and appends what is harmless.</summary>
    public void Append(ReadOnlySpan<byte> bytes, StringBuilder target)
    {
        Span<char> characters = stackalloc char[512];
        while (!bytes.IsEmpty)
        {
            _decoder.Convert(bytes, characters, flush: false, out var used, out var made, out _);
            foreach (var c in characters[..made])
                Accept(c, target);
            bytes = bytes[used..];
        }
    }

    /// <summary>The text ends or breaks here: what was carried over is settled, and the next text begins afresh.</summary>
    public void Finish(StringBuilder target)
    {
        Span<char> characters = stackalloc char[8];
        _decoder.Convert([], characters, flush: true, out _, out var made, out _);
        foreach (var c in characters[..made])
            Accept(c, target);
        if (_high != '\0')
            target.Append('\uFFFD');
        _high = '\0';
        _decoder.Reset();
        _state = State.Ground;
        _carriageReturn = false;
    }

    private void Accept(char c, StringBuilder target)
    {
        switch (_state)
        {
            case State.Ground:
                Ground(c, target);
                break;
            case State.Escape:
                AfterEscape(c, target);
                break;
            case State.ControlSequence:
                if (IsAbort(c))
                    Restart(c, target);
                else if (c is >= '@' and <= '~')
                    _state = State.Ground;
                break;
            case State.ControlString:
                if (c == '\a' || c == '\u009C')
                    _state = State.Ground;
                else if (c == '\u001b')
                    _state = State.ControlStringEscape;
                else if (IsAbort(c))
                    Restart(c, target);
                break;
            case State.ControlStringEscape:
                if (c == '\\')
                    _state = State.Ground;
                else
                    AfterEscape(c, target);
                break;
        }
    }

    private void AfterEscape(char c, StringBuilder target)
    {
        if (IsAbort(c))
            Restart(c, target);
        else if (c == '[')
            _state = State.ControlSequence;
        else if (c is ']' or 'P' or 'X' or '^' or '_')
            _state = State.ControlString;
        else if (c is >= ' ' and <= '/')
            _state = State.Escape; // An intermediate: the final character is still to come.
        else
            _state = State.Ground; // A final character, or one that has no place here: it goes with the escape.
    }

    /// <summary>What breaks a sequence off: a new escape, CAN, SUB, and line ends.</summary>
    private static bool IsAbort(char c) => c is '\u001b' or '\u0018' or '\u001a' or '\n' or '\r' or >= '\u0080' and <= '\u009f';

    private void Restart(char c, StringBuilder target)
    {
        _state = State.Ground;
        Ground(c, target);
    }

    private void Ground(char c, StringBuilder target)
    {
        switch (c)
        {
            case '\u001b':
                _state = State.Escape;
                return;
            case '\u009b':
                _state = State.ControlSequence;
                return;
            case '\u0090' or '\u0098' or '\u009d' or '\u009e' or '\u009f':
                _state = State.ControlString;
                return;
            case >= '\u0080' and < '\u00a0':
                return;
            case '\r':
                _carriageReturn = true;
                return;
            case '\n':
                Settle(target);
                _carriageReturn = false;
                target.Append('\n');
                _lineHasText = false;
                return;
            case '\a' or '\b' or '\0' or '\u000e' or '\u000f' or '\u0018' or '\u001a':
                return;
        }

        if (_carriageReturn)
        {
            _carriageReturn = false;
            if (_lineHasText)
                target.Append('\n');
        }

        if (c == '\t')
        {
            Settle(target);
            target.Append('\t');
        }
        else if (c < ' ' || c == '\u007f')
        {
            Settle(target);
            target.Append('^').Append((char)(c ^ 0x40));
        }
        else
        {
            Printable(c, target);
        }

        _lineHasText = true;
    }

    private void Printable(char c, StringBuilder target)
    {
        if (char.IsHighSurrogate(c))
        {
            Settle(target);
            _high = c;
        }
        else if (char.IsLowSurrogate(c))
        {
            if (_high == '\0')
                target.Append('\uFFFD');
            else
                target.Append(_high).Append(c);
            _high = '\0';
        }
        else
        {
            Settle(target);
            // Direction overrides and separators make a line read other than it is.
            target.Append(c is '\u2028' or '\u2029' or >= '\u202a' and <= '\u202e' or >= '\u2066' and <= '\u2069' ? '\uFFFD' : c);
        }
    }

    private void Settle(StringBuilder target)
    {
        if (_high == '\0')
            return;
        target.Append('\uFFFD');
        _high = '\0';
    }
}
