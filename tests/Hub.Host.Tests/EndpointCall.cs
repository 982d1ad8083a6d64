using Grpc.Core;
using Hub.Host.Auth;

namespace Hub.Host.Tests;

/// <summary>A call of an endpoint that no server stands before.</summary>
internal sealed class EndpointCall(string method, PrincipalKinds caller, CancellationToken cancellationToken) : ServerCallContext
{
    protected override string MethodCore => "/akkahub.v1." + method;
    protected override string HostCore => "localhost";
    protected override string PeerCore => "ipv4:127.0.0.1:1";
    protected override DateTime DeadlineCore => DateTime.MaxValue;
    protected override Metadata RequestHeadersCore { get; } = [];
    protected override CancellationToken CancellationTokenCore => cancellationToken;
    protected override Metadata ResponseTrailersCore { get; } = [];
    protected override Status StatusCore { get; set; }
    protected override WriteOptions? WriteOptionsCore { get; set; }
    protected override AuthContext AuthContextCore { get; } = new("", []);
    protected override IDictionary<object, object> UserStateCore { get; } =
        new Dictionary<object, object> { [Principal.StateKey] = new Principal(caller, "token", CancellationToken.None) };

    protected override ContextPropagationToken CreatePropagationTokenCore(ContextPropagationOptions? options) => throw new NotSupportedException();

    protected override Task WriteResponseHeadersAsyncCore(Metadata responseHeaders) => Task.CompletedTask;
}
