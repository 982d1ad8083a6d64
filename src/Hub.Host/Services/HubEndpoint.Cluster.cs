using Akka.Actor;
using Akka.Cluster;
using AkkaHub.V1;
using Grpc.Core;
using Hub.Actors;
using Hub.Actors.Members;
using Hub.Protocol;

namespace Hub.Host.Services;

// The members of the cluster.
public sealed partial class HubEndpoint
{
    private const int MaxMemberName = 300;
    private static readonly TimeSpan MembersTimeout = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan StopAskTimeout = TimeSpan.FromSeconds(5);

    /// <inheritdoc/>
    public override async Task<ListMembersResponse> ListMembers(ListMembersRequest request, ServerCallContext context)
    {
        var view = await MembersAsync(context.CancellationToken).ConfigureAwait(false);
        return new ListMembersResponse { Members = { view.Members.Select(ToWire) }, LowestWireVersion = view.LowestWire };
    }

    /// <inheritdoc/>
    public override async Task<ChangeMemberResponse> ChangeMember(ChangeMemberRequest request, ServerCallContext context)
    {
        if (request.Member.Length is 0 or > MaxMemberName)
            throw HubErrors.InvalidField("member", $"must be 1 to {MaxMemberName} characters: an address or client address of a member, or the beginning of one");
        var view = await MembersAsync(context.CancellationToken).ConfigureAwait(false);
        var member = Find(view.Members, request.Member);
        switch (request.Change)
        {
            case MemberChange.Drain:
                await StopAsync(member, MemberStop.Drain, context.CancellationToken).ConfigureAwait(false);
                break;
            case MemberChange.Leave:
                await StopAsync(member, MemberStop.Leave, context.CancellationToken).ConfigureAwait(false);
                break;
            case MemberChange.Down when member is { Reachable: true, State: not MemberStatus.Down } && !request.Force:
                throw HubErrors.Create(StatusCode.FailedPrecondition, ErrorReasons.MemberReachable,
                    $"Member {member.HostPort} can be reached. Let it leave in order (drain); down is for one that does not answer. With force it is marked all the same, stops serving and ends with exit code {ExitCodes.Downed}.");
            case MemberChange.Down:
                Cluster.Get(system).Down(member.Address);
                break;
            default:
                throw HubErrors.InvalidField("change", "must be DRAIN, LEAVE or DOWN");
        }

        return new ChangeMemberResponse { Member = ToWire(member) };
    }

    /// <summary>The member that an address, a client address or the beginning of either names. A beginning ends where a part of the address does.</summary>
    internal static MemberView Find(IReadOnlyList<MemberView> all, string name)
    {
        var exact = all.Where(m => m.HostPort == name || ClientOf(m) == name).ToArray();
        var fitting = exact.Length > 0
            ? exact
            : [.. all.Where(m => Begins(m.HostPort, name) || Begins(ClientOf(m), name))];
        if (fitting.Length == 1)
            return fitting[0];
        // An address that came back while its former life is still in the list.
        if (fitting.Length == 2 && fitting[0].HostPort == fitting[1].HostPort)
            return fitting.FirstOrDefault(m => m.State != MemberStatus.Down) ?? fitting[0];
        var known = string.Join(", ", (fitting.Length > 0 ? fitting : all).Select(m => ClientOf(m).Length == 0 ? m.HostPort : $"{m.HostPort} (client address {ClientOf(m)})"));
        throw fitting.Length > 0
            ? HubErrors.InvalidField("member", $"'{name}' fits several members: {known}")
            : HubErrors.Create(StatusCode.NotFound, ErrorReasons.MemberUnknown, $"No member '{name}' is known. There are: {known}.");
    }

    // host1 is not the beginning of host10.
    private static bool Begins(string address, string name) =>
        address.StartsWith(name, StringComparison.Ordinal) && (address.Length == name.Length || name[^1] is ':' or '.' or '/' || address[name.Length] is ':' or '.');

    private static string ClientOf(MemberView m) => m.Facts?.ClientAddress ?? "";

    private async Task StopAsync(MemberView member, MemberStop how, CancellationToken cancellationToken)
    {
        if (member is { Reachable: false } or { State: MemberStatus.Down })
            throw Unreachable(member, "does not answer. If it is gone for good, mark it with down");
        if (member.Wire < WireForms.Members)
            throw Unreachable(member, "is of a build that cannot be asked. Stop it where it runs (SIGTERM): that drains it");
        var asked = await members.GetAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            await asked.Ask<StopTaken>(new AskStop(member.Address, how), StopAskTimeout, cancellationToken).ConfigureAwait(false);
        }
        catch (AskTimeoutException)
        {
            throw Unreachable(member, $"did not answer within {StopAskTimeout.TotalSeconds:F0} s; whether it leaves is not known");
        }
    }

    private static RpcException Unreachable(MemberView member, string why) =>
        HubErrors.Create(StatusCode.FailedPrecondition, ErrorReasons.MemberUnreachable, $"Member {member.HostPort} {why}.");

    private async Task<MembersView> MembersAsync(CancellationToken cancellationToken)
    {
        var asked = await members.GetAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            return await asked.Ask<MembersView>(GetMembers.Instance, MembersTimeout, cancellationToken).ConfigureAwait(false);
        }
        catch (AskTimeoutException)
        {
            throw HubErrors.NotReady("the hub is busy; try again", MembersTimeout / 10);
        }
    }

    private static ClusterMember ToWire(MemberView m)
    {
        var member = new ClusterMember
        {
            Address = m.HostPort,
            ClientAddress = ClientOf(m),
            Role = m.Role,
            State = m.State switch
            {
                MemberStatus.Joining or MemberStatus.WeaklyUp => MemberState.Joining,
                MemberStatus.Up => MemberState.Up,
                MemberStatus.Leaving => MemberState.Leaving,
                MemberStatus.Exiting => MemberState.Exiting,
                _ => MemberState.Down,
            },
            Version = m.Facts?.Version ?? "",
            WireVersion = m.Wire,
            StartTime = (m.Facts?.StartedUnixUs ?? 0).ToTimestamp(),
            Partitions = m.Facts?.Partitions ?? 0,
            Nodes = m.Facts?.Nodes ?? 0,
            NodeStreams = m.Facts?.NodeStreams ?? 0,
            Draining = m.Facts?.Draining ?? false,
            Leader = m.Leader,
            Oldest = m.Oldest,
            Self = m.Self,
            HeardTime = m.HeardUnixUs.ToTimestamp(),
        };
        member.UnreachableBy.Add(m.UnreachableBy);
        // Of whoever said so last and is gone itself nothing is known but that it was said.
        if (!m.Reachable && m.UnreachableBy.Count == 0)
            member.UnreachableBy.Add("?");
        return member;
    }
}
