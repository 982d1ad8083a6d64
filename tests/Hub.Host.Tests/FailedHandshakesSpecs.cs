using Akka.Actor;
using Akka.Configuration;
using Hub.Actors.Settings;
using Hub.Host.Hosting;
using Microsoft.Extensions.Logging.Abstractions;

namespace Hub.Host.Tests;

public sealed class FailedHandshakesSpecs
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private static CoordinatedShutdown.Reason Failure()
    {
        var type = typeof(Akka.Remote.Transport.DotNetty.DotNettySslSetup).Assembly.GetType(FailedHandshakes.Reason, throwOnError: true)!;
        return (CoordinatedShutdown.Reason)Activator.CreateInstance(type, "no handshake")!;
    }

    [Fact]
    public async Task A_system_outlives_what_Akka_does_about_failed_handshakes_and_still_stops_in_order()
    {
        using var system = ActorSystem.Create("s", ConfigurationFactory.ParseString("akka.actor.provider = local").WithFallback(HubConfiguration.Akka));
        FailedHandshakes.Survive(system, NullLogger.Instance);
        var shutdown = CoordinatedShutdown.Get(system);
        var stopped = 0;
        shutdown.AddTask(CoordinatedShutdown.PhaseServiceStop, "count", () =>
        {
            Interlocked.Increment(ref stopped);
            return Task.FromResult(Akka.Done.Instance);
        });
        for (var i = 0; i < 3; i++)
        {
            await Should.ThrowAsync<Exception>(() => shutdown.Run(Failure()).WaitAsync(Patience));
            SpinWait.SpinUntil(() => shutdown.ShutdownReason is null, Patience).ShouldBeTrue();
        }

        (stopped, system.WhenTerminated.IsCompleted).ShouldBe((0, false));
        await shutdown.Run(CoordinatedShutdown.ClusterLeavingReason.Instance).WaitAsync(Patience);
        stopped.ShouldBe(1);
        await system.WhenTerminated.WaitAsync(Patience);
    }
}
