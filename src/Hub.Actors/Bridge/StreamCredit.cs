using Hub.Actors.Settings;

namespace Hub.Actors.Bridge;

/// <summary>
/// The credit of one stream: how far the node may send. A busy stream's window doubles, as far as the member's budget goes;
/// a quiet one's shrinks back as what was granted is used. Pure but for the budget it draws on.
/// </summary>
public sealed class StreamCredit
{
    private readonly FlowSettings _settings;
    private readonly MemoryBudget _budget;
    private long _reserved;
    private long _usedAtLastGrowth;

    /// <summary>Credit of a stream whose durable copy ends at <paramref name="durable"/>.</summary>
    public StreamCredit(long durable, FlowSettings settings, MemoryBudget budget)
    {
        _settings = settings;
        _budget = budget;
        Durable = durable;
        Window = settings.InitialWindowBytes;
        LimitOffset = durable + Window;
        LimitMessages = settings.WindowMessages;
        _usedAtLastGrowth = durable;
    }

    /// <summary>One past the last durable byte.</summary>
    public long Durable { get; private set; }
    /// <summary>The window now, bytes.</summary>
    public int Window { get; private set; }
    /// <summary>The node may send bytes before this offset.</summary>
    public long LimitOffset { get; private set; }
    /// <summary>The node may send this many messages in this session.</summary>
    public long LimitMessages { get; private set; }
    /// <summary>Messages it sent.</summary>
    public long Messages { get; private set; }

    /// <summary>Takes a message into account; false if it is beyond the credit.</summary>
    public bool TryUse(long offset, int length)
    {
        if (offset + length > LimitOffset || Messages >= LimitMessages)
            return false;
        Messages++;
        return true;
    }

    /// <summary>A message was dropped before it reached the node's actor: its place is free again.</summary>
    public void Return() => LimitMessages++;

    /// <summary>
    /// The node's actor was made again: what the one before had taken and not reported is lost with it and will come again, so
    /// nothing is under way. Without this each restart would cost the stream messages of its credit, until it stood still.
    /// </summary>
    public void Renew() => LimitMessages = Math.Max(LimitMessages, Messages + _settings.WindowMessages);

    /// <summary>Bytes became durable and messages were taken: extends the credit, though not beyond <paramref name="limit"/>.</summary>
    public void Advance(long durable, int messages, long limit = long.MaxValue)
    {
        LimitMessages += messages;
        if (durable > Durable)
        {
            Durable = durable;
            // Half a window used since it last grew: the stream is busy.
            if (Durable - _usedAtLastGrowth >= Window / 2 && Window < _settings.MaxWindowBytes)
            {
                _usedAtLastGrowth = Durable;
                var more = Math.Min(Window, _settings.MaxWindowBytes - Window);
                if (_budget.TryReserve(more))
                {
                    _reserved += more;
                    Window += more;
                }
            }
        }

        LimitOffset = Math.Max(LimitOffset, Math.Min(Durable + Window, limit));
        ReleaseUnused();
    }

    /// <summary>The stream has been quiet: its window goes back to the initial one. What is granted stays granted until it is used.</summary>
    public void Shrink()
    {
        Window = _settings.InitialWindowBytes;
        _usedAtLastGrowth = Durable;
        ReleaseUnused();
    }

    /// <summary>The stream is gone.</summary>
    public void Close()
    {
        _budget.Release(_reserved);
        _reserved = 0;
    }

    private void ReleaseUnused()
    {
        var needed = Math.Max(Window, LimitOffset - Durable) - _settings.InitialWindowBytes;
        if (needed >= _reserved)
            return;
        _budget.Release(_reserved - Math.Max(0, needed));
        _reserved = Math.Max(0, needed);
    }
}
