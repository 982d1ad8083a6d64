using System.Globalization;
using Hub.Load.Processes;
using Hub.SystemTests.Harness;
using Xunit.Abstractions;

namespace Hub.ClusterTests;

/// <summary>The script that starts a cluster to try.</summary>
public sealed class LocalClusterSpecs(ITestOutputHelper output)
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(120);
    private const int Terminate = 15;

    [SlowFact]
    public async Task It_starts_a_server_and_three_members_ends_them_in_order_and_goes_on_where_they_were()
    {
        Prerequisite.RequirePrograms("openssl", "curl");
        // Otherwise the script says so, and what to install.
        await using (await PostgresServer.StartNewAsync())
        {
        }

        await using var workspace = new Workspace(output);
        // Where the server's user can go, too, as in the directories that the script takes by itself.
        var directory = Path.Combine(Path.GetTempPath(), $"akkahub-cluster-{Environment.ProcessId.ToString(CultureInfo.InvariantCulture)}");
        var port = FreePorts();
        try
        {
            await RunAsync(workspace, directory, port, async () =>
            {
                var made = await HubAsync(workspace, directory, 1, "token", "create", "--type", "client", "-o", "name");
                made.Code.ShouldBe(0, made.Text);
                var (code, text) = await HubAsync(workspace, directory, 2, "cluster", "show");
                code.ShouldBe(0, text);
                text.Split('\n').Count(l => l.Contains(" up ", StringComparison.Ordinal)).ShouldBe(3, text);
            });
            await RunAsync(workspace, directory, port, async () =>
            {
                var (code, text) = await HubAsync(workspace, directory, 3, "token", "list");
                code.ShouldBe(0, text);
                text.ShouldContain("client");
            });
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    private static async Task RunAsync(Workspace workspace, string directory, int port, Func<Task> then)
    {
        await using var script = ChildProcess.Start("bash",
            [Path.Combine(RepositoryPaths.Root, "deploy", "local-cluster"), directory, port.ToString(CultureInfo.InvariantCulture)],
            new Dictionary<string, string?>(), workspace.PathOf("local-cluster.log"), workspace.Root);
        try
        {
            using var late = new CancellationTokenSource(Patience);
            while (!script.Tail.Any(l => l.StartsWith("member3 is ready", StringComparison.Ordinal)))
            {
                script.HasExited.ShouldBeFalse(string.Join('\n', script.Tail));
                await Task.Delay(TimeSpan.FromMilliseconds(100), late.Token);
            }

            await then();
        }
        finally
        {
            if (!script.HasExited)
                script.Send(Terminate);
            (await script.WaitForExitAsync(Patience)).ShouldBe(0, string.Join('\n', script.Tail));
        }

        for (var member = 1; member <= 3; member++)
            (await File.ReadAllTextAsync(Path.Combine(directory, $"member{member}.log"))).TrimEnd().ShouldEndWith("Stopped");
        Directory.GetFiles(Path.Combine(directory, "postgres", "data"), "postmaster.pid").ShouldBeEmpty("the server has ended");
    }

    private static async Task<(int Code, string Text)> HubAsync(Workspace workspace, string directory, int member, params string[] arguments)
    {
        await using var hub = ChildProcess.Start("dotnet", [RepositoryPaths.Program("Hub.Cli"), "--data-dir", Path.Combine(directory, $"member{member}"), .. arguments],
            new Dictionary<string, string?> { ["AKKAHUB_ADDR"] = null, ["AKKAHUB_TOKEN"] = null, ["NO_COLOR"] = "1" }, workspace.PathOf("cli.log"), workspace.Root);
        return (await hub.WaitForExitAsync(Patience), string.Join('\n', hub.Tail));
    }

    private static int FreePorts()
    {
        var used = System.Net.NetworkInformation.IPGlobalProperties.GetIPGlobalProperties().GetActiveTcpListeners().Select(e => e.Port).ToHashSet();
        while (true)
        {
            // Below those that the system gives to connections.
            var port = Random.Shared.Next(12_000, 30_000);
            if (!Enumerable.Range(0, 3).SelectMany(m => (int[])[port + 100 * m, port + 100 * m + 10, port + 100 * m + 80]).Any(used.Contains))
                return port;
        }
    }
}
