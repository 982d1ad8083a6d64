using System.Runtime.InteropServices;

namespace Hub.Cli.Terminals;

/// <summary>The few calls of the C library the command line needs.</summary>
internal static partial class Native
{
    /// <summary>Room for a <c>struct termios</c> of any supported system (60 bytes on Linux, 72 on macOS).</summary>
    public const int TermiosRoom = 256;
    /// <summary><c>TCSADRAIN</c>: apply after what was written is out.</summary>
    public const int AfterDrain = 1;
    /// <summary><c>POLLIN</c>.</summary>
    public const short PollIn = 1;
    /// <summary><c>EINTR</c>.</summary>
    public const int Interrupted = 4;
    /// <summary><c>EIO</c>.</summary>
    public const int InputOutputError = 5;
    /// <summary><c>EPIPE</c>.</summary>
    public const int BrokenPipe = 32;
    /// <summary><c>EAGAIN</c>.</summary>
    public static readonly int TryAgain = OperatingSystem.IsMacOS() ? 35 : 11;
    /// <summary><c>TIOCGWINSZ</c>.</summary>
    public static readonly nuint GetWindowSize = OperatingSystem.IsMacOS() ? 0x40087468u : 0x5413u;

    /// <summary><c>struct winsize</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct WindowSize
    {
        /// <summary>Rows.</summary>
        public ushort Rows;
        /// <summary>Columns.</summary>
        public ushort Columns;
        /// <summary>Width in pixels.</summary>
        public ushort Width;
        /// <summary>Height in pixels.</summary>
        public ushort Height;
    }

    /// <summary><c>struct pollfd</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct PollDescriptor
    {
        /// <summary>Descriptor.</summary>
        public int Descriptor;
        /// <summary>Events asked for.</summary>
        public short Events;
        /// <summary>Events that are there.</summary>
        public short Returned;
    }

    [LibraryImport("libc", EntryPoint = "isatty")]
    private static partial int IsATty(int descriptor);

    /// <summary>Whether a descriptor is a terminal.</summary>
    public static bool IsTerminal(int descriptor) => !OperatingSystem.IsWindows() && IsATty(descriptor) == 1;

    [LibraryImport("libc", EntryPoint = "ioctl", SetLastError = true)]
    public static partial int WindowSizeOf(int descriptor, nuint request, ref WindowSize size);

    [LibraryImport("libc", EntryPoint = "tcgetattr", SetLastError = true)]
    public static unsafe partial int GetAttributes(int descriptor, byte* termios);

    [LibraryImport("libc", EntryPoint = "tcsetattr", SetLastError = true)]
    public static unsafe partial int SetAttributes(int descriptor, int actions, byte* termios);

    [LibraryImport("libc", EntryPoint = "cfmakeraw")]
    public static unsafe partial void MakeRaw(byte* termios);

    [LibraryImport("libc", EntryPoint = "read", SetLastError = true)]
    public static unsafe partial nint Read(int descriptor, byte* buffer, nuint count);

    [LibraryImport("libc", EntryPoint = "write", SetLastError = true)]
    public static unsafe partial nint Write(int descriptor, byte* buffer, nuint count);

    [LibraryImport("libc", EntryPoint = "poll", SetLastError = true)]
    public static unsafe partial int Poll(PollDescriptor* descriptors, nuint count, int milliseconds);
}
