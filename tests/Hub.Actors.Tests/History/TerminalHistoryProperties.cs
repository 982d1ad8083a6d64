using AkkaHub.Internal.V1;
using FsCheck.Xunit;
using Google.Protobuf;
using Hub.Actors.History;
using Hub.Actors.Settings;

namespace Hub.Actors.Tests.History;

[Properties(Arbitrary = [typeof(HistoryGenerators)])]
public sealed class TerminalHistoryProperties
{
    [Property(MaxTest = 600, EndSize = 120)]
    public void Every_reader_gets_what_the_model_says(SmallSettings small, HistoryOp[] ops)
    {
        var run = new HistoryRun(small.ToSettings());
        foreach (var op in ops)
        {
            run.Do(op);
            run.Restored.RetainedBytes.ShouldBe(run.Model.RetainedBytes);
            run.Restored.RetainedChunks.ShouldBe(run.Model.RetainedChunks);
        }

        foreach (var life in run.Model.Lives)
        {
            IncarnationId.TryParseHex(life.Id, out var id).ShouldBeTrue();
            HistoryItems.Of(HistoryRun.ReadOn(run.Single, new HistoryCursor(id, 0), 5)).ShouldBe(run.Model.Expect(life, 0));
        }

        if (run.Model.Lives.Count > 0)
            HistoryItems.Of(HistoryRun.ReadOn(run.Single, default, 50)).ShouldBe(run.Model.ExpectFromUnknown());
        run.Single.EvictedBytes.ShouldBe(run.Model.EvictedBytes);
        run.Batched.EvictedBytes.ShouldBe(run.Model.EvictedBytes);
        run.Finish();
    }

    [Property(MaxTest = 300, EndSize = 120)]
    public void The_state_does_not_depend_on_batching_or_on_restarts(SmallSettings small, HistoryOp[] ops, byte annotations)
    {
        var run = new HistoryRun(small.ToSettings(annotations % 8));
        foreach (var op in ops.Where(o => o is not HistoryOp.ReadAll))
        {
            run.Do(op);
            var state = run.Single.Capture();
            run.Batched.Capture().ShouldBe(state);
            run.Restored.Capture().ShouldBe(state);
            run.Restored.StoredSize.ShouldBe(run.Single.StoredSize);
            run.Restored.Newest?.Size.ShouldBe(run.Single.Newest!.Size);
        }

        run.Finish();
    }

    [Property(MaxTest = 300, EndSize = 120)]
    public void The_bounds_hold_after_every_event(SmallSettings small, HistoryOp[] ops, byte annotations)
    {
        var settings = small.ToSettings(annotations % 8);
        var run = new HistoryRun(settings);
        foreach (var op in ops.Where(o => o is not HistoryOp.ReadAll))
        {
            run.Do(op);
            AssertBounds(run.Single.Capture(), settings);
        }
    }

    [Property(MaxTest = 300, EndSize = 120)]
    public void Restoring_under_tighter_settings_trims_at_once(SmallSettings before, SmallSettings after, HistoryOp[] ops)
    {
        var run = new HistoryRun(before.ToSettings());
        foreach (var op in ops)
            run.Do(op);
        var settings = after.ToSettings(maxAnnotations: 3);
        var restored = TerminalHistory.Restore(run.Single.Capture(), settings);
        AssertBounds(restored.Capture(), settings);
        restored.Newest?.EndOffset.ShouldBe(run.Single.Newest!.EndOffset);
        restored.Newest?.Size.ShouldBe(run.Single.Newest!.Size);
        TerminalHistory.Restore(restored.Capture(), settings).Capture().ShouldBe(restored.Capture());
    }

    [Property(MaxTest = 200, EndSize = 120)]
    public void The_estimate_of_the_stored_size_is_near_and_not_below(SmallSettings small, HistoryOp[] ops)
    {
        var run = new HistoryRun(small.ToSettings());
        foreach (var op in ops)
            run.Do(op);
        long real = run.Single.Capture().CalculateSize();
        (run.Single.StoredSize + 32).ShouldBeGreaterThanOrEqualTo(real);
        run.Single.StoredSize.ShouldBeLessThanOrEqualTo((3 * real) + 256);
    }

    private static void AssertBounds(StoredTerminal stored, HistorySettings settings)
    {
        stored.Incarnations.Count.ShouldBeLessThanOrEqualTo(settings.MaxIncarnations);
        stored.Incarnations.Sum(i => i.Gaps.Count).ShouldBeLessThanOrEqualTo(Math.Max(1, settings.MaxAnnotations));
        stored.Incarnations.Sum(i => i.Sizes.Count).ShouldBeLessThanOrEqualTo(Math.Max(2, settings.MaxAnnotations));
        foreach (var incarnation in stored.Incarnations)
            incarnation.Chunks.Where(c => c.Offset < settings.HeadBytes).Take(settings.MaxChunks).Sum(c => c.Data.Length).ShouldBeLessThanOrEqualTo((int)settings.HeadBytes);
        // What begins in the head's bytes after as many chunks as a head may have stands in the ring.
        var ring = stored.Incarnations.SelectMany(i => i.Chunks.Where((c, n) => c.Offset >= settings.HeadBytes || n >= settings.MaxChunks)).ToList();
        ring.Count.ShouldBeLessThanOrEqualTo(settings.MaxChunks);
        ring.Sum(c => (long)c.Data.Length + (16 * Math.Max(0, c.Lengths.Count - 1))).ShouldBeLessThanOrEqualTo(settings.MaxBytes);
        ring.ShouldAllBe(c => c.Data.Length <= settings.MaxChunkBytes);
    }
}
