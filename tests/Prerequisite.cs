namespace Hub.Testing;

/// <summary>What a test needs beyond the SDK. The one place where a test is skipped.</summary>
internal static class Prerequisite
{
    /// <summary>Set where everything must run, as in CI.</summary>
    public static bool All { get; } = Environment.GetEnvironmentVariable("AKKAHUB_TEST_ALL") == "1";

    /// <summary>Set where everything must run at its full length.</summary>
    public static bool Long { get; } = Environment.GetEnvironmentVariable("AKKAHUB_TEST_LONG") == "1";

    /// <summary>Skips the test if something is missing; fails it if <c>AKKAHUB_TEST_ALL=1</c> says that nothing may be skipped.</summary>
    public static void Require(bool present, string what)
    {
        if (All)
            present.ShouldBeTrue(what);
#pragma warning disable RS0030 // Here it is meant.
        Skip.IfNot(present, what);
#pragma warning restore RS0030
    }

    /// <summary>The hub's assembly of the build before this one. Skips the test where nobody gives it, also in CI: <c>.ci/run</c> makes it, if the clone has its history.</summary>
    public static string PreviousBuild()
    {
        var directory = Environment.GetEnvironmentVariable("AKKAHUB_TEST_PREVIOUS") ?? "";
#pragma warning disable RS0030 // Here it is meant.
        Skip.If(directory.Length == 0, "AKKAHUB_TEST_PREVIOUS does not name the directory of an earlier build of the hub");
#pragma warning restore RS0030
        var assembly = Path.Combine(directory, "Hub.Host.dll");
        File.Exists(assembly).ShouldBeTrue($"AKKAHUB_TEST_PREVIOUS: there is no {assembly}");
        return assembly;
    }

    /// <summary>Skips or fails the test if a program is not on the PATH.</summary>
    public static void RequirePrograms(params ReadOnlySpan<string> programs)
    {
        var directories = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator);
        foreach (var program in programs)
            Require(directories.Any(d => File.Exists(Path.Combine(d, program))), $"{program} is not installed");
    }
}

/// <summary>A spec that takes tens of seconds: skipped, unless <c>AKKAHUB_TEST_ALL=1</c> or <c>AKKAHUB_TEST_LONG=1</c> says that there is time.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class SlowFactAttribute : SkippableFactAttribute
{
    /// <summary>Decides for this run.</summary>
    public SlowFactAttribute()
    {
        if (!Prerequisite.All && !Prerequisite.Long)
            Skip = "takes tens of seconds; AKKAHUB_TEST_ALL=1 runs it";
    }
}

/// <summary>A spec of a minute and more, of which the whole run (<c>AKKAHUB_TEST_ALL=1</c>) sees a part in shorter ones; runs with <c>AKKAHUB_TEST_LONG=1</c>.</summary>
internal sealed class LongFactAttribute : SkippableFactAttribute
{
    /// <summary>Decides for this run.</summary>
    public LongFactAttribute()
    {
        if (!Prerequisite.Long)
            Skip = "takes a minute and more; AKKAHUB_TEST_LONG=1 runs it";
    }
}
