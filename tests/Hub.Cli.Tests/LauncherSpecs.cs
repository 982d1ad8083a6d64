using System.Diagnostics;
using System.Reflection;

namespace Hub.Cli.Tests;

/// <summary>The script at the repository's root, with a stand-in for the SDK.</summary>
public sealed class LauncherSpecs : IDisposable
{
    private const string StandIn = """
        #!/bin/sh
        if [ "$1" = build ]; then
            echo "building noise"
            [ -z "${FAIL_BUILD:-}" ] || { echo "error CS0000: broken"; exit 1; }
            mkdir -p "$(dirname "$2")/bin/Release/net10.0"
            : > "$(dirname "$2")/bin/Release/net10.0/Hub.Cli.dll"
            echo built >> "$(dirname "$2")/count"
            exit 0
        fi
        shift
        printf '%s|' "$@"
        exit 7
        """;

    private readonly string _root = Directory.CreateTempSubdirectory("hub launcher ").FullName;

    public LauncherSpecs()
    {
        if (OperatingSystem.IsWindows())
            return;
        var repository = typeof(LauncherSpecs).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().First(a => a.Key == "RepoRoot").Value!;
        File.Copy(Path.Combine(repository, "hub"), Path.Combine(_root, "hub"));
        Directory.CreateDirectory(Path.Combine(_root, "src", "Hub.Cli"));
        Directory.CreateDirectory(Path.Combine(_root, "sdk"));
        File.WriteAllText(Path.Combine(_root, "sdk", "dotnet"), StandIn);
        foreach (var file in (string[])[Path.Combine(_root, "hub"), Path.Combine(_root, "sdk", "dotnet")])
            File.SetUnixFileMode(file, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
    }

    private string Count => Path.Combine(_root, "src", "Hub.Cli", "count");

    [SkippableFact]
    public async Task It_builds_once_and_passes_everything_on_from_anywhere_and_through_a_link()
    {
        Prerequisite.Require(!OperatingSystem.IsWindows(), "a POSIX shell script");
        (await RunAsync(Path.Combine(_root, "hub"), "exec", "n 1", "--", "it's")).ShouldBe((7, "exec|n 1|--|it's|", ""));
        File.CreateSymbolicLink(Path.Combine(_root, "sdk", "link"), "../hub");
        (await RunAsync(Path.Combine(_root, "sdk", "link"), "x")).ShouldBe((7, "x|", ""));
        File.ReadAllLines(Count).Length.ShouldBe(1);
        (await RunAsync(Path.Combine(_root, "hub"), ["x"], ("HUB_BUILD", "1"))).ShouldBe((7, "x|", ""));
        File.ReadAllLines(Count).Length.ShouldBe(2);
    }

    [SkippableFact]
    public async Task A_failed_build_is_shown_on_standard_error()
    {
        Prerequisite.Require(!OperatingSystem.IsWindows(), "a POSIX shell script");
        var (code, output, error) = await RunAsync(Path.Combine(_root, "hub"), ["x"], ("FAIL_BUILD", "1"));
        code.ShouldBe(1);
        output.ShouldBeEmpty();
        error.ShouldContain("error CS0000: broken");
    }

    public void Dispose() => Directory.Delete(_root, recursive: true);

    private Task<(int Code, string Output, string Error)> RunAsync(string program, params string[] args) => RunAsync(program, args, null);

    private async Task<(int Code, string Output, string Error)> RunAsync(string program, string[] args, (string Name, string Value)? variable)
    {
        var start = new ProcessStartInfo(program, args) { RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = Path.GetTempPath() };
        start.Environment["PATH"] = Path.Combine(_root, "sdk") + ":/usr/bin:/bin";
        if (variable is { } v)
            start.Environment[v.Name] = v.Value;
        using var process = Process.Start(start)!;
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        var output = process.StandardOutput.ReadToEndAsync(patience.Token);
        var error = process.StandardError.ReadToEndAsync(patience.Token);
        await process.WaitForExitAsync(patience.Token);
        return (process.ExitCode, await output, await error);
    }
}
