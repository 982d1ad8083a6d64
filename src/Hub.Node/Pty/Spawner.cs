using System.Text;

namespace Hub.Node.Pty;

/// <summary>
/// Starts processes with posix_spawn, each in a session of its own with default signals and an empty signal mask (the .NET
/// runtime ignores SIGPIPE, and children would inherit that). fork is not used: it is unsafe in a process with threads.
/// </summary>
internal static unsafe class Spawner
{
    // glibc and musl both take 336 bytes for the attributes, 80 for the actions and 128 for a signal set.
    private const int AttributesSize = 1024;
    private const int ActionsSize = 512;
    private const int SignalSetSize = 256;
    private const string DevNull = "/dev/null";

    /// <summary>Starts a process on a new PTY, which becomes its controlling terminal.</summary>
    /// <exception cref="SpawnException">The system refused it.</exception>
    public static SpawnedProcess WithPty(SpawnRequest request, int columns, int rows)
    {
        var master = Native.OpenPty(Native.ReadWrite | Native.NoControllingTerminal | Native.CloseOnExec);
        if (master < 0)
            throw Failed("cannot open a PTY");
        try
        {
            if (Native.GrantPty(master) != 0 || Native.UnlockPty(master) != 0)
                throw Failed("cannot unlock the PTY");
            var slave = stackalloc byte[128];
            var error = Native.PtyName(master, slave, 128);
            if (error != 0)
                throw new SpawnException($"cannot name the PTY: {Native.Describe(error)}");
            Native.SetUtf8(master);
            if (!Native.SetWindowSize(master, columns, rows) || !Native.SetNonBlocking(master))
                throw Failed("cannot set up the PTY");

            var (pid, pidFd) = Start(request, actions =>
            {
                // Opened in the child, after setsid: the first terminal a session leader opens becomes its controlling one.
                Check(Native.AddOpen((void*)actions, 0, slave, Native.ReadWrite, 0));
                Check(Native.AddDup((void*)actions, 0, 1));
                Check(Native.AddDup((void*)actions, 0, 2));
            });
            return new SpawnedProcess(pid, pidFd, master, -1, master);
        }
        catch
        {
            Native.Close(master);
            throw;
        }
    }

    /// <summary>Starts a process on pipes, standard error apart; standard input is empty unless asked for.</summary>
    /// <exception cref="SpawnException">The system refused it.</exception>
    public static SpawnedProcess WithPipes(SpawnRequest request, bool input)
    {
        var ends = stackalloc int[6];
        new Span<int>(ends, 6).Fill(-1);
        try
        {
            for (var i = input ? 0 : 1; i < 3; i++)
            {
                if (Native.Pipe(ends + 2 * i, Native.CloseOnExec) != 0)
                    throw Failed("cannot make a pipe");
            }

            int inputRead = ends[0], inputWrite = ends[1], outputRead = ends[2], outputWrite = ends[3], errorRead = ends[4], errorWrite = ends[5];
            // Only our ends: the mode belongs to the open file, and programs expect their own ends to wait.
            if (!Native.SetNonBlocking(outputRead) || !Native.SetNonBlocking(errorRead) || (input && !Native.SetNonBlocking(inputWrite)))
                throw Failed("cannot set up the pipes");

            var devNull = stackalloc byte[16];
            Encoding.UTF8.GetBytes(DevNull, new Span<byte>(devNull, 16));
            var (pid, pidFd) = Start(request, actions =>
            {
                Check(input ? Native.AddDup((void*)actions, inputRead, 0) : Native.AddOpen((void*)actions, 0, devNull, 0, 0));
                Check(Native.AddDup((void*)actions, outputWrite, 1));
                Check(Native.AddDup((void*)actions, errorWrite, 2));
            });
            var started = new SpawnedProcess(pid, pidFd, outputRead, errorRead, inputWrite);
            ends[1] = ends[2] = ends[4] = -1;
            return started;
        }
        finally
        {
            for (var i = 0; i < 6; i++)
            {
                if (ends[i] >= 0)
                    Native.Close(ends[i]);
            }
        }
    }

    /// <summary>Starts a process in a new session with its standard streams on /dev/null and leaves it alone.</summary>
    /// <exception cref="SpawnException">The system refused it.</exception>
    public static int Detached(SpawnRequest request)
    {
        var devNull = stackalloc byte[16];
        Encoding.UTF8.GetBytes(DevNull, new Span<byte>(devNull, 16));
        var (pid, pidFd) = Start(request, actions =>
        {
            Check(Native.AddOpen((void*)actions, 0, devNull, Native.ReadWrite, 0));
            Check(Native.AddDup((void*)actions, 0, 1));
            Check(Native.AddDup((void*)actions, 0, 2));
        });
        Native.Close(pidFd);
        return pid;
    }

    private static (int Pid, int PidFd) Start(SpawnRequest request, Action<nint> addActions)
    {
        var actions = stackalloc byte[ActionsSize];
        var attributes = stackalloc byte[AttributesSize];
        var signals = stackalloc byte[SignalSetSize];
        Check(Native.InitActions(actions));
        Check(Native.InitAttributes(attributes));
        try
        {
            Check(Native.SetFlags(attributes, Native.SpawnSetSession | Native.SpawnSetSignalDefault | Native.SpawnSetSignalMask));
            Native.FillSignalSet(signals);
            Check(Native.SetSignalDefault(attributes, signals));
            Native.EmptySignalSet(signals);
            Check(Native.SetSignalMask(attributes, signals));
            using var directory = new Utf8Block([request.Directory]);
            Check(Native.AddChangeDirectory(actions, directory.Pointers[0]));
            addActions((nint)actions);

            var pid = Run(request.Program, request.Arguments, request.Environment, actions, attributes);
            var pidFd = Native.OpenPidFd(pid);
            if (pidFd >= 0)
                return (pid, pidFd);
            var refused = Failed("cannot watch the process (pidfd_open; Linux 5.3 or newer is needed)");
            Native.Kill(-pid, Native.SignalKill);
            Native.WaitPid(pid, out _, 0);
            throw refused;
        }
        finally
        {
            Native.DestroyActions(actions);
            Native.DestroyAttributes(attributes);
        }
    }

    private static int Run(string program, IReadOnlyList<string> arguments, IReadOnlyList<string> environment, void* actions, void* attributes)
    {
        using var path = new Utf8Block([program]);
        using var argv = new Utf8Block(arguments);
        using var env = new Utf8Block(environment);
        var error = Native.Spawn(out var pid, path.Pointers[0], actions, attributes, argv.Pointers, env.Pointers);
        // A script without '#!' is run by sh, as execvp does.
        if (error == Native.NotExecutable && program != "/bin/sh")
            return Run("/bin/sh", ["/bin/sh", program, .. arguments.Skip(1)], environment, actions, attributes);
        return error == 0 ? pid : throw new SpawnException($"cannot start '{program}': {Native.Describe(error)}");
    }

    private static void Check(int error)
    {
        if (error != 0)
            throw new SpawnException($"cannot prepare the process: {Native.Describe(error)}");
    }

    private static SpawnException Failed(string what) => new($"{what}: {Native.Describe(Native.LastError)}");
}
