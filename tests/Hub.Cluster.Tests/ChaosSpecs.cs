using Hub.Load.Chaos;
using Hub.Load.Measuring;
using Hub.Load.Processes;
using Hub.Load.Scenarios;
using Hub.SystemTests.Harness;
using Xunit.Abstractions;

namespace Hub.ClusterTests;

/// <summary>The chaos run of the load generator in its short form: every kind of fault twice.</summary>
public sealed class ChaosSpecs(ITestOutputHelper output)
{
    private const int Faults = 12;
    private const int Nodes = 60;

    [SlowFact]
    public async Task Nothing_is_lost_or_doubled_and_nobody_reported_down_under_twelve_faults()
    {
        Prerequisite.RequirePrograms("openssl", "ip");
        Prerequisite.Require(await MemberNetwork.WhyNotAsync() is null, "network namespaces, which need root");
        var report = new Report();
        using var context = new BenchmarkContext(new BenchmarkOptions
        {
            Nodes = Nodes,
            Faults = Faults,
            Brief = !TestSettings.Long,
            Seed = TestSettings.Seed(output),
            KeepData = TestSettings.Keep,
        }, report);
        try
        {
            await ChaosRun.RunAsync(context);
        }
        finally
        {
            foreach (var line in report.Lines())
                output.WriteLine(line);
        }

        report.Figures.Where(f => f.Met == false).ShouldBeEmpty();
        foreach (var kind in Enum.GetNames<FaultKind>())
            report.Figures.Single(f => f.Name == kind).Value.ShouldBe(2);
    }
}
