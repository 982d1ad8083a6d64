using System.Runtime.InteropServices;
using Hub.Cli.Terminals;

namespace Hub.Cli.Tests;

/// <summary>On a real pseudo terminal.</summary>
public sealed class SystemTerminalSpecs : IDisposable
{
    private const int ReadWrite = 2;
    private const int NoControllingTerminal = 0x100;
    private readonly int _master = OpenMaster(ReadWrite | NoControllingTerminal);
    private readonly int _slave;

    public SystemTerminalSpecs()
    {
        _ = Grant(_master);
        _ = Unlock(_master);
        _slave = Open(Marshal.PtrToStringUTF8(Name(_master))!, ReadWrite | NoControllingTerminal);
        _slave.ShouldBeGreaterThanOrEqualTo(0);
    }

    public void Dispose()
    {
        _ = Close(_slave);
        _ = Close(_master);
    }

    [Fact]
    public void Raw_mode_is_undone_whoever_undoes_it()
    {
        var terminal = new SystemTerminal(_slave);
        var before = Attributes();
        using (terminal.EnterRawMode())
        {
            Attributes().ShouldNotBe(before);
            // Twice is once: what is put back is the mode from before the first.
            using (terminal.EnterRawMode())
                Attributes().ShouldNotBe(before);
            Attributes().ShouldBe(before);
        }

        Attributes().ShouldBe(before);
        terminal.EnterRawMode();
        // As at the end of the process.
        terminal.Restore();
        Attributes().ShouldBe(before);
    }

    private unsafe byte[] Attributes()
    {
        var all = new byte[Native.TermiosRoom];
        fixed (byte* termios = all)
            Native.GetAttributes(_slave, termios).ShouldBe(0);
        return all;
    }

    [DllImport("libc", EntryPoint = "posix_openpt")]
    private static extern int OpenMaster(int flags);

    [DllImport("libc", EntryPoint = "grantpt")]
    private static extern int Grant(int descriptor);

    [DllImport("libc", EntryPoint = "unlockpt")]
    private static extern int Unlock(int descriptor);

    [DllImport("libc", EntryPoint = "ptsname")]
    private static extern nint Name(int descriptor);

    [DllImport("libc", EntryPoint = "open")]
    private static extern int Open([MarshalAs(UnmanagedType.LPUTF8Str)] string path, int flags);

    [DllImport("libc", EntryPoint = "close")]
    private static extern int Close(int descriptor);
}
