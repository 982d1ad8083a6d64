using System.ComponentModel;
using System.Diagnostics;
using Hub.Host.Settings;
using Hub.Protocol;

namespace Hub.Host.LocalAgent;

/// <summary>The agent program that is copied beside the hub, run on <c>local-node</c> in the data directory.</summary>
internal sealed class AgentProcess(HostSettings settings, TimeProvider time) : ILocalAgent
{
    /// <summary>Its state directory, in the hub's data directory.</summary>
    public const string StateDirectoryName = "local-node";

    private static readonly TimeSpan LaunchTimeout = TimeSpan.FromSeconds(15);
    private static readonly TimeSpan LaunchPoll = TimeSpan.FromMilliseconds(50);

    private string NodeName => LocalNodeName.Of(settings.Cluster.IsMember, Environment.MachineName);

    private string StateDirectory => Path.Combine(settings.DataDir, StateDirectoryName);

    /// <inheritdoc/>
    public int? RunningPid()
    {
        var presence = AgentPresence.Inspect(StateDirectory);
        return presence.IsRunning ? presence.Pid ?? 0 : null;
    }

    /// <inheritdoc/>
    public async Task StartAsync(CancellationToken cancellationToken)
    {
        using var process = Launch();
        var began = time.GetTimestamp();
        // It is there when it holds its lock. The launched process may have handed over to one of its own and ended with 0.
        while (RunningPid() is null)
        {
            if (process.HasExited && process.ExitCode != 0)
                throw new InvalidOperationException($"it exited with {process.ExitCode}; {Path.Combine(StateDirectory, "agent.log")} may say why");
            if (time.GetElapsedTime(began) > LaunchTimeout)
                throw new InvalidOperationException($"it did not take its lock within {LaunchTimeout.TotalSeconds:0} s");
            await Task.Delay(LaunchPoll, time, cancellationToken).ConfigureAwait(false);
        }
    }

    /// <inheritdoc/>
    public async Task<bool> EndAsync(TimeSpan within, CancellationToken cancellationToken)
    {
        var presence = AgentPresence.Inspect(StateDirectory);
        if (presence.IsRunning && !presence.Terminate())
            return false;
        return await presence.WaitUntilGoneAsync(within, time, cancellationToken).ConfigureAwait(false);
    }

    private Process Launch()
    {
        var directory = Path.Combine(AppContext.BaseDirectory, "agent");
        var library = Path.Combine(directory, "Hub.Node.dll");
        if (!File.Exists(library))
            throw new InvalidOperationException($"{library} is not there");
        var start = new ProcessStartInfo { UseShellExecute = false, WorkingDirectory = settings.DataDir };
        // Run the way the hub itself is run: through dotnet, or as a program of its own.
        if (Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet")
        {
            start.FileName = Environment.ProcessPath!;
            start.ArgumentList.Add(library);
        }
        else
        {
            start.FileName = Path.ChangeExtension(library, null);
        }

        // A token or an authority in the user's environment is for another hub; this one's is in its data directory. The hub's own secrets are not the agent's,
        // whose terminals have its environment.
        start.Environment.Remove("AKKAHUB_TOKEN");
        start.Environment.Remove("AKKAHUB_CA");
        foreach (var secret in SettingTable.All.Where(s => s.IsSecret))
            start.Environment.Remove(secret.EnvironmentVariable);
        foreach (var argument in (string[])["--name", NodeName, "--state-dir", StateDirectory, "--hub-data-dir", settings.DataDir, "--detach"])
            start.ArgumentList.Add(argument);
        try
        {
            return Process.Start(start) ?? throw new InvalidOperationException($"{start.FileName} could not be started");
        }
        catch (Win32Exception e)
        {
            throw new InvalidOperationException($"{start.FileName} could not be started: {e.Message}", e);
        }
    }
}
