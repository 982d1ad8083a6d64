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
internal sealed class ConnectionLine(HubRuntime hub) : IAsyncDisposable
{
    /// <summary>Connections answered at once before the hub is ready.</summary>
    internal const int MaxAnsweredEarly = 64;

    private readonly ConcurrencyLimiter _greetings = new(new ConcurrencyLimiterOptions
    {
        PermitLimit = hub.Settings.Admission.MaxConcurrentAttaches,
        QueueLimit = hub.Settings.Admission.MaxWaiting,
        QueueProcessingOrder = QueueProcessingOrder.OldestFirst,
    });

    private int _answeredEarly;
    private int _waitingEarly;
    private volatile bool _hasBeenReady;

    /// <summary>Passes a connection on when it is its turn, or resets it.</summary>
    public async Task OnConnectionAsync(ConnectionContext connection, ConnectionDelegate next)
    {
        if (!HasBeenReady)
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

        var came = hub.Time.GetTimestamp();
        if (await EnterAsync(connection).ConfigureAwait(false) is not { } place)
        {
            if (!connection.ConnectionClosed.IsCancellationRequested)
                hub.Metrics.QueueRejected(HubQueue.Connections);
            connection.Abort(new ConnectionAbortedException("As many connections wait to be greeted as the hub lets."));
            return;
        }

        var greeting = new Greeting(place, hub.Time, hub.Time.GetElapsedTime(came));
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
    public ValueTask DisposeAsync() => _greetings.DisposeAsync();

    private bool HasBeenReady => _hasBeenReady || (_hasBeenReady = hub.Readiness.IsReady);

    /// <summary>A place among those being greeted; null if there was none in time, or the other side gave up.</summary>
    private async Task<RateLimitLease?> EnterAsync(ConnectionContext connection)
    {
        var place = _hasBeenReady ? _greetings.AttemptAcquire() : null;
        if (place is { IsAcquired: true })
            return place;
        place?.Dispose();
        using var patience = new CancellationTokenSource(hub.Settings.Admission.MaxWait, hub.Time);
        // The listener, when it stops, waits for every connection: it need not for these.
        var stopping = connection.Features.Get<IConnectionLifetimeNotificationFeature>()?.ConnectionClosedRequested ?? CancellationToken.None;
        using var any = CancellationTokenSource.CreateLinkedTokenSource(patience.Token, connection.ConnectionClosed, stopping);
        hub.Metrics.QueueDepth(HubQueue.Connections, 1);
        try
        {
            if (!_hasBeenReady && !await ReadyAsync(any.Token).ConfigureAwait(false))
                return null;
            place = await _greetings.AcquireAsync(1, any.Token).ConfigureAwait(false);
            if (place.IsAcquired)
                return place;
            place.Dispose();
            return null;
        }
        catch (OperationCanceledException)
        {
            return null;
        }
        finally
        {
            hub.Metrics.QueueDepth(HubQueue.Connections, -1);
        }
    }

    private async Task<bool> ReadyAsync(CancellationToken cancellationToken)
    {
        try
        {
            if (Interlocked.Increment(ref _waitingEarly) > hub.Settings.Admission.MaxWaiting)
                return false;
            await hub.Readiness.WhenReadyAsync(cancellationToken).ConfigureAwait(false);
            return _hasBeenReady = true;
        }
        finally
        {
            Interlocked.Decrement(ref _waitingEarly);
        }
    }
}

/// <summary>
/// A connection's place among those being greeted. It ends, and the next one's begins, when its first call is a client's, when a node's
/// has its welcome or is over, when no call comes at all for <see cref="FirstCallWithin"/>, or with the connection.
/// </summary>
internal sealed class Greeting
{
    /// <summary>
    /// How long a connection may be silent before its place is another's. It goes on, and may call later; but who connects ahead, or only
    /// looks whether somebody listens, must not keep others waiting.
    /// </summary>
    internal static readonly TimeSpan FirstCallWithin = TimeSpan.FromSeconds(2);
    private static readonly object Key = new();
    private static readonly string NodeService = "/" + NodeBridgeService.Descriptor.FullName;

    private readonly TimeSpan _waited;
    private ITimer? _silence;
    private RateLimitLease? _place;

    /// <summary>Begins it.</summary>
    /// <param name="place">What ends with it.</param>
    /// <param name="time">The clock.</param>
    /// <param name="waited">How long the connection waited for its turn.</param>
    public Greeting(RateLimitLease place, TimeProvider time, TimeSpan waited)
    {
        _place = place;
        _waited = waited;
        _silence = time.CreateTimer(static greeting => ((Greeting)greeting!).End(), this, FirstCallWithin, Timeout.InfiniteTimeSpan);
    }

    /// <summary>Ends it; more than once does no harm.</summary>
    public void End()
    {
        if (Interlocked.Exchange(ref _place, null) is not { } place)
            return;
        // A quiet node's connection keeps this as long as it lasts: the less it holds, the better.
        Interlocked.Exchange(ref _silence, null)?.Dispose();
        place.Dispose();
    }

    /// <summary>A node has its welcome: the greeting of its connection, if it is under way, ends.</summary>
    public static void Welcomed(ServerCallContext call) => Of(call)?.End();

    /// <summary>How long the connection of a node's call waited to be greeted; 0 if it was greeted before.</summary>
    public static TimeSpan Waited(ServerCallContext call) => Of(call)?._waited ?? TimeSpan.Zero;

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

        // A node's call says hello in time or is ended, so that from here on no silence needs to be watched for.
        Interlocked.Exchange(ref greeting._silence, null)?.Dispose();
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
