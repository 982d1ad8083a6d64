using AkkaHub.V1;
using Hub.Load.Nodes;
using Hub.Load.Processes;

namespace Hub.Load.Chaos;

/// <summary>Does faults to a cluster, and knows when it is whole again.</summary>
internal sealed class FaultMaker(LocalCluster cluster, NodeFleet fleet)
{
    private const int Kill = 9;
    private const int Terminate = 15;
    private const int Continue = 18;
    private const int Stop = 19;

    // A node's next chunk is at most half a second away, and a second is what an acknowledgement may take at any time.
    private static readonly TimeSpan Served = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan Ending = TimeSpan.FromSeconds(60);

    /// <summary>Does a fault; ends when it is over. A member that ended because of it is somebody else's to start.</summary>
    /// <returns>The number of the member it was done to; −1 for the store.</returns>
    public async Task<int> DoAsync(Fault fault)
    {
        if (fault.Kind == FaultKind.StoreOutage)
        {
            await cluster.Store.StopAsync().ConfigureAwait(false);
            await Task.Delay(fault.Length).ConfigureAwait(false);
            await cluster.Store.StartAsync().ConfigureAwait(false);
            return -1;
        }

        var member = await ChooseAsync(fault.Target).ConfigureAwait(false);
        var process = cluster.Members[member].Child;
        switch (fault.Kind)
        {
            case FaultKind.Kill or FaultKind.Stop:
                process.Send(fault.Kind == FaultKind.Kill ? Kill : Terminate);
                await process.WaitForExitAsync(Ending).ConfigureAwait(false);
                break;
            case FaultKind.Pause:
                process.Send(Stop);
                await Task.Delay(fault.Length).ConfigureAwait(false);
                process.Send(Continue);
                break;
            default:
                var ways = Enumerable.Range(0, cluster.Members.Count).Where(m => m != member)
                    .SelectMany(m => fault.Kind == FaultKind.Cut ? new[] { (member, m), (m, member) } : [(member, m)]).ToArray();
                var network = cluster.Network ?? throw new InvalidOperationException("members that are not apart cannot be cut off");
                foreach (var (from, to) in ways)
                    await network.CutAsync(from, to).ConfigureAwait(false);
                await Task.Delay(fault.Length).ConfigureAwait(false);
                foreach (var (from, to) in ways)
                    await network.MendAsync(from, to).ConfigureAwait(false);
                break;
        }

        return member;
    }

    /// <summary>Waits until every node has a session and what it sends is acknowledged, whatever the members are like.</summary>
    /// <exception cref="TimeoutException">It did not come to that.</exception>
    public Task WaitUntilServedAsync(TimeSpan timeout) => WaitUntilAsync(() => Task.FromResult(WhoIsWithout()), timeout);

    /// <summary>Waits until the members have about as many partitions each; the last of them move elsewhere in the seconds after a member came.</summary>
    /// <exception cref="TimeoutException">It did not come to that.</exception>
    public Task WaitUntilEvenAsync(TimeSpan timeout) => WaitUntilAsync(
        async () => await cluster.SeenByAsync(0).ConfigureAwait(false) is { Count: > 0 } seen && seen.Max(m => m.Partitions) - seen.Min(m => m.Partitions) <= 2 ? null : "partitions still move",
        timeout);

    /// <summary>Waits until all members serve and see each other, all nodes have a session, and what they send is acknowledged.</summary>
    /// <exception cref="TimeoutException">It took longer; the message says what was missing.</exception>
    public Task WaitUntilWholeAsync(TimeSpan timeout) => WaitUntilAsync(WhatIsMissingAsync, timeout);

    private static async Task WaitUntilAsync(Func<Task<string?>> whatIsMissing, TimeSpan timeout)
    {
        var began = TimeProvider.System.GetTimestamp();
        while (await whatIsMissing().ConfigureAwait(false) is { } missing)
        {
            if (TimeProvider.System.GetElapsedTime(began) > timeout)
                throw new TimeoutException($"not whole {timeout.TotalSeconds:F0} s after a fault: {missing}");
            await Task.Delay(Poll).ConfigureAwait(false);
        }
    }

    /// <summary>The member that a fault is for.</summary>
    public async Task<int> ChooseAsync(FaultTarget target)
    {
        for (var asked = 0; asked < cluster.Members.Count; asked++)
        {
            if (await cluster.SeenByAsync(asked).ConfigureAwait(false) is not { Count: > 0 } seen)
                continue;
            var chosen = target switch
            {
                FaultTarget.Oldest => seen.FirstOrDefault(m => m.Oldest) ?? seen[0],
                FaultTarget.Youngest => seen.MaxBy(m => m.StartTime?.ToDateTime() ?? DateTime.MinValue)!,
                _ => seen.MaxBy(m => m.Partitions)!,
            };
            return cluster.NumberOf(chosen);
        }

        throw new InvalidOperationException("no member says which members there are");
    }

    private async Task<string?> WhatIsMissingAsync()
    {
        for (var member = 0; member < cluster.Members.Count; member++)
        {
            if (!await cluster.Members[member].IsReadyAsync().ConfigureAwait(false))
                return $"member {member} is not ready";
            var seen = await cluster.SeenByAsync(member).ConfigureAwait(false);
            if (seen is null || seen.Count(m => m.State == MemberState.Up && m.UnreachableBy.Count == 0) < cluster.Members.Count)
                return $"member {member} sees {(seen is null ? "nothing" : string.Join(", ", seen.Select(m => $"{m.Address} {m.State} unreachable by {m.UnreachableBy.Count}")))}";
        }

        return WhoIsWithout();
    }

    private string? WhoIsWithout()
    {
        if (fleet.Online < fleet.Nodes.Count)
            return $"{fleet.Nodes.Count - fleet.Online} nodes have no session, among them {string.Join(", ", fleet.Nodes.Where(n => !n.IsOnline).Take(3).Select(n => n.Name))}; sessions ended: {fleet.DescribeEndings()}";
        var waiting = fleet.Nodes.Where(n => n.WaitsFor > Served).ToList();
        return waiting.Count == 0 ? null : $"{waiting.Count} nodes wait for an acknowledgement, {waiting[0].Name} for {waiting[0].WaitsFor.TotalSeconds:F0} s";
    }
}
