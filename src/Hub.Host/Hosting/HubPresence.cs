using Akka.Actor;
using Hub.Actors;
using Hub.Host.Auth;
using Hub.Host.LocalAgent;
using Hub.Host.Services;
using Hub.Host.Settings;
using Hub.Protocol;

namespace Hub.Host.Hosting;

/// <summary>
/// Says that the hub is there (<c>hub.json</c>, the lines at start), and takes it away in order: the local node first if it is to
/// end, then the streams, then the listeners and the actors, which the host stops after this.
/// </summary>
internal sealed class HubPresence(
    AllSettings settings, HubListeners listeners, HubLifetime lifetime, LiveCalls calls, Expulsion expulsion, Readiness readiness, LocalNode localNode,
    HubRuntime hub, ActorSystem system, StartClock started, TimeProvider time, ILogger<HubPresence> log) : IHostedLifecycleService
{
    private static readonly TimeSpan RetryHint = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan LookInterval = TimeSpan.FromMilliseconds(200);
    private readonly CancellationTokenSource _watching = new();
    private readonly Lock _gate = new();
    private bool _present;
    private Task _watch = Task.CompletedTask;

    public Task StartingAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    /// <summary>Every listener listens now.</summary>
    public Task StartedAsync(CancellationToken cancellationToken)
    {
        lock (_gate)
            _present = true;
        listeners.CertificateChanged += Say;
        Say();
        log.Listening(listeners.BoundGrpc, listeners.BoundHttp, ((ExtendedActorSystem)system).Provider.DefaultAddress.ToString());
        _watch = WatchReadinessAsync(_watching.Token);
        return Task.CompletedTask;
    }

    public async Task StoppingAsync(CancellationToken cancellationToken)
    {
        try
        {
            await localNode.LeaveAsync(lifetime.EndLocalNode, cancellationToken).ConfigureAwait(false);
        }
        catch (Exception e)
        {
            // Whatever became of it, the streams are still to be told.
            log.LocalNodeNotEnded(e);
        }

        await _watching.CancelAsync().ConfigureAwait(false);
        await _watch.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        lifetime.BeginDrain();
        var patience = expulsion.Begun.IsCompleted ? Expulsion.DrainLimit : settings.Host.DrainTimeout;
        var moved = MovePartitionsAsync(patience, cancellationToken);
        var ended = await calls.DrainAsync(patience, () => HubErrors.NotReady("the hub is stopping", RetryHint), time).ConfigureAwait(false);
        if (ended > 0)
            log.StreamsEnded(ended);
        await moved.ConfigureAwait(false);
        // Before the listeners are gone: from then on somebody else may listen there.
        listeners.CertificateChanged -= Say;
        lock (_gate)
        {
            _present = false;
            File.Delete(Path.Combine(settings.Host.DataDir, LocalHub.FileName));
        }
    }

    // While this member is still whole: what leaves with it stands still until the last of it has gone. The others, which drain too as a rule
    // when a whole cluster is stopped, may be no place to go to any more.
    private async Task MovePartitionsAsync(TimeSpan patience, CancellationToken cancellationToken)
    {
        using var late = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        using var limit = new CancellationTokenSource(patience, time);
        using var _ = limit.Token.Register(late.Cancel);
        var moved = hub.Held.WhenNoPartitionsAsync();
        while (!moved.IsCompleted && !lifetime.Hurry && hub.Members.Elsewhere is not null)
        {
            if (late.IsCancellationRequested)
            {
                log.PartitionsNotMoved(hub.Held.Partitions, patience.TotalSeconds);
                return;
            }

            await Task.WhenAny(moved, Task.Delay(LookInterval, time, late.Token)).ConfigureAwait(false);
        }
    }

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StoppedAsync(CancellationToken cancellationToken)
    {
        log.Stopped();
        return Task.CompletedTask;
    }

    // Also before the listeners show another certificate: the owner's programs know the hub by what stands here.
    private void Say()
    {
        lock (_gate)
        {
            if (_present)
            {
                new LocalHub(Environment.ProcessId, listeners.Grpc, listeners.Http, BuildVersion.Text) { Certificates = listeners.CertificateHashes }
                    .Write(settings.Host.DataDir);
            }
        }
    }

    private async Task WatchReadinessAsync(CancellationToken cancellationToken)
    {
        var first = true;
        while (true)
        {
            await readiness.WhenReadyAsync(cancellationToken).ConfigureAwait(false);
            log.Ready(time.GetElapsedTime(started.Timestamp).TotalSeconds);
            if (first)
                await SummarizeAsync().ConfigureAwait(false);
            first = false;
            Task changed;
            do
            {
                changed = readiness.Changed;
                if (readiness.IsReady)
                    await changed.WaitAsync(cancellationToken).ConfigureAwait(false);
            }
            while (readiness.IsReady);
            log.NotReady(string.Join("; ", readiness.Reasons.Values));
        }
    }

    private Task SummarizeAsync() => Console.Out.WriteLineAsync($"""
        AkkaHub {BuildVersion.Text} is ready
          gRPC {listeners.Grpc}   HTTP {listeners.Http}
          data {settings.Host.DataDir}
          try  ./hub get nodes
        """);
}

/// <summary>When the process began to start the hub.</summary>
/// <param name="Timestamp">Of the time provider.</param>
internal sealed record StartClock(long Timestamp);
