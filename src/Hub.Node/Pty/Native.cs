using System.Runtime.InteropServices;

namespace Hub.Node.Pty;

/// <summary>
/// The system calls the agent needs, by P/Invoke into the C library. Numbers are Linux's on x64 and arm64, which share them.
/// Variadic functions (open, fcntl, ioctl, syscall) are declared with the arguments used: both ABIs pass them alike.
/// </summary>
internal static unsafe partial class Native
{
    public const int ReadWrite = 0x2;
    public const int NoControllingTerminal = 0x100;
    public const int CloseOnExec = 0x80000;
    public const int NonBlocking = 0x800;

    public const short PollIn = 0x1;
    public const short PollOut = 0x4;

    public const int Interrupted = 4;
    public const int WouldBlock = 11;
    public const int NotExecutable = 8;

    public const int NoHang = 1;

    public const int SignalHangUp = 1;
    public const int SignalKill = 9;
    public const int SignalTerminate = 15;
    public const int SignalContinue = 18;

    public const short SpawnSetSignalDefault = 0x04;
    public const short SpawnSetSignalMask = 0x08;
    public const short SpawnSetSession = 0x80;

    private const int SysPidfdOpen = 434;
    private const int FcntlSetDescriptorFlags = 2;
    private const int FcntlCloseOnExec = 1;
    private const int FcntlGetFlags = 3;
    private const int FcntlSetFlags = 4;
    private const nuint IoctlGetForeground = 0x540F;
    private const nuint IoctlSetWindowSize = 0x5414;
    private const int TerminalNow = 0;
    private const uint InputUtf8 = 0x4000;
    private const string C = "libc";

    [StructLayout(LayoutKind.Sequential)]
    internal struct PollFd
    {
        public int Fd;
        public short Events;
        public short Returned;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct WindowSize
    {
        public ushort Rows;
        public ushort Columns;
        public ushort PixelsX;
        public ushort PixelsY;
    }

    [LibraryImport(C, EntryPoint = "posix_openpt", SetLastError = true)]
    public static partial int OpenPty(int flags);

    [LibraryImport(C, EntryPoint = "grantpt", SetLastError = true)]
    public static partial int GrantPty(int fd);

    [LibraryImport(C, EntryPoint = "unlockpt", SetLastError = true)]
    public static partial int UnlockPty(int fd);

    [LibraryImport(C, EntryPoint = "ptsname_r")]
    public static partial int PtyName(int fd, byte* buffer, nuint length);

    [LibraryImport(C, EntryPoint = "posix_spawn")]
    public static partial int Spawn(out int pid, byte* path, void* actions, void* attributes, byte** argv, byte** env);

    [LibraryImport(C, EntryPoint = "posix_spawn_file_actions_init")]
    public static partial int InitActions(void* actions);

    [LibraryImport(C, EntryPoint = "posix_spawn_file_actions_destroy")]
    public static partial int DestroyActions(void* actions);

    [LibraryImport(C, EntryPoint = "posix_spawn_file_actions_addopen")]
    public static partial int AddOpen(void* actions, int fd, byte* path, int flags, uint mode);

    [LibraryImport(C, EntryPoint = "posix_spawn_file_actions_adddup2")]
    public static partial int AddDup(void* actions, int fd, int newFd);

    [LibraryImport(C, EntryPoint = "posix_spawn_file_actions_addchdir_np")]
    public static partial int AddChangeDirectory(void* actions, byte* path);

    [LibraryImport(C, EntryPoint = "posix_spawnattr_init")]
    public static partial int InitAttributes(void* attributes);

    [LibraryImport(C, EntryPoint = "posix_spawnattr_destroy")]
    public static partial int DestroyAttributes(void* attributes);

    [LibraryImport(C, EntryPoint = "posix_spawnattr_setflags")]
    public static partial int SetFlags(void* attributes, short flags);

    [LibraryImport(C, EntryPoint = "posix_spawnattr_setsigdefault")]
    public static partial int SetSignalDefault(void* attributes, void* set);

    [LibraryImport(C, EntryPoint = "posix_spawnattr_setsigmask")]
    public static partial int SetSignalMask(void* attributes, void* set);

    [LibraryImport(C, EntryPoint = "sigfillset")]
    public static partial int FillSignalSet(void* set);

    [LibraryImport(C, EntryPoint = "sigemptyset")]
    public static partial int EmptySignalSet(void* set);

    [LibraryImport(C, EntryPoint = "read", SetLastError = true)]
    public static partial nint Read(int fd, byte* buffer, nuint count);

    [LibraryImport(C, EntryPoint = "write", SetLastError = true)]
    public static partial nint Write(int fd, byte* buffer, nuint count);

    [LibraryImport(C, EntryPoint = "close", SetLastError = true)]
    public static partial int Close(int fd);

    [LibraryImport(C, EntryPoint = "pipe2", SetLastError = true)]
    public static partial int Pipe(int* fds, int flags);

    [LibraryImport(C, EntryPoint = "poll", SetLastError = true)]
    public static partial int Poll(PollFd* fds, nuint count, int timeoutMilliseconds);

    [LibraryImport(C, EntryPoint = "eventfd", SetLastError = true)]
    public static partial int EventFd(uint initial, int flags);

    [LibraryImport(C, EntryPoint = "kill", SetLastError = true)]
    public static partial int Kill(int pid, int signal);

    [LibraryImport(C, EntryPoint = "waitpid", SetLastError = true)]
    public static partial int WaitPid(int pid, out int status, int options);

    [LibraryImport(C, EntryPoint = "getpwuid_r")]
    public static partial int GetUser(uint uid, byte* record, byte* buffer, nuint length, out nint result);

    [LibraryImport(C, EntryPoint = "geteuid")]
    public static partial uint EffectiveUser();

    [LibraryImport(C, EntryPoint = "access", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int Access(string path, int mode);

    [LibraryImport(C, EntryPoint = "syscall", SetLastError = true)]
    private static partial nint SysCall(nint number, nint a, nint b);

    [LibraryImport(C, EntryPoint = "fcntl", SetLastError = true)]
    private static partial int Fcntl(int fd, int command, nint argument);

    [LibraryImport(C, EntryPoint = "ioctl", SetLastError = true)]
    private static partial int Ioctl(int fd, nuint request, void* argument);

    [LibraryImport(C, EntryPoint = "tcgetattr", SetLastError = true)]
    private static partial int GetTerminalAttributes(int fd, void* attributes);

    [LibraryImport(C, EntryPoint = "tcsetattr", SetLastError = true)]
    private static partial int SetTerminalAttributes(int fd, int when, void* attributes);

    /// <summary>The last error of a call declared with SetLastError.</summary>
    public static int LastError => Marshal.GetLastPInvokeError();

    /// <summary>The system's words for an error number.</summary>
    public static string Describe(int error) => Marshal.GetPInvokeErrorMessage(error);

    /// <summary>A descriptor that becomes readable when the process has ended; -1 with the last error set if there is none.</summary>
    public static int OpenPidFd(int pid) => (int)SysCall(SysPidfdOpen, pid, 0);

    /// <summary>Lets reads and writes return at once instead of waiting.</summary>
    public static bool SetNonBlocking(int fd)
    {
        var flags = Fcntl(fd, FcntlGetFlags, 0);
        return flags >= 0 && Fcntl(fd, FcntlSetFlags, flags | NonBlocking) == 0;
    }

    /// <summary>
    /// Keeps descriptors that this process inherited from whoever started it from its own children: a program that holds a
    /// stranger's pipe open would keep the stranger waiting.
    /// </summary>
    public static void KeepInheritedDescriptors()
    {
        foreach (var name in Directory.GetFileSystemEntries("/proc/self/fd"))
        {
            if (int.TryParse(Path.GetFileName(name), out var fd) && fd > 2)
                _ = Fcntl(fd, FcntlSetDescriptorFlags, FcntlCloseOnExec);
        }
    }

    /// <summary>Sets the size of a PTY; the kernel tells its foreground process group with SIGWINCH.</summary>
    public static bool SetWindowSize(int fd, int columns, int rows)
    {
        var size = new WindowSize { Columns = (ushort)columns, Rows = (ushort)rows };
        return Ioctl(fd, IoctlSetWindowSize, &size) == 0;
    }

    /// <summary>The foreground process group of a PTY; 0 if it has none.</summary>
    public static int ForegroundGroup(int fd)
    {
        var group = 0;
        return Ioctl(fd, IoctlGetForeground, &group) == 0 ? group : 0;
    }

    /// <summary>Tells the line discipline that input is UTF-8, so that backspace takes a whole character away.</summary>
    public static void SetUtf8(int fd)
    {
        // The first field of struct termios is c_iflag; 256 bytes are more than any C library's struct takes.
        var attributes = stackalloc uint[64];
        if (GetTerminalAttributes(fd, attributes) != 0)
            return;
        attributes[0] |= InputUtf8;
        SetTerminalAttributes(fd, TerminalNow, attributes);
    }
}
