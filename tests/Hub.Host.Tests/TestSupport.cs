using System.Security.Cryptography;
using Hub.Host.Hosting;
using Hub.Host.Settings;

namespace Hub.Host.Tests;

/// <summary>A directory that is gone after the test.</summary>
public sealed class TemporaryDirectory : IDisposable
{
    /// <summary>Its path.</summary>
    public string Path { get; } = Directory.CreateTempSubdirectory("akkahub-").FullName;

    /// <summary>A path in it.</summary>
    public string this[string name] => System.IO.Path.Combine(Path, name);

    /// <summary>SHA-256 of every file in it, but of the lock and of SQLite's index of its log, which is rebuilt at will.</summary>
    public IReadOnlyDictionary<string, string> Hashes() =>
        Directory.EnumerateFiles(Path, "*", SearchOption.AllDirectories)
            .Where(f => !f.EndsWith("-shm", StringComparison.Ordinal) && !f.EndsWith("hub.lock", StringComparison.Ordinal))
            .ToDictionary(f => f, f => Convert.ToHexString(SHA256.HashData(File.ReadAllBytes(f))));

    public void Dispose()
    {
        Microsoft.Data.Sqlite.SqliteConnection.ClearAllPools();
        Directory.Delete(Path, recursive: true);
    }
}

internal static class TestSupport
{
    /// <summary>How long anything may take before a test fails; generous, for busy machines.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    /// <summary>The root of the repository.</summary>
    public static string RepositoryRoot
    {
        get
        {
            var at = new DirectoryInfo(AppContext.BaseDirectory);
            while (!File.Exists(Path.Combine(at!.FullName, "AkkaHub.sln")))
                at = at.Parent;
            return at.FullName;
        }
    }

    /// <summary>Arguments of a hub that disturbs no other one on this machine.</summary>
    public static string[] Isolated(string dataDirectory, params string[] more) =>
        ["--data-dir", dataDirectory, "--grpc-port", "0", "--http-port", "0", "--remote-port", "0", "--local-node", "off", .. more];

    /// <summary>Binds with nothing but what is given.</summary>
    public static BoundSettings Bind(string[] arguments, params (string Name, string Value)[] environment) =>
        HubSettingsBinder.Bind(CommandLine.Parse(arguments), environment.ToDictionary(e => e.Name, e => e.Value));

    /// <summary>Runs the program's entry point.</summary>
    public static async Task<(int Code, string Output, string Error)> RunAsync(
        string[] arguments, Func<HubStart, WebApplication>? build = null, params (string Name, string Value)[] environment)
    {
        var (output, error) = (new StringWriter(), new StringWriter());
        var code = await HubProgram.RunAsync(arguments, environment.ToDictionary(e => e.Name, e => e.Value), output, error,
            build ?? (_ => throw new InvalidOperationException("nothing was to be built")));
        return (code, output.ToString(), error.ToString());
    }
}
