using Akka.Actor;
using AkkaHub.V1;
using Grpc.Core;
using Hub.Actors;
using Hub.Actors.Events;
using Hub.Actors.Registry;
using Hub.Protocol;

namespace Hub.Host.Services;

// Watching events and nodes: both read on in the mesh's event log.
public sealed partial class HubEndpoint
{
    private static readonly TimeSpan EventWait = TimeSpan.FromSeconds(25);
    // While the nodes of a partition are still to be listed.
    private static readonly TimeSpan ListAgain = TimeSpan.FromSeconds(2);
    // For what a node is like now. Until it is known nothing is told of any other one.
    private static readonly TimeSpan ChangeLimit = TimeSpan.FromSeconds(3);

    /// <inheritdoc/>
    public override async Task WatchEvents(WatchEventsRequest request, IServerStreamWriter<WatchEventsResponse> responseStream, ServerCallContext context)
    {
        if (request.Node.Length > 0)
            Requests.Node("node", request.Node);
        Requests.EventCursor("cursor", request.Cursor);
        Requests.Time("since", request.Since);
        var cursor = request.Cursor;
        var since = request.Since is null ? 0 : request.Since.ToDateTimeOffset().ToUnixUs();
        while (true)
        {
            var slice = await ReadEventsAsync(new ReadEvents(cursor, since, request.Node, request.Follow ? EventWait : null), context.CancellationToken).ConfigureAwait(false);
            var response = new WatchEventsResponse { NextCursor = slice.Next, UnreachablePartitions = { slice.Unreachable } };
            response.Events.Add(slice.Events);
            await responseStream.WriteAsync(response, context.CancellationToken).ConfigureAwait(false);
            cursor = slice.Next;
            if (slice.AtEnd && !request.Follow)
                return;
        }
    }

    /// <inheritdoc/>
    public override async Task WatchNodes(WatchNodesRequest request, IServerStreamWriter<WatchNodesResponse> responseStream, ServerCallContext context)
    {
        var selector = LabelSelector.Parse(request.LabelSelector);
        Requests.EventCursor("resume_token", request.ResumeToken);
        var cursor = request.ResumeToken;
        var shown = new ShownNodes(resumed: cursor.Length > 0);
        IReadOnlyList<int> unlisted = [];
        IReadOnlyList<int> asked = [];
        var whole = cursor.Length > 0;
        if (cursor.Length == 0)
        {
            // The place in the log is taken before the snapshot: what changes meanwhile is seen twice rather than not at all.
            cursor = (await ReadEventsAsync(new ReadEvents("", 0, "", null, FromEnd: true), context.CancellationToken).ConfigureAwait(false)).Next;
            var list = await ListAsync(context).ConfigureAwait(false);
            unlisted = list.Unreachable;
            foreach (var node in list.Nodes)
            {
                if (shown.Take(node.Name, selector.Matches(node)))
                    await TellAsync(new WatchNodesResponse { Node = node }, cursor).ConfigureAwait(false);
            }

            whole = true;
            await responseStream.WriteAsync(new WatchNodesResponse { Synced = true, ResumeToken = Token(cursor), UnreachablePartitions = { unlisted } }, context.CancellationToken).ConfigureAwait(false);
        }

        var named = unlisted;
        Task<NodeList>? listing = null;
        while (!context.CancellationToken.IsCancellationRequested)
        {
            var slice = await ReadEventsAsync(new ReadEvents(cursor, 0, "", unlisted.Count + asked.Count > 0 ? ListAgain : EventWait), context.CancellationToken).ConfigureAwait(false);
            foreach (var e in slice.Events)
            {
                if (e.Type == MeshEventType.EventsLost && TryParsePartition(e.Subject, out var lossy))
                    unlisted = [.. unlisted.Union([lossy])];
                if (Names.TryParseNode(e.Subject, out var name))
                    await TellChangeAsync(name, e.Type, e.Cursor).ConfigureAwait(false);
            }

            cursor = slice.Next;
            // Beside the watching: a partition that does not answer keeps nothing of the others back.
            if (listing is null && unlisted.Count > 0)
            {
                (asked, unlisted) = (unlisted, []);
                listing = registry.ListAsync(asked, context.CancellationToken);
            }

            if (listing is { IsCompleted: true })
            {
                var list = await listing.ConfigureAwait(false);
                listing = null;
                unlisted = [.. unlisted.Union(list.Unreachable)];
                // As they are now: what the list says of them may be older than events that were told meanwhile.
                foreach (var node in list.Nodes)
                {
                    if (Names.TryParseNode(node.Name, out var name))
                        await TellChangeAsync(name, MeshEventType.Unspecified, cursor).ConfigureAwait(false);
                }

                // Only now: until the last of them is told there is no token.
                asked = [];
            }

            int[] unreachable = [.. slice.Unreachable.Union(unlisted).Union(asked).Order()];
            if (unreachable.SequenceEqual(named))
                continue;
            named = unreachable;
            await responseStream.WriteAsync(new WatchNodesResponse { ResumeToken = Token(cursor), UnreachablePartitions = { unreachable } }, context.CancellationToken).ConfigureAwait(false);
        }

        // Who goes on from a place is not shown nodes again: there is none while some were not shown.
        string Token(string place) => whole && unlisted.Count + asked.Count == 0 ? place : "";

        // A node that cannot be asked keeps those of other partitions back for a moment only: its partition is listed again, and named until then.
        async Task TellChangeAsync(string name, MeshEventType type, string place)
        {
            var partition = StableHash.PartitionOf(name, hub.Settings.Registry.Partitions);
            if (type != MeshEventType.NodeForgotten && unlisted.Contains(partition))
                return;
            var (known, change) = await ChangeAsync(name, type, selector, shown, context).ConfigureAwait(false);
            if (!known)
                unlisted = [.. unlisted, partition];
            await TellAsync(change, place).ConfigureAwait(false);
        }

        async Task TellAsync(WatchNodesResponse? change, string place)
        {
            if (change is null)
                return;
            change.ResumeToken = Token(place);
            await responseStream.WriteAsync(change, context.CancellationToken).ConfigureAwait(false);
        }
    }

    private static bool TryParsePartition(string subject, out int partition)
    {
        partition = 0;
        return subject.StartsWith("partitions/", StringComparison.Ordinal)
            && int.TryParse(subject.AsSpan("partitions/".Length), System.Globalization.NumberStyles.None, System.Globalization.CultureInfo.InvariantCulture, out partition);
    }

    // What a watcher is to be told of a node after an event of it, if that is known.
    private async Task<(bool Known, WatchNodesResponse? Change)> ChangeAsync(string name, MeshEventType type, LabelSelector selector, ShownNodes shown, ServerCallContext context)
    {
        var resource = Names.Node(name);
        if (type == MeshEventType.NodeForgotten)
        {
            shown.Forget(resource);
            return (true, new WatchNodesResponse { Removed = resource });
        }

        using var late = new CancellationTokenSource(ChangeLimit, hub.Time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(late.Token, context.CancellationToken);
        try
        {
            var node = (await registry.AskAsync<GetNodeResponse>(name, new GetNodeRequest { Name = resource }, either.Token).ConfigureAwait(false)).Node;
            var matches = selector.Matches(node);
            if (!shown.Take(resource, matches))
                return (true, null);
            return (true, matches ? new WatchNodesResponse { Node = node } : new WatchNodesResponse { Removed = resource });
        }
        catch (NodeRequestFailedException f) when (f.Failure.Kind == FailureKind.NotFound)
        {
            return (true, null); // forgotten since; that event comes
        }
        catch (NodeRequestFailedException f) when (f.Failure.Kind is FailureKind.Unavailable or FailureKind.Aborted)
        {
            return (false, null);
        }
        catch (OperationCanceledException) when (!context.CancellationToken.IsCancellationRequested)
        {
            return (false, null);
        }
        catch (NodeRequestFailedException f)
        {
            throw NodeBridgeEndpoint.ToRpc(f.Failure);
        }
    }

    private async Task<EventSlice> ReadEventsAsync(ReadEvents question, CancellationToken cancellationToken)
    {
        var log = await events.GetAsync(cancellationToken).ConfigureAwait(false);
        return await log.Ask<object>(question with { Abandoned = cancellationToken }, hub.Settings.Registry.AskTimeout, cancellationToken).ConfigureAwait(false) switch
        {
            EventSlice slice => slice,
            EventCursorTooOld old => throw HubErrors.Create(StatusCode.OutOfRange, ErrorReasons.CursorTooOld,
                "Events after this cursor are no longer kept; go on from first_available_cursor, or list again.", [new("first_available_cursor", old.FirstAvailable)]),
            EventReadRefused refused => throw NodeBridgeEndpoint.ToRpc(refused.Failure),
            var other => throw new InvalidOperationException($"The event log answered {other.GetType()}."),
        };
    }
}
