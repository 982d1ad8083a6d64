using AkkaHub.V1;

namespace Hub.Cli;

/// <summary>What the program returns; <c>exec</c> returns the remote command's code instead once that is known.</summary>
internal static class ExitCodes
{
    /// <summary>All went well.</summary>
    public const int Success = 0;
    /// <summary>It failed; a line on standard error says why.</summary>
    public const int Failure = 1;
    /// <summary>The command line is wrong, or the hub refused an argument.</summary>
    public const int Usage = 2;
    /// <summary>A time-out ran out.</summary>
    public const int TimedOut = 124;
    /// <summary>Ended by Ctrl+C.</summary>
    public const int Interrupted = 130;
    /// <summary>Ended by a hang-up.</summary>
    public const int HungUp = 129;
    /// <summary>The reader of standard output has gone, as with <c>hub logs … | head</c>.</summary>
    public const int BrokenPipe = 141;
    /// <summary>Ended by SIGTERM.</summary>
    public const int Terminated = 143;

    /// <summary>
    /// The code of a remote process. One that no process can have here becomes 255: the system keeps the low byte only, so 256
    /// would pass for success.
    /// </summary>
    public static int Of(ProcessExit exit) => exit.Code is >= 0 and <= 255 ? exit.Code : 255;
}
