using Akka;
using Akka.Actor;
using Akka.Cluster.Sharding;
using Akka.Configuration;
using Akka.Hosting;
using AkkaHub.Internal.V1;
using Hub.Actors.Bridge;
using Hub.Actors.Events;
using Hub.Actors.Nodes;
using Hub.Actors.Registry;
using Hub.Actors.Serialization;
using Hub.Actors.Store;

namespace Hub.Actors;

/// <summary>Keys of the member's actors in Akka.Hosting's registry.</summary>
public static class HubActorKeys
{
    /// <summary>Parent of the bridges: <see cref="NodeBridgesActor"/>.</summary>
    public sealed class Bridges;

    /// <summary>The mesh's events: <see cref="MeshEventsActor"/>.</summary>
    public sealed class Events;

    /// <summary>What is known of the members: <see cref="Members.MembersActor"/>.</summary>
    public sealed class Members;

    /// <summary>Snapshot permits.</summary>
    internal sealed class Snapshots;

    /// <summary>The store's probe.</summary>
    internal sealed class StoreProbe;
}

/// <summary>Adds the hub's actors to a member.</summary>
public static class HubActors
{
    /// <summary>Serializer, registry region, bridges, events. The store and the cluster are configured apart.</summary>
    public static AkkaConfigurationBuilder AddHubActors(this AkkaConfigurationBuilder builder, HubRuntime hub) => builder
        .AddHocon(SerializationConfig, HoconAddMode.Prepend)
        .WithActors((system, registry) =>
        {
            hub.Readiness.Set(Readiness.Store, "the store has not answered yet");
            var member = Akka.Cluster.Cluster.Get(system).SelfAddress;
            system.ActorOf(UndeliveredActor.Props(), "undelivered");
            registry.Register<HubActorKeys.Snapshots>(system.ActorOf(SnapshotGovernorActor.Props(hub.Settings.Snapshots.MaxConcurrent, hub.Metrics), "snapshots"));
            var probe = system.ActorOf(StoreProbeActor.Props(hub, $"{member.Host}-{member.Port}"), "store-probe");
            hub.Fence.WhenStoreIsSilent(cause => probe.Tell(new StoreSuspected(cause), ActorRefs.NoSender));
            registry.Register<HubActorKeys.StoreProbe>(probe);
        })
        .WithActors((system, registry) =>
        {
            var snapshots = registry.Get<HubActorKeys.Snapshots>();
            var probe = registry.Get<HubActorKeys.StoreProbe>();
            var sharding = ClusterSharding.Get(system);
            // A gateway only finds the way: it gets a proxy. The rest is in akka.hocon.
            var settings = ClusterShardingSettings.Create(system).WithRole(MemberRoles.Full);
            registry.Register<NodeRegistry>(sharding.Start(
                NodeRegistry.TypeName,
                entity => NodePartitionActor.Props(int.Parse(entity, System.Globalization.CultureInfo.InvariantCulture), hub, snapshots, probe),
                settings,
                new NodeRegistry.Extractor(hub.Settings.Registry.Partitions),
                new PartitionAllocation(hub, Akka.Cluster.Cluster.Get(system).SelfAddress, sharding.DefaultShardAllocationStrategy(settings),
                    partition => PartitionMove.End(system, PartitionMove.Workers(system), partition)),
                HandOffPartition.Instance));
        })
        .WithActors((system, registry) =>
        {
            var region = registry.Get<NodeRegistry>();
            var bridges = system.ActorOf(NodeBridgesActor.Props(region, hub), "bridges");
            registry.Register<HubActorKeys.Bridges>(bridges);
            registry.Register<HubActorKeys.Events>(system.ActorOf(MeshEventsActor.Props(hub, region), "events"));
            system.ActorOf(PartitionKeeperActor.Props(region, hub), "partition-keeper");
            CoordinatedShutdown.Get(system).AddTask(CoordinatedShutdown.PhaseBeforeServiceUnbind, "end-node-streams", async () =>
            {
                await bridges.Ask<Done>(new EndAllStreams(), TimeSpan.FromSeconds(3)).ConfigureAwait(false);
                return Done.Instance;
            });
        });

    /// <summary>What is bound to <see cref="HubSerializer"/>.</summary>
    public static Config SerializationConfig { get; } = ConfigurationFactory.ParseString($$"""
        akka.actor {
          serializers.akkahub = "{{typeof(HubSerializer).AssemblyQualifiedName}}"
          serialization-identifiers."{{typeof(HubSerializer).AssemblyQualifiedName}}" = {{HubSerializer.Id}}
          serialization-bindings {
            "{{typeof(ICrossesMembers).AssemblyQualifiedName}}" = akkahub
            {{string.Join("\n    ", StoredTypes.Select(t => $"\"{t.AssemblyQualifiedName}\" = akkahub"))}}
          }
        }
        """);

    private static Type[] StoredTypes =>
    [
        typeof(NodeEvents), typeof(NodeSnapshot), typeof(MembershipChanged), typeof(MembershipSnapshot),
        typeof(TokensChanged), typeof(TokensSnapshot), typeof(StoreProbed),
        typeof(EventsLogged), typeof(EventLogSnapshot),
    ];
}
