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

/// <summary>The way in to the registry for code that is not an actor: nodes by name, all nodes. Thread-safe.</summary>
public sealed class NodeRegistry(IActorRef region, HubRuntime hub)
{
    /// <summary>Type name of the sharding region; permanent.</summary>
    public const string TypeName = "nodes";

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

    /// <summary>Every node ever registered, by name.</summary>
    /// <exception cref="NodeRequestFailedException">A partition did not answer.</exception>
    public async Task<List<Node>> ListAsync(CancellationToken cancellationToken)
    {
        var partitions = hub.Settings.Registry.Partitions;
        var asks = new Task<PartitionNodes>[partitions];
        for (var i = 0; i < partitions; i++)
            asks[i] = Region.Ask<PartitionNodes>(new ListPartition(i), hub.Settings.Registry.AskTimeout, cancellationToken);
        try
        {
            var nodes = (await Task.WhenAll(asks).ConfigureAwait(false)).SelectMany(p => p.Nodes).ToList();
            nodes.Sort(static (a, b) => string.CompareOrdinal(a.Name, b.Name));
            return nodes;
        }
        catch (AskTimeoutException)
        {
            var silent = string.Join(", ", asks.Index().Where(a => !a.Item.IsCompletedSuccessfully).Select(a => a.Index));
            throw new NodeRequestFailedException(new Failure(FailureKind.Unavailable, ErrorReasons.NotReady, $"Partition(s) {silent} did not answer."));
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
