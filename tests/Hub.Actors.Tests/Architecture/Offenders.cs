using Akka.Actor;
using AkkaHub.V1;
using Grpc.Core;
using Hub.Actors.History;
using Hub.Actors.Settings;
using Hub.Actors.Store;

namespace Microsoft.AspNetCore.StandIn
{
    /// <summary>Stands for any type of ASP.NET, which these tests do not reference.</summary>
    internal sealed class Request;
}

// Each of these draws one arrow that a rule forbids.
namespace Hub.Actors.Tests.Architecture.Offenders
{
    internal sealed class KnowsAspNet
    {
        public Microsoft.AspNetCore.StandIn.Request? Request { get; init; }
    }

    internal sealed class KnowsGrpc
    {
        public ServerCallContext? Context { get; init; }
    }

    internal sealed class KnowsService
    {
        public HubService.HubServiceClient? Client { get; init; }
    }

    internal sealed class KnowsActors
    {
        public TerminalHistory? History { get; init; }
    }

    internal sealed class KnowsAkka
    {
        public IActorRef? Actor { get; init; }
    }

    internal sealed class KnowsAnotherRoom
    {
        public HistorySettings? Allowed { get; init; }
        public StoreReport? Forbidden { get; init; }
    }
}
