using Akka.Actor;
using Akka.Cluster.Hosting;
using Akka.Hosting;
using Hub.Actors.Registry;
using Hub.Actors.Telemetry;

namespace Hub.Actors.Tokens;

/// <summary>Wiring of the tokens.</summary>
public static class TokensHosting
{
    private const string Name = "tokens";

    /// <summary>
    /// Starts <see cref="TokensActor"/> under its supervisor, once in a cluster (on the oldest full member), registers the way to it as
    /// <see cref="TokensActor"/>, and keeps the member's directory filled.
    /// </summary>
    public static AkkaConfigurationBuilder WithTokens(this AkkaConfigurationBuilder builder, TokenDirectory directory, int maxCount, bool isMember, MemberFence fence,
        TimeProvider time, Readiness? readiness = null, HubMetrics? metrics = null)
    {
        if (!isMember)
        {
            return builder.WithActors((system, registry) =>
                registry.Register<TokensActor>(system.ActorOf(TokensActor.Supervised(directory, maxCount, time, readiness, metrics), Name)));
        }

        var once = new ClusterSingletonOptions
        {
            Role = MemberRoles.Full,
            TerminationMessage = StopTokens.Instance,
            // It would say so at each start, of a member that has not joined yet; readiness says that the tokens are missing.
            LogSingletonIdentificationFailure = false,
        };
        var tokens = AfterFenceActor.Props(fence, TokensActor.Supervised(null, maxCount, time, readiness: null, metrics), StopTokens.Instance);
        return builder.WithSingleton<TokensActor>(Name, tokens, once).WithActors((system, registry) =>
            system.ActorOf(TokenMirrorActor.Props(registry.Get<TokensActor>(), directory, readiness), "token-mirror"));
    }
}
