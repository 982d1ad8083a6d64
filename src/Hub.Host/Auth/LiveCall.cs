using Grpc.Core;

namespace Hub.Host.Auth;

/// <summary>
/// One call under way. It can be ended from outside, with the status its caller shall get: first its handler may end by itself
/// (a grace), then its cancellation token fires, at last the HTTP stream is cut.
/// </summary>
internal sealed class LiveCall : IDisposable
{
    // A handler that does not heed its token must not outlive its credential.
    private static readonly TimeSpan UntilCut = TimeSpan.FromSeconds(3);

    private static readonly string NodeMethods = $"/{AkkaHub.V1.NodeBridgeService.Descriptor.FullName}/";

    private readonly CancellationTokenSource _linked;
    private readonly CancellationTokenSource _cut = new();
    private RpcException? _ending;

    /// <summary>Takes a call.</summary>
    /// <param name="context">Its context.</param>
    /// <param name="streaming">Whether it is more than one request and one answer.</param>
    public LiveCall(ServerCallContext context, bool streaming)
    {
        IsStreaming = streaming;
        _linked = CancellationTokenSource.CreateLinkedTokenSource(context.CancellationToken);
        // Where grpc-dotnet looks for the HTTP context of a call context that is not its own.
        context.UserState["__HttpContext"] = context.GetHttpContext();
        // Asked for when the call may be over and its context gone.
        IsWaitedFor = !streaming || context.Method.StartsWith(NodeMethods, StringComparison.Ordinal);
        Context = new LinkedCallContext(context, _linked.Token);
    }

    /// <summary>What the handler gets.</summary>
    public ServerCallContext Context { get; }

    /// <summary>Whether it is more than one request and one answer.</summary>
    public bool IsStreaming { get; }

    /// <summary>Whether it ends by itself when the hub stops: a call with one answer, or a node's stream, which the bridge ends.</summary>
    public bool IsWaitedFor { get; }

    /// <summary>The status the call was ended with from outside; null if it was not.</summary>
    public RpcException? Ending => Volatile.Read(ref _ending);

    /// <summary>Ends the call; the first status counts.</summary>
    public void End(RpcException status, TimeSpan grace)
    {
        if (Interlocked.CompareExchange(ref _ending, status, null) is not null)
            return;
        try
        {
            var http = Context.GetHttpContext();
            _cut.Token.UnsafeRegister(static http => ((HttpContext)http!).Abort(), http);
            _cut.CancelAfter(grace + UntilCut);
            if (grace == TimeSpan.Zero)
                _ = _linked.CancelAsync();
            else
                _linked.CancelAfter(grace);
        }
        catch (ObjectDisposedException)
        {
            // The call ended by itself just now.
        }
    }

    public void Dispose()
    {
        _linked.Dispose();
        _cut.Dispose();
    }

    private sealed class LinkedCallContext(ServerCallContext inner, CancellationToken cancellationToken) : ServerCallContext
    {
        protected override string MethodCore => inner.Method;
        protected override string HostCore => inner.Host;
        protected override string PeerCore => inner.Peer;
        protected override DateTime DeadlineCore => inner.Deadline;
        protected override Metadata RequestHeadersCore => inner.RequestHeaders;
        protected override CancellationToken CancellationTokenCore => cancellationToken;
        protected override Metadata ResponseTrailersCore => inner.ResponseTrailers;
        protected override AuthContext AuthContextCore => inner.AuthContext;
        protected override IDictionary<object, object> UserStateCore => inner.UserState;

        protected override Status StatusCore
        {
            get => inner.Status;
            set => inner.Status = value;
        }

        protected override WriteOptions? WriteOptionsCore
        {
            get => inner.WriteOptions;
            set => inner.WriteOptions = value;
        }

        protected override ContextPropagationToken CreatePropagationTokenCore(ContextPropagationOptions? options) =>
            inner.CreatePropagationToken(options);

        protected override Task WriteResponseHeadersAsyncCore(Metadata responseHeaders) => inner.WriteResponseHeadersAsync(responseHeaders);
    }
}
