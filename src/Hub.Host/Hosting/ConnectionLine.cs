using System.Threading.RateLimiting;
using AkkaHub.V1;
using Grpc.Core;
using Hub.Actors;
using Hub.Actors.Telemetry;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;

namespace Hub.Host.Hosting;

/// <summary>
/// The line in front of the gRPC listener. When all nodes of a large mesh dial at once, the hub greets so many connections at a
/// time (<c>akkahub.admission.max-concurrent-attaches</c>); the others wait for their turn before anything of theirs is handled, in
/// a line bounded in number (<c>max-waiting</c>) and in time (<c>max-wait</c>), and who finds no place in it, or does not get its
/// turn in time, is reset, which to gRPC is UNAVAILABLE. So whoever is greeted is greeted while it still listens: a hub that works
/// on all of them at once is too late for each, and they dial again.
/// <para>Until the hub is ready for the first time only a handful is answered (with UNAVAILABLE and a retry hint, as the calls say);
/// the others wait as above. Those who dial then must not take the processors that the hub is starting on.</para>
/// </summary>
internal sealed class ConnectionLine : IAsyncDisposable
{
    /// <summary>Connections answered at once before the hub is ready.</summary>
    internal const int MaxAnsweredEarly = 64;

    private readonly HubRuntime _hub;
    private readonly ConcurrencyLimiter _greetings;
    private readonly CancellationTokenSource _disposed = new();
    // Seen also when nobody comes: what the store does later does not make a hub one that starts.
    private readonly Task _hasBeenReady;
    private int _answeredEarly;
    private int _waitingEarly;

    /// <summary>Makes the line; empty.</summary>
    public ConnectionLine(HubRuntime hub)
    {
        _hub = hub;
        _greetings = new ConcurrencyLimiter(new ConcurrencyLimiterOptions
        {
            PermitLimit = hub.Settings.Admission.MaxConcurrentAttaches,
            QueueLimit = hub.Settings.Admission.MaxWaiting,
            QueueProcessingOrder = QueueProcessingOrder.OldestFirst,
        });
        _hasBeenReady = hub.Readiness.WhenReadyAsync(_disposed.Token);
    }

    /// <summary>Passes a connection on when it is its turn, or resets it.</summary>
    public async Task OnConnectionAsync(ConnectionContext connection, ConnectionDelegate next)
    {
        if (!_hasBeenReady.IsCompletedSuccessfully)
        {
            try
            {
                if (Interlocked.Increment(ref _answeredEarly) <= MaxAnsweredEarly)
                {
                    await next(connection).ConfigureAwait(false);
                    return;
                }
            }
            finally
            {
                Interlocked.Decrement(ref _answeredEarly);
            }
        }

        var came = _hub.Time.GetTimestamp();
        var (place, refusal) = await EnterAsync(connection).ConfigureAwait(false);
        if (place is null)
        {
            if (refusal is not null)
                _hub.Metrics.QueueRejected(HubQueue.Connections);
            connection.Abort(new ConnectionAbortedException(refusal ?? "The other side gave up, or the hub stops."));
            return;
        }

        var greeting = new Greeting(place, _hub.Time, _hub.Time.GetElapsedTime(came));
        connection.Features.Set(greeting);
        try
        {
            await next(connection).ConfigureAwait(false);
        }
        finally
        {
            greeting.End();
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await _disposed.CancelAsync().ConfigureAwait(false);
        await _greetings.DisposeAsync().ConfigureAwait(false);
        _disposed.Dispose();
    }

    /// <summary>A place among those being greeted; or none, and why not, if it was the hub that did not want to wait.</summary>
    private async Task<(RateLimitLease? Place, string? Refusal)> EnterAsync(ConnectionContext connection)
    {
        var ready = _hasBeenReady.IsCompletedSuccessfully;
        var place = ready ? _greetings.AttemptAcquire() : null;
        if (place is { IsAcquired: true })
            return (place, null);
        place?.Dispose();
        using var patience = new CancellationTokenSource(_hub.Settings.Admission.MaxWait, _hub.Time);
        // The listener, when it stops, waits for every connection: it need not for these.
        var stopping = connection.Features.Get<IConnectionLifetimeNotificationFeature>()?.ConnectionClosedRequested ?? CancellationToken.None;
        using var any = CancellationTokenSource.CreateLinkedTokenSource(patience.Token, connection.ConnectionClosed, stopping);
        _hub.Metrics.QueueDepth(HubQueue.Connections, 1);
        try
        {
            if (ready || await ReadyAsync(any.Token).ConfigureAwait(false))
            {
                place = await _greetings.AcquireAsync(1, any.Token).ConfigureAwait(false);
                if (place.IsAcquired)
                    return (place, null);
                place.Dispose();
            }

            return (null, "As many connections wait to be greeted as the hub lets (akkahub.admission.max-waiting).");
        }
        catch (OperationCanceledException)
        {
            var gone = connection.ConnectionClosed.IsCancellationRequested || stopping.IsCancellationRequested;
            return (null, gone ? null : "It waited for its turn as long as the hub lets (akkahub.admission.max-wait).");
        }
        finally
        {
            _hub.Metrics.QueueDepth(HubQueue.Connections, -1);
        }
    }

    private async Task<bool> ReadyAsync(CancellationToken cancellationToken)
    {
        try
        {
            if (Interlocked.Increment(ref _waitingEarly) > _hub.Settings.Admission.MaxWaiting)
                return false;
            await _hasBeenReady.WaitAsync(cancellationToken).ConfigureAwait(false);
            return true;
        }
        finally
        {
            Interlocked.Decrement(ref _waitingEarly);
        }
    }
}

/// <summary>
/// A connection's place among those being greeted. It ends, and the next one's begins, when its first call is a client's, when a node's
/// has its welcome or is over, when no call comes at all for <see cref="FirstCallWithin"/> or no welcome for
/// <see cref="WelcomeWithin"/>, or with the connection.
/// </summary>
internal sealed class Greeting
{
    /// <summary>
    /// How long a connection may be silent before its place is another's. It goes on, and may call later; but who connects ahead, or only
    /// looks whether somebody listens, must not keep others waiting.
    /// </summary>
    internal static readonly TimeSpan FirstCallWithin = TimeSpan.FromSeconds(2);

    /// <summary>
    /// How long a node's call keeps the place: an agent gives up on its welcome after 10 s. When the store is slow, those who wait for it must
    /// not keep clients from reading.
    /// </summary>
    internal static readonly TimeSpan WelcomeWithin = TimeSpan.FromSeconds(10);

    private static readonly object Key = new();
    private static readonly string NodeService = "/" + NodeBridgeService.Descriptor.FullName;

    private long _waitedTicks;
    private ITimer? _deadline;
    private RateLimitLease? _place;

    /// <summary>Begins it.</summary>
    /// <param name="place">What ends with it.</param>
    /// <param name="time">The clock.</param>
    /// <param name="waited">How long the connection waited for its turn.</param>
    public Greeting(RateLimitLease place, TimeProvider time, TimeSpan waited)
    {
        _place = place;
        _waitedTicks = waited.Ticks;
        _deadline = time.CreateTimer(static greeting => ((Greeting)greeting!).End(), this, FirstCallWithin, Timeout.InfiniteTimeSpan);
    }

    /// <summary>Ends it; more than once does no harm.</summary>
    public void End()
    {
        if (Interlocked.Exchange(ref _place, null) is not { } place)
            return;
        // A quiet node's connection keeps this as long as it lasts: the less it holds, the better.
        Interlocked.Exchange(ref _deadline, null)?.Dispose();
        place.Dispose();
    }

    /// <summary>A node has its welcome: the greeting of its connection, if it is under way, ends.</summary>
    public static void Welcomed(ServerCallContext call) => Of(call)?.End();

    /// <summary>How long the connection waited to be greeted, for the first of its calls that asks; the others have not waited with it.</summary>
    public static TimeSpan TakeWaited(ServerCallContext call) =>
        Of(call) is { } greeting ? TimeSpan.FromTicks(Interlocked.Exchange(ref greeting._waitedTicks, 0)) : TimeSpan.Zero;

    /// <summary>Ends greetings as calls begin and end; before the gRPC services are mapped.</summary>
    public static async Task OnCallAsync(HttpContext http, RequestDelegate next)
    {
        if (http.Features.Get<Greeting>() is not { _place: not null } greeting)
        {
            await next(http).ConfigureAwait(false);
            return;
        }

        if (!http.Request.Path.StartsWithSegments(NodeService, StringComparison.Ordinal))
        {
            greeting.End();
            await next(http).ConfigureAwait(false);
            return;
        }

        Volatile.Read(ref greeting._deadline)?.Change(WelcomeWithin, Timeout.InfiniteTimeSpan);
        http.Items[Key] = greeting;
        try
        {
            await next(http).ConfigureAwait(false);
        }
        finally
        {
            greeting.End();
        }
    }

    private static Greeting? Of(ServerCallContext call) => call.UserState.TryGetValue(Key, out var greeting) ? (Greeting)greeting : null;
}
