using Hub.Actors;
using Hub.Actors.Store;
using Hub.Actors.Telemetry;
using Hub.Actors.Tokens;
using Hub.Host.Auth;
using Hub.Host.LocalAgent;
using Hub.Host.Services;
using Hub.Host.Settings;

namespace Hub.Host.Hosting;

/// <summary>What the start has found out and taken hold of before the host is built.</summary>
/// <param name="Bound">The settings.</param>
/// <param name="AdminToken">The owner-only token.</param>
/// <param name="Identity">What members know each other by.</param>
/// <param name="Store">This hub as a member of the shared store; null with the embedded one.</param>
public sealed record HubStart(BoundSettings Bound, string AdminToken, MemberIdentity Identity, PostgresMember? Store)
{
    /// <summary>What the listeners show; null for clear text.</summary>
    internal ListenerCertificate? Tls { get; init; }
}

/// <summary>Wiring of what is neither actors nor listeners.</summary>
internal static class Core
{
    /// <summary>Adds settings, clock, readiness, instruments, and the way the process starts and stops.</summary>
    public static WebApplicationBuilder AddHubCore(this WebApplicationBuilder builder, AllSettings settings, TimeProvider time)
    {
        var services = builder.Services;
        services.AddSingleton(settings);
        services.AddSingleton(settings.Host);
        services.AddSingleton(settings.Hub);
        services.AddSingleton(time);
        services.AddSingleton(new StartClock(time.GetTimestamp()));
        // All of them from the beginning: those who clear the first may be done before those who would set the last have begun.
        services.AddSingleton(_ => new Readiness(
            (Readiness.Cluster, "the member is not up yet"), (Readiness.Tokens, "the tokens have not been read yet"),
            (Readiness.Store, "the store has not answered yet"), (Readiness.Partitions, "the partitions are starting")));
        services.AddSingleton<HubMetrics>();
        services.AddSingleton<HubLifetime>();
        services.AddSingleton<IHostLifetime>(provider => provider.GetRequiredService<HubLifetime>());
        services.AddHostedService<HubPresence>();
        services.Configure<HostOptions>(options =>
        {
            // Ending the local node comes before everything else and has a time-out of its own.
            options.ShutdownTimeout = settings.Host.ShutdownTimeout + LocalNode.EndTimeout;
            options.BackgroundServiceExceptionBehavior = BackgroundServiceExceptionBehavior.StopHost;
        });
        return builder;
    }

    /// <summary>Adds the judge of tokens and the calls under way.</summary>
    public static WebApplicationBuilder AddHubAuth(this WebApplicationBuilder builder, string adminToken)
    {
        var services = builder.Services;
        services.AddSingleton(provider => new TokenDirectory(provider.GetRequiredService<TimeProvider>()));
        services.AddSingleton(provider => new Credentials(adminToken, provider.GetRequiredService<TokenDirectory>(), provider.GetRequiredService<HostSettings>().Auth));
        services.AddSingleton<LiveCalls>();
        services.AddSingleton<Expulsion>();
        services.AddSingleton<AuthInterceptor>();
        services.AddSingleton<TokenOperations>();
        return builder;
    }

    /// <summary>Adds who looks after the certificates.</summary>
    public static WebApplicationBuilder AddCertificateWatch(this WebApplicationBuilder builder, HubStart start)
    {
        builder.Services.AddHostedService(provider => new CertificateWatch(
            provider.GetService<ListenerCertificate>(), start.Identity, provider.GetRequiredService<TimeProvider>(), provider.GetRequiredService<ILogger<CertificateWatch>>()));
        return builder;
    }

    /// <summary>Adds the hub's own node.</summary>
    public static WebApplicationBuilder AddLocalNode(this WebApplicationBuilder builder)
    {
        builder.Services.AddSingleton<ILocalAgent, AgentProcess>();
        builder.Services.AddSingleton<LocalNode>();
        builder.Services.AddHostedService(provider => provider.GetRequiredService<LocalNode>());
        return builder;
    }
}
