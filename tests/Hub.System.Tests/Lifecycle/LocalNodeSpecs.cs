using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;
using AkkaHub.V1;
using Google.Protobuf;
using Hub.Load.Processes;
using Hub.Protocol;
using Hub.SystemTests.Harness;
using Xunit.Abstractions;

namespace Hub.SystemTests.Lifecycle;

/// <summary>The hub's own node: its shell outlives the hub, and the command line reaches it without being told anything.</summary>
public sealed partial class LocalNodeSpecs(ITestOutputHelper output)
{
    private const string Local = "local";
    private const string Main = "main";
    private const int Interrupt = 2;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    [SkippableFact]
    public async Task The_same_shell_goes_on_when_the_hub_is_killed_or_stopped_and_ends_when_asked()
    {
        await using var workspace = new Workspace(output);
        var hub = workspace.NewHub(new() { ["SHELL"] = "/bin/sh", ["PS1"] = "$ " }, localNode: true);
        await hub.StartAndWaitAsync();
        using var client = new HubClient(hub);
        await client.WaitForNodeAsync(Local, NodeState.Online, Patience);
        var shell = await AskShellAsync(client, "before");

        await hub.KillAsync();
        IsAlive(shell).ShouldBeTrue("a kill of the hub ends nothing on the node");
        await hub.StartAndWaitAsync();
        await client.WaitForNodeAsync(Local, NodeState.Online, Patience);
        (await AskShellAsync(client, "killed")).ShouldBe(shell);

        var stopping = TimeProvider.System.GetTimestamp();
        (await hub.TerminateAsync(TimeSpan.FromSeconds(30))).ShouldBe(0);
        workspace.Say($"stopped in {TimeProvider.System.GetElapsedTime(stopping).TotalSeconds:F1} s");
        IsAlive(shell).ShouldBeTrue("SIGTERM of the hub ends nothing on the node");
        await hub.StartAndWaitAsync();
        await client.WaitForNodeAsync(Local, NodeState.Online, Patience);
        (await AskShellAsync(client, "stopped")).ShouldBe(shell);

        var (code, said, error) = await workspace.HubCommandAsync(hub, "stop", "--local-node");
        code.ShouldBe(0, said + error);
        (await hub.Child.WaitForExitAsync(Patience)).ShouldBe(0);
        IsAlive(shell).ShouldBeFalse("it was asked to end the local node");
    }

    [SkippableFact]
    public async Task A_command_runs_with_output_and_exit_code_and_an_interrupt_ends_hub_node_and_shell()
    {
        await using var workspace = new Workspace(output);
        // Where the tests run in the background of a script, they and what they start would ignore interrupts.
        var hub = workspace.NewHub(localNode: true, launcher: ["env", "--default-signal=INT"]);
        await hub.StartAndWaitAsync();
        using var client = new HubClient(hub);
        await client.WaitForNodeAsync(Local, NodeState.Online, Patience);
        var (code, said, error) = await workspace.HubCommandAsync(hub, "exec", Local, "--", "sh", "-c", "echo hi; echo apart >&2; exit 3");
        code.ShouldBe(3, said + error);
        said.ShouldBe("hi\n");
        error.ShouldContain("apart");
        said.ShouldNotContain("apart");

        // What a person does at the end: Ctrl+C on the hub takes the local node and its shells along.
        var shell = await AskShellAsync(client, "interrupt");
        var state = Path.Combine(hub.DataDirectory, "local-node");
        AgentPresence.Inspect(state).IsRunning.ShouldBeTrue();
        hub.Child.Send(Interrupt);
        (await hub.Child.WaitForExitAsync(Patience)).ShouldBe(0, hub.DescribeTail());
        IsAlive(shell).ShouldBeFalse("its shell has ended");
        AgentPresence.Inspect(state).IsRunning.ShouldBeFalse("the local node has ended");
    }

    // Types a question into the shell and waits for the answer, which the typed line itself does not look like.
    private static async Task<int> AskShellAsync(HubClient client, string mark)
    {
        await using var follower = client.Follow(Local, Main);
        var line = $"echo {mark[..2]}''{mark[2..]}-pid-$$-\n";
        await client.CallAsync((s, h) => s.SendInputAsync(
            new SendInputRequest { Name = Names.Terminal(Local, Main), Data = ByteString.CopyFromUtf8(line) }, h));
        Match? answer = null;
        await follower.WaitForAsync(r =>
        {
            if (r.Incarnations.Count == 0)
                return false;
            var text = string.Concat(r.Last.Pieces.Select(p => Encoding.UTF8.GetString(p.Data)));
            answer = Answer().Matches(text).LastOrDefault(m => m.Groups["mark"].Value == mark);
            return answer is not null;
        }, Patience);
        return int.Parse(answer!.Groups["pid"].ValueSpan, CultureInfo.InvariantCulture);
    }

    private static bool IsAlive(int pid) => ChildProcess.Send(pid, 0);

    [GeneratedRegex(@"(?<mark>[a-z]+)-pid-(?<pid>\d+)-")]
    private static partial Regex Answer();
}
