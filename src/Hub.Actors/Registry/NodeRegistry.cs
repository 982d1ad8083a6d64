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

    // A node has at most some 80 KB, most of them labels; a message between members stays well below its largest frame.
    private const int PageBytes = 1024 * 1024;

    // After this long without an answer a question is taken for lost; longer each time, and longer than all but a store that stands still takes.
    private static readonly TimeSpan FirstPatience = TimeSpan.FromSeconds(3);
    private static readonly TimeSpan MostPatience = TimeSpan.FromSeconds(12);

    // Most input is answered before that. Whoever has died since it was sent has no successor yet; for what else there is see ADR 0017.
    private static readonly TimeSpan FirstLook = TimeSpan.FromMilliseconds(500);

    // One look may be lost, or late, like what it looks after.
    private const int MostMissedLooks = 2;

    /// <summary>The region that routes messages to partitions.</summary>
    public IActorRef Region { get; } = region;

    /// <summary>
    /// Asks a node's actor (or its partition) and waits for the answer. What only reads is asked again while the partition moves, and when its member has
    /// died with the question.
    /// </summary>
    /// <param name="node">The node's name.</param>
    /// <param name="request">A request message of HubService; not changed after this.</param>
    /// <param name="cancellationToken">Gives the answer up; what was asked may be done all the same.</param>
    /// <param name="caller">See <see cref="NodeRequest"/>.</param>
    /// <exception cref="NodeRequestFailedException">It failed; the failure says why.</exception>
    public async Task<T> AskAsync<T>(string node, IMessage request, CancellationToken cancellationToken, long caller = 0)
        where T : IMessage
    {
        var question = new NodeRequest(node, request, caller);
        var answer = request switch
        {
            SendInputRequest => await AskWhileItsSessionStandsAsync(question, cancellationToken).ConfigureAwait(false),
            _ when question.OnlyReads => await AskAgainAsync(question, cancellationToken).ConfigureAwait(false),
            _ => await AskOnceAsync(question, hub.Settings.Registry.AskTimeout, cancellationToken).ConfigureAwait(false),
        };
        return answer switch
        {
            NodeReply { Response: T response } => response,
            NodeFailure failure => throw new NodeRequestFailedException(failure.Failure),
            null => throw new NodeRequestFailedException(new Failure(FailureKind.Aborted, ErrorReasons.DeliveryUnknown,
                $"Node '{node}' did not answer within {hub.Settings.Registry.AskTimeout.TotalSeconds:F0} s" +
                (question.OnlyReads ? "; ask again." : "; whether it did what was asked is not known."))),
            _ => throw new InvalidOperationException($"Node '{node}' answered {answer.GetType()} to {request.Descriptor.Name}."),
        };
    }

    // Null if it is not answered in time.
    private async Task<object?> AskOnceAsync(object question, TimeSpan timeout, CancellationToken cancellationToken)
    {
        using var late = new CancellationTokenSource(timeout, hub.Time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(late.Token, cancellationToken);
        try
        {
            return await Region.Ask<object>(question, Timeout.InfiniteTimeSpan, either.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            return null;
        }
    }

    private async Task<object?> AskAgainAsync(NodeRequest question, CancellationToken cancellationToken)
    {
        var began = hub.Time.GetTimestamp();
        // Who waits for output waits this long by itself.
        var waits = question.Request is ReadHistoryRequest { Wait: { } wait } ? wait.ToTimeSpan() : TimeSpan.Zero;
        var patience = FirstPatience;
        NodeFailure? refused = null;
        while (hub.Settings.Registry.AskTimeout - hub.Time.GetElapsedTime(began) is var left && left > TimeSpan.Zero)
        {
            switch (await AskOnceAsync(question, Shorter(left, waits + patience), cancellationToken).ConfigureAwait(false))
            {
                case null:
                    patience = Shorter(patience * 2, MostPatience);
                    break;
                case NodeFailure { Failure.Reason: ErrorReasons.NotReady } failure:
                    refused = failure;
                    break;
                case var answer:
                    return answer;
            }

            await Task.Delay(TimeSpan.FromMilliseconds(Random.Shared.Next(100, 400)), hub.Time, cancellationToken).ConfigureAwait(false);
        }

        return refused;
    }

    // How long input takes is the program's affair, and the node's actor answers it when the session ends at the latest; but one that was lost with its
    // member answers nothing. So who waits looks now and then whether the session still stands.
    private async Task<object?> AskWhileItsSessionStandsAsync(NodeRequest question, CancellationToken cancellationToken)
    {
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var answer = Region.Ask<object>(question, Timeout.InfiniteTimeSpan, ended.Token);
        try
        {
            long? epoch = null;
            var missed = 0;
            for (var pause = FirstLook; await Task.WhenAny(answer, Task.Delay(pause, hub.Time, ended.Token)).ConfigureAwait(false) != answer && !ended.IsCancellationRequested; pause = FirstPatience)
            {
                var look = new NodeRequest(question.Node, new GetNodeRequest { Name = Names.Node(question.Node) });
                var seen = (await AskOnceAsync(look, FirstPatience, ended.Token).ConfigureAwait(false) as NodeReply)?.Response as GetNodeResponse;
                if (answer.IsCompleted)
                    break;
                // After one was missed, the first that is answered may be by another member, of another session.
                var late = missed > 0 && epoch is null;
                missed = seen is null ? missed + 1 : 0;
                if (seen is null ? missed >= MostMissedLooks : late || seen.Node.SessionEpoch != (epoch ??= seen.Node.SessionEpoch))
                {
                    return new NodeFailure(new Failure(FailureKind.Aborted, ErrorReasons.DeliveryUnknown,
                        "It is not known whether the node did this: its session has ended meanwhile, or its partition does not answer. Look at the terminal before you try again."));
                }
            }

            return await answer.ConfigureAwait(false);
        }
        finally
        {
            await ended.CancelAsync().ConfigureAwait(false);
        }
    }

    private static TimeSpan Shorter(TimeSpan a, TimeSpan b) => a < b ? a : b;

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
        var nodes = new List<Node>();
        var after = "";
        var began = hub.Time.GetTimestamp();
        while (ListTimeout - hub.Time.GetElapsedTime(began) is var left && left > TimeSpan.Zero)
        {
            var question = new ListPartition(partition, after, PageBytes);
            if (await AskOnceAsync(question, Shorter(left, FirstPatience), cancellationToken).ConfigureAwait(false) is PartitionNodes page)
            {
                nodes.AddRange(page.Nodes);
                if (!page.More || !Names.TryParseNode(page.Nodes[^1].Name, out var last))
                    return (partition, nodes);
                after = last;
                // Each page has its time, as the partition is there.
                began = hub.Time.GetTimestamp();
                continue;
            }

            // It may have moved, or died with its member, with the question.
            await Task.Delay(TimeSpan.FromMilliseconds(Random.Shared.Next(50, 200)), hub.Time, cancellationToken).ConfigureAwait(false);
        }

        return (partition, null);
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
