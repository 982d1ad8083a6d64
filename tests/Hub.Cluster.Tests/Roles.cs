using System.Globalization;
using AkkaHub.V1;
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
    /// <summary>The number of the member that is it, in a whole cluster with one node.</summary>
    /// <exception cref="OperationCanceledException">It was not whole, or did not say, in time.</exception>
    public static async Task<int> FindAsync(TestCluster cluster, Role role, TimeSpan patience)
    {
        using var client = new HubClient(cluster.Members[0]);
        using var late = new CancellationTokenSource(patience);
        while (true)
        {
            var seen = (await client.CallAsync((s, h) => s.ListMembersAsync(new ListMembersRequest(), h))).Members;
            if (seen.Count(m => m.State == MemberState.Up && m.UnreachableBy.Count == 0) == cluster.Members.Count
                && seen.Sum(m => m.Nodes) == 1 && seen.Sum(m => m.NodeStreams) == 1 && seen.Any(m => m.Oldest))
            {
                var found = role switch
                {
                    Role.Oldest => seen.Single(m => m.Oldest),
                    Role.Youngest => seen.MaxBy(m => m.StartTime.ToDateTime())!,
                    Role.HoldsThePartition => seen.Single(m => m.Nodes == 1),
                    _ => seen.Single(m => m.NodeStreams == 1),
                };
                return cluster.Members.ToList().FindIndex(m => found.Address.EndsWith($":{m.RemotePort.ToString(CultureInfo.InvariantCulture)}", StringComparison.Ordinal));
            }

            await Task.Delay(TimeSpan.FromMilliseconds(100), late.Token);
        }
    }
}
