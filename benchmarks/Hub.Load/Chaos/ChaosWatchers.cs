using Hub.Load.Nodes;
using Hub.Load.Scenarios;
using Hub.Load.Watching;

namespace Hub.Load.Chaos;

/// <summary>Those who look on: followers of some nodes' terminals, and on each member one of all nodes and one of the mesh's events.</summary>
internal sealed class ChaosWatchers : IAsyncDisposable
{
    private readonly List<HistoryTail> _tails = [];
    private readonly List<NodeStateWatcher> _states = [];
    private readonly List<EventWatcher> _events = [];

    /// <summary>How often somebody was told that a node is gone; the same event counts for each who was.</summary>
    public long OfflineSeen => _states.Sum(s => s.Offline.Count) + _events.Sum(e => e.FalseOffline);

    /// <summary>Begins to look.</summary>
    public static async Task<ChaosWatchers> StartAsync(MemberAccess access, IReadOnlyList<SimulatedNode> nodes, int followed)
    {
        var watchers = new ChaosWatchers();
        for (var i = 0; i < Math.Min(followed, nodes.Count); i++)
            watchers._tails.Add(new HistoryTail(access, nodes[i * nodes.Count / followed], i));
        for (var member = 0; member < access.Members.Count; member++)
        {
            watchers._states.Add(new NodeStateWatcher(access, member));
            watchers._events.Add(new EventWatcher(access.Members[member], access.Token, authorityFile: access.AuthorityFile));
            await watchers._events[^1].StartAsync().ConfigureAwait(false);
        }

        return watchers;
    }

    /// <summary>Ends the followers when they have all that was acknowledged, and says what they missed and what they were given twice, bytes.</summary>
    public async Task<(long Lost, long Doubled)> FinishAsync(BenchmarkContext context, string scenario, TimeSpan patience)
    {
        using var late = new CancellationTokenSource(patience);
        while (!late.IsCancellationRequested && _tails.Any(t => t.Position < t.Node.Position.Acknowledged))
            await Task.Delay(TimeSpan.FromMilliseconds(50)).ConfigureAwait(false);
        long lost = 0, doubled = 0;
        foreach (var tail in _tails)
        {
            await tail.DisposeAsync().ConfigureAwait(false);
            lost += tail.Check.Lost + Math.Max(0, tail.Node.Position.Acknowledged - tail.Check.Position);
            doubled += tail.Check.Doubled;
            if (tail.Check.Fault is { } fault)
                context.Report.Note(scenario, $"follower of {tail.Node.Name}: {fault}");
        }

        _tails.Clear();
        // A watcher that saw nothing proves nothing.
        context.Require(scenario, "changes seen by each watcher of nodes", _states.Min(s => s.Changes), "", atLeast: 1);
        context.Require(scenario, "events seen by each watcher", _events.Min(e => e.Counts.Values.Sum()), "", atLeast: 1);
        context.Require(scenario, "event log overruns", _events.Sum(e => e.Missed), "", atMost: 0);
        return (lost, doubled);
    }

    /// <summary>Ends all of them.</summary>
    public async ValueTask DisposeAsync()
    {
        foreach (var watcher in _tails.Concat<IAsyncDisposable>(_states).Concat(_events))
            await watcher.DisposeAsync().ConfigureAwait(false);
    }
}
