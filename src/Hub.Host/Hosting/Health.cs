using Akka.Actor;
using Hub.Actors;
using Hub.Host.Settings;
using Hub.Protocol;

namespace Hub.Host.Hosting;

/// <summary>Health over HTTP, without a token: it tells nothing but whether, and what it waits for.</summary>
internal static class Health
{
    /// <summary>
    /// <c>/livez</c>: the process works (503 if its actor system ended). <c>/readyz</c>: it takes streams (503 with what is missing).
    /// <c>/healthz</c>: both in one answer, 200 as long as it lives.
    /// </summary>
    public static WebApplication MapHubHealth(this WebApplication app)
    {
        app.MapGet("/livez", (ActorSystem system) => Live(system) ? Results.Text("ok\n") : Results.Text("the actor system ended\n", statusCode: 503));
        app.MapGet("/readyz", (ActorSystem system, Readiness readiness) =>
            Live(system) && readiness.IsReady ? Results.Text("ok\n") : Results.Text(Missing(system, readiness), statusCode: 503));
        app.MapGet("/healthz", (ActorSystem system, Readiness readiness) =>
            Results.Text(
                $"version {BuildVersion.Text}\nlive {Word(Live(system))}\nready {Word(Live(system) && readiness.IsReady)}\n{Missing(system, readiness)}",
                statusCode: Live(system) ? 200 : 503));
        return app;
    }

    private static bool Live(ActorSystem system) => !system.WhenTerminated.IsCompleted;

    private static string Word(bool yes) => yes ? "yes" : "no";

    private static string Missing(ActorSystem system, Readiness readiness) =>
        Live(system) ? string.Concat(readiness.Reasons.Select(r => $"{r.Key}: {r.Value}\n")) : "the actor system ended\n";
}
