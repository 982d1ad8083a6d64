using System.Globalization;
using System.Text.RegularExpressions;
using AkkaHub.V1;
using Hub.Load.Processes;
using Hub.SystemTests.Harness;

namespace Hub.ClusterTests;

/// <summary>What a member is to the others, or to the only node.</summary>
internal enum Role
{
    /// <summary>It holds what there is one of.</summary>
    Oldest,
    /// <summary>It started last.</summary>
    Youngest,
    /// <summary>The node's history is there.</summary>
    HoldsThePartition,
    /// <summary>The node has dialled it.</summary>
    CarriesTheStream,
}

/// <summary>Finds members by what they are.</summary>
internal static class Roles
{
    /// <summary>
    /// The number of the member that is it, in a whole cluster to which one node is connected. Other nodes may be known from specs before: who holds
    /// the partition of this one is known by its newest session, which the member says that has it.
    /// </summary>
    /// <param name="cluster">All its members run.</param>
    /// <param name="log">Begun before the node came.</param>
    /// <param name="node">The node's name.</param>
    /// <param name="role">What is looked for.</param>
    /// <param name="patience">How long it may take.</param>
    /// <exception cref="OperationCanceledException">It was not whole, or did not say, in time.</exception>
    public static async Task<int> FindAsync(TestCluster cluster, LogSinceNow log, string node, Role role, TimeSpan patience)
    {
        using var client = new HubClient(cluster.Members[0]);
        using var late = new CancellationTokenSource(patience);
        while (true)
        {
            var seen = (await client.CallAsync((s, h) => s.ListMembersAsync(new ListMembersRequest(), h))).Members;
            var holder = await HolderAsync(cluster, log, node);
            if (seen.Count(m => m.State == MemberState.Up && m.UnreachableBy.Count == 0) == cluster.Members.Count
                && holder is not null && seen.Sum(m => m.NodeStreams) == 1 && seen.Any(m => m.Oldest))
            {
                var found = role switch
                {
                    Role.Oldest => seen.Single(m => m.Oldest),
                    Role.Youngest => seen.MaxBy(m => m.StartTime.ToDateTime())!,
                    Role.HoldsThePartition => seen.Single(m => IsOf(m, holder)),
                    _ => seen.Single(m => m.NodeStreams == 1),
                };
                return cluster.Members.ToList().FindIndex(m => IsOf(found, m));
            }

            await Task.Delay(TimeSpan.FromMilliseconds(100), late.Token);
        }
    }

    /// <summary>Whether this is what the members call it.</summary>
    public static bool IsOf(ClusterMember seen, HubProcess member) =>
        seen.Address.EndsWith($":{member.RemotePort.ToString(CultureInfo.InvariantCulture)}", StringComparison.Ordinal);

    // The node's actor says that a session began; a partition that moves begins another one where it is then.
    private static async Task<HubProcess?> HolderAsync(TestCluster cluster, LogSinceNow log, string node)
    {
        var (holder, newest) = ((HubProcess?)null, -1L);
        foreach (var member in cluster.Members)
        {
            foreach (Match said in Regex.Matches(await log.OfAsync(member), $"Node {Regex.Escape(node)}: session ([0-9]+) began"))
            {
                if (long.Parse(said.Groups[1].Value, CultureInfo.InvariantCulture) is var epoch && epoch > newest)
                    (holder, newest) = (member, epoch);
            }
        }

        return holder;
    }
}
