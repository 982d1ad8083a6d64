using Hub.Load.Baselines;
using Hub.Load.Nodes;

namespace Hub.Load.Scenarios;

/// <summary>
/// Lets the generator's own code be compiled before anything is measured. Without it the first scenario of a run would be the
/// slowest, whatever it is.
/// </summary>
internal static class GeneratorWarmUp
{
    private const int Nodes = 200;

    public static async Task RunAsync(BenchmarkContext context)
    {
        var (child, address) = await context.StartBareAsync(BareKind.Actors).ConfigureAwait(false);
        await using (child.ConfigureAwait(false))
        {
            await using var fleet = new NodeFleet(new FleetOptions { Hub = address, Nodes = Nodes, Load = NodeLoad.ClosedLoop });
            fleet.Meters.StartRecording();
            fleet.Start();
            await fleet.WaitForOnlineAsync(Nodes, TimeSpan.FromSeconds(60)).ConfigureAwait(false);
            await Task.Delay(context.Options.WarmUp).ConfigureAwait(false);
        }
    }
}
