using Akka.Actor;
using Grpc.Core;
using Grpc.Core.Interceptors;
using Hub.Host.Services;

namespace Hub.Host.Auth;

/// <summary>
/// Lets a call through only if its token allows it, tells the handler who calls (<see cref="PrincipalContext.GetPrincipal"/>), and ends
/// calls whose token is revoked or over. A node's stream has two seconds to say so to the node first; others end at once. What a
/// handler did not turn into a status is turned into one here, and logged.
/// </summary>
public sealed class AuthInterceptor(Credentials credentials, LiveCalls calls, ILogger<AuthInterceptor> log) : Interceptor
{
    private const string Scheme = "Bearer ";
    private static readonly TimeSpan NodeGrace = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan RetryHint = TimeSpan.FromSeconds(1);

    /// <inheritdoc/>
    public override Task<TResponse> UnaryServerHandler<TRequest, TResponse>(
        TRequest request, ServerCallContext context, UnaryServerMethod<TRequest, TResponse> continuation) =>
        RunAsync(context, streaming: false, linked => continuation(request, linked));

    /// <inheritdoc/>
    public override Task<TResponse> ClientStreamingServerHandler<TRequest, TResponse>(
        IAsyncStreamReader<TRequest> requestStream, ServerCallContext context, ClientStreamingServerMethod<TRequest, TResponse> continuation) =>
        RunAsync(context, streaming: true, linked => continuation(requestStream, linked));

    /// <inheritdoc/>
    public override Task ServerStreamingServerHandler<TRequest, TResponse>(TRequest request,
        IServerStreamWriter<TResponse> responseStream, ServerCallContext context, ServerStreamingServerMethod<TRequest, TResponse> continuation) =>
        RunAsync(context, streaming: true, linked => Void(continuation(request, responseStream, linked)));

    /// <inheritdoc/>
    public override Task DuplexStreamingServerHandler<TRequest, TResponse>(IAsyncStreamReader<TRequest> requestStream,
        IServerStreamWriter<TResponse> responseStream, ServerCallContext context, DuplexStreamingServerMethod<TRequest, TResponse> continuation) =>
        RunAsync(context, streaming: true, linked => Void(continuation(requestStream, responseStream, linked)));

    private async Task<TResult> RunAsync<TResult>(ServerCallContext context, bool streaming, Func<ServerCallContext, Task<TResult>> handler)
    {
        var principal = Authorize(context);
        using var call = new LiveCall(context, streaming);
        var admitted = calls.Add(call);
        var grace = principal.Kind == PrincipalKinds.Node ? NodeGrace : TimeSpan.Zero;
        var registration = principal.Revoked.UnsafeRegister(
            _ => call.End(HubErrors.TokenInvalid("the token was revoked or is over"), grace), null);
        try
        {
            if (!admitted)
                throw HubErrors.NotReady("the hub is stopping", RetryHint);
            var result = await handler(call.Context).ConfigureAwait(false);
            // A stream that left its loop quietly because it was told to: the caller is told the cause. An answer is an answer.
            return streaming && call.Ending is { } ending ? throw ending : result;
        }
        catch (Exception) when (call.Ending is not null)
        {
            throw call.Ending;
        }
        catch (AskTimeoutException)
        {
            throw HubErrors.StoreUnavailable("a part of the hub did not answer in time; try again", RetryHint);
        }
        catch (Exception e) when (e is not RpcException && !context.CancellationToken.IsCancellationRequested)
        {
            log.CallFailed(context.Method, e);
            throw HubErrors.Internal();
        }
        finally
        {
            await registration.DisposeAsync().ConfigureAwait(false);
            calls.Remove(call);
        }
    }

    private Principal Authorize(ServerCallContext context)
    {
        var header = context.RequestHeaders.GetValue("authorization");
        var secret = header is not null && header.StartsWith(Scheme, StringComparison.OrdinalIgnoreCase) ? header[Scheme.Length..].Trim() : null;
        if (credentials.Authenticate(secret) is not { } principal)
        {
            if (!string.IsNullOrEmpty(secret) && !credentials.IsComplete)
                throw HubErrors.NotReady("the hub is starting and has not read its tokens yet", RetryHint);
            log.Unauthenticated(context.Method, context.Peer);
            throw HubErrors.TokenInvalid(string.IsNullOrEmpty(secret)
                ? "a token is needed: metadata 'authorization: Bearer ahub_…'"
                : "the token is not known to this hub (any more)");
        }

        if (!AccessPolicy.Allows(principal.Kind, context.Method))
        {
            log.NotAllowed(context.Method, principal.Kind, principal.TokenId);
            throw HubErrors.NotAllowed($"a token of type {principal.Kind.ToString().ToLowerInvariant()} does not allow {context.Method}");
        }

        context.UserState[Principal.StateKey] = principal;
        return principal;
    }

    private static async Task<bool> Void(Task task)
    {
        await task.ConfigureAwait(false);
        return true;
    }
}
