using System.Diagnostics;
using System.Globalization;
using AkkaHub.V1;
using Hub.Load.Measuring;
using Hub.Load.Nodes;
using Hub.Load.Processes;
using Hub.Load.Watching;

namespace Hub.Load.Scenarios;

/// <summary>Ten thousand nodes that say little: what each costs the hub, and how they come back after it was away.</summary>
internal static class ManyNodes
{
    private const int WarmUpNodes = 100;
    private const string DepartedPrefix = "first-";
    private const int WantedBytesPerNode = 64;
    private const double WantedReadySeconds = 5;
    private const double WantedBackSeconds = 60;
    private static readonly TimeSpan Settle = TimeSpan.FromSeconds(20);
    private static readonly TimeSpan LongestComeBack = TimeSpan.FromSeconds(180);

    public static async Task RunAsync(BenchmarkContext context, bool idle, bool restart)
    {
        var count = context.Options.IdleNodes;
        var name = $"hub, {count} idle nodes";
        Console.Error.WriteLine(name);
        var limit = FileDescriptors.EnsureAtLeast(count + 2_000);
        if (limit < count + 500)
        {
            context.Report.Note(name, $"not run: {count} connections need as many file descriptors, and the limit is {limit}");
            return;
        }

        // Room for all the events of a restart, so that none is missed.
        await using var hub = context.NewHub("idle", new Dictionary<string, string?>
        {
            ["AKKAHUB_EVENTS_MAX_COUNT"] = (10 * count).ToString(CultureInfo.InvariantCulture),
        });
        await hub.StartAndWaitAsync().ConfigureAwait(false);
        var before = await MeasureBaselineAsync(hub).ConfigureAwait(false);

        await using var fleet = new NodeFleet(new FleetOptions
        {
            Hub = hub.Grpc,
            Token = hub.Token,
            Nodes = count,
            Connections = 0,
        });
        var watch = Stopwatch.StartNew();
        fleet.Start();
        await fleet.WaitForOnlineAsync(count, LongestComeBack).ConfigureAwait(false);
        context.Report.Add(name, "first connect of all", watch.Elapsed.TotalSeconds, "s");
        context.Report.Add(name, "dial → welcome p99", fleet.Meters.Connect.PercentileMilliseconds(0.99), "ms");
        if (idle)
            await MeasureIdleAsync(context, name, hub, fleet, before).ConfigureAwait(false);
        if (restart)
        {
            await MeasureRestartAsync(context, hub, fleet, kill: false).ConfigureAwait(false);
            await MeasureRestartAsync(context, hub, fleet, kill: true).ConfigureAwait(false);
        }
    }

    // A first hundred nodes, so that code and pools which the first node needs are not put down to the ten thousand.
    private static async Task<ProcessFigures> MeasureBaselineAsync(HubProcess hub)
    {
        await using (var first = new NodeFleet(new FleetOptions
        {
            Hub = hub.Grpc,
            Token = hub.Token,
            Nodes = WarmUpNodes,
            NamePrefix = DepartedPrefix,
            Connections = 0,
        }))
        {
            first.Start();
            await first.WaitForOnlineAsync(WarmUpNodes, TimeSpan.FromSeconds(60)).ConfigureAwait(false);
        }

        await Task.Delay(TimeSpan.FromSeconds(3)).ConfigureAwait(false);
        return ProcessFigures.Read(hub.ProcessId);
    }

    private static async Task MeasureIdleAsync(BenchmarkContext context, string name, HubProcess hub, NodeFleet fleet, ProcessFigures before)
    {
        var count = fleet.Nodes.Count;
        var early = ProcessFigures.Read(hub.ProcessId);
        await Task.Delay(Settle).ConfigureAwait(false);
        var settled = ProcessFigures.Read(hub.ProcessId);
        await Task.Delay(context.Options.Duration).ConfigureAwait(false);
        var after = ProcessFigures.Read(hub.ProcessId);
        context.Report.Add(name, "resident before", before.RssBytes / 1e6, "MB");
        context.Report.Add(name, "resident with all", after.RssBytes / 1e6, "MB");
        context.Report.Add(name, "resident per node", (after.RssBytes - before.RssBytes) / 1024.0 / count, "KiB", atMost: WantedBytesPerNode);
        context.Report.Add(name, "heap per node", (after.AnonymousBytes - before.AnonymousBytes) / 1024.0 / count, "KiB");
        context.Report.Add(name, "resident per node, just connected", (early.RssBytes - before.RssBytes) / 1024.0 / count, "KiB");
        context.Report.Add(name, "threads", after.Threads, "");
        context.Report.Add(name, "server processors", (after.CpuTime - settled.CpuTime).TotalSeconds / context.Options.Duration.TotalSeconds, "cores");
        ClosedLoopMeasurement.NoteTroubles(context, name, fleet);
    }

    private static async Task MeasureRestartAsync(BenchmarkContext context, HubProcess hub, NodeFleet fleet, bool kill)
    {
        var name = $"hub, restart with {fleet.Nodes.Count} nodes, {(kill ? "killed" : "stopped")}";
        Console.Error.WriteLine(name);
        var report = context.Report;
        await using var events = new EventWatcher(hub.Grpc, hub.Token, mayLeave: "nodes/" + DepartedPrefix);
        await events.StartAsync().ConfigureAwait(false);
        var stopping = Stopwatch.StartNew();
        if (kill)
            await hub.KillAsync().ConfigureAwait(false);
        else
            report.Add(name, "exit code", await hub.TerminateAsync(TimeSpan.FromSeconds(60)).ConfigureAwait(false), "", atMost: 0);
        report.Add(name, "time to stop", stopping.Elapsed.TotalSeconds, "s");
        using (var poll = new PeriodicTimer(TimeSpan.FromMilliseconds(10)))
        {
            while (fleet.Online > 0 && stopping.Elapsed < TimeSpan.FromSeconds(90))
                await poll.WaitForNextTickAsync().ConfigureAwait(false);
        }

        var since = Stopwatch.StartNew();
        var own = ProcessFigures.Read(Environment.ProcessId);
        var ready = await hub.StartAndWaitAsync(TimeSpan.FromSeconds(60)).ConfigureAwait(false);
        report.Add(name, "time to ready", ready.TotalSeconds, "s", atMost: WantedReadySeconds);
        report.Add(name, "server processor time to ready", ProcessFigures.Read(hub.ProcessId).CpuTime.TotalSeconds, "s");
        report.Add(name, "generator processor time to ready", (ProcessFigures.Read(Environment.ProcessId).CpuTime - own.CpuTime).TotalSeconds, "s");
        try
        {
            await fleet.WaitForOnlineAsync(fleet.Nodes.Count, LongestComeBack).ConfigureAwait(false);
        }
        catch (TimeoutException e)
        {
            report.Note(name, e.Message);
        }

        report.Add(name, "all back", since.Elapsed.TotalSeconds, "s", atMost: WantedBackSeconds);
        await Task.Delay(TimeSpan.FromSeconds(5)).ConfigureAwait(false);
        report.Add(name, "false Offline", events.FalseOffline, "", atMost: 0);
        report.Add(name, "Connecting events", events.Count(MeshEventType.NodeConnecting), "");
        report.Add(name, "Online events", events.Count(MeshEventType.NodeOnline), "");
        // The log is durable: a cursor from before the restart is good after it.
        report.Add(name, "event log overruns", events.Missed, "", atMost: 0);
        if (!fleet.Meters.Endings.IsEmpty)
            report.Note(name, "sessions ended so far: " + fleet.DescribeEndings());
    }
}
