using AkkaHub.V1;
using FsCheck;
using FsCheck.Fluent;
using Hub.Actors.Settings;

namespace Hub.Actors.Tests.History;

/// <summary>Something that happens to a history. Every sequence makes sense: output of no live terminal opens one first.</summary>
public abstract record HistoryOp
{
    /// <summary>Arrivals of one channel, these microseconds apart.</summary>
    public sealed record Output(int[] Lengths, OutputChannel Channel, int Microseconds) : HistoryOp
    {
        public override string ToString() => $"output {string.Join('+', Lengths)} {Channel} {Microseconds}";
    }

    public sealed record Resize(uint Cols) : HistoryOp;
    public sealed record Lose(int Length) : HistoryOp;
    public sealed record Close(bool Loss) : HistoryOp;
    public sealed record Purge : HistoryOp;

    /// <summary>The history is stored, restored, and the restored one goes on.</summary>
    public sealed record Restore : HistoryOp;

    /// <summary>A follower reads once.</summary>
    public sealed record Follow(int Reader, int MaxBytes) : HistoryOp;

    /// <summary>Someone reads all of it from some place.</summary>
    public sealed record ReadAll(int Place, int MaxBytes) : HistoryOp;
}

/// <summary>Bounds so small that random sequences reach each of them.</summary>
public sealed record SmallSettings(int MaxChunks, int MaxBytes, int MaxChunkBytes, int MergeBytes, int MaxMarks, int HeadBytes, int MaxIncarnations)
{
    public HistorySettings ToSettings(int maxAnnotations = 100_000) => new()
    {
        MaxChunks = MaxChunks,
        MaxBytes = MaxBytes,
        MaxChunkBytes = Math.Min(MaxChunkBytes, MaxBytes),
        MergeBytes = Math.Min(MergeBytes, Math.Min(MaxChunkBytes, MaxBytes)),
        MaxMarks = MaxMarks,
        HeadBytes = HeadBytes,
        MaxIncarnations = MaxIncarnations,
        MaxAnnotations = maxAnnotations,
    };
}

public static class HistoryGenerators
{
    public static Arbitrary<HistoryOp> Ops()
    {
        var channel = Gen.Elements(OutputChannel.Stdout, OutputChannel.Stdout, OutputChannel.Stdout, OutputChannel.Stderr);
        var length = Gen.Frequency((8, Gen.Choose(1, 6)), (3, Gen.Choose(7, 40)), (1, Gen.Choose(41, 300)));
        var count = Gen.Frequency((3, Gen.Constant(1)), (2, Gen.Choose(2, 8)));
        Gen<HistoryOp> output =
            from n in count
            from lengths in Gen.ArrayOf(length, n)
            from c in channel
            from us in Gen.Choose(-3, 50)
            select (HistoryOp)new HistoryOp.Output(lengths, c, us);
        var op = Gen.Frequency(
            (20, output),
            (3, Gen.Choose(1, 3).Select(cols => (HistoryOp)new HistoryOp.Resize((uint)cols * 40))),
            (2, Gen.Choose(1, 20).Select(n => (HistoryOp)new HistoryOp.Lose(n))),
            (2, Gen.Elements(true, false).Select(loss => (HistoryOp)new HistoryOp.Close(loss))),
            (1, Gen.Constant((HistoryOp)new HistoryOp.Purge())),
            (3, Gen.Constant((HistoryOp)new HistoryOp.Restore())),
            (6, from r in Gen.Choose(0, 2) from m in Gen.Elements(1, 3, 17, 1000) select (HistoryOp)new HistoryOp.Follow(r, m)),
            (3, from p in Gen.Choose(0, 1000) from m in Gen.Elements(1, 3, 17, 1000) select (HistoryOp)new HistoryOp.ReadAll(p, m)));
        return Arb.From(op);
    }

    public static Arbitrary<SmallSettings> Settings()
    {
        var settings =
            from chunks in Gen.Choose(1, 12)
            from bytes in Gen.Elements(1, 7, 60, 200, 2000)
            from chunkBytes in Gen.Elements(1, 16, 64, 1000)
            from merge in Gen.Elements(0, 10, 30, 64)
            from marks in Gen.Elements(0, 1, 4, 64)
            from head in Gen.Elements(0, 0, 0, 1, 20, 100)
            from lives in Gen.Elements(1, 2, 5)
            select new SmallSettings(chunks, bytes, chunkBytes, merge, marks, head, lives);
        return Arb.From(settings);
    }
}
