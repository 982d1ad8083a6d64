using System.Globalization;
using System.Text.RegularExpressions;
using AkkaHub.V1;
using Hub.Load.Processes;
using Hub.SystemTests.Harness;
using Xunit.Abstractions;

namespace Hub.SystemTests.Lifecycle;

/// <summary><c>hub attach</c> as a person has it: a shell, full-screen programs, interrupts and sizes, also over a kill of the hub.</summary>
public sealed partial class AttachedScreenSpecs(ITestOutputHelper output)
{
    private const string Local = "local";
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    [SkippableFact]
    public async Task Full_screen_programs_sizes_and_interrupts_work_and_the_shell_survives_a_kill_of_the_hub()
    {
        Prerequisite.RequirePrograms("tmux", "vim", "htop");
        await using var workspace = new Workspace(output);
        // Neither a person's configuration of the programs is read, nor one written.
        var hub = workspace.NewHub(new() { ["HOME"] = workspace.Root, ["ENV"] = null }, localNode: true);
        await hub.StartAndWaitAsync();
        using var client = new HubClient(hub);
        await client.WaitForNodeAsync(Local, NodeState.Online, Patience);
        await using var screen = await TmuxScreen.StartAsync(workspace, 30, 100, new Dictionary<string, string?>
        {
            ["AKKAHUB_DATA_DIR"] = hub.DataDirectory,
            ["AKKAHUB_ADDR"] = null,
            ["AKKAHUB_TOKEN"] = null,
        }, "dotnet", RepositoryPaths.Program("Hub.Cli"), "attach", Local);
        // The main terminal has the user's own shell, whichever that is; this one is the same everywhere, in the same process.
        var shell = await AskShellAsync(screen, "first");
        await screen.TypeAsync("exec /bin/sh");
        (await AskShellAsync(screen, "plain")).ShouldBe(shell);
        await ExpectSizeAsync(screen, 30, 100);

        var file = workspace.PathOf("page.txt");
        await File.WriteAllTextAsync(file, "what the file says\n");
        await screen.TypeAsync($"vim -u NONE -i NONE -n {file}");
        await screen.WaitForAsync("vim", t => t.Contains("what the file says") && t.Contains("\n~\n"), Patience);
        await screen.TypeAsync(":s/says/said/");
        await screen.WaitForAsync("change in vim", t => t.Contains("what the file said"), Patience);
        await screen.TypeAsync(":wq");
        await screen.WaitForAsync("end of vim", t => !t.Contains("\n~\n"), Patience);
        (await AskShellAsync(screen, "vim")).ShouldBe(shell);
        (await File.ReadAllTextAsync(file)).ShouldBe("what the file said\n");

        await screen.ResizeAsync(40, 120);
        await ExpectSizeAsync(screen, 40, 120);

        // A program that answers has begun for certain, and a shell that prompts reads on: an interrupt or a line that comes before that, bash loses.
        await screen.TypeAsync("echo sleep''ing; cat");
        await screen.WaitForAsync("sleep", t => t.Contains("sleeping"), Patience);
        await screen.TypeAsync("it-answers");
        await screen.WaitForAsync("an answer", t => t.Split("it-answers").Length == 3, Patience);
        await screen.PressAsync("C-c");
        await screen.WaitForAsync("prompt", t => t.Split("^C") is [_, var after] && after.TrimEnd() is [.., '$' or '#'], Patience);
        await screen.TypeAsync("echo ended''-with-$?-");
        (await screen.WaitForAsync("exit code", t => t.Contains("ended-with-"), Patience)).ShouldContain("ended-with-130-");

        await screen.TypeAsync("htop");
        await screen.WaitForAsync("htop", t => t.Contains("Tasks:") && t.Contains("Load average:"), Patience);
        await screen.PressAsync("q");
        await screen.WaitForAsync("end of htop", t => !t.Contains("Load average:"), Patience);
        (await AskShellAsync(screen, "htop")).ShouldBe(shell);

        await hub.KillAsync();
        await hub.StartAndWaitAsync();
        (await AskShellAsync(screen, "killed")).ShouldBe(shell);
    }

    // The shell waits for the size itself: it comes after the keys if it is slow.
    private static async Task ExpectSizeAsync(TmuxScreen screen, int rows, int columns)
    {
        await screen.TypeAsync($"while [ \"$(stty size)\" != '{rows} {columns}' ]; do sleep 0.1; done; echo size''-is-{rows}-{columns}-");
        await screen.WaitForAsync($"size {rows} by {columns}", t => t.Contains($"size-is-{rows}-{columns}-"), Patience);
    }

    // Asks until there is an answer, which the typed line itself does not look like: keys are dropped while there is no hub.
    private static async Task<int> AskShellAsync(TmuxScreen screen, string mark)
    {
        var began = TimeProvider.System.GetTimestamp();
        while (true)
        {
            await screen.TypeAsync($"echo {mark[..2]}''{mark[2..]}-pid-$$-");
            try
            {
                var text = await screen.WaitForAsync("answer of the shell", t => Answered(t) is not null, TimeSpan.FromSeconds(3));
                return Answered(text)!.Value;
            }
            catch (TimeoutException) when (TimeProvider.System.GetElapsedTime(began) < Patience)
            {
                // Typed into nowhere.
            }
        }

        int? Answered(string text) => Answer().Matches(text).LastOrDefault(m => m.Groups["mark"].Value == mark) is { } match
            ? int.Parse(match.Groups["pid"].ValueSpan, CultureInfo.InvariantCulture)
            : null;
    }

    [GeneratedRegex(@"(?<mark>[a-z]+)-pid-(?<pid>\d+)-")]
    private static partial Regex Answer();
}
