using AkkaHub.V1;
using Hub.Load.Nodes;

namespace Hub.Load.Watching;

/// <summary>
/// Judges the history of a simulated node as it is read from its beginning: each byte must come once, in order, and be the node's own. Not safe
/// for several threads.
/// </summary>
/// <param name="stream">What the node showed.</param>
internal sealed class HistoryCheck(SimulatedStream stream)
{
    /// <summary>One past the last byte.</summary>
    public long Position { get; private set; }
    /// <summary>Bytes that were passed over, are named missing, or are not the node's.</summary>
    public long Lost { get; private set; }
    /// <summary>Bytes that came again.</summary>
    public long Doubled { get; private set; }
    /// <summary>The first thing that was wrong; null if nothing was.</summary>
    public string? Fault { get; private set; }

    /// <summary>Takes the next record.</summary>
    public void Take(HistoryRecord record)
    {
        switch (record.RecordCase)
        {
            case HistoryRecord.RecordOneofCase.Output:
                var (from, to) = (record.Output.Offset, record.Output.Offset + record.Output.Data.Length);
                if (from != Position)
                    Fault ??= $"bytes {from} to {to} after {Position}";
                Doubled += Math.Max(0, Math.Min(to, Position) - from);
                Lost += Math.Max(0, from - Position);
                if (!stream.Matches(from, record.Output.Data.Span))
                {
                    Fault ??= $"bytes {from} to {to} are not the node's";
                    Lost += to - from;
                }

                Position = Math.Max(Position, to);
                break;
            case HistoryRecord.RecordOneofCase.Gap:
                Fault ??= $"a gap from {record.Gap.FromOffset} to {record.Gap.ToOffset}: {record.Gap.Cause}";
                Lost += Math.Max(0, record.Gap.ToOffset - Position);
                Position = Math.Max(Position, record.Gap.ToOffset);
                break;
            case HistoryRecord.RecordOneofCase.Closed:
                Fault ??= $"closed at {record.Closed.Offset}";
                break;
            case HistoryRecord.RecordOneofCase.Restart when Position > 0:
                Fault ??= $"another incarnation after {Position}";
                break;
        }
    }
}
