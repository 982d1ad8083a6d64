using System.Collections.Immutable;
using Akka.Actor;
using AkkaHub.V1;

namespace Hub.Actors.Members;

/// <summary>
/// What this member's actors and services ask about the members without asking an actor. Filled by <see cref="MembersActor"/>; thread-safe.
/// A hub by itself, and a spec without a cluster, is its only member.
/// </summary>
public sealed class MemberDirectory
{
    /// <summary>Most addresses a node is told.</summary>
    public const int MaxAddresses = 64;

    private HubMembers? _known;
    private HubMembers? _elsewhere;
    private ImmutableHashSet<Address> _draining = [];
    private bool _someUnreachable;
    private int _lowestWire = HubVersion.Wire;

    /// <summary>The lowest wire version among the members, those that are joining or leaving included, and no more than the store has recorded.</summary>
    public int LowestWire => Volatile.Read(ref _lowestWire);

    /// <summary>Whether every member reads forms that came with a version.</summary>
    public bool AllRead(int version) => LowestWire >= version;

    /// <summary>What nodes are told of the members; null for a hub by itself. Not changed after it is given.</summary>
    public HubMembers? Known => Volatile.Read(ref _known);

    /// <summary>The same without this member; null if nobody takes its nodes because no other full member is there.</summary>
    public HubMembers? Elsewhere => Volatile.Read(ref _elsewhere);

    /// <summary>Members that said that they take no new streams and will leave.</summary>
    public ImmutableHashSet<Address> Draining => Volatile.Read(ref _draining);

    /// <summary>Whether every member can be reached, as far as this one knows.</summary>
    public bool AllReachable => !Volatile.Read(ref _someUnreachable);

    /// <summary>This member is one of several: until it knows the others, they may be of any build.</summary>
    public void ExpectOthers() => SetLowestWire(WireForms.First);

    internal void SetLowestWire(int version) => Volatile.Write(ref _lowestWire, version);

    internal void SetState(ImmutableHashSet<Address> draining, bool allReachable)
    {
        Volatile.Write(ref _draining, draining);
        Volatile.Write(ref _someUnreachable, !allReachable);
    }

    internal void Set(HubMembers? known, bool fullElsewhere = true)
    {
        var others = known is null || !fullElsewhere ? null : new HubMembers { Self = known.Self, Machine = known.Machine };
        others?.Addresses.Add(known!.Addresses.Where(a => a != known.Self));
        Volatile.Write(ref _elsewhere, others is { Addresses.Count: > 0 } ? others : null);
        Volatile.Write(ref _known, known);
    }
}
