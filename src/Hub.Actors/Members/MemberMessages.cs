using Akka.Actor;
using Hub.Actors.Nodes;

namespace Hub.Actors.Members;

/// <summary>What a member says of itself. What all know from the cluster (state, role, leader) is not among it.</summary>
/// <param name="ClientAddress">What nodes and clients dial: host:port or a URL; empty while it does not listen.</param>
/// <param name="Version">Version of its build.</param>
/// <param name="StartedUnixUs">When it started, its clock, microseconds since the Unix epoch.</param>
/// <param name="NodeStreams">Streams of nodes it carries.</param>
/// <param name="Partitions">Partitions it holds.</param>
/// <param name="Nodes">Nodes of these partitions.</param>
/// <param name="Draining">It takes no new streams.</param>
/// <param name="Unreachable">Members that it cannot reach itself, as addresses of the cluster.</param>
public sealed record MemberFacts(
    string ClientAddress, string Version, long StartedUnixUs, int NodeStreams, int Partitions, int Nodes, bool Draining, IReadOnlyList<string> Unreachable);

/// <summary>A member tells another one how it is: at each change that matters, and every few seconds.</summary>
/// <param name="Facts">How it is.</param>
public sealed record TellFacts(MemberFacts Facts) : ICrossesMembers;

/// <summary>How a member is to leave.</summary>
public enum MemberStop
{
    /// <summary>Its nodes are moved in groups first.</summary>
    Drain = 1,
    /// <summary>Its streams end at once.</summary>
    Leave = 2,
}

/// <summary>A member is to leave; answered with <see cref="StopTaken"/>.</summary>
/// <param name="How">How.</param>
public sealed record StopMember(MemberStop How) : ICrossesMembers;

/// <summary>It does, from now on.</summary>
public sealed record StopTaken : ICrossesMembers
{
    /// <summary>The one instance.</summary>
    public static StopTaken Instance { get; } = new();
}

/// <summary>Asks this member's <see cref="MembersActor"/> what it knows; answered with <see cref="MembersView"/>.</summary>
public sealed record GetMembers
{
    /// <summary>The one instance.</summary>
    public static GetMembers Instance { get; } = new();
}

/// <summary>The members as this one sees them.</summary>
/// <param name="Members">By address.</param>
/// <param name="LowestWire">The lowest wire version among them.</param>
public sealed record MembersView(IReadOnlyList<MemberView> Members, int LowestWire);

/// <summary>One member as another one sees it.</summary>
/// <param name="Address">Its address in the cluster.</param>
/// <param name="Role">One of <see cref="MemberRoles"/>.</param>
/// <param name="State">Where it is in its life.</param>
/// <param name="Reachable">Whether nobody says that it cannot be reached.</param>
/// <param name="Wire">Its wire version.</param>
/// <param name="Facts">What it said of itself; null if it has not yet.</param>
/// <param name="HeardUnixUs">When it last did; 0 for never.</param>
/// <param name="UnreachableBy">Who says that it cannot reach it.</param>
/// <param name="Leader">It leads the cluster.</param>
/// <param name="Oldest">It is the oldest full member.</param>
/// <param name="Self">It is this one.</param>
public sealed record MemberView(
    Address Address, string Role, Akka.Cluster.MemberStatus State, bool Reachable, int Wire, MemberFacts? Facts, long HeardUnixUs,
    IReadOnlyList<string> UnreachableBy, bool Leader, bool Oldest, bool Self)
{
    /// <summary>host:port.</summary>
    public string HostPort => $"{Address.Host}:{Address.Port}";
}

/// <summary>Has another member, or this one, leave; answered with <see cref="StopTaken"/>, or by nobody if it does not hear it.</summary>
/// <param name="Member">Which; one that reads <see cref="WireForms.Members"/>.</param>
/// <param name="How">How.</param>
public sealed record AskStop(Address Member, MemberStop How);

/// <summary>Something of this member changed that the others are to know at once.</summary>
public sealed record RefreshFacts
{
    /// <summary>The one instance.</summary>
    public static RefreshFacts Instance { get; } = new();
}

/// <summary>The addresses that nodes may dial changed; told to the bridges.</summary>
/// <param name="Members">As they are now.</param>
public sealed record MembersChanged(AkkaHub.V1.HubMembers Members);
