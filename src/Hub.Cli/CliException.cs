namespace Hub.Cli;

/// <summary>An expected failure: its message is shown as <c>hub: …</c>, and the program ends with <see cref="ExitCode"/>.</summary>
internal sealed class CliException : Exception
{
    /// <summary>Makes one.</summary>
    /// <param name="message">What went wrong, and what to do next.</param>
    /// <param name="exitCode">The program's exit code.</param>
    /// <param name="inner">What caused it.</param>
    public CliException(string message, int exitCode = ExitCodes.Failure, Exception? inner = null) : base(message, inner) => ExitCode = exitCode;

    /// <summary>The program's exit code.</summary>
    public int ExitCode { get; }

    /// <summary>A wrong command line.</summary>
    public static CliException Usage(string message) => new(message, ExitCodes.Usage);
}
