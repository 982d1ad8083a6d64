using Akka.Actor;
using Akka.Hosting;
using Hub.Actors;
using Hub.Actors.Bridge;
using Hub.Actors.Registry;
using Hub.Actors.Settings;
using Hub.Actors.Telemetry;
using Hub.Host.Services;
using Hub.Host.Settings;

namespace Hub.Host.Hosting;

/// <summary>Wiring of the hub's actors and of the gRPC services in front of them.</summary>
internal static class HubServices
{
    /// <summary>Adds what the services need.</summary>
    public static WebApplicationBuilder AddHubServices(this WebApplicationBuilder builder)
    {
        builder.Services.AddSingleton(services => new HubRuntime(
            services.GetRequiredService<HubSettings>(),
            services.GetRequiredService<HubMetrics>(),
            services.GetRequiredService<Readiness>(),
            services.GetRequiredService<TimeProvider>(),
            services.GetRequiredService<ILoggerFactory>().CreateLogger("Hub.Actors")));
        builder.Services.AddSingleton(services => new NodeRegistry(
            services.GetRequiredService<IRequiredActor<NodeRegistry>>().ActorRef, services.GetRequiredService<HubRuntime>()));
        builder.Services.AddSingleton<HistoryFollower>();
        builder.Services.AddSingleton<NodeAdmission>();
        // They hold nothing of a call; else each call would make its own and keep it.
        builder.Services.AddSingleton<NodeBridgeEndpoint>();
        builder.Services.AddSingleton<HubEndpoint>();
        return builder;
    }

    /// <summary>Starts the hub's actors.</summary>
    public static AkkaConfigurationBuilder WithHubActors(this AkkaConfigurationBuilder builder, IServiceProvider services) => builder
        .AddHubActors(services.GetRequiredService<HubRuntime>())
        .AddStartup((_, registry) =>
        {
            // Nodes are told that the hub stops as soon as it drains, long before the actors are stopped.
            var bridges = registry.Get<HubActorKeys.Bridges>();
            var lifetime = services.GetRequiredService<HubLifetime>();
            var moveTime = services.GetRequiredService<HostSettings>().MoveTime;
            lifetime.Draining.Register(() => bridges.Tell(new MoveStreams(lifetime.Hurry ? TimeSpan.Zero : moveTime), ActorRefs.NoSender));
        });

    /// <summary>Maps the gRPC services.</summary>
    public static WebApplication MapHubServices(this WebApplication app)
    {
        app.MapGrpcService<NodeBridgeEndpoint>();
        app.MapGrpcService<HubEndpoint>();
        return app;
    }
}
