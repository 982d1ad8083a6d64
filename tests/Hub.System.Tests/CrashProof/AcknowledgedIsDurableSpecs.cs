using System.ComponentModel;
using System.Diagnostics;
using Hub.Load.Nodes;
using Hub.SystemTests.Harness;
using Xunit.Abstractions;

namespace Hub.SystemTests.CrashProof;

/// <summary>
/// The proof that does not trust the hub's own word: the kernel's record of its system calls. Between the arrival of a node's
/// output and the departure of its acknowledgement the store's log was made durable.
/// </summary>
[Collection(Alone.Name)]
public sealed class AcknowledgedIsDurableSpecs(ITestOutputHelper output)
{
    private const string Tracer = "/usr/bin/strace";

    [SkippableFact]
    public async Task An_acknowledgement_leaves_only_after_the_log_is_synchronised()
    {
        Prerequisite.Require(File.Exists(Tracer), $"{Tracer} is not installed");
        Prerequisite.Require(await TracerWorksAsync(), $"{Tracer} may not trace here");
        var chunks = TestSettings.Long ? 50 : 10;
        await using var workspace = new Workspace(output);
        var trace = workspace.PathOf("trace");
        // -yy names what a descriptor stands for, -xx writes data in hexadecimal; long enough to hold whole messages.
        var hub = workspace.NewHub(launcher:
        [
            Tracer, "-f", "--seccomp-bpf", "-ttt", "-yy", "-xx", "-s", "4096", "-o", trace,
            "-e", "trace=fdatasync,fsync,sendto,sendmsg,recvfrom,recvmsg",
        ]);
        await hub.StartAndWaitAsync(TimeSpan.FromSeconds(120));

        string incarnation;
        await using (var fleet = new NodeFleet(new FleetOptions
        {
            Hub = hub.Grpc,
            Token = hub.Token,
            Nodes = 1,
            Load = NodeLoad.Paced,
            ChunkBytes = 64,
            Connections = 0,
        }))
        {
            fleet.Start();
            await fleet.WaitForOnlineAsync(1, TimeSpan.FromSeconds(60));
            var node = fleet.Nodes[0];
            incarnation = Hex(node.Stream!.Incarnation.Span);
            using var poll = new PeriodicTimer(TimeSpan.FromMilliseconds(5));
            var watch = Stopwatch.StartNew();
            for (var i = 0; i < chunks; i++)
            {
                // One at a time, so that each acknowledgement belongs to one chunk.
                node.Produce(TimeProvider.System.GetTimestamp());
                while (fleet.Meters.Chunks <= i)
                {
                    watch.Elapsed.ShouldBeLessThan(TimeSpan.FromSeconds(60), $"chunk {i} was not acknowledged");
                    await poll.WaitForNextTickAsync();
                }
            }
        }

        await hub.KillAsync();
        Check(workspace, trace, hub.GrpcPort, incarnation, chunks);
    }

    private static void Check(Workspace workspace, string trace, int port, string incarnation, int chunks)
    {
        var calls = SystemCallTrace.Read(trace);
        var mine = calls.Where(c => c.Text.Contains(incarnation, StringComparison.Ordinal) && c.Text.Contains($":{port}->", StringComparison.Ordinal)).ToList();
        var log = Hex("hub.db-wal"u8);
        var synchronised = calls.Where(c => c.Name is "fdatasync" or "fsync" && c.Text.Contains(log, StringComparison.Ordinal)
            && c.Text.TrimEnd().EndsWith("= 0", StringComparison.Ordinal)).ToList();
        var received = mine.Where(c => c.Name.StartsWith("recv", StringComparison.Ordinal)).ToList();
        var sent = mine.Where(c => c.Name.StartsWith("send", StringComparison.Ordinal)).ToList();
        workspace.Say($"trace: {calls.Count} calls, {received.Count} receipts and {sent.Count} sends of the terminal, {synchronised.Count} synchronisations of the log");
        // The first receipt is hello and the first send is welcome; from then on they take turns.
        var outputs = received.Skip(1).ToList();
        outputs.Count.ShouldBe(chunks);
        var proven = 0;
        for (var i = 0; i < outputs.Count; i++)
        {
            var arrived = outputs[i];
            var until = i + 1 < outputs.Count ? outputs[i + 1].Started : int.MaxValue;
            var acknowledgement = sent.FirstOrDefault(s => s.Started > arrived.Ended && s.Started < until);
            acknowledgement.ShouldNotBeNull($"chunk {i} has an acknowledgement of its own");
            var between = synchronised.Where(s => s.Started > arrived.Ended && s.Ended < acknowledgement.Started).ToList();
            between.ShouldNotBeEmpty($"chunk {i}, received at {arrived.Time}, was acknowledged at {acknowledgement.Time} without a synchronised log");
            proven++;
            if (i == 0)
            {
                workspace.Say($"first: received {arrived.Time:F6}, log synchronised from {between[^1].Time:F6}, acknowledged {acknowledgement.Time:F6}");
            }
        }

        workspace.Say($"{proven} acknowledgements, each after a synchronised log");
    }

    // As the tracer writes data, and names of files too.
    private static string Hex(ReadOnlySpan<byte> bytes) => string.Concat(bytes.ToArray().Select(b => $"\\x{b:x2}"));

    private static async Task<bool> TracerWorksAsync()
    {
        try
        {
            using var process = Process.Start(new ProcessStartInfo(Tracer, ["-f", "--seccomp-bpf", "-e", "trace=fdatasync", "/bin/true"]) { RedirectStandardError = true })!;
            await process.StandardError.ReadToEndAsync();
            await process.WaitForExitAsync();
            return process.ExitCode == 0;
        }
        catch (Win32Exception)
        {
            return false;
        }
    }
}
