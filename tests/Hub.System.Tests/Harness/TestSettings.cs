using Xunit.Abstractions;

namespace Hub.SystemTests.Harness;

/// <summary>What the environment asks of a run; docs/testing.md names the variables.</summary>
public static class TestSettings
{
    /// <summary>Full lengths: twenty kills, two gigabytes, two thousand nodes.</summary>
    public static bool Long { get; } = Prerequisite.Long;

    /// <summary>Data and logs stay in the temporary directory.</summary>
    public static bool Keep { get; } = Environment.GetEnvironmentVariable("AKKAHUB_TEST_KEEP") == "1";

    /// <summary>The seed of a test: a given one, or a new one. It is printed, so that a run can be repeated.</summary>
    public static int Seed(ITestOutputHelper output)
    {
        var seed = int.TryParse(Environment.GetEnvironmentVariable("AKKAHUB_TEST_SEED"), out var given) ? given : Random.Shared.Next(1, 1_000_000);
        output.WriteLine($"AKKAHUB_TEST_SEED={seed}");
        return seed;
    }
}
