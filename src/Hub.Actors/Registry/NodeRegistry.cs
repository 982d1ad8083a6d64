using Akka.Actor;
using Akka.Cluster.Sharding;
using AkkaHub.V1;
using Google.Protobuf;
using Hub.Actors.Nodes;
using Hub.Protocol;

namespace Hub.Actors.Registry;

/// <summary>A request to a node, or to all of them, failed.</summary>
public sealed class NodeRequestFailedException(Failure failure) : Exception(failure.Message)
{
    /// <summary>Why.</summary>
    public Failure Failure { get; } = failure;
}

/// <summary>Nodes, by name.</summary>
/// <param name="Nodes">Those of the partitions that answered.</param>
/// <param name="Unreachable">The partitions that did not.</param>
public sealed record NodeList(List<Node> Nodes, IReadOnlyList<int> Unreachable);

/// <summary>The way in to the registry for code that is not an actor: nodes by name, all nodes. Thread-safe.</summary>
public sealed class NodeRegistry(IActorRef region, HubRuntime hub)
{
    /// <summary>Type name of the sharding region; permanent.</summary>
    public const string TypeName = "nodes";

    /// <summary>How long a partition may take to say which nodes it has: longer than it takes to move to another member in order.</summary>
    public static readonly TimeSpan ListTimeout = TimeSpan.FromSeconds(8);

    /// <summary>The region that routes messages to partitions.</summary>
    public IActorRef Region { get; } = region;

    /// <summary>Asks a node's actor (or its partition) and waits for the answer.</summary>
    /// <param name="node">The node's name.</param>
    /// <param name="request">A request message of HubService; not changed after this.</param>
    /// <param name="cancellationToken">Gives the answer up; what was asked may be done all the same.</param>
    /// <param name="caller">See <see cref="NodeRequest"/>.</param>
    /// <exception cref="NodeRequestFailedException">It failed; the failure says why.</exception>
    public async Task<T> AskAsync<T>(string node, IMessage request, CancellationToken cancellationToken, long caller = 0)
        where T : IMessage
    {
        // How long input takes is the program's affair; the node's actor answers it when the session ends at the latest.
        var timeout = request is SendInputRequest ? Timeout.InfiniteTimeSpan : hub.Settings.Registry.AskTimeout;
        object answer;
        try
        {
            answer = await Region.Ask<object>(new NodeRequest(node, request, caller), timeout, cancellationToken).ConfigureAwait(false);
        }
        catch (AskTimeoutException)
        {
            throw new NodeRequestFailedException(new Failure(FailureKind.Aborted, ErrorReasons.DeliveryUnknown,
                $"Node '{node}' did not answer within {hub.Settings.Registry.AskTimeout.TotalSeconds:F0} s; whether it did what was asked is not known."));
        }

        return answer switch
        {
            NodeReply { Response: T response } => response,
            NodeFailure failure => throw new NodeRequestFailedException(failure.Failure),
            _ => throw new InvalidOperationException($"Node '{node}' answered {answer.GetType()} to {request.Descriptor.Name}."),
        };
    }

    /// <summary>Every node ever registered, by name; and the partitions that do not answer within <see cref="ListTimeout"/>, whose nodes are not among them.</summary>
    public Task<NodeList> ListAsync(CancellationToken cancellationToken) =>
        ListAsync(Enumerable.Range(0, hub.Settings.Registry.Partitions), cancellationToken);

    /// <summary>The same of some partitions.</summary>
    public async Task<NodeList> ListAsync(IEnumerable<int> partitions, CancellationToken cancellationToken)
    {
        var answers = await Task.WhenAll(partitions.Select(p => ListAsync(p, cancellationToken))).ConfigureAwait(false);
        var nodes = answers.SelectMany(static a => a.Nodes ?? []).ToList();
        nodes.Sort(static (a, b) => string.CompareOrdinal(a.Name, b.Name));
        return new NodeList(nodes, [.. answers.Where(static a => a.Nodes is null).Select(static a => a.Partition)]);
    }

    private async Task<(int Partition, IReadOnlyList<Node>? Nodes)> ListAsync(int partition, CancellationToken cancellationToken)
    {
        try
        {
            return (partition, (await Region.Ask<PartitionNodes>(new ListPartition(partition), ListTimeout, cancellationToken).ConfigureAwait(false)).Nodes);
        }
        catch (AskTimeoutException)
        {
            return (partition, null);
        }
    }

    /// <summary>Routes messages: entity and shard are the partition.</summary>
    internal sealed class Extractor(int partitions) : IMessageExtractor
    {
        public string? EntityId(object message) => message switch
        {
            INodeMessage m => Text(StableHash.PartitionOf(m.Node, partitions)),
            IPartitionMessage m => Text(m.Partition),
            _ => null,
        };

        public object EntityMessage(object message) => message;

        public string? ShardId(object message) => EntityId(message);

        public string ShardId(string entityId, object? messageHint = null) => entityId;

        private static string Text(int partition) => partition.ToString(System.Globalization.CultureInfo.InvariantCulture);
    }
}
