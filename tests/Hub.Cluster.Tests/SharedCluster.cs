using Hub.Load.Processes;
using Hub.SystemTests.Harness;
using Xunit.Abstractions;

// One at a time: each has three members, and this machine may have two processors.
[assembly: CollectionBehavior(DisableTestParallelization = true)]

namespace Hub.ClusterTests;

/// <summary>The specs that use one <see cref="SharedCluster"/>.</summary>
[CollectionDefinition(SharedCluster.Collection)]
public sealed class SharedClusterCollection : ICollectionFixture<SharedCluster>;

/// <summary>
/// Three members that specs use one after the other, each with nodes of its own. A spec leaves the cluster whole: whoever it killed or stopped runs again
/// at its end. Where that is not so because a spec failed, the next one gets a new cluster.
/// </summary>
public sealed class SharedCluster : IAsyncLifetime
{
    /// <summary>The collection's name.</summary>
    public const string Collection = "shared cluster";

    /// <summary>Settings with which all that a writer writes is kept.</summary>
    internal static readonly Dictionary<string, string?> RoomForAll = new()
    {
        ["AKKAHUB_HISTORY_MAX_BYTES"] = "67108864",
        ["AKKAHUB_TERMINALS_MAX_PER_NODE"] = "8",
        ["AKKAHUB_HISTORY_MAX_CHUNKS"] = "100000",
    };

    private Workspace? _workspace;
    private TestCluster? _cluster;

    /// <summary>The cluster, all members ready and the oldest first. Or skips the test.</summary>
    public async Task<TestCluster> WholeAsync(ITestOutputHelper output)
    {
        if (_cluster is null || !await IsWholeAsync(_cluster))
        {
            await DisposeAsync();
            _workspace = new Workspace(output);
            _cluster = await TestCluster.StartAsync(_workspace, 3, RoomForAll);
        }

        return await _cluster.OldestFirstAsync();
    }

    /// <inheritdoc/>
    public Task InitializeAsync() => Task.CompletedTask;

    /// <inheritdoc/>
    public async Task DisposeAsync()
    {
        if (_cluster is not null)
            await _cluster.DisposeAsync();
        if (_workspace is not null)
            await _workspace.DisposeAsync();
        (_cluster, _workspace) = (null, null);
    }

    private static async Task<bool> IsWholeAsync(TestCluster cluster)
    {
        foreach (var member in cluster.Members)
        {
            if (member.Child.HasExited || !await member.IsReadyAsync())
                return false;
        }

        return true;
    }
}

/// <summary>What the members of a cluster say from now on.</summary>
public sealed class LogSinceNow(TestCluster cluster)
{
    private readonly Dictionary<HubProcess, long> _before = cluster.Members.ToDictionary(m => m, m => new FileInfo(m.LogFile).Length);

    /// <summary>What one has said since.</summary>
    public async Task<string> OfAsync(HubProcess member)
    {
        await using var file = new FileStream(member.LogFile, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        file.Seek(_before[member], SeekOrigin.Begin);
        using var reader = new StreamReader(file);
        return await reader.ReadToEndAsync();
    }

    /// <summary>What each of them has said since.</summary>
    public async Task<IReadOnlyList<string>> OfAllAsync() => await Task.WhenAll(cluster.Members.Select(OfAsync));

    /// <summary>Waits until one has said it.</summary>
    public async Task HasAsync(HubProcess member, string text, TimeSpan timeout)
    {
        using var late = new CancellationTokenSource(timeout);
        while (!(await OfAsync(member)).Contains(text, StringComparison.Ordinal))
            await Task.Delay(TimeSpan.FromMilliseconds(100), late.Token);
    }

    /// <summary>Fails if any of them has said it.</summary>
    public async Task HasNoneAsync(string text, string? why = null)
    {
        foreach (var member in cluster.Members)
            (await OfAsync(member)).ShouldNotContain(text, Case.Sensitive, why);
    }
}
