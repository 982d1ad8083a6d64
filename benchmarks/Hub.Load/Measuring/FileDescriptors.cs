using System.Runtime.InteropServices;

namespace Hub.Load.Measuring;

/// <summary>The limit of open file descriptors, which a connection per node needs much of. Children inherit what is set here.</summary>
public static partial class FileDescriptors
{
    private const int ResourceNoFile = 7;

    /// <summary>
    /// Raises this process's limit to at least the given number if the system allows it; a hard limit is raised only by
    /// the superuser. Returns the limit that holds now.
    /// </summary>
    public static long EnsureAtLeast(long wanted)
    {
        if (!OperatingSystem.IsLinux() || GetResourceLimit(ResourceNoFile, out var limit) != 0)
            return long.MaxValue;
        if ((long)Math.Min(limit.Current, long.MaxValue) >= wanted)
            return (long)Math.Min(limit.Current, long.MaxValue);
        var raised = new ResourceLimit { Current = (ulong)wanted, Maximum = Math.Max(limit.Maximum, (ulong)wanted) };
        if (SetResourceLimit(ResourceNoFile, in raised) != 0)
        {
            raised = new ResourceLimit { Current = limit.Maximum, Maximum = limit.Maximum };
            _ = SetResourceLimit(ResourceNoFile, in raised);
        }

        return GetResourceLimit(ResourceNoFile, out limit) == 0 ? (long)Math.Min(limit.Current, long.MaxValue) : 0;
    }

    [LibraryImport("libc", EntryPoint = "getrlimit")]
    private static partial int GetResourceLimit(int resource, out ResourceLimit limit);

    [LibraryImport("libc", EntryPoint = "setrlimit")]
    private static partial int SetResourceLimit(int resource, in ResourceLimit limit);

    [StructLayout(LayoutKind.Sequential)]
    private struct ResourceLimit
    {
        public ulong Current;
        public ulong Maximum;
    }
}
