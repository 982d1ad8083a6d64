using System.Net;
using System.Net.Sockets;
using Hub.Host.Settings;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace Hub.Host.Hosting;

/// <summary>A port is taken by another program; the message names setting and environment variable.</summary>
public sealed class AddressTakenException(string message, Exception inner) : Exception(message, inner);

/// <summary>The two listeners: cleartext gRPC needs a port of HTTP/2 alone, everything else one of HTTP/1.1.</summary>
public sealed class HubListeners
{
    private ListenOptions? _grpc;
    private ListenOptions? _http;

    /// <summary>Address of the gRPC listener with its real port, once it listens.</summary>
    public string Grpc => UrlOf(_grpc);

    /// <summary>The gRPC listener's real port; null or 0 before it listens.</summary>
    public int? GrpcPort => _grpc?.IPEndPoint?.Port;

    /// <summary>Address of the HTTP listener with its real port, once it listens.</summary>
    public string Http => UrlOf(_http);

    /// <summary>Finds taken ports before anything is started.</summary>
    /// <exception cref="AddressTakenException">One is taken.</exception>
    public static void RefuseTaken(HostSettings settings)
    {
        var address = IPAddress.Parse(settings.Bind);
        foreach (var (port, path) in (ReadOnlySpan<(int, string)>)
            [(settings.GrpcPort, "akkahub.grpc.port"), (settings.HttpPort, "akkahub.http.port"), (settings.RemotePort, "akkahub.remote.port")])
        {
            if (port == 0)
                continue;
            using var socket = new Socket(address.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
            try
            {
                socket.Bind(new IPEndPoint(address, port));
                socket.Listen(1);
            }
            catch (SocketException e)
            {
                var variable = SettingTable.All.First(s => s.Path == path).EnvironmentVariable;
                throw new AddressTakenException($"port {port} on {address} cannot be listened on: {e.Message}. Set {path} ({variable}) to another port, or to 0 for any free one.", e);
            }
        }
    }

    internal void Configure(KestrelServerOptions kestrel, HostSettings settings)
    {
        var address = IPAddress.Parse(settings.Bind);
        kestrel.AddServerHeader = false;
        // Streams of nodes and readers are quiet for as long as nothing happens: no least rate either way.
        kestrel.Limits.MinRequestBodyDataRate = null;
        kestrel.Limits.MinResponseDataRate = null;
        var http2 = kestrel.Limits.Http2;
        http2.MaxStreamsPerConnection = settings.MaxStreamsPerConnection;
        http2.KeepAlivePingDelay = TimeSpan.FromSeconds(30);
        http2.KeepAlivePingTimeout = TimeSpan.FromSeconds(20);
        // Many nodes may share a connection (a proxy, a load generator); one must not starve the others of the window.
        http2.InitialConnectionWindowSize = 4 * 1024 * 1024;
        http2.InitialStreamWindowSize = 512 * 1024;
        kestrel.Listen(address, settings.GrpcPort, listen =>
        {
            listen.Protocols = HttpProtocols.Http2;
            var line = kestrel.ApplicationServices.GetRequiredService<ConnectionLine>();
            listen.Use(next => connection => line.OnConnectionAsync(connection, next));
            _grpc = listen;
        });
        kestrel.Listen(address, settings.HttpPort, listen =>
        {
            listen.Protocols = HttpProtocols.Http1;
            _http = listen;
        });
    }

    private static string UrlOf(ListenOptions? listen) => listen?.IPEndPoint is { } end
        ? $"http://{end}"
        : throw new InvalidOperationException("the listener is not configured yet");
}

/// <summary>Wiring of the listeners and of gRPC itself.</summary>
internal static class ListenerHosting
{
    // A page of another site must not talk to the hub under a name of its own that points here.
    private static string[] AllowedHosts(IPAddress bind) =>
        [.. new[] { "localhost", "127.0.0.1", "[::1]", bind.AddressFamily == AddressFamily.InterNetworkV6 ? $"[{bind}]" : bind.ToString() }.Distinct()];

    /// <summary>Adds listeners, gRPC with its interceptor, and the filter of host names.</summary>
    public static WebApplicationBuilder AddHubListeners(this WebApplicationBuilder builder, HostSettings settings)
    {
        var listeners = new HubListeners();
        builder.Services.AddSingleton(listeners);
        builder.Services.AddSingleton<ConnectionLine>();
        builder.WebHost.ConfigureKestrel(kestrel => listeners.Configure(kestrel, settings));
        // All nodes of a large mesh may dial in the same second; whom the kernel has no room for until it is accepted
        // hears nothing for a second and more. The kernel bounds it further (net.core.somaxconn).
        builder.WebHost.UseSockets(sockets => sockets.Backlog = 4096);
        builder.Services.AddHostFiltering(options => options.AllowedHosts = AllowedHosts(IPAddress.Parse(settings.Bind)));
        builder.Services.AddGrpc(options =>
        {
            options.MaxReceiveMessageSize = settings.MaxMessageBytes;
            options.Interceptors.Add<Auth.AuthInterceptor>();
        });
        return builder;
    }
}
