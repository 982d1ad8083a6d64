using System.Globalization;
using System.Runtime.InteropServices;
using Hub.Load.Scenarios;

namespace Hub.Load.Measuring;

/// <summary>What a reader of the figures has to know about where they were taken.</summary>
internal static class Circumstances
{
    public static void Describe(Report report, BenchmarkOptions options)
    {
        var facts = report.Circumstances;
        facts["time"] = TimeProvider.System.GetUtcNow().ToString("u", CultureInfo.InvariantCulture);
        facts["processors"] = Environment.ProcessorCount.ToString(CultureInfo.InvariantCulture);
        facts["memory"] = $"{GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / (1 << 20)} MiB";
        facts["system"] = RuntimeInformation.OSDescription;
        facts["runtime"] = RuntimeInformation.FrameworkDescription;
        facts["file system"] = FileSystemOf(options.DataRoot);
        facts["options"] = options.ToString();
        if (facts["file system"].StartsWith("tmpfs", StringComparison.Ordinal))
            report.Note("run", "the data root is in memory: writes to it cost nothing, and no figure says anything about a disk");
    }

    private static string FileSystemOf(string path)
    {
        if (!File.Exists("/proc/mounts"))
            return "unknown";
        // The longest mount point that the path is below.
        var full = Path.GetFullPath(path);
        return File.ReadLines("/proc/mounts").Select(line => line.Split(' '))
            .Where(f => f.Length > 2 && (full == f[1] || full.StartsWith(f[1].TrimEnd('/') + "/", StringComparison.Ordinal)))
            .OrderByDescending(f => f[1].Length)
            .Select(f => f[2]).FirstOrDefault() ?? "unknown";
    }
}
