using System.Text;
using AkkaHub.V1;

namespace Hub.Cli.Output;

/// <summary>
/// Writes the records of a history: bytes to standard output (and, where they are kept apart, standard error), all else as
/// notes. Not for concurrent use.
/// </summary>
/// <param name="output">Where standard output and what a PTY shows goes.</param>
/// <param name="error">Where a command's standard error goes; the same stream to have both in one.</param>
/// <param name="note">Writes a line for the person.</param>
/// <param name="raw">Bytes as they are, instead of harmless text.</param>
internal sealed class HistoryPrinter(Stream output, Stream error, Action<string> note, bool raw)
{
    private readonly TextSanitizer _outText = new();
    private readonly TextSanitizer _errorText = new();
    private readonly StringBuilder _text = new();

    /// <summary>Whether something of the terminal was written or told.</summary>
    public bool HasPrinted { get; set; }

    /// <summary>Whether restarts and ends are told; a command's are no news.</summary>
    public bool Marks { get; init; } = true;

    /// <summary>Writes one record.</summary>
    public async ValueTask PrintAsync(HistoryRecord record, CancellationToken cancellation)
    {
        switch (record.RecordCase)
        {
            case HistoryRecord.RecordOneofCase.Output:
                await WriteAsync(record.Output, cancellation).ConfigureAwait(false);
                HasPrinted = true;
                break;
            case HistoryRecord.RecordOneofCase.Gap:
                await BreakAsync(cancellation).ConfigureAwait(false);
                note(Gap(record.Gap));
                HasPrinted = true;
                break;
            case HistoryRecord.RecordOneofCase.Restart:
                await BreakAsync(cancellation).ConfigureAwait(false);
                // The beginning of a terminal's first life is no restart.
                if (Marks && HasPrinted)
                    note("--- terminal restarted ---");
                break;
            case HistoryRecord.RecordOneofCase.Closed:
                await BreakAsync(cancellation).ConfigureAwait(false);
                if (Marks)
                    note($"--- terminal ended ({TerminalTable.End(true, record.Closed.Exit, record.Closed.Cause)}) ---");
                HasPrinted = true;
                break;
        }
    }

    /// <summary>The text ends: writes what was carried over.</summary>
    public async ValueTask BreakAsync(CancellationToken cancellation)
    {
        if (raw)
            return;
        _outText.Finish(_text);
        await FlushAsync(output, cancellation).ConfigureAwait(false);
        _errorText.Finish(_text);
        await FlushAsync(error, cancellation).ConfigureAwait(false);
    }

    /// <summary>A gap in words.</summary>
    public static string Gap(HistoryGap gap)
    {
        var cause = gap.Cause == GapCause.Unspecified ? "cause unknown" : Json.Word(gap.Cause);
        return gap.Unknown
            ? $"bytes are missing here, how many is not known ({cause})"
            : $"{Humanize.BytesAre(gap.ToOffset - gap.FromOffset)} missing here ({cause})";
    }

    private async ValueTask WriteAsync(HistoryOutput record, CancellationToken cancellation)
    {
        var isError = record.Channel == OutputChannel.Stderr;
        var target = isError ? error : output;
        if (raw)
        {
            await target.WriteAsync(record.Data.Memory, cancellation).ConfigureAwait(false);
            return;
        }

        (isError ? _errorText : _outText).Append(record.Data.Span, _text);
        await FlushAsync(target, cancellation).ConfigureAwait(false);
    }

    private async ValueTask FlushAsync(Stream target, CancellationToken cancellation)
    {
        if (_text.Length == 0)
            return;
        var bytes = Encoding.UTF8.GetBytes(_text.ToString());
        _text.Clear();
        await target.WriteAsync(bytes, cancellation).ConfigureAwait(false);
    }
}
