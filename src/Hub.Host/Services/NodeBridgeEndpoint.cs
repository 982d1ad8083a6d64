using Akka.Actor;
using Akka.Hosting;
using AkkaHub.V1;
using Grpc.Core;
using Hub.Actors;
using Hub.Actors.Bridge;
using Hub.Host.Auth;
using Hub.Host.Hosting;
using Hub.Protocol;

namespace Hub.Host.Services;

/// <summary>The way in for nodes: takes the stream, hears hello, and hands both ways to a bridge actor.</summary>
public sealed class NodeBridgeEndpoint(IRequiredActor<HubActorKeys.Bridges> bridges, HubRuntime hub, NodeAdmission admission)
    : NodeBridgeService.NodeBridgeServiceBase
{
    private static readonly TimeSpan OpenTimeout = TimeSpan.FromSeconds(15);

    /// <inheritdoc/>
    public override async Task Connect(IAsyncStreamReader<ConnectRequest> requestStream, IServerStreamWriter<ConnectResponse> responseStream, ServerCallContext context)
    {
        var hello = await HearHelloAsync(requestStream, context.CancellationToken).ConfigureAwait(false);
        using var place = await admission.EnterAsync(Greeting.TakeWaited(context), context.CancellationToken).ConfigureAwait(false);
        var stream = new NodeStream(responseStream, hub, () =>
        {
            place.Dispose();
            Greeting.Welcomed(context);
        });
        var parent = await bridges.GetAsync(context.CancellationToken).ConfigureAwait(false);
        var bridge = await OpenAsync(parent, hello, stream).ConfigureAwait(false);

        using var ended = CancellationTokenSource.CreateLinkedTokenSource(context.CancellationToken);
        await using var revoked = context.GetPrincipal().Revoked.UnsafeRegister(static b => ((IActorRef)b!).Tell(
            new EndStream(DisconnectReason.CredentialRevoked, "credential-revoked", "The token was revoked or is over.")), bridge).ConfigureAwait(false);
        var reading = ReadAsync(requestStream, stream, bridge, ended.Token);
        try
        {
            await stream.WriteAsync(context.CancellationToken).ConfigureAwait(false);
        }
        catch (Exception e) when (e is OperationCanceledException or IOException or InvalidOperationException)
        {
            bridge.Tell(new StreamEnded("stream-broken", "The connection broke."));
        }

        await ended.CancelAsync().ConfigureAwait(false);
        await reading.ConfigureAwait(false);
        if (stream.Failure is { } failure)
            throw ToRpc(failure);
    }

    /// <summary>
    /// Makes the stream's bridge. Not given up when the node breaks off meanwhile: the bridge would be there, and nobody would
    /// know it to tell it of the end. One that is made too late finds a stream that takes nothing, and ends by itself.
    /// </summary>
    private static async Task<IActorRef> OpenAsync(IActorRef parent, NodeHello hello, NodeStream stream)
    {
        try
        {
            return await parent.Ask<IActorRef>(new OpenBridge(hello, stream), OpenTimeout, CancellationToken.None).ConfigureAwait(false);
        }
        catch (AskTimeoutException)
        {
            stream.Complete(null);
            throw HubErrors.NotReady("the hub is busy; try again", OpenTimeout / 10);
        }
    }

    /// <summary>A failure as clients get it.</summary>
    internal static RpcException ToRpc(Actors.Failure failure) => HubErrors.Create(
        (StatusCode)failure.Kind, failure.Reason, failure.Message,
        failure.Detail is null ? null : [new(failure.Detail, failure.DetailValue ?? "")],
        failure.Kind == FailureKind.Unavailable && failure.Reason != ErrorReasons.NodeOffline ? TimeSpan.FromSeconds(1 + Random.Shared.NextDouble()) : null);

    private async Task<NodeHello> HearHelloAsync(IAsyncStreamReader<ConnectRequest> requestStream, CancellationToken cancellationToken)
    {
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        deadline.CancelAfter(hub.Settings.Liveness.HelloTimeout);
        NodeHello? hello = null;
        try
        {
            if (await requestStream.MoveNext(deadline.Token).ConfigureAwait(false))
                hello = requestStream.Current.Hello;
        }
        catch (Exception e) when (e is OperationCanceledException or RpcException && !cancellationToken.IsCancellationRequested && deadline.IsCancellationRequested)
        {
            throw HubErrors.Create(StatusCode.DeadlineExceeded, ErrorReasons.ProtocolError,
                $"no hello came within {hub.Settings.Liveness.HelloTimeout.TotalSeconds:F0} s");
        }

        if (BridgeRules.Check(hello) is { } failure)
            throw ToRpc(failure);
        return hello!;
    }

    private static async Task ReadAsync(IAsyncStreamReader<ConnectRequest> requestStream, NodeStream stream, IActorRef bridge, CancellationToken cancellationToken)
    {
        try
        {
            while (await requestStream.MoveNext(cancellationToken).ConfigureAwait(false))
            {
                await stream.MayReadAsync(cancellationToken).ConfigureAwait(false);
                stream.HasRead();
                bridge.Tell(requestStream.Current);
            }

            bridge.Tell(new StreamEnded("stream-broken", "The node closed the stream without saying so."));
        }
        catch (RpcException e) when (e.StatusCode == StatusCode.ResourceExhausted)
        {
            bridge.Tell(new EndStream(DisconnectReason.ProtocolError, "protocol-error", "The node sent a message of more than the hub takes (akkahub.grpc.max-message)."));
        }
        catch (Exception e) when (e is OperationCanceledException or IOException or RpcException or InvalidOperationException)
        {
            bridge.Tell(new StreamEnded("stream-broken", "The connection broke."));
        }
        finally
        {
            stream.HasReadAll();
        }
    }
}
