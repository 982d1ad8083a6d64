using System.Diagnostics;
using Hub.Protocol;

namespace Hub.Node.Tests.Processes;

/// <summary>The real agent program as a process, started by a shell line in which "$@" stands for it.</summary>
internal sealed class AgentProgram : IAsyncDisposable
{
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private AgentProgram(Process process, string state)
    {
        Process = process;
        State = state;
    }

    public Process Process { get; }
    public string State { get; }

    /// <summary>The program as it was built, with all it needs beside it: what the tests need is not what it needs.</summary>
    private static string Program => Path.Combine(
        AppContext.BaseDirectory.Replace("/tests/Hub.Node.Tests/", "/src/Hub.Node/", StringComparison.Ordinal), "Hub.Node.dll");

    public static string NewState() => Directory.CreateTempSubdirectory("akkahub-agent-").FullName;

    public static AgentProgram Start(string shellLine, string state, params string[] options)
    {
        var start = new ProcessStartInfo("/bin/sh") { RedirectStandardError = true, RedirectStandardOutput = true };
        foreach (var argument in (string[])["-c", shellLine, "sh", "dotnet", Program,
            "--name", "test", "--state-dir", state, "--no-main-terminal", .. options])
        {
            start.ArgumentList.Add(argument);
        }

        return new AgentProgram(Process.Start(start)!, state);
    }

    /// <summary>Ends what runs on the state directory, detached or not.</summary>
    public async ValueTask DisposeAsync()
    {
        var presence = AgentPresence.Inspect(State);
        if (presence.IsRunning)
            presence.Terminate();
        var gone = await presence.WaitUntilGoneAsync(Patience, TimeProvider.System);
        if (!Process.HasExited)
            Process.Kill();
        Process.Dispose();
        Directory.Delete(State, recursive: true);
        gone.ShouldBeTrue();
    }
}
