using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using AkkaHub.V1;
using Hub.Load.Processes;
using Hub.Load.Writing;

namespace Hub.SystemTests.Harness;

/// <summary>
/// A terminal in which a line writer runs, and the writer's own record of what it wrote. The terminal does not translate line
/// ends, so that history and record can be compared byte for byte.
/// </summary>
public sealed class WriterTerminal
{
    private readonly Workspace _workspace;
    private readonly HubClient _client;
    private readonly LineWriterOptions _options;

    private WriterTerminal(Workspace workspace, HubClient client, string node, string name, LineWriterOptions options)
    {
        _workspace = workspace;
        _client = client;
        Node = node;
        Name = name;
        _options = options;
    }

    /// <summary>Its node.</summary>
    public string Node { get; }
    /// <summary>Its name.</summary>
    public string Name { get; }
    /// <summary>What the writer wrote so far, bytes.</summary>
    public long Written => new FileInfo(_options.Record) is { Exists: true } record ? record.Length : 0;

    /// <summary>Opens the terminal and starts the writer in it.</summary>
    public static async Task<WriterTerminal> OpenAsync(Workspace workspace, HubClient client, string node, LineWriterOptions options,
        string name = "writer")
    {
        var load = typeof(LineWriter).Assembly.Location;
        string[] words = ["exec", "dotnet", load, .. options.ToArguments()];
        await client.OpenAsync(node, name, "/bin/sh", "-c", "stty raw -echo; " + string.Join(' ', words));
        return new WriterTerminal(workspace, client, node, name, options);
    }

    /// <summary>Options with paths in the workspace.</summary>
    public static LineWriterOptions Options(Workspace workspace, int seed, string name = "writer") => new()
    {
        Record = workspace.PathOf(name + ".record"),
        StopFile = workspace.PathOf(name + ".stop"),
        Seed = seed,
    };

    /// <summary>
    /// Options of a writer whose bursts are dealt out: it writes a line at a time until <see cref="Allow"/> gives it more, so
    /// that all of a test sees bursts and a bounded history still holds everything.
    /// </summary>
    public static LineWriterOptions DealtOptions(Workspace workspace, int seed)
    {
        var options = Options(workspace, seed) with { MostBytesFile = workspace.PathOf("writer.most") };
        File.WriteAllText(options.MostBytesFile, "0");
        return options;
    }

    /// <summary>Lets the writer write this many bytes more in bursts. Gives the position at which they are used up.</summary>
    public long Allow(long bytes)
    {
        var most = Written + bytes;
        // Moved into place, so that the writer never reads half a number.
        var next = _options.MostBytesFile + ".next";
        File.WriteAllText(next, most.ToString(CultureInfo.InvariantCulture));
        File.Move(next, _options.MostBytesFile!, overwrite: true);
        return most;
    }

    /// <summary>Waits until the writer has come to a position.</summary>
    /// <exception cref="TimeoutException">It was not there in time.</exception>
    public async Task WaitForAsync(long position, TimeSpan timeout)
    {
        using var late = new CancellationTokenSource(timeout);
        using var again = new PeriodicTimer(TimeSpan.FromMilliseconds(5));
        while (Written < position)
        {
            if (late.IsCancellationRequested)
                throw new TimeoutException($"the writer is at {Written} after {timeout}, not at {position}");
            await again.WaitForNextTickAsync(CancellationToken.None);
        }
    }

    /// <summary>Asks the writer to end.</summary>
    public void Stop() => File.WriteAllText(_options.StopFile, "");

    /// <summary>Waits until the writer has ended and the hub has all it wrote. Gives the writer's record.</summary>
    public async Task<byte[]> FinishAsync(TimeSpan timeout)
    {
        var terminal = await _client.WaitForTerminalAsync(Node, Name, t => t.State == TerminalState.Closed, timeout);
        var record = await File.ReadAllBytesAsync(_options.Record);
        terminal.EndOffset.ShouldBe(record.Length, "the terminal ends where the writer's record ends");
        (terminal.Exit?.Code).ShouldBe(0, terminal.ToString());
        CheckRecord(record);
        _workspace.Say($"the writer wrote {record.Length} bytes");
        return record;
    }

    // The record is not to be trusted blindly either: its last line names the hash of the rest, made while writing.
    private static void CheckRecord(ReadOnlySpan<byte> record)
    {
        var last = record.LastIndexOf(Encoding.ASCII.GetBytes(LineWriter.LastLine));
        last.ShouldBeGreaterThanOrEqualTo(0, "the writer came to its end");
        var hash = Convert.ToHexStringLower(SHA256.HashData(record[..last]));
        Encoding.ASCII.GetString(record[last..]).ShouldBe(LineWriter.LastLine + hash + "\n");
    }
}
