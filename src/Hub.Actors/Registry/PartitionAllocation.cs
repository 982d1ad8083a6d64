using System.Collections.Immutable;
using Akka.Actor;
using Akka.Cluster.Sharding;

namespace Hub.Actors.Registry;

/// <summary>
/// Where partitions live. A member that drains gets none, and those it has move to others before it leaves, <see cref="MaxMoving"/> at a time: each
/// node waits for its own partition's move and not for that of all (ADR 0016). Apart from that Akka's own strategy spreads them evenly over the members.
/// Asked by the coordinator, on the oldest member, at every <c>rebalance-interval</c>.
/// </summary>
/// <param name="hub">What is known of the members; the clock.</param>
/// <param name="self">This member's address: its own region has none in its path.</param>
/// <param name="even">Spreads them evenly.</param>
/// <param name="endMove">Ends the move of a partition whose member has died, see <see cref="PartitionMove"/>.</param>
internal sealed class PartitionAllocation(HubRuntime hub, Address self, IShardAllocationStrategy even, Action<string> endMove) : IActorSystemDependentAllocationStrategy
{
    /// <summary>Most partitions that move at a time.</summary>
    public const int MaxMoving = 2;

    // A move costs its nodes a moment: nothing is in a hurry to be even.
    private static readonly TimeSpan EvenInterval = TimeSpan.FromSeconds(3);
    private static readonly Task<IImmutableSet<string>> None = Task.FromResult<IImmutableSet<string>>(ImmutableHashSet<string>.Empty);

    private long _evenedUs = hub.ElapsedUs();
    private HashSet<string> _homeless = [];

    /// <inheritdoc/>
    public void Start(ActorSystem system) => (even as IActorSystemDependentAllocationStrategy)?.Start(system);

    /// <inheritdoc/>
    public Task<IActorRef> AllocateShard(IActorRef requester, string shardId, IImmutableDictionary<IActorRef, IImmutableList<string>> currentShardAllocations)
    {
        var draining = currentShardAllocations.Keys.Where(IsDraining).ToArray();
        return even.AllocateShard(requester, shardId, draining.Length < currentShardAllocations.Count ? currentShardAllocations.RemoveRange(draining) : currentShardAllocations);
    }

    /// <inheritdoc/>
    public Task<IImmutableSet<string>> Rebalance(IImmutableDictionary<IActorRef, IImmutableList<string>> currentShardAllocations, IImmutableSet<string> rebalanceInProgress)
    {
        // A move that is over has its partition's home taken away in the same step. Twice, since its end may be on its way.
        var homeless = rebalanceInProgress.Except(currentShardAllocations.Values.SelectMany(static s => s));
        foreach (var partition in homeless.Where(_homeless.Contains))
            endMove(partition);
        _homeless = [.. homeless];

        // A move needs every member's word.
        if (!hub.Members.AllReachable)
            return None;
        if (currentShardAllocations.Keys.Any(IsDraining))
        {
            if (currentShardAllocations.Keys.All(IsDraining))
                return None;
            var moving = currentShardAllocations.Where(r => IsDraining(r.Key)).SelectMany(r => r.Value).Where(s => !rebalanceInProgress.Contains(s));
            return Task.FromResult<IImmutableSet<string>>(moving.Take(MaxMoving - rebalanceInProgress.Count).ToImmutableHashSet());
        }

        var now = hub.ElapsedUs();
        if (now - _evenedUs < (long)EvenInterval.TotalMicroseconds)
            return None;
        _evenedUs = now;
        return even.Rebalance(currentShardAllocations, rebalanceInProgress);
    }

    private bool IsDraining(IActorRef region) => hub.Members.Draining.Contains(region.Path.Address.HasLocalScope ? self : region.Path.Address);
}
