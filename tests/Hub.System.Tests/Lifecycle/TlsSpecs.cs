using System.Diagnostics;
using System.Net;
using System.Net.NetworkInformation;
using System.Net.Sockets;
using Hub.Load.Processes;
using Hub.Protocol;
using Hub.SystemTests.Harness;
using Xunit.Abstractions;

namespace Hub.SystemTests.Lifecycle;

/// <summary>A hub that listens beyond loopback: its owner's programs, and nodes and clients of other machines, as people start them.</summary>
public sealed class TlsSpecs(ITestOutputHelper output)
{
    private const string Remote = "web1";
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    [SkippableFact]
    public async Task The_owner_needs_no_options_whatever_the_certificate_is_for_also_when_it_changes()
    {
        await using var workspace = new Workspace(output);
        var hub = await StartAsync(workspace, "hub.example", "0.0.0.0", localNode: true);
        (await ExecAsync(workspace, hub, "local")).ShouldBe("hi\n");
        LocalHub.TryRead(hub.DataDirectory)!.Grpc.ShouldBe($"https://127.0.0.1:{hub.GrpcPort}");

        var before = LocalHub.TryRead(hub.DataDirectory)!.Certificates.ShouldNotBeNull().ShouldHaveSingleItem();
        var again = hub.Child.WaitForLineAsync(l => l.Contains("certificate was read again", StringComparison.Ordinal), Patience);
        await MakeCertificatesAsync(workspace, "other.example");
        await again;
        LocalHub.TryRead(hub.DataDirectory)!.Certificates.ShouldNotBeNull().ShouldHaveSingleItem().ShouldNotBe(before);
        (await ExecAsync(workspace, hub, "local")).ShouldBe("hi\n");

        // The agent comes back to a hub of another certificate too.
        await hub.KillAsync();
        hub.Start();
        await ReadyAsync(hub);
        (await ExecAsync(workspace, hub, "local")).ShouldBe("hi\n");
        var (code, said, error) = await workspace.HubCommandAsync(hub, "stop", "--local-node");
        code.ShouldBe(0, said + error);
        (await hub.Child.WaitForExitAsync(Patience)).ShouldBe(0);
    }

    [SkippableFact]
    public async Task A_node_and_a_client_of_another_machine_come_with_a_token_and_the_authority()
    {
        var address = AddressOfThisMachine();
        Prerequisite.Require(address is not null, "this machine has no address but loopback");
        await using var workspace = new Workspace(output);
        var hub = await StartAsync(workspace, $"hub.example,{address}", "0.0.0.0");
        var there = $"https://{address}:{hub.GrpcPort}";
        var authority = workspace.PathOf("certificates/ca.pem");
        await MakeCertificatesAsync(workspace, "nobody", "foreign");
        var (nodes, clients) = (await TokenAsync(workspace, hub, "node"), await TokenAsync(workspace, hub, "client"));

        var stranger = workspace.StartNode(["--hub", there, "--name", Remote, "--ca", workspace.PathOf("foreign/ca.pem")], Given(nodes));
        (await stranger.WaitForLineAsync(l => l.Contains("No hub yet", StringComparison.Ordinal), Patience))
            .ShouldContain("is of no authority that is trusted here; give its authority's certificate with --ca or AKKAHUB_CA");
        await stranger.KillAsync();
        workspace.StartNode(["--hub", there, "--name", Remote, "--ca", authority, "--no-main-terminal"], Given(nodes));
        using var late = new CancellationTokenSource(Patience);
        while ((await ClientAsync(there, authority, clients, "describe", "node", Remote)).Code != 0)
            await Task.Delay(TimeSpan.FromMilliseconds(200), late.Token);
        (await ClientAsync(there, authority, clients, "exec", Remote, "-n", "--", "sh", "-c", "echo hi; exit 3")).ShouldBe((3, "hi\n", ""));

        var wrong = await ClientAsync(there, workspace.PathOf("foreign/ca.pem"), clients, "get", "nodes");
        wrong.Code.ShouldBe(1);
        wrong.Error.ShouldBe($"hub: no call can be made to the hub at {there}: its certificate (CN=hub) is of no authority that is trusted here; give its authority's certificate with --ca or AKKAHUB_CA\n");
        (await ClientAsync(there, null, clients, "get", "nodes")).Error.ShouldContain("is of no authority that is trusted here");
        (await ClientAsync($"https://localhost:{hub.GrpcPort}", authority, clients, "get", "nodes")).Error.ShouldContain("is not for this name or address");
        (await ClientAsync($"127.0.0.1:{hub.GrpcPort}", authority, clients, "get", "nodes"))
            .ShouldBe((1, "", $"hub: no call can be made to the hub at 127.0.0.1:{hub.GrpcPort}: it speaks TLS there; write the address with https://\n"));
        (await ClientAsync($"127.0.0.1:{hub.GrpcPort}", authority, clients, "exec", Remote, "-n", "--", "true")).Error.ShouldContain("it speaks TLS there; write the address with https://");
        var unread = await ClientAsync(there, workspace.PathOf("nothing.pem"), clients, "get", "nodes");
        unread.Code.ShouldBe(2);
        unread.Error.ShouldStartWith($"hub: AKKAHUB_CA '{workspace.PathOf("nothing.pem")}': ");
        (await ClientAsync(there, authority, "ahub_wrong", "get", "nodes")).ShouldSatisfyAllConditions(
            r => r.Code.ShouldBe(1), r => r.Error.ShouldContain("the token is not known to this hub"));
        (await ClientAsync(there, authority, nodes, "get", "nodes")).Error.ShouldContain("a token of type node does not allow");

        Task<(int Code, string Output, string Error)> ClientAsync(string at, string? ca, string token, params string[] arguments) =>
            CommandAsync(workspace, [.. arguments.TakeWhile(a => a != "--"), "--hub", at, .. arguments.SkipWhile(a => a != "--")], token, ca);
    }

    [SkippableFact]
    public async Task Without_tokens_everybody_on_the_machine_is_the_owner_and_names_are_claimed_all_the_same()
    {
        await using var workspace = new Workspace(output);
        var hub = workspace.NewHub(new() { ["AKKAHUB_AUTH"] = "off" });
        await hub.StartAndWaitAsync();
        hub.Child.Tail.ShouldContain(l => l.Contains("Callers need no token (akkahub.auth = off)", StringComparison.Ordinal));
        var at = $"127.0.0.1:{hub.GrpcPort}";
        var node = workspace.StartNode(["--hub", at, "--name", Remote, "--state-dir", workspace.PathOf("one"), "--no-main-terminal"], Given(null));
        using var client = new HubClient(hub);
        await client.WaitForNodeAsync(Remote, AkkaHub.V1.NodeState.Online, Patience);
        (await CommandAsync(workspace, ["token", "list", "--hub", at, "-o", "name"], null, null)).Code.ShouldBe(0);
        (await CommandAsync(workspace, ["get", "nodes", "--hub", at, "-o", "name"], "ahub_wrong", null)).ShouldBe((0, $"{Remote}\n", ""));
        await node.TerminateAsync(Patience);
        var thief = workspace.StartNode(["--hub", at, "--name", Remote, "--state-dir", workspace.PathOf("two"), "--no-main-terminal"], Given(null));
        (await thief.WaitForExitAsync(Patience)).ShouldBe(5, "the name is another machine's");
    }

    private static async Task<HubProcess> StartAsync(Workspace workspace, string hosts, string bind, bool localNode = false)
    {
        await MakeCertificatesAsync(workspace, hosts);
        var hub = workspace.NewHub(new()
        {
            ["AKKAHUB_BIND"] = bind,
            ["AKKAHUB_TLS_CERTIFICATE"] = workspace.PathOf("certificates/hub.pem"),
            ["AKKAHUB_TLS_KEY"] = workspace.PathOf("certificates/hub.key"),
            ["SHELL"] = "/bin/sh",
        }, localNode);
        hub.Start();
        await ReadyAsync(hub);
        return hub;
    }

    private static Task<string> ReadyAsync(HubProcess hub) => hub.Child.WaitForLineAsync(l => l.Contains("is ready", StringComparison.Ordinal), Patience);

    private static async Task<string> ExecAsync(Workspace workspace, HubProcess hub, string node)
    {
        using var late = new CancellationTokenSource(Patience);
        while (true)
        {
            var (code, said, error) = await workspace.HubCommandAsync(hub, "exec", node, "-n", "--", "echo", "hi");
            if (code == 0)
                return said;
            // The local node comes some time after the hub.
            late.IsCancellationRequested.ShouldBeFalse(error);
            await Task.Delay(TimeSpan.FromMilliseconds(200));
        }
    }

    private static async Task<string> TokenAsync(Workspace workspace, HubProcess hub, string type)
    {
        var (code, said, error) = await workspace.HubCommandAsync(hub, "token", "create", "--type", type, "-o", "name");
        code.ShouldBe(0, error);
        return said.Trim();
    }

    private static Dictionary<string, string?> Given(string? token) => new() { ["AKKAHUB_TOKEN"] = token, ["AKKAHUB_CA"] = null };

    // As on another machine: nothing of the hub's own is there.
    private static Task<(int Code, string Output, string Error)> CommandAsync(Workspace workspace, string[] arguments, string? token, string? authority) =>
        workspace.RunAsync("Hub.Cli", arguments, new Dictionary<string, string?>
        {
            ["AKKAHUB_DATA_DIR"] = workspace.PathOf("elsewhere"),
            ["AKKAHUB_ADDR"] = null,
            ["AKKAHUB_TOKEN"] = token,
            ["AKKAHUB_CA"] = authority,
            ["NO_COLOR"] = "1",
        });

    private static async Task MakeCertificatesAsync(Workspace workspace, string hosts, string directory = "certificates")
    {
        Prerequisite.RequirePrograms("openssl");
        var start = new ProcessStartInfo("bash", [Path.Combine(RepositoryPaths.Root, "deploy", "make-certificates"), workspace.PathOf(directory), $"hub={hosts}"])
        {
            RedirectStandardOutput = true,
        };
        using var script = Process.Start(start)!;
        await script.StandardOutput.ReadToEndAsync();
        await script.WaitForExitAsync();
        script.ExitCode.ShouldBe(0);
    }

    private static IPAddress? AddressOfThisMachine() => NetworkInterface.GetAllNetworkInterfaces()
        .Where(i => i.OperationalStatus == OperationalStatus.Up)
        .SelectMany(i => i.GetIPProperties().UnicastAddresses)
        .Select(a => a.Address)
        .FirstOrDefault(a => a.AddressFamily == AddressFamily.InterNetwork && !IPAddress.IsLoopback(a));
}
