using System.Runtime.InteropServices;
using AkkaHub.V1;

namespace Hub.Cli.Terminals;

/// <summary>The real world: the process's descriptors, terminal, variables and signals.</summary>
internal sealed class SystemSurroundings : IDisposable
{
    private readonly SystemTerminal _terminal;

    private SystemSurroundings(CliEnvironment environment, SystemTerminal terminal) => (Environment, _terminal) = (environment, terminal);

    /// <summary>What the program works with.</summary>
    public CliEnvironment Environment { get; }

    /// <summary>Opens it.</summary>
    public static SystemSurroundings Open()
    {
        var terminal = new SystemTerminal();
        var environment = new CliEnvironment
        {
            Input = new DescriptorStream(0, FileAccess.Read),
            Output = new DescriptorStream(1, FileAccess.Write),
            ErrorBytes = new DescriptorStream(2, FileAccess.Write),
            InputIsTerminal = Native.IsTerminal(0),
            OutputIsTerminal = Native.IsTerminal(1),
            Variable = System.Environment.GetEnvironmentVariable,
            Terminal = terminal,
            Signals = new SystemSignals(),
        };
        return new SystemSurroundings(environment, terminal);
    }

    /// <summary>Leaves raw mode if that is still on.</summary>
    public void Dispose() => _terminal.Restore();
}

/// <summary>The terminal on standard input, or else standard output.</summary>
/// <param name="input">The descriptor keys come from: standard input.</param>
internal sealed class SystemTerminal(int input = 0) : ITerminalDevice
{
    private readonly Lock _gate = new();
    private byte[]? _saved;
    private bool _exitHooked;

    /// <inheritdoc/>
    public TerminalSize? Size
    {
        get
        {
            foreach (var descriptor in (ReadOnlySpan<int>)[1, 0, 2])
            {
                var size = default(Native.WindowSize);
                if (Native.IsTerminal(descriptor) && Native.WindowSizeOf(descriptor, Native.GetWindowSize, ref size) == 0
                    && size is { Rows: > 0, Columns: > 0 })
                {
                    return new TerminalSize { Cols = Math.Min(size.Columns, (ushort)2000), Rows = Math.Min(size.Rows, (ushort)2000) };
                }
            }

            return null;
        }
    }

    /// <inheritdoc/>
    public unsafe IDisposable EnterRawMode()
    {
        lock (_gate)
        {
            if (_saved is null)
            {
                var before = new byte[Native.TermiosRoom];
                var raw = new byte[Native.TermiosRoom];
                fixed (byte* old = before, now = raw)
                {
                    if (Native.GetAttributes(input, old) != 0)
                        throw new IOException($"tcgetattr: {Marshal.GetLastPInvokeErrorMessage()}");
                    before.CopyTo(raw, 0);
                    Native.MakeRaw(now);
                    _saved = before;
                    if (Native.SetAttributes(input, Native.AfterDrain, now) != 0)
                    {
                        _saved = null;
                        throw new IOException($"tcsetattr: {Marshal.GetLastPInvokeErrorMessage()}");
                    }
                }
            }

            if (!_exitHooked)
            {
                // Whatever ends the process in order, a failed command included, leaves the person's terminal usable.
                _exitHooked = true;
                AppDomain.CurrentDomain.ProcessExit += (_, _) => Restore();
                AppDomain.CurrentDomain.UnhandledException += (_, _) => Restore();
            }
        }

        return new Undo(Restore);
    }

    /// <inheritdoc/>
    public IDisposable OnResize(Action changed) => OperatingSystem.IsWindows()
        ? new Undo(() => { })
        : PosixSignalRegistration.Create(PosixSignal.SIGWINCH, _ => changed());

    /// <summary>Puts back the mode from before; does nothing when it is not raw.</summary>
    public unsafe void Restore()
    {
        lock (_gate)
        {
            if (_saved is null)
                return;
            fixed (byte* old = _saved)
                _ = Native.SetAttributes(input, Native.AfterDrain, old);
            _saved = null;
        }
    }

    private sealed class Undo(Action action) : IDisposable
    {
        public void Dispose() => action();
    }
}

/// <summary>Signals through the framework's registration.</summary>
internal sealed class SystemSignals : ISignalSource
{
    /// <inheritdoc/>
    public IDisposable Register(PosixSignal signal, Action handler) => PosixSignalRegistration.Create(signal, context =>
    {
        context.Cancel = true;
        handler();
    });
}
