using System.IO.Pipelines;
using System.Runtime.InteropServices;
using System.Text;
using AkkaHub.V1;

namespace Hub.Cli.Tests.Fakes;

/// <summary>One run of the program in this process, with the world in the test's hands.</summary>
internal sealed class CliRun : ITerminalDevice, ISignalSource, IAsyncDisposable
{
    /// <summary>No wait of a test is longer.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly Lock _gate = new();
    private readonly Dictionary<PosixSignal, Action> _handlers = [];
    private readonly Dictionary<string, string> _variables = new(StringComparer.Ordinal);
    private readonly string _emptyDirectory = Directory.CreateTempSubdirectory("hub-cli-").FullName;
    private readonly Pipe _input = new();
    private Action? _resized;

    /// <summary>Standard output.</summary>
    public Watched Output { get; } = new();
    /// <summary>Standard error.</summary>
    public Watched Error { get; } = new();
    /// <summary>Whether the three are a terminal.</summary>
    public bool Terminal { get; init; }
    /// <summary>The terminal's size.</summary>
    public TerminalSize? Size { get; set; } = new() { Cols = 100, Rows = 30 };
    /// <summary>The clock.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;
    /// <summary>How often raw mode was entered.</summary>
    public int RawEntered { get; private set; }
    /// <summary>Whether it is on.</summary>
    public bool RawOn { get; private set; }

    /// <summary>What standard output got, as text.</summary>
    public string OutputText => Output.Text;
    /// <summary>What standard error got, as text.</summary>
    public string ErrorText => Error.Text;

    /// <summary>Sets an environment variable.</summary>
    public CliRun With(string name, string value)
    {
        _variables[name] = value;
        return this;
    }

    /// <summary>Types or pipes bytes in.</summary>
    public async Task TypeAsync(string text)
    {
        await _input.Writer.WriteAsync(Encoding.UTF8.GetBytes(text));
        await _input.Writer.FlushAsync();
    }

    /// <summary>Ends standard input.</summary>
    public CliRun EndInput()
    {
        _input.Writer.Complete();
        return this;
    }

    /// <summary>Runs a command line against a hub to its end.</summary>
    public Task<int> RunAsync(FakeHub hub, params string[] args) => RunAsync([.. args.TakeWhile(a => a != "--"), "--hub", hub.Address, .. args.SkipWhile(a => a != "--")]);

    /// <summary>Runs a command line to its end.</summary>
    public Task<int> RunAsync(params string[] args) => HubCli.RunAsync(args, World()).WaitAsync(Patience);

    /// <summary>The world as the program sees it.</summary>
    public CliEnvironment World()
    {
        _variables.TryAdd("AKKAHUB_DATA_DIR", _emptyDirectory);
        return new CliEnvironment
        {
            Input = _input.Reader.AsStream(),
            Output = Output,
            ErrorBytes = Error,
            InputIsTerminal = Terminal,
            OutputIsTerminal = Terminal,
            Variable = _variables.GetValueOrDefault,
            Time = Time,
            Terminal = this,
            Signals = this,
        };
    }

    /// <summary>Sends the program a signal.</summary>
    public void Raise(PosixSignal signal)
    {
        Action handler;
        lock (_gate)
            handler = _handlers[signal];
        handler();
    }

    /// <summary>Changes the terminal's size.</summary>
    public void Resize(uint cols, uint rows)
    {
        Size = new TerminalSize { Cols = cols, Rows = rows };
        _resized?.Invoke();
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync()
    {
        Directory.Delete(_emptyDirectory, recursive: true);
        return ValueTask.CompletedTask;
    }

    IDisposable ITerminalDevice.EnterRawMode()
    {
        RawEntered++;
        RawOn = true;
        return new Undo(() => RawOn = false);
    }

    IDisposable ITerminalDevice.OnResize(Action changed)
    {
        _resized = changed;
        return new Undo(() => _resized = null);
    }

    IDisposable ISignalSource.Register(PosixSignal signal, Action handler)
    {
        lock (_gate)
            _handlers[signal] = handler;
        return new Undo(() => { });
    }

    private sealed class Undo(Action action) : IDisposable
    {
        public void Dispose() => action();
    }
}

/// <summary>A stream that keeps what is written and can be waited on.</summary>
internal sealed class Watched : MemoryStream
{
    private readonly Lock _gate = new();
    private readonly List<(string Text, TaskCompletionSource Seen)> _waits = [];
    private readonly MemoryStream _kept = new();

    /// <summary>Whether its reader has gone.</summary>
    public bool Gone { get; set; }

    /// <summary>All of it, as text.</summary>
    public string Text
    {
        get
        {
            lock (_gate)
                return Encoding.UTF8.GetString(_kept.ToArray());
        }
    }

    /// <summary>All of it.</summary>
    public byte[] Bytes
    {
        get
        {
            lock (_gate)
                return _kept.ToArray();
        }
    }

    /// <summary>Completes when the text has been written.</summary>
    public Task SeenAsync(string text)
    {
        lock (_gate)
        {
            if (Encoding.UTF8.GetString(_kept.ToArray()).Contains(text, StringComparison.Ordinal))
                return Task.CompletedTask;
            var seen = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            _waits.Add((text, seen));
            return seen.Task.WaitAsync(CliRun.Patience);
        }
    }

    /// <inheritdoc/>
    public override void Write(byte[] buffer, int offset, int count) => Write(buffer.AsSpan(offset, count));

    /// <inheritdoc/>
    public override void Write(ReadOnlySpan<byte> buffer)
    {
        if (Gone)
            throw new BrokenPipeException();
        lock (_gate)
        {
            _kept.Write(buffer);
            var text = Encoding.UTF8.GetString(_kept.ToArray());
            foreach (var wait in _waits.Where(w => text.Contains(w.Text, StringComparison.Ordinal)).ToArray())
            {
                wait.Seen.TrySetResult();
                _waits.Remove(wait);
            }
        }
    }

    /// <inheritdoc/>
    public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        cancellationToken.ThrowIfCancellationRequested();
        Write(buffer.Span);
        return ValueTask.CompletedTask;
    }

    /// <inheritdoc/>
    public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        WriteAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();
}
