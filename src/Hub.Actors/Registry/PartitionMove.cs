using Akka.Actor;
using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;

namespace Hub.Actors.Registry;

/// <summary>
/// Akka.NET moves a shard by an actor of the coordinator's. It asks all regions to forget where the shard is, then the one that has it to end it. If that one dies before it
/// has said that it forgot, its death is taken for its word, and then its answer is waited for until <c>handoff-timeout</c>, though nobody is left to give it
/// (<c>ShardCoordinator.RebalanceWorker</c>, 1.5.74). Nodes of such a partition were without service for a minute.
/// </summary>
internal static class PartitionMove
{
    // Akka's ClusterShardingMessageSerializer, and what it calls ShardStopped; both are fixed, since members of different versions talk in them.
    private const int ShardingSerializer = 13;
    private const string ShardStopped = "BK";

    /// <summary>The actors that move partitions, where this member's coordinator is the one in charge.</summary>
    public static ActorSelection Workers(ActorSystem system) => system.ActorSelection($"/system/sharding/{NodeRegistry.TypeName}Coordinator/singleton/coordinator/*");

    /// <summary>Says in the place of a region that has died that a partition has ended there. Only who waits for just that takes it, so it may be said to all, and again.</summary>
    public static void End(ActorSystem system, ICanTell workers, string partition) =>
        // Its class is internal to Akka; its form is one string, as field 1.
        workers.Tell(system.Serialization.Deserialize(new StringValue { Value = partition }.ToByteArray(), ShardingSerializer, ShardStopped), ActorRefs.NoSender);
}
