using Hub.Host.Settings;
using Hub.Protocol;

namespace Hub.Host.Hosting;

/// <summary>What nodes and clients dial to reach this member, as it tells the other members and nodes.</summary>
internal static class ClientAddress
{
    /// <summary>The address: as it was set, or the public host with the port the gRPC listener really has. Empty before it listens.</summary>
    public static string Of(HostSettings host, HubListeners listeners)
    {
        if (host.Cluster.ClientAddress.Length > 0)
            return host.Cluster.ClientAddress;
        if (listeners.GrpcPort is not > 0)
            return "";
        var name = host.Cluster.PublicHost.Length > 0 ? host.Cluster.PublicHost : host.Bind;
        if (name.Contains(':', StringComparison.Ordinal) && !name.StartsWith('['))
            name = $"[{name}]";
        return HubAddress.TryParse($"{(host.Tls.IsOn ? Uri.UriSchemeHttps : Uri.UriSchemeHttp)}://{name}:{listeners.GrpcPort}", out var address) ? address.ToString() : "";
    }
}
