using System.Globalization;
using Hub.Load.Processes;
using Hub.Protocol;

namespace Hub.SystemTests.Harness;

/// <summary>How an agent is started.</summary>
public sealed record AgentOptions
{
    /// <summary>The node's name.</summary>
    public string Name { get; init; } = "agent";
    /// <summary>Address it dials; null for the hub's, found anew before each dial as a local node does.</summary>
    public Uri? Address { get; init; }
    /// <summary>Addresses of the members of a cluster, which it dials with <see cref="Token"/>; empty for the hub's alone.</summary>
    public IReadOnlyList<Uri> Members { get; init; } = [];
    /// <summary>A node token; null for the owner's.</summary>
    public string? Token { get; init; }
    /// <summary>Without a hub a full buffer makes programs wait instead of losing the oldest.</summary>
    public bool Wait { get; init; }
    /// <summary>Buffer of each terminal, bytes; null for the default.</summary>
    public int? BufferBytes { get; init; }
}

/// <summary>A real node agent as a child process.</summary>
public sealed class AgentProcess : IAsyncDisposable
{
    private readonly ChildProcess _child;

    private AgentProcess(ChildProcess child, string name)
    {
        _child = child;
        Name = name;
    }

    /// <summary>The node's name.</summary>
    public string Name { get; }

    /// <summary>The process.</summary>
    public ChildProcess Child => _child;

    /// <summary>Starts an agent; its state stays in the directory, so that the next one there is the same node.</summary>
    public static AgentProcess Start(HubProcess hub, string directory, AgentOptions options)
    {
        Directory.CreateDirectory(directory);
        List<string> arguments =
        [
            RepositoryPaths.Program("Hub.Node"), "--name", options.Name, "--state-dir", Path.Combine(directory, "state"),
            "--no-main-terminal", "--log-level", "debug", "--when-offline", options.Wait ? "wait" : "drop",
        ];
        if (options.Members.Count > 0)
            arguments.AddRange(["--hub", string.Join(',', options.Members.Select(m => m.ToString().TrimEnd('/')))]);
        else if (options.Address is { } address)
            arguments.AddRange(["--hub", address.ToString().TrimEnd('/'), "--token-file", Path.Combine(hub.DataDirectory, LocalHub.TokenFileName)]);
        else
            arguments.AddRange(["--hub-data-dir", hub.DataDirectory]);
        if (options.BufferBytes is { } bytes)
            arguments.AddRange(["--buffer-bytes", bytes.ToString(CultureInfo.InvariantCulture)]);
        var child = ChildProcess.Start("dotnet", arguments, new Dictionary<string, string?>
        {
            ["AKKAHUB_ADDR"] = null,
            ["AKKAHUB_TOKEN"] = options.Token,
            ["AKKAHUB_DATA_DIR"] = null,
            ["TERM"] = "dumb",
        }, Path.Combine(directory, "agent.log"), directory);
        return new AgentProcess(child, options.Name);
    }

    /// <summary>Ends it at once (SIGKILL).</summary>
    public Task KillAsync() => _child.KillAsync();

    /// <summary>The last lines it wrote.</summary>
    public string DescribeTail() => string.Join('\n', _child.Tail.TakeLast(30));

    /// <summary>Kills it if it still runs.</summary>
    public ValueTask DisposeAsync() => _child.DisposeAsync();
}
