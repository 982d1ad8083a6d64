using Hub.Load.Processes;
using Hub.SystemTests.Harness;
using Xunit.Abstractions;

namespace Hub.ClusterTests;

/// <summary>A member that was killed and is started again at its address, at any moment of what the others do about it.</summary>
[Collection(SharedCluster.Collection)]
public sealed class RestartSpecs(ITestOutputHelper output, SharedCluster shared)
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    // A link that nobody reads is noticed, and has cost both ends, within 9 s.
    private static readonly TimeSpan Noticed = TimeSpan.FromSeconds(10);

    [SlowFact]
    public async Task A_member_that_is_killed_and_started_again_joins_and_costs_no_other()
    {
        var random = new Random(TestSettings.Seed(output));
        var cluster = await shared.WholeAsync(output);
        var log = new LogSinceNow(cluster);
        for (var round = 0; round < (TestSettings.Long ? 12 : 2); round++)
        {
            // Before the others miss it, while they wait, and after they have downed it.
            var delay = TimeSpan.FromSeconds(random.NextDouble() * (TestSettings.Long ? 10 : 3));
            var member = random.Next(cluster.Members.Count);
            await cluster.Members[member].KillAsync();
            await Task.Delay(delay);
            var took = await cluster.Members[member].StartAndWaitAsync(Patience);
            output.WriteLine($"member {member + 1} killed, started after {delay.TotalSeconds:F1} s, ready {took.TotalSeconds:F1} s later");
            AllRun(cluster);
        }

        var began = TimeProvider.System.GetTimestamp();
        while (TimeProvider.System.GetElapsedTime(began) < Noticed)
        {
            AllRun(cluster);
            await Task.Delay(TimeSpan.FromMilliseconds(100));
        }

        await log.HasNoneAsync("Stops serving at once");
        await cluster.OldestFirstAsync();
        (await cluster.QueryAsync("SELECT count(*) FROM akkahub_member WHERE NOT fenced")).ShouldBe("3");
    }

    private static void AllRun(TestCluster cluster)
    {
        foreach (var member in cluster.Members)
            member.Child.HasExited.ShouldBeFalse(member.DescribeTail());
    }
}
