using System.Net;
using Akka.Actor;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Hub.Load.Baselines;

/// <summary>What stands behind the bare server's streams.</summary>
public enum BareKind
{
    /// <summary>Nothing: a stream acknowledges what it reads.</summary>
    Grpc,
    /// <summary>An actor per node that keeps the last chunks in memory and acknowledges; nothing is stored.</summary>
    Actors,
}

/// <summary>
/// A node bridge without a hub, to compare with: same protocol, same listener, same coalescing of acknowledgements, no
/// store. It runs as a child process, as the hub does, so that both share the machine with the generator in the same way.
/// </summary>
public sealed class BareServer : IAsyncDisposable
{
    private readonly WebApplication _app;
    private readonly ActorSystem? _system;

    private BareServer(WebApplication app, ActorSystem? system)
    {
        _app = app;
        _system = system;
    }

    /// <summary>Starts it on a loopback port.</summary>
    public static async Task<BareServer> StartAsync(BareKind kind, int port)
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.Limits.MinRequestBodyDataRate = null;
            kestrel.Limits.Http2.MaxStreamsPerConnection = 20_000;
            kestrel.Limits.Http2.KeepAlivePingDelay = TimeSpan.FromSeconds(30);
            kestrel.Listen(IPAddress.Loopback, port, listen => listen.Protocols = HttpProtocols.Http2);
        });
        builder.Services.AddGrpc();
        ActorSystem? system = null;
        Func<Action<long>, IChunkSink> open = static acknowledge => new EchoSink(acknowledge);
        if (kind == BareKind.Actors)
        {
            var made = ActorSystem.Create("bare", "akka.loglevel = WARNING, akka.stdout-loglevel = WARNING");
            system = made;
            open = acknowledge => new ActorSink(made.ActorOf(AckActor.Props(acknowledge)));
        }

        builder.Services.AddSingleton(new BareNodeBridge(open));
        var app = builder.Build();
        app.MapGrpcService<BareNodeBridge>();
        await app.StartAsync().ConfigureAwait(false);
        return new BareServer(app, system);
    }

    /// <summary>Waits until the process is asked to stop.</summary>
    public Task WaitAsync() => _app.WaitForShutdownAsync();

    /// <summary>Stops it.</summary>
    public async ValueTask DisposeAsync()
    {
        await _app.DisposeAsync().ConfigureAwait(false);
        if (_system is not null)
            await _system.Terminate().ConfigureAwait(false);
    }
}
