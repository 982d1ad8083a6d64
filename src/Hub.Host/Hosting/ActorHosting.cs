using System.Globalization;
using Akka;
using Akka.Actor;
using Akka.Cluster;
using Akka.Configuration;
using Akka.Hosting;
using Akka.Remote.Transport.DotNetty;
using Hub.Actors;
using Hub.Actors.Members;
using Hub.Actors.Registry;
using Hub.Actors.Settings;
using Hub.Actors.Store;
using Hub.Actors.Telemetry;
using Hub.Actors.Tokens;
using Hub.Host.Auth;
using Hub.Host.Services;
using Hub.Host.Settings;

namespace Hub.Host.Hosting;

/// <summary>Wiring of the actor system: its configuration, its store, and what runs in it.</summary>
internal static class ActorHosting
{
    /// <summary>Name of the actor system; part of every member's address.</summary>
    public const string SystemName = "akkahub";

    private static readonly TimeSpan LookLimit = TimeSpan.FromSeconds(5);

    // Shares of the time a stop may take, by phase; together one. What is not named takes DefaultShare, seven times.
    private const double DefaultShare = 0.03;
    private static readonly (string Phase, double Share)[] PhaseShares =
    [
        ("cluster-sharding-shutdown-region", 0.45), ("cluster-leave", 0.06), ("cluster-exiting", 0.13),
        ("cluster-exiting-done", 0.06), ("actor-system-terminate", 0.09),
    ];

    /// <summary>Adds the actor system.</summary>
    public static WebApplicationBuilder AddHubActors(this WebApplicationBuilder builder, HubStart start)
    {
        var host = start.Bound.Settings.Host;
        builder.Services.AddAkka(SystemName, (akka, services) =>
        {
            var time = services.GetRequiredService<TimeProvider>();
            var readiness = services.GetRequiredService<Readiness>();
            var metrics = services.GetRequiredService<HubMetrics>();
            akka
                .AddHocon(start.Bound.AkkaOverrides, HoconAddMode.Prepend)
                .AddHocon(FromSettings(host, start.Store?.Uid), HoconAddMode.Append)
                .AddHocon(Shipped(host), HoconAddMode.Append)
                .AddSetup(MemberCertificate.Setup(start.Identity))
                .ConfigureLoggers(loggers =>
                {
                    // At Debug the frameworks' information is of use; otherwise it is noise.
                    loggers.LogLevel = host.LogLevel == HubLogLevel.Debug ? Akka.Event.LogLevel.InfoLevel : Akka.Event.LogLevel.WarningLevel;
                    loggers.ClearLoggers();
                    loggers.AddLoggerFactory();
                })
                .WithStore(host, metrics)
                .WithFence(host.Cluster.IsMember ? start.Store : null, services)
                .WithJoin(host, start.Store, services)
                .WithTokens(services.GetRequiredService<TokenDirectory>(), host.MaxTokens, host.Cluster.IsMember, services.GetRequiredService<HubRuntime>().Fence, time, readiness, metrics)
                .WithHubActors(services)
                .WithMembers(host, start.Store is null ? null : host.ConnectionString, services)
                .WithDrainWhenDowned(services)
                .AddStartup((system, _) => FailedHandshakes.Survive(system, services.GetRequiredService<ILoggerFactory>().CreateLogger("Hub.Actors")));
        });
        return builder;
    }

    private static Config Shipped(HostSettings host) => host.Cluster.IsMember ? HubConfiguration.Cluster.WithFallback(HubConfiguration.Akka) : HubConfiguration.Akka;

    /// <summary>What the hub's settings say to Akka.</summary>
    internal static Config FromSettings(HostSettings host, int? storeUid = null)
    {
        // What is left for the actors after the streams were drained and cut.
        // What a member that was downed needs to stop serving; a stop in order has nothing to do there.
        var serving = host.Cluster.IsMember ? TimeSpan.FromSeconds(1) : host.ActorsStopTime * DefaultShare;
        // The other phases have shares that make one together with a default share for that one.
        var time = (host.ActorsStopTime - serving) / (1 - DefaultShare);
        var phases = string.Join('\n', PhaseShares.Select(p => $"phases.{p.Phase}.timeout = {Milliseconds(time * p.Share)}"));
        List<string> roles = [host.Cluster.Role == MemberRole.Gateway ? MemberRoles.Gateway : MemberRoles.Full, WireForms.RoleOf(host.Cluster.WireVersion)];
        if (storeUid is { } uid)
            roles.Add(MemberFence.RoleOf(uid));
        return ConfigurationFactory.ParseString($$"""
            akka {
              remote.dot-netty.tcp {
                hostname = "{{host.RemoteAddress}}"
                public-hostname = "{{(host.Cluster.PublicHost.Length > 0 ? host.Cluster.PublicHost : host.RemoteAddress)}}"
                port = {{host.RemotePort}}
              }
              cluster.roles = [{{string.Join(", ", roles.Select(r => $"\"{r}\""))}}]
              coordinated-shutdown {
                default-phase-timeout = {{Milliseconds(time * DefaultShare)}}
                {{phases}}
                phases.before-service-unbind.timeout = {{Milliseconds(serving)}}
              }
            }
            """);
    }

    private static string Milliseconds(TimeSpan time) => ((long)time.TotalMilliseconds).ToString(CultureInfo.InvariantCulture) + "ms";

    private static AkkaConfigurationBuilder WithStore(this AkkaConfigurationBuilder builder, HostSettings host, HubMetrics metrics) =>
        host.Store == StoreKind.Postgresql
            ? builder.WithPostgresStore(host.ConnectionString)
            : builder.WithSqliteStore(host.DataDir, StoreOptions(host), metrics);

    private static SqliteStoreOptions StoreOptions(HostSettings host) => new()
    {
        BusyTimeout = host.StoreBusyTimeout,
        CommitDelay = host.Diagnostics.CommitDelay,
        StallFile = host.Diagnostics.StallFile,
    };

    // Before the member joins, so that it misses nobody.
    private static AkkaConfigurationBuilder WithFence(this AkkaConfigurationBuilder builder, PostgresMember? store, IServiceProvider services) =>
        store is null ? builder : builder.WithActors((system, registry) =>
        {
            var hub = services.GetRequiredService<HubRuntime>();
            var fence = system.ActorOf(MemberFenceActor.Props(hub, uid => store.FenceAsync(uid)), "member-fence");
            hub.Fence.Share(new SharedFence(
                store, () => LookAsync(fence, system), why => services.GetRequiredService<Expulsion>().Begin(why), SplitBrainPeriod(system.Settings.Config, services.GetRequiredService<HostSettings>().Cluster.IsMember), hub.Time, hub.Log));
            system.ActorOf(DeadMembersActor.Props(hub, store), "dead-members");
        });

    private static async Task<MembersSeen?> LookAsync(IActorRef fence, ActorSystem system)
    {
        var self = Cluster.Get(system).SelfUniqueAddress;
        var state = await fence.Ask<ClusterEvent.CurrentClusterState>(LookAtCluster.Instance, LookLimit).ConfigureAwait(false);
        // Members agree on what is down before it is removed and its partitions begin elsewhere, but wait only for those that are up or leave.
        if (state.Members.FirstOrDefault(m => m.UniqueAddress.Equals(self))?.Status is not (MemberStatus.Up or MemberStatus.Leaving))
            return null;
        return new MembersSeen(Uids(m => m.Status != MemberStatus.Down), Uids(m => m.Status == MemberStatus.Down));

        HashSet<int> Uids(Func<Member, bool> which) => [.. state.Members.Where(which).Select(m => MemberFence.UidOf(m.Roles)).OfType<int>()];
    }

    // From the first beat that is missed until the smaller side has stopped. A hub by itself has no other side.
    private static TimeSpan SplitBrainPeriod(Config config, bool isMember) => !isMember ? TimeSpan.Zero :
        config.GetTimeSpan("akka.cluster.failure-detector.acceptable-heartbeat-pause") + config.GetTimeSpan("akka.cluster.split-brain-resolver.stable-after")
        + TimeSpan.FromSeconds(2);

    private static AkkaConfigurationBuilder WithMembers(this AkkaConfigurationBuilder builder, HostSettings host, string? sharedStore, IServiceProvider services) =>
        builder.WithActors((system, registry) =>
        {
            var lifetime = services.GetRequiredService<HubLifetime>();
            var listeners = services.GetRequiredService<HubListeners>();
            var self = new MemberSelf
            {
                ClientAddress = () => ClientAddress.Of(host, listeners),
                IsMember = host.Cluster.IsMember,
                Stop = how => lifetime.RequestStop(localNode: false, how == MemberStop.Drain ? "to be drained" : "to leave", hurry: how == MemberStop.Leave),
                RecordWire = sharedStore is null ? null : version => PostgresWire.RecordAsync(sharedStore, version),
            };
            var hub = services.GetRequiredService<HubRuntime>();
            if (self.IsMember)
                hub.Members.ExpectOthers();
            var members = system.ActorOf(MembersActor.Props(hub, self, registry.Get<HubActorKeys.Bridges>()), MembersActor.Name);
            registry.Register<HubActorKeys.Members>(members);
            lifetime.Draining.Register(() => members.Tell(RefreshFacts.Instance, ActorRefs.NoSender));
        });

    // A member that was downed must stop serving at once: elsewhere its partitions are about to begin. As a rule it knows before its shutdown
    // begins; this is for the case that it does not.
    private static AkkaConfigurationBuilder WithDrainWhenDowned(this AkkaConfigurationBuilder builder, IServiceProvider services) =>
        builder.AddStartup((system, _) =>
        {
            var shutdown = CoordinatedShutdown.Get(system);
            shutdown.AddTask(CoordinatedShutdown.PhaseBeforeServiceUnbind, "stop-serving", async () =>
            {
                if (shutdown.ShutdownReason is CoordinatedShutdown.ClusterDowningReason)
                    await services.GetRequiredService<Expulsion>().Begin("the cluster put it out").ConfigureAwait(false);
                return Done.Instance;
            });
        });

    // A lone member needs no seed: it joins itself as soon as its address is known, also with a port the system chose.
    private static AkkaConfigurationBuilder WithJoin(this AkkaConfigurationBuilder builder, HostSettings host, PostgresMember? store, IServiceProvider services) =>
        builder.AddStartup((system, _) =>
        {
            var cluster = Cluster.Get(system);
            if (!host.Cluster.IsMember || store is null)
            {
                var readiness = services.GetRequiredService<Readiness>();
                cluster.RegisterOnMemberUp(() => readiness.Clear(Readiness.Cluster));
                cluster.Join(cluster.SelfAddress);
                return;
            }

            var seeds = host.Cluster.SeedList.Select(seed => cluster.SelfAddress.WithHost(seed.Host).WithPort(seed.Port)).ToArray();
            system.ActorOf(MemberJoinActor.Props(services.GetRequiredService<HubRuntime>(), store, seeds), "member-join");
        });
}
