using System.Runtime.InteropServices;
using Hub.Actors;

namespace Hub.Host.Hosting;

/// <summary>
/// Stops the hub, and remembers how it was asked to: Ctrl+C (SIGINT) takes the local node along, SIGTERM leaves it running, an RPC
/// says which. A second Ctrl+C ends the process at once.
/// </summary>
public sealed class HubLifetime(IHostApplicationLifetime host, Readiness readiness, ILogger<HubLifetime> log) : IHostLifetime, IDisposable
{
    private readonly List<PosixSignalRegistration> _signals = [];
    private readonly CancellationTokenSource _draining = new();
    private int _requested;

    /// <summary>Whether somebody asked for the stop. A stop nobody asked for is a failure.</summary>
    public bool StopRequested => Volatile.Read(ref _requested) != 0;

    /// <summary>Whether the local node is to end with the hub.</summary>
    public bool EndLocalNode { get; private set; }

    /// <summary>Whether the streams of nodes are to end at once instead of in groups: somebody wants it gone, or nobody asked for the stop.</summary>
    public bool Hurry { get; private set; } = true;

    /// <summary>
    /// Fires when streams shall be told that the hub stops, and no new ones are taken. Later than the host's own
    /// <c>ApplicationStopping</c>: until then the local node can still report how its shells ended.
    /// </summary>
    public CancellationToken Draining => _draining.Token;

    /// <summary>Asks for a stop in order and returns at once. Only the first call decides about the local node.</summary>
    /// <param name="localNode">End the hub's own local node and its shells too.</param>
    /// <param name="cause">For the log.</param>
    /// <param name="hurry">End the streams of nodes at once.</param>
    public void RequestStop(bool localNode, string cause = "asked to", bool hurry = false)
    {
        if (Interlocked.Exchange(ref _requested, 1) != 0)
            return;
        EndLocalNode = localNode;
        Hurry = hurry;
        log.Stopping(cause);
        host.StopApplication();
    }

    /// <param name="hurry">End the streams of nodes at once, whatever was asked for.</param>
    internal void BeginDrain(bool hurry = false)
    {
        Hurry |= hurry;
        readiness.Set(Readiness.Draining, "the hub is stopping");
        _ = _draining.CancelAsync();
    }

    Task IHostLifetime.WaitForStartAsync(CancellationToken cancellationToken)
    {
        _signals.Add(PosixSignalRegistration.Create(PosixSignal.SIGINT, Handle));
        _signals.Add(PosixSignalRegistration.Create(PosixSignal.SIGTERM, Handle));
        _signals.Add(PosixSignalRegistration.Create(PosixSignal.SIGQUIT, Handle));
        return Task.CompletedTask;
    }

    Task IHostLifetime.StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var signal in _signals)
            signal.Dispose();
        _draining.Dispose();
    }

    private void Handle(PosixSignalContext context)
    {
        context.Cancel = true;
        if (context.Signal == PosixSignal.SIGINT && StopRequested)
            Environment.Exit(ExitCodes.Interrupted);
        RequestStop(localNode: context.Signal == PosixSignal.SIGINT, context.Signal.ToString());
    }
}
