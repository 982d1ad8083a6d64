using AkkaHub.Internal.V1;
using AkkaHub.V1;
using Google.Protobuf;
using Hub.Actors.History;
using Hub.Actors.Settings;

namespace Hub.Actors.Tests.History;

/// <summary>
/// Lets the same things happen to a history that gets an event for each arrival, to one that gets them all in one event, to one
/// that is stored and restored now and then, and to the model.
/// </summary>
internal sealed class HistoryRun(HistorySettings settings)
{
    public static readonly TerminalSize Opened = new() { Cols = 80, Rows = 24 };

    private readonly List<Follower> _followers = [new(), new(), new()];
    private long _clock = 1_700_000_000_000_000;
    private byte _next;
    private byte _lives;

    // Where sizes are dropped for their number, a reader may be told an older one meanwhile; never at the end.
    private bool AllSizes => settings.MaxAnnotations > 1000;

    public TerminalHistory Single { get; } = new("main", StreamKind.Terminal, settings);
    public TerminalHistory Batched { get; } = new("main", StreamKind.Terminal, settings);
    public TerminalHistory Restored { get; private set; } = new("main", StreamKind.Terminal, settings);
    public HistoryModel Model { get; } = new(settings);

    public void Do(HistoryOp op)
    {
        switch (op)
        {
            case HistoryOp.Output output:
                EnsureLive();
                Output(output);
                break;
            case HistoryOp.Resize(var cols):
                EnsureLive();
                var size = new TerminalSize { Cols = cols, Rows = 24 };
                Each(h => h.Apply(new StreamResized { Incarnation = Id(), Offset = Single.Newest!.EndOffset, Size = size, TimeUnixUs = _clock }));
                Model.Resize(size);
                break;
            case HistoryOp.Lose(var length):
                EnsureLive();
                var from = Single.Newest!.EndOffset;
                Each(h => h.Apply(new StreamGap { Incarnation = Id(), FromOffset = from, ToOffset = from + length, Cause = GapCause.NodeOverflow }));
                Model.Gap(length, GapCause.NodeOverflow);
                break;
            case HistoryOp.Close(var loss):
                EnsureLive();
                var end = Single.Newest!.EndOffset;
                Each(h => h.Apply(new StreamClosed { Incarnation = Id(), FinalOffset = end, UnknownLoss = loss, TimeUnixUs = _clock }));
                Model.Close(loss);
                break;
            case HistoryOp.Purge:
                Each(h => h.Purge());
                Model.Purge();
                break;
            case HistoryOp.Restore:
                Restored = TerminalHistory.Restore(StoredTerminal.Parser.ParseFrom(Restored.Capture().ToByteArray()), settings);
                break;
            case HistoryOp.Follow(var reader, var maxBytes):
                _followers[reader].Read(Restored, Model, maxBytes, AllSizes);
                break;
            case HistoryOp.ReadAll(var place, var maxBytes):
                ReadAll(place, maxBytes);
                break;
            default:
                throw new InvalidOperationException($"{op} is not known");
        }
    }

    /// <summary>Every follower reads to the end and must have missed nothing.</summary>
    public void Finish()
    {
        foreach (var follower in _followers)
        {
            while (!follower.Read(Restored, Model, 17, AllSizes))
            {
            }
        }
    }

    /// <summary>Reads all from a life's offset in slices, and checks the slices.</summary>
    public static List<HistoryRecord> ReadOn(TerminalHistory history, HistoryCursor from, int maxBytes, HistoryCursor? until = null)
    {
        var records = new List<HistoryRecord>();
        while (true)
        {
            var slice = history.Read(from, maxBytes, until, maxRecords: maxBytes);
            slice.Records.Count.ShouldBeLessThanOrEqualTo(maxBytes);
            slice.Records.Sum(r => r.Output?.Data.Length ?? 0).ShouldBeLessThanOrEqualTo(maxBytes);
            foreach (var record in slice.Records)
                HistoryCursor.TryDecode(record.Cursor, out _).ShouldBeTrue();
            if (slice.Records.Count > 0)
                slice.Records[^1].Cursor.ShouldBe(slice.Next.Encode());
            records.AddRange(slice.Records);
            if (slice.AtEnd)
                return records;
            slice.Next.ShouldNotBe(from);
            from = slice.Next;
        }
    }

    private void EnsureLive()
    {
        if (Single.IsLive)
            return;
        var id = new byte[IncarnationId.Length];
        id[3] = ++_lives;
        var opened = new StreamOpened
        {
            Name = "main",
            Incarnation = ByteString.CopyFrom(id),
            Kind = StreamKind.Terminal,
            Size = Opened,
            TimeUnixUs = _clock,
            CommandLine = "/bin/sh",
        };
        Each(h => h.Apply(opened.Clone()));
        Model.Open(Convert.ToHexStringLower(id), Opened);
    }

    private void Output(HistoryOp.Output output)
    {
        var batch = new OutputAppended
        {
            Incarnation = Id(),
            Offset = Single.Newest!.EndOffset,
            Channel = output.Channel,
            TimeUnixUs = _clock + output.Microseconds,
        };
        var all = new List<byte>();
        foreach (var length in output.Lengths)
        {
            _clock += output.Microseconds;
            var data = Enumerable.Range(0, length).Select(_ => _next++).ToArray();
            var single = new OutputAppended
            {
                Incarnation = Id(),
                Offset = Single.Newest!.EndOffset,
                Channel = output.Channel,
                TimeUnixUs = _clock,
                Data = ByteString.CopyFrom(data),
            };
            Single.Apply(single);
            Restored.Apply(single);
            Model.Arrive(data, output.Channel, _clock);
            all.AddRange(data);
            if (output.Lengths.Length > 1)
            {
                batch.Lengths.Add(length);
                batch.DeltasUs.Add(_clock - batch.TimeUnixUs);
            }
        }

        batch.Data = ByteString.CopyFrom([.. all]);
        Batched.Apply(batch);
    }

    private void ReadAll(int place, int maxBytes)
    {
        if (Model.Lives.Count == 0)
            return;
        var life = Model.Lives[place % Model.Lives.Count];
        var offset = (long)place * 7919 % (life.Cells.Count + 1);
        IncarnationId.TryParseHex(life.Id, out var id).ShouldBeTrue();
        var records = ReadOn(Restored, new HistoryCursor(id, offset), maxBytes);
        HistoryItems.Of(records).ShouldBe(Model.Expect(life, offset));

        // Whoever goes on from any record's cursor gets just what comes after it.
        if (records.Count == 0)
            return;
        var seen = place % records.Count;
        HistoryCursor.TryDecode(records[seen].Cursor, out var middle).ShouldBeTrue();
        HistoryItems.Of(ReadOn(Restored, middle, 1000)).ShouldBe(HistoryItems.Of(records.Skip(seen + 1)));
    }

    private ByteString Id() => Single.Newest!.Id.ToByteString();

    private void Each(Action<TerminalHistory> act)
    {
        act(Single);
        act(Batched);
        act(Restored);
    }

    /// <summary>Someone who reads a slice now and then, and remembers only the cursor.</summary>
    private sealed class Follower
    {
        private string? _cursor;
        private string? _life;
        private long _offset;
        private bool _ended;
        private TerminalSize? _size;

        public bool Read(TerminalHistory history, HistoryModel model, int maxBytes, bool allSizes)
        {
            if (history.Newest is null)
                return true;
            if (_cursor is null)
            {
                _cursor = history.First.Encode();
                (_life, _offset) = history.First.Offset == 0 ? (null, 0) : (history.First.Incarnation.ToHex(), history.First.Offset);
            }

            HistoryCursor.TryDecode(_cursor, out var from).ShouldBeTrue();
            var slice = history.Read(from, maxBytes);
            foreach (var record in slice.Records)
                Take(record, model, allSizes);
            _cursor = slice.Next.Encode();
            if (slice.AtEnd)
            {
                _life.ShouldBe(model.Newest!.Id);
                _offset.ShouldBe(model.Newest.Cells.Count);
                _ended.ShouldBe(model.Newest.Closed);
                _size.ShouldBe(model.Newest.Size);
            }

            return slice.AtEnd;
        }

        private void Take(HistoryRecord record, HistoryModel model, bool allSizes)
        {
            var life = model.Lives.Find(l => l.Id == _life);
            switch (record.RecordCase)
            {
                case HistoryRecord.RecordOneofCase.Restart:
                    var restarted = model.Lives.FindIndex(l => l.Id == record.Restart.Incarnation);
                    if (_life is not null)
                    {
                        _ended.ShouldBeTrue("a life begins after the end of the one before, or after a gap");
                        model.Lives.FindIndex(l => l.Id == _life).ShouldBe(restarted - 1);
                    }

                    (_life, _offset, _ended, _size) = (record.Restart.Incarnation, 0, false, record.Restart.Size);
                    break;
                case HistoryRecord.RecordOneofCase.Output:
                    var output = record.Output;
                    output.Offset.ShouldBe(_offset);
                    output.Data.ToByteArray().ShouldBe(life!.Cells.Skip((int)_offset).Take(output.Data.Length).Select(c => c!.Value.Value));
                    _offset += output.Data.Length;
                    break;
                case HistoryRecord.RecordOneofCase.Gap when record.Gap.Unknown && record.Gap.Cause == GapCause.Evicted:
                    life.ShouldBeNull("only a life that is forgotten leaves a gap of unknown length");
                    (_life, _ended) = (null, false);
                    break;
                case HistoryRecord.RecordOneofCase.Gap when record.Gap.Unknown:
                    life!.Loss.ShouldBeTrue();
                    break;
                case HistoryRecord.RecordOneofCase.Gap:
                    record.Gap.FromOffset.ShouldBe(_offset);
                    record.Gap.ToOffset.ShouldBeGreaterThan(_offset);
                    _offset = record.Gap.ToOffset;
                    break;
                case HistoryRecord.RecordOneofCase.Resize:
                    record.Resize.Offset.ShouldBe(_offset);
                    if (allSizes)
                        record.Resize.Size.ShouldBe(life!.Sizes.LastOrDefault(s => s.Key <= _offset).Value ?? Opened);
                    _size = record.Resize.Size;
                    break;
                case HistoryRecord.RecordOneofCase.Closed:
                    _ended.ShouldBeFalse();
                    record.Closed.Offset.ShouldBe(_offset);
                    _offset.ShouldBe(life!.Cells.Count);
                    _ended = true;
                    break;
                default:
                    throw new InvalidOperationException("a record without content");
            }
        }
    }
}
