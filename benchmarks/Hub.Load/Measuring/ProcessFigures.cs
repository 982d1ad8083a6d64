using System.Globalization;

namespace Hub.Load.Measuring;

/// <summary>What the kernel says about a process at one moment (Linux, <c>/proc</c>).</summary>
/// <param name="RssBytes">Resident memory, bytes (VmRSS).</param>
/// <param name="AnonymousBytes">The part of it that no file backs: heaps and stacks, bytes (RssAnon).</param>
/// <param name="PeakRssBytes">The most that was ever resident, bytes (VmHWM).</param>
/// <param name="Threads">Threads.</param>
/// <param name="CpuTime">Processor time used so far, user and system.</param>
public readonly record struct ProcessFigures(long RssBytes, long AnonymousBytes, long PeakRssBytes, int Threads, TimeSpan CpuTime)
{
    // USER_HZ: what the kernel counts processor time in for user space; 100 on every architecture .NET runs on.
    private const int TicksPerSecond = 100;

    /// <summary>Reads the figures of a process.</summary>
    /// <exception cref="IOException">The process is gone, or this is not Linux.</exception>
    public static ProcessFigures Read(int pid)
    {
        long rss = 0, anonymous = 0, peak = 0;
        var threads = 0;
        foreach (var line in File.ReadLines($"/proc/{pid}/status"))
        {
            if (line.StartsWith("VmRSS:", StringComparison.Ordinal))
                rss = Kilobytes(line);
            else if (line.StartsWith("RssAnon:", StringComparison.Ordinal))
                anonymous = Kilobytes(line);
            else if (line.StartsWith("VmHWM:", StringComparison.Ordinal))
                peak = Kilobytes(line);
            else if (line.StartsWith("Threads:", StringComparison.Ordinal))
                threads = int.Parse(line.AsSpan(8).Trim(), CultureInfo.InvariantCulture);
        }

        // The name in brackets may hold blanks; fields are counted from behind it.
        var stat = File.ReadAllText($"/proc/{pid}/stat");
        var fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
        var ticks = long.Parse(fields[11], CultureInfo.InvariantCulture) + long.Parse(fields[12], CultureInfo.InvariantCulture);
        return new ProcessFigures(rss, anonymous, peak, threads, TimeSpan.FromSeconds((double)ticks / TicksPerSecond));
    }

    private static long Kilobytes(string line)
    {
        var colon = line.IndexOf(':') + 1;
        return long.Parse(line.AsSpan(colon, line.Length - colon - "kB".Length).Trim(), CultureInfo.InvariantCulture) * 1024;
    }
}
