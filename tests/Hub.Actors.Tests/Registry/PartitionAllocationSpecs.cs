using System.Collections.Immutable;
using Akka.Actor;
using Akka.Cluster.Sharding;
using Hub.Actors.Members;
using Hub.Actors.Registry;
using Hub.Actors.Settings;
using Hub.Actors.Telemetry;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;

namespace Hub.Actors.Tests.Registry;

/// <summary>Where partitions go, and which of them move: by what is known of three members, of which this one's region has no address.</summary>
public sealed class PartitionAllocationSpecs
{
    private static readonly Address Self = new("akka.tcp", "hub", "127.0.0.1", 1);
    private static readonly Address Second = new("akka.tcp", "hub", "127.0.0.1", 2);
    private static readonly Address Third = new("akka.tcp", "hub", "127.0.0.1", 3);
    private static readonly IActorRef Own = new Region(new Address("akka", "hub"));
    private static readonly IActorRef Other = new Region(Second);
    private static readonly IActorRef Last = new Region(Third);

    private readonly FakeTimeProvider _time = new();
    private readonly HubRuntime _hub;
    private readonly EvenStandIn _even = new();
    private readonly PartitionAllocation _allocation;
    private readonly List<string> _ended = [];

    public PartitionAllocationSpecs()
    {
        _hub = new HubRuntime(new HubSettings(), new HubMetrics(), new Readiness(), _time, NullLogger.Instance);
        _allocation = new PartitionAllocation(_hub, Self, _even, _ended.Add);
    }

    private static ImmutableDictionary<IActorRef, IImmutableList<string>> Homes(int own, int other, int last)
    {
        var next = 0;
        IImmutableList<string> Take(int count) => [.. Enumerable.Range(0, count).Select(_ => $"{next++}")];
        return ImmutableDictionary<IActorRef, IImmutableList<string>>.Empty.Add(Own, Take(own)).Add(Other, Take(other)).Add(Last, Take(last));
    }

    private async Task<IEnumerable<int>> MovingAsync(ImmutableDictionary<IActorRef, IImmutableList<string>> homes, params int[] alreadyMoving) =>
        (await _allocation.Rebalance(homes, [.. alreadyMoving.Select(p => $"{p}")])).Select(int.Parse).Order();

    [Fact]
    public async Task A_member_that_drains_gives_its_partitions_up_some_at_a_time()
    {
        var homes = Homes(own: 3, other: 9, last: 1);
        _hub.Members.SetState([Second], allReachable: true);
        (await MovingAsync(homes)).ShouldBe([3, 4]);
        (await MovingAsync(homes, 3)).ShouldBe([4]);
        (await MovingAsync(homes, 3, 4)).ShouldBeEmpty();
        // More may be on their way than move at a time: the region ends meanwhile.
        (await MovingAsync(homes, 3, 4, 5, 6, 7, 8)).ShouldBeEmpty();
        _hub.Members.SetState([Self], allReachable: true);
        (await MovingAsync(homes)).ShouldBe([0, 1]);
        _even.Asked.ShouldBe(0);
    }

    [Fact]
    public async Task A_member_that_drains_is_given_none()
    {
        var homes = Homes(own: 0, other: 5, last: 5);
        _hub.Members.SetState([Self, Third], allReachable: true);
        (await _allocation.AllocateShard(Other, "40", homes)).ShouldBe(Other);
        _even.Offered.ShouldBe([Other]);
        // If all drain, somebody keeps them until the end.
        _hub.Members.SetState([Self, Second, Third], allReachable: true);
        await _allocation.AllocateShard(Other, "40", homes);
        _even.Offered.Count.ShouldBe(3);
        (await MovingAsync(homes)).ShouldBeEmpty();
    }

    [Fact]
    public async Task Nothing_moves_while_a_member_cannot_be_reached()
    {
        var homes = Homes(own: 3, other: 9, last: 1);
        _time.Advance(TimeSpan.FromMinutes(1));
        _hub.Members.SetState([Second], allReachable: false);
        (await MovingAsync(homes)).ShouldBeEmpty();
        _hub.Members.SetState([], allReachable: false);
        (await MovingAsync(homes)).ShouldBeEmpty();
        _even.Asked.ShouldBe(0);
    }

    [Fact]
    public async Task Where_nobody_drains_they_spread_evenly_every_three_seconds()
    {
        var homes = Homes(own: 3, other: 9, last: 1);
        (await MovingAsync(homes)).ShouldBeEmpty();
        _time.Advance(TimeSpan.FromSeconds(3));
        (await MovingAsync(homes)).ShouldBe([12]);
        (await MovingAsync(homes)).ShouldBeEmpty();
        _time.Advance(TimeSpan.FromSeconds(3));
        (await MovingAsync(homes)).ShouldBe([12]);
    }

    [Fact]
    public async Task The_move_of_a_partition_whose_member_has_died_is_ended()
    {
        var homes = Homes(own: 3, other: 3, last: 1);
        // The member of 7 and 8 is there no more.
        await MovingAsync(homes, 3, 7);
        _ended.ShouldBeEmpty();
        await MovingAsync(homes, 3, 7, 8);
        _ended.ShouldBe(["7"]);
        _hub.Members.SetState([], allReachable: false);
        await MovingAsync(homes, 3, 7, 8);
        _ended.ShouldBe(["7", "7", "8"], ignoreOrder: true);
        // Its move has ended, or its home is elsewhere.
        await MovingAsync(homes, 3);
        await MovingAsync(homes, 3, 7);
        _ended.Count.ShouldBe(3);
    }

    private sealed class EvenStandIn : IShardAllocationStrategy
    {
        public int Asked { get; private set; }
        public IReadOnlyCollection<IActorRef> Offered { get; private set; } = [];

        public Task<IActorRef> AllocateShard(IActorRef requester, string shardId, IImmutableDictionary<IActorRef, IImmutableList<string>> currentShardAllocations)
        {
            Offered = [.. currentShardAllocations.Keys];
            return Task.FromResult(Offered.First());
        }

        public Task<IImmutableSet<string>> Rebalance(IImmutableDictionary<IActorRef, IImmutableList<string>> currentShardAllocations, IImmutableSet<string> rebalanceInProgress)
        {
            Asked++;
            return Task.FromResult<IImmutableSet<string>>(ImmutableHashSet.Create("12"));
        }
    }

    private sealed class Region(Address member) : MinimalActorRef
    {
        public override ActorPath Path { get; } = new RootActorPath(member) / "system" / "sharding" / "nodes";
        public override IActorRefProvider Provider => throw new NotSupportedException();
    }
}
