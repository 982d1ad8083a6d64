using System.Threading.RateLimiting;
using Hub.Actors;
using Hub.Actors.Telemetry;

namespace Hub.Host.Services;

/// <summary>
/// Lets a burst of nodes in at the rate the store bears: so many attaches at once, the rest wait in a bounded line for a
/// bounded time, and who gets no turn is told when to come back. Connections have been through <see cref="Hosting.ConnectionLine"/>
/// before; this one counts for streams that share a connection, and for those answered before the hub was ready.
/// </summary>
public sealed class NodeAdmission(HubRuntime hub) : IAsyncDisposable
{
    private readonly ConcurrencyLimiter _limiter = new(new ConcurrencyLimiterOptions
    {
        PermitLimit = hub.Settings.Admission.MaxConcurrentAttaches,
        QueueLimit = hub.Settings.Admission.MaxWaiting,
        QueueProcessingOrder = QueueProcessingOrder.OldestFirst,
    });

    /// <summary>When a refused node shall come back: spread, so that they do not all come back together.</summary>
    public TimeSpan RetryHint() => hub.Settings.Admission.RetryHint * (1 + Random.Shared.NextDouble());

    /// <summary>Waits for a place; give it back when the node is attached or refused.</summary>
    /// <param name="waited">How long the node has waited already; it waits no longer in all than the setting lets it.</param>
    /// <param name="cancellationToken">The node gives up.</param>
    /// <exception cref="Grpc.Core.RpcException">UNAVAILABLE: the hub is not ready, or the line is full.</exception>
    public async Task<RateLimitLease> EnterAsync(TimeSpan waited, CancellationToken cancellationToken)
    {
        if (!hub.Readiness.IsReady)
            throw HubErrors.NotReady($"the hub is not ready: {string.Join("; ", hub.Readiness.Reasons.Values)}", RetryHint());
        hub.Metrics.QueueDepth(HubQueue.Admission, 1);
        RateLimitLease? lease = null;
        var left = hub.Settings.Admission.MaxWait - waited;
        using var patience = new CancellationTokenSource(left > TimeSpan.Zero ? left : TimeSpan.Zero, hub.Time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, patience.Token);
        try
        {
            lease = _limiter.AttemptAcquire();
            if (!lease.IsAcquired)
                lease = await _limiter.AcquireAsync(1, either.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            // As if the line had been full when it came.
        }
        finally
        {
            hub.Metrics.QueueDepth(HubQueue.Admission, -1);
        }

        if (lease is { IsAcquired: true })
            return lease;
        lease?.Dispose();
        hub.Metrics.QueueRejected(HubQueue.Admission);
        throw HubErrors.NotReady("the hub is letting in as many nodes as it can; try again", RetryHint() * 5);
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => _limiter.DisposeAsync();
}
