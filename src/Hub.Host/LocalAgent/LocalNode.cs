using Hub.Actors;
using Hub.Host.Settings;

namespace Hub.Host.LocalAgent;

/// <summary>
/// Sees to it that the machine the hub is on has a node agent, once the hub is ready. The agent is a process of its own in a session
/// of its own: it outlives a crash and SIGTERM of the hub, and the next hub finds it by its lock. It is looked at once a second
/// and started again, with growing waits, when it is gone.
/// </summary>
internal sealed class LocalNode(ILocalAgent agent, HostSettings settings, Readiness readiness, TimeProvider time, ILogger<LocalNode> log)
    : BackgroundService
{
    /// <summary>How long the agent may take to hang up its shells and leave.</summary>
    public static readonly TimeSpan EndTimeout = TimeSpan.FromSeconds(8);

    private static readonly TimeSpan LookEvery = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan FirstWait = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan LongestWait = TimeSpan.FromMinutes(1);
    // An agent that lived this long is healthy: the next wait is short again.
    private static readonly TimeSpan Settled = TimeSpan.FromMinutes(1);

    private readonly CancellationTokenSource _leaving = new();
    private readonly CancellationTokenSource _abandoning = new();
    private readonly TaskCompletionSource _left = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>
    /// Stops looking after the agent, and ends it if asked to, in <see cref="EndTimeout"/> in all. An agent that is just being
    /// launched is not to be seen yet: to end it, the launch is waited for. Call it while nodes can still reach the hub.
    /// </summary>
    public async Task LeaveAsync(bool end, CancellationToken cancellationToken)
    {
        if (!settings.LocalNode || ExecuteTask is null)
            return;
        var began = time.GetTimestamp();
        await _leaving.CancelAsync().ConfigureAwait(false);
        if (!end)
            await _abandoning.CancelAsync().ConfigureAwait(false);
        try
        {
            await _left.Task.WaitAsync(EndTimeout, time, cancellationToken).ConfigureAwait(false);
        }
        catch (TimeoutException)
        {
            await _abandoning.CancelAsync().ConfigureAwait(false);
            log.LocalNodeLaunchAbandoned();
            return;
        }

        if (!end || agent.RunningPid() is not { } pid)
            return;
        if (await agent.EndAsync(EndTimeout - time.GetElapsedTime(began), cancellationToken).ConfigureAwait(false))
            log.LocalNodeStopped(pid);
        else
            log.LocalNodeGoesOn(pid);
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        _leaving.Dispose();
        _abandoning.Dispose();
        base.Dispose();
    }

    /// <inheritdoc/>
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        try
        {
            if (settings.LocalNode)
            {
                using var stop = CancellationTokenSource.CreateLinkedTokenSource(stoppingToken, _leaving.Token);
                using var abandon = CancellationTokenSource.CreateLinkedTokenSource(stoppingToken, _abandoning.Token);
                await LookAfterAsync(stop.Token, abandon.Token).ConfigureAwait(false);
            }
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested || _leaving.IsCancellationRequested)
        {
            // That is how it ends.
        }
        finally
        {
            _left.TrySetResult();
        }
    }

    private async Task LookAfterAsync(CancellationToken cancellationToken, CancellationToken abandoned)
    {
        await readiness.WhenReadyAsync(cancellationToken).ConfigureAwait(false);
        var wait = TimeSpan.Zero;
        while (true)
        {
            var since = time.GetTimestamp();
            var problem = await RunAsync(cancellationToken, abandoned).ConfigureAwait(false);
            wait = time.GetElapsedTime(since) >= Settled || wait == TimeSpan.Zero ? FirstWait : wait * 2 < LongestWait ? wait * 2 : LongestWait;
            if (problem is null)
                log.LocalNodeEnded(wait);
            else
                log.LocalNodeFailed(problem, wait);
            await Task.Delay(wait, time, cancellationToken).ConfigureAwait(false);
        }
    }

    // Returns when no agent runs: null if one did, otherwise why none could.
    private async Task<string?> RunAsync(CancellationToken cancellationToken, CancellationToken abandoned)
    {
        try
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (agent.RunningPid() is { } found)
            {
                log.LocalNodeFound(found);
            }
            else
            {
                await agent.StartAsync(abandoned).ConfigureAwait(false);
                log.LocalNodeStarted();
            }

            while (agent.RunningPid() is not null)
                await Task.Delay(LookEvery, time, cancellationToken).ConfigureAwait(false);
            return null;
        }
        catch (Exception e) when (e is InvalidOperationException or IOException or UnauthorizedAccessException)
        {
            return e.Message;
        }
    }
}
