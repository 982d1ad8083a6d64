using Akka.Actor;
using Akka.Hosting;
using AkkaHub.V1;
using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;
using Grpc.Core;
using Hub.Actors;
using Hub.Actors.Registry;
using Hub.Host.Hosting;
using Hub.Protocol;

namespace Hub.Host.Services;

/// <summary>
/// HubService: checks the form of each request, asks the node's actor, and turns failures into statuses. It takes no decision
/// of its own. This part is the calls with one answer; streams and what concerns members stand in the others.
/// </summary>
public sealed partial class HubEndpoint(
    NodeRegistry registry, HubRuntime hub, HistoryFollower follower, IRequiredActor<HubActorKeys.Events> events,
    IRequiredActor<HubActorKeys.Members> members, TokenOperations tokens, HubLifetime lifetime, ActorSystem system) : HubService.HubServiceBase
{
    private const int DefaultPageSize = 100;
    private const int MaxPageSize = 1000;

    /// <inheritdoc/>
    public override async Task<GetHubResponse> GetHub(GetHubRequest request, ServerCallContext context)
    {
        var nodes = (await ListAsync(context).ConfigureAwait(false)).Nodes;
        var slice = await ReadEventsAsync(new Actors.Events.ReadEvents("", 0, "", null, FromEnd: true), context.CancellationToken).ConfigureAwait(false);
        return new GetHubResponse
        {
            Version = BuildVersion.Text,
            Member = Akka.Cluster.Cluster.Get(system).SelfAddress.ToString(),
            StartTime = hub.StartedUnixUs.ToTimestamp(),
            Nodes = nodes.Count,
            NodesOnline = nodes.Count(n => n.State is NodeState.Online or NodeState.Draining),
            EventCursor = slice.Next,
        };
    }

    /// <inheritdoc/>
    public override Task<StopHubResponse> StopHub(StopHubRequest request, ServerCallContext context)
    {
        lifetime.RequestStop(request.LocalNode, "a client asked for it");
        return Task.FromResult(new StopHubResponse());
    }

    /// <inheritdoc/>
    public override async Task<ListNodesResponse> ListNodes(ListNodesRequest request, ServerCallContext context)
    {
        var selector = LabelSelector.Parse(request.LabelSelector);
        if (request.PageSize is < 0 or > MaxPageSize)
            throw HubErrors.InvalidField("page_size", $"must be 1 to {MaxPageSize}, or 0 for {DefaultPageSize}");
        var after = "";
        if (request.PageToken.Length > 0 && !Names.TryParseNode(request.PageToken, out _))
            throw HubErrors.InvalidField("page_token", "must be the next_page_token of the page before");
        if (request.PageToken.Length > 0)
            after = request.PageToken;
        var size = request.PageSize == 0 ? DefaultPageSize : request.PageSize;
        var list = await ListAsync(context).ConfigureAwait(false);
        var response = new ListNodesResponse { UnreachablePartitions = { list.Unreachable } };
        foreach (var node in list.Nodes)
        {
            if (string.CompareOrdinal(node.Name, after) <= 0 || !selector.Matches(node))
                continue;
            if (response.Nodes.Count == size)
            {
                // The last name given: names after it are the next page, whatever comes and goes meanwhile.
                response.NextPageToken = response.Nodes[^1].Name;
                break;
            }

            response.Nodes.Add(node);
        }

        return response;
    }

    /// <inheritdoc/>
    public override Task<GetNodeResponse> GetNode(GetNodeRequest request, ServerCallContext context) =>
        AskAsync<GetNodeResponse>(Requests.Node("name", request.Name), request, context);

    /// <inheritdoc/>
    public override Task<ForgetNodeResponse> ForgetNode(ForgetNodeRequest request, ServerCallContext context) =>
        AskAsync<ForgetNodeResponse>(Requests.Node("name", request.Name), request, context);

    /// <inheritdoc/>
    public override Task<DrainNodeResponse> DrainNode(DrainNodeRequest request, ServerCallContext context) =>
        AskAsync<DrainNodeResponse>(Requests.Node("name", request.Name), request, context);

    /// <inheritdoc/>
    public override Task<ListTerminalsResponse> ListTerminals(ListTerminalsRequest request, ServerCallContext context) =>
        AskAsync<ListTerminalsResponse>(Requests.Node("parent", request.Parent), request, context);

    /// <inheritdoc/>
    public override Task<OpenTerminalResponse> OpenTerminal(OpenTerminalRequest request, ServerCallContext context)
    {
        var node = Requests.OwnTerminal("name", request.Name);
        Requests.Size("size", request.Size, required: false);
        Requests.TerminalArgv("argv", request.Argv);
        Requests.Environment(request.Env, request.Cwd);
        return AskAsync<OpenTerminalResponse>(node, request, context);
    }

    /// <inheritdoc/>
    public override Task<CloseTerminalResponse> CloseTerminal(CloseTerminalRequest request, ServerCallContext context) =>
        AskAsync<CloseTerminalResponse>(Requests.OwnTerminal("name", request.Name), request, context);

    /// <inheritdoc/>
    public override Task<PurgeTerminalResponse> PurgeTerminal(PurgeTerminalRequest request, ServerCallContext context) =>
        AskAsync<PurgeTerminalResponse>(Requests.Terminal("name", request.Name), request, context);

    /// <inheritdoc/>
    public override Task<ReadHistoryResponse> ReadHistory(ReadHistoryRequest request, ServerCallContext context)
    {
        var node = Requests.Terminal("name", request.Name);
        Requests.Read(request);
        return AskAsync<ReadHistoryResponse>(node, request, context);
    }

    /// <inheritdoc/>
    public override Task<SendInputResponse> SendInput(SendInputRequest request, ServerCallContext context)
    {
        var node = Requests.Terminal("name", request.Name);
        if (request.Data.Length > Requests.MaxInputBytes)
            throw HubErrors.InvalidField("data", $"must be at most {Requests.MaxInputBytes} bytes; nothing was sent");
        return AskAsync<SendInputResponse>(node, request, context);
    }

    /// <inheritdoc/>
    public override async Task<SendKeysResponse> SendKeys(SendKeysRequest request, ServerCallContext context)
    {
        var node = Requests.Terminal("name", request.Name);
        var input = new SendInputRequest { Name = request.Name, Data = UnsafeByteOperations.UnsafeWrap(TerminalKeys.Encode(request.Keys)) };
        await AskAsync<SendInputResponse>(node, input, context).ConfigureAwait(false);
        return new SendKeysResponse();
    }

    /// <inheritdoc/>
    public override Task<ResizeTerminalResponse> ResizeTerminal(ResizeTerminalRequest request, ServerCallContext context)
    {
        var node = Requests.Terminal("name", request.Name);
        Requests.Size("size", request.Size, required: true);
        return AskAsync<ResizeTerminalResponse>(node, request, context);
    }

    /// <inheritdoc/>
    public override Task<SignalTerminalResponse> SignalTerminal(SignalTerminalRequest request, ServerCallContext context)
    {
        var node = Requests.Terminal("name", request.Name);
        if (request.Signal == Signal.Unspecified || !System.Enum.IsDefined(request.Signal))
            throw HubErrors.InvalidField("signal", "must be one of HUP, INT, QUIT, KILL, USR1, USR2, TERM, CONT, STOP, TSTP");
        return AskAsync<SignalTerminalResponse>(node, request, context);
    }

    /// <inheritdoc/>
    public override Task<GetCommandResponse> GetCommand(GetCommandRequest request, ServerCallContext context) =>
        AskAsync<GetCommandResponse>(Requests.Command("name", request.Name), request, context);

    /// <inheritdoc/>
    public override Task<ListCommandsResponse> ListCommands(ListCommandsRequest request, ServerCallContext context) =>
        AskAsync<ListCommandsResponse>(Requests.Node("parent", request.Parent), request, context);

    /// <inheritdoc/>
    public override Task<CancelCommandResponse> CancelCommand(CancelCommandRequest request, ServerCallContext context) =>
        AskAsync<CancelCommandResponse>(Requests.Command("name", request.Name), request, context);

    /// <inheritdoc/>
    public override Task<CreateTokenResponse> CreateToken(CreateTokenRequest request, ServerCallContext context) =>
        tokens.CreateAsync(request, context.CancellationToken);

    /// <inheritdoc/>
    public override Task<ListTokensResponse> ListTokens(ListTokensRequest request, ServerCallContext context) =>
        tokens.ListAsync(context.CancellationToken);

    /// <inheritdoc/>
    public override Task<RevokeTokenResponse> RevokeToken(RevokeTokenRequest request, ServerCallContext context) =>
        tokens.RevokeAsync(request, context.CancellationToken);

    private async Task<T> AskAsync<T>(string node, IMessage request, ServerCallContext context, long caller = 0)
        where T : IMessage
    {
        RefuseUntilReady();
        try
        {
            return await registry.AskAsync<T>(node, request, context.CancellationToken, caller).ConfigureAwait(false);
        }
        catch (NodeRequestFailedException e)
        {
            throw NodeBridgeEndpoint.ToRpc(e.Failure);
        }
    }

    private Task<NodeList> ListAsync(ServerCallContext context)
    {
        RefuseUntilReady();
        return registry.ListAsync(context.CancellationToken);
    }

    /// <summary>Before every partition answers, 'no such node' would be a lie. A store that stalls later does not stop reads.</summary>
    private void RefuseUntilReady()
    {
        if (hub.Readiness.Reasons.ContainsKey(Readiness.Partitions))
            throw HubErrors.NotReady($"the hub is not ready: {hub.Readiness.Reasons[Readiness.Partitions]}", hub.Settings.Admission.RetryHint);
    }
}
