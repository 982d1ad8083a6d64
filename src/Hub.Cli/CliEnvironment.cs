using System.Runtime.InteropServices;
using AkkaHub.V1;
using Hub.Cli.Output;

namespace Hub.Cli;

/// <summary>What the program touches of the world around it; tests give their own.</summary>
internal sealed class CliEnvironment
{
    /// <summary>Standard input, unbuffered; a read can be cancelled without eating bytes.</summary>
    public required Stream Input { get; init; }
    /// <summary>Standard output, unbuffered; a write to a reader that has gone throws <see cref="BrokenPipeException"/>.</summary>
    public required Stream Output { get; init; }
    /// <summary>Standard error as bytes, for what a remote command wrote there.</summary>
    public required Stream ErrorBytes { get; init; }
    /// <summary>Whether standard input is a terminal.</summary>
    public bool InputIsTerminal { get; init; }
    /// <summary>Whether standard output is a terminal.</summary>
    public bool OutputIsTerminal { get; init; }
    /// <summary>Reads an environment variable.</summary>
    public required Func<string, string?> Variable { get; init; }
    /// <summary>The clock.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;
    /// <summary>The person's terminal.</summary>
    public required ITerminalDevice Terminal { get; init; }
    /// <summary>Signals sent to this process.</summary>
    public required ISignalSource Signals { get; init; }

    /// <summary>Whether colour may be used: a terminal that is not dumb, and no <c>NO_COLOR</c>.</summary>
    public bool Color => OutputIsTerminal && string.IsNullOrEmpty(Variable("NO_COLOR")) && Variable("TERM") is not "dumb";

    /// <summary>While the terminal is raw a line must return the carriage by itself.</summary>
    public bool RawTerminal { get; set; }

    /// <summary>Writes <c>hub: message</c> to standard error, control characters made harmless.</summary>
    public void Note(string message) => WriteError("hub: " + TextSanitizer.Text(message));

    /// <summary>Writes a line to standard error as it is.</summary>
    public void WriteError(string line)
    {
        if (RawTerminal)
            line = "\r" + line.Replace("\n", "\r\n", StringComparison.Ordinal) + "\r\n";
        else
            line += "\n";
        try
        {
            ErrorBytes.Write(System.Text.Encoding.UTF8.GetBytes(line));
            ErrorBytes.Flush();
        }
        catch (IOException)
        {
            // Nobody reads standard error any more: there is nowhere left to say so.
        }
    }
}

/// <summary>The person's own terminal.</summary>
internal interface ITerminalDevice
{
    /// <summary>Its size in cells; null if it is none or does not say.</summary>
    TerminalSize? Size { get; }

    /// <summary>Hands every key on as bytes, without echo; disposing puts back what was before.</summary>
    IDisposable EnterRawMode();

    /// <summary>Calls <paramref name="changed"/> after each change of size, on any thread.</summary>
    IDisposable OnResize(Action changed);
}

/// <summary>Signals sent to this process.</summary>
internal interface ISignalSource
{
    /// <summary>Calls <paramref name="handler"/> instead of the system's default until disposed; on any thread.</summary>
    IDisposable Register(PosixSignal signal, Action handler);
}

/// <summary>The reader of standard output has gone.</summary>
internal sealed class BrokenPipeException : IOException
{
    /// <summary>Makes one.</summary>
    public BrokenPipeException() : base("broken pipe")
    {
    }
}
