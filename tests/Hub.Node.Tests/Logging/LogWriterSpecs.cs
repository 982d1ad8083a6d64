using Hub.Node.Logging;

namespace Hub.Node.Tests.Logging;

public sealed class LogWriterSpecs
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    [Fact]
    public async Task A_line_that_cannot_be_written_is_lost_and_counted()
    {
        var text = "";
        var broken = true;
        var second = new TaskCompletionSource();
        await using (var lines = new LogWriter(t =>
        {
            if (t.StartsWith("two", StringComparison.Ordinal))
                second.SetResult();
            if (Volatile.Read(ref broken))
                throw new IOException("No space left on device");
            text += t;
        }, TimeProvider.System))
        {
            lines.Add("one\n");
            lines.Add("two\n");
            await second.Task.WaitAsync(Patience);
            Volatile.Write(ref broken, false);
            lines.Add("three\n");
            lines.Add("four\n");
        }

        // The second may have been written or not: the way was mended while it was under way.
        text.ShouldBeOneOf("three\n(2 lines of this log could not be written)\nfour\n", "two\n(1 lines of this log could not be written)\nthree\nfour\n");
    }

    [Fact]
    public async Task Nobody_waits_for_a_writer_that_stands_still()
    {
        using var goOn = new ManualResetEventSlim();
        var begun = new TaskCompletionSource();
        var written = new List<string>();
        await using (var lines = new LogWriter(t =>
        {
            begun.TrySetResult();
            // Stands still as a stopped terminal does: on the thread that writes.
            goOn.Wait();
            written.Add(t);
        }, TimeProvider.System))
        {
            lines.Add("first\n");
            await begun.Task.WaitAsync(Patience);
            for (var i = 0; i < LogWriter.Capacity + 10; i++)
                lines.Add("more\n");
            goOn.Set();
        }

        written.Count.ShouldBe(LogWriter.Capacity + 1);
        written[1].ShouldBe("more\n(10 lines of this log could not be written)\n");
    }
}
