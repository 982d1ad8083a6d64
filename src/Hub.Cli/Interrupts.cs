using System.Runtime.InteropServices;

namespace Hub.Cli;

/// <summary>
/// Signals that end the program. SIGINT can be taken over by a command (<c>exec</c> passes it on); SIGTERM and SIGHUP always
/// end it, in order, so that the terminal is put back.
/// </summary>
internal sealed class Interrupts : IDisposable
{
    private readonly CancellationTokenSource _source = new();
    private readonly List<IDisposable> _registrations;
    private int _exitCode = ExitCodes.Success;

    /// <summary>Takes the signals over.</summary>
    public Interrupts(ISignalSource signals) => _registrations =
    [
        signals.Register(PosixSignal.SIGINT, () =>
        {
            if (OnInterrupt is { } handler)
                handler();
            else
                End(ExitCodes.Interrupted);
        }),
        signals.Register(PosixSignal.SIGTERM, () => End(ExitCodes.Terminated)),
        signals.Register(PosixSignal.SIGHUP, () => End(ExitCodes.HungUp)),
    ];

    /// <summary>Called at SIGINT instead of ending; null for the default.</summary>
    public Action? OnInterrupt { get; set; }

    /// <summary>Cancelled when the program shall end.</summary>
    public CancellationToken Token => _source.Token;

    /// <summary>The exit code of the first cause to end; 0 while there is none.</summary>
    public int ExitCode => Volatile.Read(ref _exitCode);

    /// <summary>Ends the program with this code unless it is ending already.</summary>
    public void End(int exitCode)
    {
        if (Interlocked.CompareExchange(ref _exitCode, exitCode, ExitCodes.Success) == ExitCodes.Success)
            _source.CancelAsync();
        else if (exitCode == ExitCodes.Interrupted)
            Environment.Exit(exitCode); // Ctrl+C once more: what is still under way does not let go.
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var registration in _registrations)
            registration.Dispose();
    }
}
