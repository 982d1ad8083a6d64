using Akka.Actor;
using Akka.Cluster;
using Hub.Actors.Store;
using Hub.Host.Auth;
using Hub.Host.Services;
using Hub.Host.Settings;

namespace Hub.Host.Hosting;

/// <summary>
/// The one way out for a hub that others go on without: downed by the other members, quarantined by one of them, fenced in the store, or in
/// the way of a partition that has to move. It stops serving at once (streams end within a second, readiness is off), fences itself
/// where it can, and ends. Nothing on this way waits for the store for long.
/// </summary>
public sealed class Expulsion(HubLifetime lifetime, LiveCalls calls, IHostApplicationLifetime host, HostSettings settings, TimeProvider time, ILogger<Expulsion> log)
{
    /// <summary>How long streams may take to end by themselves; then they are cut.</summary>
    public static readonly TimeSpan DrainLimit = TimeSpan.FromMilliseconds(500);

    /// <summary>After this the process ends, whatever it waits for.</summary>
    public static readonly TimeSpan ExitLimit = TimeSpan.FromSeconds(10);

    private static readonly TimeSpan ResignLimit = TimeSpan.FromSeconds(1.5);
    private static readonly TimeSpan RetryHint = TimeSpan.FromSeconds(1);

    private readonly TaskCompletionSource _begun = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Lock _gate = new();
    private Func<CancellationToken, Task>? _resign;
    private ActorSystem? _system;
    private Task? _served;

    /// <summary>Completes when it begins.</summary>
    public Task Begun => _begun.Task;

    /// <summary>Tells it what is to be left.</summary>
    /// <param name="resign">Fences this hub in the store: see <see cref="PostgresMember.ResignAsync"/>.</param>
    /// <param name="system">Its actor system, if it is of a cluster.</param>
    public void Of(Func<CancellationToken, Task> resign, ActorSystem system) => (_resign, _system) = (resign, system);

    /// <summary>Begins, if it has not begun.</summary>
    /// <param name="why">For the log.</param>
    /// <returns>Completes when nothing is served any more.</returns>
    public Task Begin(string why)
    {
        lock (_gate)
        {
            if (_served is not null)
                return _served;
            log.Expelled(why);
            _begun.SetResult();
            lifetime.BeginDrain(hurry: true);
            _served = calls.DrainAsync(DrainLimit, () => HubErrors.NotReady("the hub is no longer part of its cluster", RetryHint), time);
            _ = LeaveAsync(_served);
            return _served;
        }
    }

    private async Task LeaveAsync(Task served)
    {
        var resigned = false;
        if (_resign is { } resign)
        {
            // Before anybody is told that its actors end: elsewhere they begin then. Whoever does not get the answer fences it by itself.
            try
            {
                using var late = new CancellationTokenSource(ResignLimit, time);
                await resign(late.Token).WaitAsync(late.Token).ConfigureAwait(false);
                resigned = true;
            }
            catch (Exception e)
            {
                log.NotResigned(e.Message);
            }
        }

        await served.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        try
        {
            // The others take it out without waiting for a failure detector, and its own actors end without handing anything over.
            if (settings.Cluster.IsMember && _system is { WhenTerminated.IsCompleted: false } system)
                Cluster.Get(system).Down(Cluster.Get(system).SelfAddress);
        }
        finally
        {
            // Actors that end in order tell the others that their places are free, and what they wrote last may still land: not unless it was fenced.
            if (settings.Cluster.IsMember && !resigned)
                Environment.Exit(ExitCodes.Downed);
            host.StopApplication();
        }
    }
}

/// <summary>Ends the process when an expulsion takes too long. Disposed of when everything has ended by itself.</summary>
internal sealed class LastResort : IDisposable
{
    private readonly CancellationTokenSource _over = new();

    /// <summary>From when the expulsion begins.</summary>
    public void Watch(Expulsion expulsion, int exitCode) => _ = WatchAsync(expulsion.Begun, exitCode);

    public void Dispose() => _over.Cancel();

    private async Task WatchAsync(Task begun, int exitCode)
    {
        try
        {
            await begun.WaitAsync(_over.Token).ConfigureAwait(false);
            await Task.Delay(Expulsion.ExitLimit, _over.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            return;
        }

        Environment.Exit(exitCode);
    }
}
