using AkkaHub.V1;

namespace Hub.Host.Services;

/// <summary>
/// A terminal shared by several attachments has the size of the one that typed or resized last. This is one attachment's view:
/// the size it wishes, and the newest one the terminal was seen to have. Thread-safe; one thread shows, another types.
/// </summary>
internal sealed class AttachmentSize(TerminalSize? shown)
{
    private readonly Lock _gate = new();
    private TerminalSize? _shown = shown;
    private TerminalSize? _wished;

    /// <summary>The attachment asks for a size.</summary>
    public void Wish(TerminalSize size)
    {
        lock (_gate)
            _wished = _shown = size;
    }

    /// <summary>The terminal's history tells of sizes.</summary>
    public void Show(IEnumerable<HistoryRecord> records)
    {
        foreach (var record in records)
        {
            var size = record.RecordCase switch
            {
                HistoryRecord.RecordOneofCase.Resize => record.Resize.Size,
                HistoryRecord.RecordOneofCase.Restart => record.Restart.Size,
                _ => null,
            };
            if (size is null)
                continue;
            lock (_gate)
                _shown = size;
        }
    }

    /// <summary>The size to set before input is sent; null if the terminal has it. It counts as set then: not every key asks for it.</summary>
    public TerminalSize? BeforeInput()
    {
        lock (_gate)
        {
            if (_wished is null || _wished.Equals(_shown))
                return null;
            return _shown = _wished;
        }
    }
}
