using System.Net;
using System.Net.Sockets;
using Hub.Host.Settings;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.HostFiltering;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Https;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using Microsoft.Extensions.Options;

namespace Hub.Host.Hosting;

/// <summary>A port is taken by another program; the message names setting and environment variable.</summary>
public sealed class AddressTakenException(string message, Exception inner) : Exception(message, inner);

/// <summary>
/// The two listeners: cleartext gRPC needs a port of HTTP/2 alone, everything else one of HTTP/1.1. With a certificate both speak TLS.
/// </summary>
public sealed class HubListeners
{
    /// <summary>How long a connection that the hub has turned to may take to begin a TLS handshake, and so long again to end it.</summary>
    internal static readonly TimeSpan HandshakeTimeout = TimeSpan.FromSeconds(5);

    // What a connection may have sent before it is handled: who waits in the line has so much in the hub's memory. Enough for a first message
    // and more than a TLS record; what is handled is read on as fast as before.
    private const long MaxReadAhead = 32 * 1024;

    private readonly ListenerCertificate? _tls;
    private ListenOptions? _grpc;
    private ListenOptions? _http;

    internal HubListeners(ListenerCertificate? tls) => _tls = tls;

    /// <summary>The gRPC listener's real port; null or 0 before it listens.</summary>
    public int? GrpcPort => _grpc?.IPEndPoint?.Port;

    /// <summary>Address of the gRPC listener with its real port for this machine itself, once it listens.</summary>
    public string Grpc => Url(Local(EndOf(_grpc)));

    /// <summary>Address of the HTTP listener with its real port for this machine itself, once it listens.</summary>
    public string Http => Url(Local(EndOf(_http)));

    /// <summary>What the gRPC listener is bound to, for people.</summary>
    internal string BoundGrpc => Url(EndOf(_grpc));

    /// <summary>What the HTTP listener is bound to, for people.</summary>
    internal string BoundHttp => Url(EndOf(_http));

    /// <summary>SHA-256 of the certificates that a connection may be shown just now, in hexadecimal; none for clear text.</summary>
    internal IReadOnlyList<string> CertificateHashes => _tls?.Hashes ?? [];

    /// <summary>As <see cref="ListenerCertificate.Changed"/>.</summary>
    internal event Action? CertificateChanged
    {
        add
        {
            if (_tls is not null)
                _tls.Changed += value;
        }

        remove
        {
            if (_tls is not null)
                _tls.Changed -= value;
        }
    }

    /// <summary>Finds taken ports before anything is started.</summary>
    /// <exception cref="AddressTakenException">One is taken.</exception>
    public static void RefuseTaken(HostSettings settings)
    {
        foreach (var (address, port, path) in (ReadOnlySpan<(IPAddress, int, string)>)
        [
            (settings.BindAddress, settings.GrpcPort, "akkahub.grpc.port"), (settings.BindAddress, settings.HttpPort, "akkahub.http.port"),
            (settings.RemoteAddress, settings.RemotePort, "akkahub.remote.port"),
        ])
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
                var setting = e.SocketErrorCode == SocketError.AddressNotAvailable
                    ? "Set akkahub.bind (AKKAHUB_BIND) to an address of this machine."
                    : $"Set {path} ({variable}) to another port, or to 0 for any free one.";
                throw new AddressTakenException($"port {port} on {address} cannot be listened on: {e.Message}. {setting}", e);
            }
        }
    }

    internal void Configure(KestrelServerOptions kestrel, HostSettings settings)
    {
        var address = settings.BindAddress;
        kestrel.AddServerHeader = false;
        kestrel.Limits.MaxConcurrentConnections = settings.MaxConnections;
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
            // Before the handshake, which is what a connection costs most: all nodes of a mesh do not get through theirs at once.
            listen.Use(next => connection => line.OnConnectionAsync(connection, next));
            UseTls(listen);
            _grpc = listen;
        });
        kestrel.Listen(address, settings.HttpPort, listen =>
        {
            listen.Protocols = HttpProtocols.Http1;
            UseTls(listen);
            _http = listen;
        });
    }

    /// <summary>What the sockets of both listeners are given.</summary>
    internal static void Configure(SocketTransportOptions sockets)
    {
        // All nodes of a large mesh may dial in the same second; whom the kernel has no room for until it is accepted
        // hears nothing for a second and more. The kernel bounds it further (net.core.somaxconn).
        sockets.Backlog = 4096;
        sockets.MaxReadBufferSize = MaxReadAhead;
    }

    private void UseTls(ListenOptions listen)
    {
        if (_tls is not { } tls)
            return;
        var clearText = new ClearText(listen.ApplicationServices.GetRequiredService<TimeProvider>());
        listen.Use(next => connection => clearText.OnConnectionAsync(connection, next));
        listen.UseHttps(new TlsHandshakeCallbackOptions
        {
            OnConnection = _ => ValueTask.FromResult(tls.ForHandshake()),
            HandshakeTimeout = HandshakeTimeout,
        });
    }

    private string Url(IPEndPoint end) => $"{(_tls is null ? "http" : "https")}://{end}";

    private static IPEndPoint EndOf(ListenOptions? listen) =>
        listen?.IPEndPoint ?? throw new InvalidOperationException("the listener is not configured yet");

    private static IPEndPoint Local(IPEndPoint end) => end.Address switch
    {
        var all when all.Equals(IPAddress.Any) => new IPEndPoint(IPAddress.Loopback, end.Port),
        var all when all.Equals(IPAddress.IPv6Any) => new IPEndPoint(IPAddress.IPv6Loopback, end.Port),
        _ => end,
    };
}

/// <summary>Wiring of the listeners and of gRPC itself.</summary>
internal static class ListenerHosting
{
    /// <summary>Adds listeners, gRPC with its interceptor, and the filter of host names.</summary>
    /// <param name="builder">What is added to.</param>
    /// <param name="settings">Where they listen.</param>
    /// <param name="tls">What they show; null for clear text.</param>
    public static WebApplicationBuilder AddHubListeners(this WebApplicationBuilder builder, HostSettings settings, ListenerCertificate? tls = null)
    {
        var listeners = new HubListeners(tls);
        builder.Services.AddSingleton(listeners);
        if (tls is not null)
            builder.Services.AddSingleton(tls);
        builder.Services.AddSingleton<ConnectionLine>();
        builder.WebHost.ConfigureKestrel(kestrel => listeners.Configure(kestrel, settings));
        builder.WebHost.UseKestrelHttpsConfiguration();
        builder.WebHost.UseSockets(HubListeners.Configure);
        var hosts = new AllowedHosts(settings, tls);
        builder.Services.AddSingleton<IConfigureOptions<HostFilteringOptions>>(hosts);
        builder.Services.AddSingleton<IOptionsChangeTokenSource<HostFilteringOptions>>(hosts);
        builder.Services.AddGrpc(options =>
        {
            options.MaxReceiveMessageSize = settings.MaxMessageBytes;
            options.Interceptors.Add<Auth.AuthInterceptor>();
        });
        return builder;
    }
}
