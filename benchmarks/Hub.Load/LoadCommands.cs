using System.CommandLine;
using Hub.Load.Baselines;
using Hub.Load.Chaos;
using Hub.Load.Measuring;
using Hub.Load.Scenarios;

namespace Hub.Load;

/// <summary>The command line: one command a scenario, <c>all</c> for all of them, and what child processes are started with.</summary>
internal static class LoadCommands
{
    private const int NodesOfAHub = 1000;
    private const int NodesOfACluster = 300;

    private static readonly Option<int?> Nodes = new("--nodes") { Description = $"Nodes under load; {NodesOfAHub}, or {NodesOfACluster} of a cluster." };
    private static readonly Option<int> IdleNodes = new("--idle-nodes") { Description = "Idle nodes.", DefaultValueFactory = _ => 10_000 };
    private static readonly Option<int> Connections = new("--connections") { Description = "Connections the loaded nodes share; 0 for one each.", DefaultValueFactory = _ => 16 };
    private static readonly Option<double> Rate = new("--rate") { Description = "Chunks a second of each paced node.", DefaultValueFactory = _ => 10 };
    private static readonly Option<int> Watchers = new("--watchers") { Description = "Nodes that are watched under the paced load.", DefaultValueFactory = _ => 5 };
    private static readonly Option<double> Seconds = new("--seconds") { Description = "Length of each measurement.", DefaultValueFactory = _ => 15 };
    private static readonly Option<double> WarmUp = new("--warm-up") { Description = "Seconds before each measurement.", DefaultValueFactory = _ => 5 };
    private static readonly Option<int[]> Chunks = new("--chunk") { Description = "Chunk sizes of the closed loop, bytes.", DefaultValueFactory = _ => [200, 4096], AllowMultipleArgumentsPerToken = true };
    private static readonly Option<string> DataRoot = new("--data-root") { Description = "Directory for the hub's data, on the disk to be measured.", DefaultValueFactory = _ => Path.GetTempPath() };
    private static readonly Option<string?> HubAssembly = new("--hub-assembly") { Description = "Another Hub.Host.dll than this repository's." };
    private static readonly Option<string[]> HubSettings = new("--set") { Description = "Setting of the hub, NAME=VALUE by its environment name.", AllowMultipleArgumentsPerToken = true };
    private static readonly Option<double> Minutes = new("--minutes") { Description = "Faults are made for at least this long.", DefaultValueFactory = _ => 0 };
    private static readonly Option<int?> Faults = new("--faults") { Description = "Faults at least." };
    private static readonly Option<int> Seed = new("--seed") { Description = "Seed of the faults.", DefaultValueFactory = _ => 1 };
    private static readonly Option<bool> Brief = new("--brief") { Description = "Short faults." };
    private static readonly Option<string?> Out = new("--out") { Description = "File for the figures as JSON." };
    private static readonly Option<bool> KeepData = new("--keep-data") { Description = "Leave data and logs." };

    public static RootCommand Build()
    {
        var root = new RootCommand("Simulated nodes and the benchmarks of the hub. Everything runs on the loopback interface.");
        foreach (var option in new Option[] { Nodes, IdleNodes, Connections, Rate, Watchers, Seconds, WarmUp, Chunks, DataRoot, HubAssembly, HubSettings, Minutes, Faults, Seed, Brief, Out, KeepData })
        {
            option.Recursive = true;
            root.Add(option);
        }

        Add("all", "Every scenario.", async c =>
        {
            await RawLimits.RunAsync(c).ConfigureAwait(false);
            await ClosedLoop.RunAsync(c).ConfigureAwait(false);
            await PacedLoad.RunAsync(c).ConfigureAwait(false);
            await ManyNodes.RunAsync(c, idle: true, restart: true).ConfigureAwait(false);
        });
        Add("raw", "gRPC without actors, actors without a store, SQLite without anything.", RawLimits.RunAsync);
        Add("closed", "The closed loop, and what it is compared with.", ClosedLoop.RunAsync);
        Add("paced", "The paced load with watchers.", PacedLoad.RunAsync);
        Add("idle", "Memory of idle nodes.", c => ManyNodes.RunAsync(c, idle: true, restart: false));
        Add("restart", "Restart with many known nodes, stopped and killed.", c => ManyNodes.RunAsync(c, idle: false, restart: true));
        Add("chaos", "Three members under kills, stops, cuts and outages of the store: what is lost, doubled or falsely reported.", ChaosRun.RunAsync, ofCluster: true);
        Add("failover", "Time without service after members are killed.", ClusterFigures.RunFailoverAsync, ofCluster: true);
        Add("drain", "Time without service around members that leave in order.", ClusterFigures.RunDrainAsync, ofCluster: true);
        Add("members", "Throughput of one, two and three members, and the cost of the remote hop.", MembersThroughput.RunAsync, ofCluster: true);
        root.Add(ServeBare());
        return root;

        void Add(string name, string description, Func<BenchmarkContext, Task> run, bool ofCluster = false)
        {
            var command = new Command(name, description);
            command.SetAction((parsed, _) => RunAsync(parsed, run, ofCluster));
            root.Add(command);
        }
    }

    private static async Task<int> RunAsync(ParseResult parsed, Func<BenchmarkContext, Task> run, bool ofCluster)
    {
        var options = new BenchmarkOptions
        {
            Nodes = parsed.GetValue(Nodes) ?? (ofCluster ? NodesOfACluster : NodesOfAHub),
            IdleNodes = parsed.GetValue(IdleNodes),
            Connections = parsed.GetValue(Connections),
            Rate = parsed.GetValue(Rate),
            Watchers = parsed.GetValue(Watchers),
            Duration = TimeSpan.FromSeconds(parsed.GetValue(Seconds)),
            WarmUp = TimeSpan.FromSeconds(parsed.GetValue(WarmUp)),
            ChunkSizes = parsed.GetValue(Chunks)!,
            DataRoot = parsed.GetValue(DataRoot)!,
            HubAssembly = parsed.GetValue(HubAssembly),
            HubEnvironment = (parsed.GetValue(HubSettings) ?? []).Select(s => s.Split('=', 2)).ToDictionary(p => p[0], p => (string?)p.ElementAtOrDefault(1)),
            Seed = parsed.GetValue(Seed),
            Faults = parsed.GetValue(Faults),
            FaultTime = TimeSpan.FromMinutes(parsed.GetValue(Minutes)),
            Brief = parsed.GetValue(Brief),
            KeepData = parsed.GetValue(KeepData),
        };
        var report = new Report();
        Circumstances.Describe(report, options);
        var failed = false;
        using (var context = new BenchmarkContext(options, report))
        {
            try
            {
                // Seconds without service are not decided by code that is compiled in the first of them.
                if (!ofCluster)
                    await GeneratorWarmUp.RunAsync(context).ConfigureAwait(false);
                await run(context).ConfigureAwait(false);
            }
            catch (Exception e) when (e is TimeoutException or InvalidOperationException or IOException or Grpc.Core.RpcException)
            {
                // What was measured before is worth having.
                report.Note("run", $"ended early: {e.Message}");
                failed = true;
            }

            failed |= context.HasFailed;
        }

        report.Print();
        if (parsed.GetValue(Out) is { } file)
            report.Write(file);
        return failed ? 1 : 0;
    }

    private static Command ServeBare()
    {
        var kind = new Option<BareKind>("--kind") { DefaultValueFactory = _ => BareKind.Grpc };
        var port = new Option<int>("--port") { Required = true };
        var command = new Command("serve-bare", "A node bridge without a hub.") { kind, port };
        command.Hidden = true;
        command.SetAction(async (parsed, _) =>
        {
            await using var server = await BareServer.StartAsync(parsed.GetValue(kind), parsed.GetValue(port)).ConfigureAwait(false);
            Console.WriteLine(BenchmarkContext.BareServerReady);
            await server.WaitAsync().ConfigureAwait(false);
            return 0;
        });
        return command;
    }
}
