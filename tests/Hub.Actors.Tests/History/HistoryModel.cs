using AkkaHub.V1;
using Hub.Actors.Settings;

namespace Hub.Actors.Tests.History;

/// <summary>
/// The history as simply as it can be said: every byte that ever came, and lists of chunks from which the first is removed.
/// Says what a reader must get. Annotations are not bounded here.
/// </summary>
internal sealed class HistoryModel(HistorySettings settings)
{
    private readonly List<Chunk> _chunks = [];

    public List<Life> Lives { get; } = [];
    public Life? Newest => Lives.Count == 0 ? null : Lives[^1];
    public bool IsLive => Newest is { Closed: false };
    public long RetainedBytes => _chunks.Sum(c => (long)c.Length);
    public int RetainedChunks => _chunks.Count;
    public long EvictedBytes { get; private set; }
    public long RingCost => _chunks.Where(c => !IsHead(c)).Sum(Cost);
    public int RingChunks => _chunks.Count(c => !IsHead(c));

    public void Open(string id, TerminalSize? size)
    {
        Lives.Add(new Life(id, size));
        while (Lives.Count > settings.MaxIncarnations)
            Drop(Lives[0]);
    }

    public void Arrive(byte[] data, OutputChannel channel, long time)
    {
        var life = Newest!;
        for (var at = 0; at < data.Length;)
        {
            var offset = life.Cells.Count;
            var length = Math.Min(data.Length - at, settings.MaxChunkBytes);
            var inHead = offset < settings.HeadBytes && HeadChunks(life) < settings.MaxChunks;
            if (inHead)
                length = (int)Math.Min(length, settings.HeadBytes - offset);
            var last = _chunks.Count == 0 || life.Broken ? null : _chunks[^1];
            if (last is not null && last.Life == life && last.Channel == channel && last.Length + length <= settings.MergeBytes
                && last.Marks < settings.MaxMarks && Cost(last) + length + 16 <= settings.MaxBytes
                && last.IsHead == inHead)
            {
                last.Length += length;
                last.Marks++;
            }
            else
            {
                _chunks.Add(new Chunk(life, offset, channel, inHead) { Length = length });
                life.Broken = false;
            }

            for (var i = 0; i < length; i++)
                life.Cells.Add(new Cell(data[at + i], time, channel));
            at += length;
            Evict();
        }
    }

    public void Resize(TerminalSize size)
    {
        var life = Newest!;
        if (size.Equals(life.Size))
            return;
        life.Size = size;
        life.Sizes[life.Cells.Count] = size;
        life.Broken = true;
    }

    public void Gap(int length, GapCause cause)
    {
        var life = Newest!;
        life.Gaps.Add((life.Cells.Count, life.Cells.Count + length, cause));
        life.Cells.AddRange(Enumerable.Repeat<Cell?>(null, length));
        life.Broken = true;
    }

    public void Close(bool loss)
    {
        Newest!.Closed = true;
        Newest.Loss = loss;
    }

    public void Purge()
    {
        _chunks.Clear();
        if (!IsLive)
        {
            Lives.Clear();
            return;
        }

        Lives.RemoveRange(0, Lives.Count - 1);
        Newest!.PurgedTo = Newest.Cells.Count;
        Newest.Gaps.Clear();
        foreach (var offset in Newest.Sizes.Keys.SkipLast(1).ToList())
            Newest.Sizes.Remove(offset);
        Newest.Broken = true;
    }

    /// <summary>What a reader gets that has seen everything before an offset of a life and nothing at it.</summary>
    public List<string> Expect(Life life, long offset)
    {
        var items = new List<string>();
        for (var i = Lives.IndexOf(life); i < Lives.Count; i++, offset = 0)
            Expect(Lives[i], offset, items);
        return items;
    }

    /// <summary>What a reader gets that comes from a life nobody knows any more.</summary>
    public List<string> ExpectFromUnknown() => [HistoryItems.Unknown(GapCause.Evicted), .. Expect(Lives[0], 0)];

    private void Expect(Life life, long at, List<string> items)
    {
        if (at == 0)
            items.Add(HistoryItems.Restart(life.Id));
        while (true)
        {
            if (life.Sizes.TryGetValue(at, out var size))
                items.Add(HistoryItems.Resize(at, size));
            if (at == life.Cells.Count)
                break;
            if (IsRetained(life, at))
            {
                var cell = life.Cells[(int)at]!.Value;
                items.Add(HistoryItems.Byte(at, cell.Value, cell.Time, cell.Channel));
                at++;
                continue;
            }

            var (from, cause) = (at, Cause(life, at, out var end));
            for (at++; at < end && !IsRetained(life, at) && Cause(life, at, out _) == cause; at++)
            {
            }

            items.Add(HistoryItems.Gap(from, at, cause));
            var inside = life.Sizes.Where(s => s.Key > from && s.Key < at).ToList();
            if (inside.Count > 0 && !life.Sizes.ContainsKey(at))
                items.Add(HistoryItems.Resize(at, inside.MaxBy(s => s.Key).Value));
        }

        if (life.Closed && life.Loss)
            items.Add(HistoryItems.Unknown(GapCause.AgentLost));
        if (life.Closed)
            items.Add(HistoryItems.Closed(life.Cells.Count));
        Join(items);
    }

    // A gap that is split in two by nothing is one.
    private static void Join(List<string> items)
    {
        for (var i = items.Count - 1; i > 0; i--)
        {
            var (a, b) = (items[i - 1].Split(' '), items[i].Split(' '));
            if (a.Length == 5 && b.Length == 5 && a[1] == "gap" && b[1] == "gap" && a[3] + ":" == b[0] && a[4] == b[4])
            {
                items[i - 1] = $"{a[0]} gap to {b[3]} {a[4]}";
                items.RemoveAt(i);
            }
        }
    }

    private GapCause Cause(Life life, long at, out long end)
    {
        end = life.Cells.Count;
        if (at < life.PurgedTo)
            return GapCause.Purged;
        foreach (var gap in life.Gaps)
        {
            // Once a chunk after its beginning was evicted, a gap is part of what was evicted.
            if (at >= gap.From && at < gap.To && (gap.From >= life.EvictedTo || gap.From < HeadEnd(life)))
            {
                end = gap.To;
                return gap.Cause;
            }
        }

        return GapCause.Evicted;
    }

    private bool IsRetained(Life life, long at) => _chunks.Exists(c => c.Life == life && at >= c.Offset && at < c.Offset + c.Length);

    private void Evict()
    {
        while (RingChunks > settings.MaxChunks || RingCost > settings.MaxBytes)
        {
            var oldest = _chunks.First(c => !IsHead(c));
            _chunks.Remove(oldest);
            EvictedBytes += oldest.Length;
            oldest.Life.EvictedTo = oldest.Offset + oldest.Length;
            // Of the sizes in what was evicted only the one still in force is of use.
            var passed = oldest.Life.Sizes.Keys.Where(o => o >= HeadEnd(oldest.Life) && o <= oldest.Life.EvictedTo).ToList();
            foreach (var offset in passed.SkipLast(1))
                oldest.Life.Sizes.Remove(offset);
            while (Lives[0] != oldest.Life && !_chunks.Exists(c => c.Life == Lives[0]))
                Drop(Lives[0]);
        }
    }

    private void Drop(Life life)
    {
        EvictedBytes += _chunks.Where(c => c.Life == life).Sum(c => c.Length);
        _chunks.RemoveAll(c => c.Life == life);
        Lives.Remove(life);
    }

    private static bool IsHead(Chunk chunk) => chunk.IsHead;

    private int HeadChunks(Life life) => _chunks.Count(c => c.Life == life && c.IsHead);

    // A head of as many chunks as there may be has ended, wherever its bytes end.
    private long HeadEnd(Life life) => HeadChunks(life) < settings.MaxChunks
        ? settings.HeadBytes
        : _chunks.Where(c => c.Life == life && c.IsHead).Max(c => (long)c.Offset + c.Length);

    private static long Cost(Chunk chunk) => chunk.Length + (16 * chunk.Marks);

    internal sealed class Life(string id, TerminalSize? opened)
    {
        public string Id { get; } = id;
        public TerminalSize? Size { get; set; } = opened;
        public List<Cell?> Cells { get; } = [];
        public SortedDictionary<long, TerminalSize> Sizes { get; } = [];
        public List<(long From, long To, GapCause Cause)> Gaps { get; } = [];
        public long EvictedTo { get; set; }
        public long PurgedTo { get; set; }
        public bool Closed { get; set; }
        public bool Loss { get; set; }
        public bool Broken { get; set; }
    }

    internal readonly record struct Cell(byte Value, long Time, OutputChannel Channel);

    private sealed record Chunk(Life Life, long Offset, OutputChannel Channel, bool IsHead)
    {
        public int Length { get; set; }
        public int Marks { get; set; }
    }
}
