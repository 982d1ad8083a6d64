using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace Hub.Load.Writing;

/// <summary>What a line writer writes, and where.</summary>
public sealed record LineWriterOptions
{
    /// <summary>File that gets every byte written to standard output, in the same order.</summary>
    public required string Record { get; init; }
    /// <summary>It ends when this file exists.</summary>
    public required string StopFile { get; init; }
    /// <summary>Seed of sizes and pauses.</summary>
    public int Seed { get; init; } = 1;
    /// <summary>Largest burst, bytes.</summary>
    public int BurstBytes { get; init; } = 64 * 1024;
    /// <summary>Longest pause between bursts, milliseconds; 0 for none.</summary>
    public int PauseMilliseconds { get; init; } = 50;
    /// <summary>After this many bytes it goes on with a line at a time, so that it lasts without filling a bounded history.</summary>
    public long MostBytes { get; init; } = long.MaxValue;
    /// <summary>File whose text takes the place of <see cref="MostBytes"/> and may grow meanwhile; null for none.</summary>
    public string? MostBytesFile { get; init; }
    /// <summary>It ends by itself after this many bytes.</summary>
    public long EndBytes { get; init; } = long.MaxValue;

    /// <summary>The options as arguments of this program.</summary>
    public IReadOnlyList<string> ToArguments() =>
    [
        LineWriter.CommandName, Record, StopFile, .. new long[] { Seed, BurstBytes, PauseMilliseconds, MostBytes, EndBytes }
            .Select(n => n.ToString(CultureInfo.InvariantCulture)),
        .. MostBytesFile is null ? Array.Empty<string>() : [MostBytesFile],
    ];

    /// <summary>Reads what <see cref="ToArguments"/> wrote, without the first.</summary>
    public static LineWriterOptions Parse(IReadOnlyList<string> arguments) => new()
    {
        Record = arguments[0],
        StopFile = arguments[1],
        Seed = int.Parse(arguments[2], CultureInfo.InvariantCulture),
        BurstBytes = int.Parse(arguments[3], CultureInfo.InvariantCulture),
        PauseMilliseconds = int.Parse(arguments[4], CultureInfo.InvariantCulture),
        MostBytes = long.Parse(arguments[5], CultureInfo.InvariantCulture),
        EndBytes = long.Parse(arguments[6], CultureInfo.InvariantCulture),
        MostBytesFile = arguments.Count > 7 ? arguments[7] : null,
    };
}

/// <summary>
/// The witness of the crash tests: writes numbered lines to standard output in bursts at full speed, and the same bytes to a
/// record of its own. It blocks where its terminal blocks. The last line names the SHA-256 of all before it.
/// </summary>
public static class LineWriter
{
    /// <summary>First argument of this program for it to be a line writer.</summary>
    public const string CommandName = "write-lines";

    /// <summary>What the last line begins with.</summary>
    public const string LastLine = "end of record, SHA-256 of all before ";

    /// <summary>Writes until the stop file exists. Gives 0.</summary>
    public static async Task<int> RunAsync(LineWriterOptions options, CancellationToken cancellation)
    {
        var random = new Random(options.Seed);
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        await using var record = new FileStream(options.Record, FileMode.Create, FileAccess.Write, FileShare.Read);
        await using var output = Console.OpenStandardOutput();
        long written = 0;
        long line = 0;
        var burst = new StringBuilder();
        while (written < options.EndBytes && !File.Exists(options.StopFile) && !cancellation.IsCancellationRequested)
        {
            var most = options.MostBytesFile is { } file
                ? long.Parse(await File.ReadAllTextAsync(file, CancellationToken.None).ConfigureAwait(false), CultureInfo.InvariantCulture)
                : options.MostBytes;
            var least = written < most ? random.Next(1, options.BurstBytes) : 1;
            for (burst.Clear(); burst.Length < least;)
            {
                burst.Append(CultureInfo.InvariantCulture, $"{++line,12} ");
                burst.Append('x', random.Next(0, 100));
                burst.Append('\n');
            }

            var bytes = Encoding.ASCII.GetBytes(burst.ToString());
            hash.AppendData(bytes);
            // The record first: whatever the terminal shows is in it, also when this process is ended in between.
            await record.WriteAsync(bytes, CancellationToken.None).ConfigureAwait(false);
            await record.FlushAsync(CancellationToken.None).ConfigureAwait(false);
            await output.WriteAsync(bytes, CancellationToken.None).ConfigureAwait(false);
            written += bytes.Length;
            if (options.PauseMilliseconds > 0)
            {
                var pause = written < most ? random.Next(0, options.PauseMilliseconds) : options.PauseMilliseconds;
                await Task.Delay(pause, CancellationToken.None).ConfigureAwait(false);
            }
        }

        var last = Encoding.ASCII.GetBytes(LastLine + Convert.ToHexStringLower(hash.GetHashAndReset()) + "\n");
        await record.WriteAsync(last, CancellationToken.None).ConfigureAwait(false);
        await record.FlushAsync(CancellationToken.None).ConfigureAwait(false);
        await output.WriteAsync(last, CancellationToken.None).ConfigureAwait(false);
        return 0;
    }
}
