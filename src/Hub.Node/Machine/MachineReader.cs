using System.Globalization;
using AkkaHub.V1;
using Hub.Node.Pty;

namespace Hub.Node.Machine;

/// <summary>Reads what the machine's resources look like from /proc. A figure that cannot be read is 0. Not thread-safe.</summary>
internal sealed class MachineReader(string stateDirectory)
{
    private long _busy;
    private long _total;

    /// <summary>The figures now; the processors' share is over the time since the call before.</summary>
    public MachineFigures Read()
    {
        var figures = new MachineFigures { Cpu = ReadCpu() };
        ReadMemory(figures);
        ReadLoad(figures);
        try
        {
            var drive = new DriveInfo(stateDirectory);
            figures.DiskTotalBytes = drive.TotalSize;
            figures.DiskUsedBytes = drive.TotalSize - drive.TotalFreeSpace;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // The file system does not tell.
        }

        return figures;
    }

    /// <summary>What the machine is.</summary>
    public static Platform ReadPlatform(UserAccount user)
    {
        var memory = new MachineFigures();
        ReadMemory(memory);
        return new Platform
        {
            Os = Cut(OperatingSystemName()),
            Arch = System.Runtime.InteropServices.RuntimeInformation.OSArchitecture.ToString().ToLowerInvariant(),
            Host = Cut(Environment.MachineName),
            Cpus = (uint)Environment.ProcessorCount,
            User = Cut(user.Name),
            MemoryBytes = memory.MemoryTotalBytes,
        };
    }

    /// <summary>The operating system's boot id; empty if unknown.</summary>
    public static string ReadBootId()
    {
        var id = Text("/proc/sys/kernel/random/boot_id").Trim();
        return id.Length <= 64 ? id : id[..64];
    }

    private double ReadCpu()
    {
        // cpu user nice system idle iowait irq softirq steal …; guest times are in user already.
        var fields = Text("/proc/stat").Split('\n', 2)[0].Split(' ', StringSplitOptions.RemoveEmptyEntries);
        if (fields.Length < 9)
            return 0;
        long total = 0, idle = 0;
        for (var i = 1; i <= 8; i++)
        {
            var value = Number(fields[i]);
            total += value;
            if (i is 4 or 5)
                idle += value;
        }

        var (busyBefore, totalBefore) = (_busy, _total);
        (_busy, _total) = (total - idle, total);
        return totalBefore == 0 || total <= totalBefore ? 0 : Math.Clamp((double)(_busy - busyBefore) / (total - totalBefore), 0, 1);
    }

    private static void ReadMemory(MachineFigures figures)
    {
        long total = 0, available = 0;
        foreach (var line in Text("/proc/meminfo").Split('\n'))
        {
            if (line.StartsWith("MemTotal:", StringComparison.Ordinal))
                total = Kibibytes(line);
            else if (line.StartsWith("MemAvailable:", StringComparison.Ordinal))
                available = Kibibytes(line);
        }

        figures.MemoryTotalBytes = total;
        figures.MemoryUsedBytes = Math.Max(0, total - available);
    }

    private static void ReadLoad(MachineFigures figures)
    {
        var loads = Text("/proc/loadavg").Split(' ');
        if (loads.Length >= 3)
            (figures.Load1, figures.Load5, figures.Load15) = (Real(loads[0]), Real(loads[1]), Real(loads[2]));
        figures.UptimeSeconds = (long)Real(Text("/proc/uptime").Split(' ')[0]);
    }

    private static string OperatingSystemName()
    {
        foreach (var line in Text("/etc/os-release").Split('\n'))
        {
            if (line.StartsWith("PRETTY_NAME=", StringComparison.Ordinal))
                return line["PRETTY_NAME=".Length..].Trim('"');
        }

        return System.Runtime.InteropServices.RuntimeInformation.OSDescription;
    }

    private static long Kibibytes(string line) =>
        1024 * Number(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1]);

    private static string Text(string path)
    {
        try
        {
            return File.ReadAllText(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return "";
        }
    }

    private static long Number(string text) => long.TryParse(text, CultureInfo.InvariantCulture, out var value) ? value : 0;

    private static double Real(string text) => double.TryParse(text, CultureInfo.InvariantCulture, out var value) ? value : 0;

    private static string Cut(string text) => text.Length <= 255 ? text : text[..255];
}
