namespace Hub.Testing;

/// <summary>What a test needs beyond the SDK. The one place where a test is skipped.</summary>
internal static class Prerequisite
{
    /// <summary>Set where everything must run, as in CI.</summary>
    private const string AllVariable = "AKKAHUB_TEST_ALL";

    /// <summary>Skips the test if something is missing; fails it if <c>AKKAHUB_TEST_ALL=1</c> says that nothing may be skipped.</summary>
    public static void Require(bool present, string what)
    {
        if (Environment.GetEnvironmentVariable(AllVariable) == "1")
            present.ShouldBeTrue(what);
#pragma warning disable RS0030 // Here it is meant.
        Skip.IfNot(present, what);
#pragma warning restore RS0030
    }

    /// <summary>Skips or fails the test if a program is not on the PATH.</summary>
    public static void RequirePrograms(params ReadOnlySpan<string> programs)
    {
        var directories = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator);
        foreach (var program in programs)
            Require(directories.Any(d => File.Exists(Path.Combine(d, program))), $"{program} is not installed");
    }
}
