using System.Collections.Concurrent;
using Akka.Actor;
using Akka.Configuration;
using Hub.Actors.Settings;
using Hub.Host.Hosting;

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
        var log = new Logged();
        FailedHandshakes.Survive(system, log);
        var shutdown = CoordinatedShutdown.Get(system);
        var stopped = 0;
        shutdown.AddTask(CoordinatedShutdown.PhaseServiceStop, "count", () =>
        {
            Interlocked.Increment(ref stopped);
            return Task.FromResult(Akka.Done.Instance);
        });
        for (var i = 0; i < 3; i++)
        {
            // Not awaited: what becomes of that run is nobody's business but the system's, which is to have forgotten it.
            _ = shutdown.Run(Failure());
            SpinWait.SpinUntil(() => shutdown.ShutdownReason is null, Patience).ShouldBeTrue();
            log.Ids.ShouldBe(Enumerable.Repeat(1146, i + 1));
        }

        (stopped, system.WhenTerminated.IsCompleted).ShouldBe((0, false));
        await shutdown.Run(CoordinatedShutdown.ClusterLeavingReason.Instance).WaitAsync(Patience);
        stopped.ShouldBe(1);
        await system.WhenTerminated.WaitAsync(Patience);
        log.Ids.Count.ShouldBe(3);
    }

    /// <summary>The ids of what was logged.</summary>
    private sealed class Logged : ILogger
    {
        public ConcurrentQueue<int> Ids { get; } = new();

        public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) => Ids.Enqueue(eventId.Id);
    }
}
