using AkkaHub.V1;
using Grpc.Core;
using Grpc.Core.Interceptors;
using Grpc.Net.Client;
using Hub.Protocol;

namespace Hub.Cli.Connection;

/// <summary>Whether a call may be made again when it is not known what became of it.</summary>
internal enum Repeat
{
    /// <summary>Twice is the same as once.</summary>
    Safe,
    /// <summary>At most once: only a call that certainly reached no hub, or was certainly not carried out, is made again.</summary>
    AtMostOnce,
}

/// <summary>
/// The members of one hub. Calls go to the current one; a member that cannot be reached makes the next one current, in the
/// order given, round and round.
/// </summary>
internal sealed class HubConnection : IAsyncDisposable
{
    /// <summary>No single call takes longer; the hub's own limits are below it.</summary>
    public static readonly TimeSpan CallTimeout = TimeSpan.FromSeconds(60);
    /// <summary>How long a hub that says it is starting, or that cuts connections off, is waited for.</summary>
    public static readonly TimeSpan StartPatience = TimeSpan.FromSeconds(30);

    private readonly CliEnvironment _environment;
    private readonly Member[] _members;
    private int _current;

    /// <summary>Makes the channels; nothing is dialled yet.</summary>
    /// <exception cref="CliException">A token would go to another machine in clear text, or the file of the authority cannot be used.</exception>
    public HubConnection(ConnectionSettings settings, CliEnvironment environment)
    {
        Settings = settings;
        _environment = environment;
        foreach (var endpoint in settings.Endpoints)
        {
            if (settings.TokenFor(endpoint) is not null && endpoint.WhyNoToken is { } why)
                throw new CliException(why);
        }

        _members = [.. settings.Endpoints.Select(e => new Member(e, settings.TokenFor(e), settings))];
    }

    /// <summary>Where it leads.</summary>
    public ConnectionSettings Settings { get; }

    /// <summary>The current member's address.</summary>
    public HubAddress Endpoint => _members[Volatile.Read(ref _current)].Endpoint;

    /// <summary>The current member.</summary>
    public HubService.HubServiceClient Client => _members[Volatile.Read(ref _current)].Client;

    /// <summary>How many members there are.</summary>
    public int Count => _members.Length;

    /// <summary>Makes the next member current.</summary>
    public void MoveOn() => Volatile.Write(ref _current, (Volatile.Read(ref _current) + 1) % _members.Length);

    /// <summary>
    /// Makes one call. A member that cannot be reached is passed over once each; a hub that is starting is waited for up to
    /// <see cref="StartPatience"/>, and so is one that cuts off a call that may be made again.
    /// </summary>
    public async Task<T> CallAsync<T>(
        Func<HubService.HubServiceClient, CallOptions, AsyncUnaryCall<T>> call, Repeat repeat, CancellationToken cancellation)
    {
        var tried = 0;
        long? outage = null;
        var delay = Reconnector.FirstDelay;
        while (true)
        {
            try
            {
                // The clock of the deadline is the system's: the call leaves this process.
                var options = new CallOptions(deadline: TimeProvider.System.GetUtcNow().UtcDateTime + CallTimeout, cancellationToken: cancellation);
                using var unary = call(Client, options);
                return await unary.ResponseAsync.ConfigureAwait(false);
            }
            catch (RpcException e) when (!cancellation.IsCancellationRequested)
            {
                if (Faults.IsStarting(e) || (Faults.IsCutOff(e) && (repeat == Repeat.Safe || Faults.NeverReached(e))))
                {
                    outage ??= _environment.Time.GetTimestamp();
                    if (_environment.Time.GetElapsedTime(outage.Value) >= StartPatience)
                        throw;
                    // Somebody is there: the others are tried anew while this one is waited for.
                    tried = 0;
                    MoveOn();
                    await Task.Delay(Reconnector.Wait(e, ref delay), _environment.Time, cancellation).ConfigureAwait(false);
                    continue;
                }

                var again = Faults.NeverReached(e) || (repeat == Repeat.Safe && Faults.IsBreak(e));
                if (!again || ++tried >= _members.Length)
                    throw Faults.Unreachable(e, this) ?? (repeat == Repeat.AtMostOnce ? Faults.Unsure(e) : null) ?? (Exception)e;
                MoveOn();
            }
        }
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync()
    {
        foreach (var member in _members)
            member.Channel.Dispose();
        return ValueTask.CompletedTask;
    }

    private sealed class Member
    {
        public Member(HubAddress endpoint, string? token, ConnectionSettings settings)
        {
            Endpoint = endpoint;
            Channel = GrpcChannel.ForAddress(endpoint.Uri, new GrpcChannelOptions
            {
                HttpHandler = new SocketsHttpHandler
                {
                    ConnectTimeout = TimeSpan.FromSeconds(5),
                    EnableMultipleHttp2Connections = true,
                    KeepAlivePingDelay = TimeSpan.FromSeconds(30),
                    KeepAlivePingTimeout = TimeSpan.FromSeconds(20),
                    PooledConnectionIdleTimeout = Timeout.InfiniteTimeSpan,
                    SslOptions = settings.TrustFor(endpoint),
                    UseProxy = !endpoint.IsLoopback && endpoint != settings.Known,
                },
                // The program's own waits decide how often a hub is tried.
                InitialReconnectBackoff = TimeSpan.FromMilliseconds(50),
                MaxReconnectBackoff = TimeSpan.FromMilliseconds(200),
                MaxReceiveMessageSize = 16 * 1024 * 1024,
                DisposeHttpClient = true,
            });
            var invoker = token is null
                ? Channel.CreateCallInvoker()
                : Channel.Intercept(metadata =>
                {
                    // Asked at each call: the hub may have crashed since the last one.
                    if (!settings.IsStillThere)
                        throw Faults.NotThere();
                    metadata.Add("authorization", "Bearer " + token);
                    return metadata;
                });
            Client = new HubService.HubServiceClient(invoker);
        }

        public HubAddress Endpoint { get; }

        public GrpcChannel Channel { get; }

        public HubService.HubServiceClient Client { get; }
    }
}
