using AkkaHub.V1;
using Google.Protobuf.WellKnownTypes;

namespace Hub.Actors.Tests.History;

/// <summary>
/// A record of a history broken down to what does not depend on how it was cut: output to single bytes, gaps of one cause that
/// touch joined. A line of text each, so that a failed comparison shows itself.
/// </summary>
internal static class HistoryItems
{
    public static List<string> Of(IEnumerable<HistoryRecord> records)
    {
        var items = new List<string>();
        (long From, long To, GapCause Cause)? open = null;
        foreach (var record in records)
        {
            if (record.RecordCase == HistoryRecord.RecordOneofCase.Gap && !record.Gap.Unknown)
            {
                var gap = record.Gap;
                if (open is { } before && before.To == gap.FromOffset && before.Cause == gap.Cause)
                {
                    open = (before.From, gap.ToOffset, gap.Cause);
                    continue;
                }

                Flush();
                open = (gap.FromOffset, gap.ToOffset, gap.Cause);
                continue;
            }

            Flush();
            switch (record.RecordCase)
            {
                case HistoryRecord.RecordOneofCase.Output:
                    AddBytes(record.Output, items);
                    break;
                case HistoryRecord.RecordOneofCase.Resize:
                    items.Add(Resize(record.Resize.Offset, record.Resize.Size));
                    break;
                case HistoryRecord.RecordOneofCase.Gap:
                    items.Add(Unknown(record.Gap.Cause));
                    break;
                case HistoryRecord.RecordOneofCase.Restart:
                    items.Add(Restart(record.Restart.Incarnation));
                    break;
                case HistoryRecord.RecordOneofCase.Closed:
                    items.Add(Closed(record.Closed.Offset));
                    break;
                default:
                    throw new InvalidOperationException("a record without content");
            }
        }

        Flush();
        return items;

        void Flush()
        {
            if (open is { } gap)
                items.Add(Gap(gap.From, gap.To, gap.Cause));
            open = null;
        }
    }

    public static string Byte(long offset, byte value, long timeUs, OutputChannel channel) => $"{offset}: {value} {channel} @{timeUs}";
    public static string Gap(long from, long to, GapCause cause) => $"{from}: gap to {to} {cause}";
    public static string Unknown(GapCause cause) => $"gap of unknown length {cause}";
    public static string Resize(long offset, TerminalSize size) => $"{offset}: {size.Cols}x{size.Rows}";
    public static string Restart(string incarnation) => $"restart {incarnation}";
    public static string Closed(long offset) => $"{offset}: closed";

    private static void AddBytes(HistoryOutput output, List<string> items)
    {
        var start = Us(output.Time);
        var (delta, mark) = (0L, 0);
        for (var i = 0; i < output.Data.Length; i++)
        {
            if (mark < output.Marks.Count && output.Marks[mark].Index == i)
                delta = output.Marks[mark++].DeltaUs;
            items.Add(Byte(output.Offset + i, output.Data[i], start + delta, output.Channel));
        }

        mark.ShouldBe(output.Marks.Count, "every mark points into the data, in order, beyond its first byte");
    }

    private static long Us(Timestamp time) => (time.Seconds * 1_000_000) + (time.Nanos / 1000);
}
