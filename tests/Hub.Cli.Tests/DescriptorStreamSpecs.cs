using System.IO.Pipes;
using Hub.Cli.Terminals;
using Hub.Cli.Tests.Fakes;

namespace Hub.Cli.Tests;

public sealed class DescriptorStreamSpecs
{
    [Fact]
    public async Task A_write_that_nobody_reads_can_be_cancelled()
    {
        using var pipe = new AnonymousPipeServerStream(PipeDirection.Out);
        await using var stream = new DescriptorStream((int)pipe.SafePipeHandle.DangerousGetHandle(), FileAccess.Write);
        using var enough = new CancellationTokenSource();
        var writing = stream.WriteAsync(new byte[1024 * 1024], enough.Token).AsTask();
        await enough.CancelAsync();
        await Should.ThrowAsync<OperationCanceledException>(() => writing.WaitAsync(CliRun.Patience));
    }

    [Fact]
    public async Task A_long_write_arrives_whole()
    {
        using var pipe = new AnonymousPipeServerStream(PipeDirection.In);
        await using var stream = new DescriptorStream((int)pipe.ClientSafePipeHandle.DangerousGetHandle(), FileAccess.Write);
        var sent = new byte[300_000];
        Random.Shared.NextBytes(sent);
        using var never = new CancellationTokenSource();
        var writing = stream.WriteAsync(sent, never.Token).AsTask();
        var received = new byte[sent.Length];
        await pipe.ReadExactlyAsync(received).AsTask().WaitAsync(CliRun.Patience);
        await writing.WaitAsync(CliRun.Patience);
        received.ShouldBe(sent);
    }
}
