using System.Reflection;
using Akka;
using Akka.Actor;
using Akka.Cluster;
using Akka.Util;

namespace Hub.Host.Hosting;

/// <summary>
/// A TLS handshake that this member began and that fails is one peer that cannot be reached, and nothing else. Akka.Remote (since 1.5.51) ends the
/// whole actor system for it: whoever listens at the address of a member that died, with any certificate, would end all the others, and so would a
/// member that dies in the middle of a handshake. There is no setting for it (ADR 0015). So the shutdown with that reason fails in a first phase of
/// its own, which ends it, and what it has noted of itself is taken back, so that a later one runs.
/// </summary>
internal static class FailedHandshakes
{
    /// <summary>The first phase of each shutdown; <c>hocon/akka.hocon</c> places it.</summary>
    public const string Phase = "akkahub-first";

    /// <summary>Full name of the reason, which is not public.</summary>
    public const string Reason = "Akka.Remote.Transport.DotNetty.TlsHandshakeFailureReason";

    private const BindingFlags Private = BindingFlags.Instance | BindingFlags.NonPublic;
    private static readonly FieldInfo? Started = typeof(CoordinatedShutdown).GetField("_runStarted", Private);
    private static readonly FieldInfo? Promise = typeof(CoordinatedShutdown).GetField("_runPromise", Private);

    /// <summary>Lets a system outlive failed handshakes. Where Akka is another than is known here, it ends as it would.</summary>
    public static void Survive(ActorSystem system, ILogger log)
    {
        var shutdown = CoordinatedShutdown.Get(system);
        shutdown.AddTask(Phase, "outlive-failed-handshakes", () =>
        {
            var reason = shutdown.ShutdownReason;
            if (reason?.GetType().FullName != Reason)
                return Task.FromResult(Done.Instance);
            if (Started?.GetValue(shutdown) is not AtomicReference<CoordinatedShutdown.Reason> started || Promise?.GetValue(shutdown) is not TaskCompletionSource<Done> promise)
                return Task.FromResult(Done.Instance);
            // Once the run has failed, and nobody else asks for that promise any more.
            _ = promise.Task.ContinueWith(
                _ =>
                {
                    Promise.SetValue(shutdown, new TaskCompletionSource<Done>());
                    started.Value = null!;
                    // That the member was removed meanwhile began no run of its own.
                    if (system is ExtendedActorSystem { Provider: ClusterActorRefProvider } && Cluster.Get(system).IsTerminated)
                        _ = shutdown.Run(CoordinatedShutdown.ClusterDowningReason.Instance);
                },
                CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
            log.HandshakeFailed(reason.ToString() ?? "");
            return Task.FromException<Done>(new InvalidOperationException("The member goes on."));
        });
    }
}
