using System.CommandLine;
using AkkaHub.V1;
using Google.Protobuf.WellKnownTypes;
using Grpc.Core;
using Hub.Cli.Connection;
using Hub.Cli.Output;
using Hub.Protocol;
using Command = System.CommandLine.Command;

namespace Hub.Cli.Commands;

/// <summary><c>hub get events</c>: what happened in the mesh, and what happens.</summary>
internal static class EventsCommand
{
    /// <summary>The command.</summary>
    public static Command Create(Bind bind)
    {
        var follow = new Option<bool>("--follow", "-f") { Description = "Go on with what comes" };
        var since = new Option<string>("--since") { Description = "After a cursor, or from this long ago (10m) or this time (RFC 3339) on", HelpName = "CURSOR|DURATION" };
        var node = new Option<string>("--node") { Description = "Only events of this node", HelpName = "NODE" };
        node.Validators.Add(r => Arguments.Check(r, Names.IsNodeName, "is not the name of a node"));
        var output = Arguments.Output("table", "json", "yaml");
        var command = new Command("events", "List mesh events, oldest first") { follow, since, node, output };
        command.Aliases.Add("event");
        bind(command, async run =>
        {
            var request = new WatchEventsRequest { Follow = run.Get(follow), Node = run.Get(node) is { } n ? Names.Node(n) : "" };
            if (run.Get(since) is { } from)
            {
                if (Arguments.TrySince(from, run.Environment.Time, out var time))
                    request.Since = Timestamp.FromDateTimeOffset(time);
                else
                    request.Cursor = from;
            }

            return request.Follow
                ? await FollowAsync(run, request, run.Get(output)!).ConfigureAwait(false)
                : await ListAsync(run, request, run.Get(output)!).ConfigureAwait(false);
        });
        return command;
    }

    private static async Task<int> ListAsync(Invocation run, WatchEventsRequest request, string format)
    {
        var events = new List<MeshEvent>();
        var next = "";
        IReadOnlyCollection<int> unreachable = [];
        await new Reconnector(run.Hub, run.Environment, "the events").RunAsync(async (client, alive, cancellation) =>
        {
            using var call = client.WatchEvents(request, deadline: TimeProvider.System.GetUtcNow().UtcDateTime + HubConnection.CallTimeout, cancellationToken: cancellation);
            await foreach (var part in call.ResponseStream.ReadAllAsync(cancellation).ConfigureAwait(false))
            {
                alive();
                events.AddRange(part.Events);
                unreachable = part.UnreachablePartitions;
                if (part.NextCursor.Length > 0)
                    (request.Since, request.Cursor) = (null, next = part.NextCursor);
            }
        }, run.Cancellation).ConfigureAwait(false);

        var document = new EventsDocument([.. events.Select(EventDocument.From)], Json.Set(next), Json.Set(unreachable));
        switch (format)
        {
            case "json":
                await run.WriteAsync(Json.Document(document)).ConfigureAwait(false);
                break;
            case "yaml":
                await run.WriteAsync(Json.Yaml(document)).ConfigureAwait(false);
                break;
            default:
                await run.WriteTableAsync(EventTable.Headings, [.. events.Select(EventTable.Row)], "no events").ConfigureAwait(false);
                break;
        }

        GetCommands.NoteUnreachable(run, unreachable, "events are not listed");
        return ExitCodes.Success;
    }

    private static async Task<int> FollowAsync(Invocation run, WatchEventsRequest request, string format)
    {
        if (format == "table")
            await run.WriteAsync(Tables.Row([.. EventTable.Headings.Select(h => new Cell(h))], EventTable.Widths)).ConfigureAwait(false);
        int[] unreachable = [];
        await new Reconnector(run.Hub, run.Environment, "the events", mayBeQuiet: true).RunAsync(async (client, alive, cancellation) =>
        {
            using var call = client.WatchEvents(request, cancellationToken: cancellation);
            await foreach (var part in call.ResponseStream.ReadAllAsync(cancellation).ConfigureAwait(false))
            {
                alive();
                if (!part.UnreachablePartitions.SequenceEqual(unreachable))
                    GetCommands.NoteUnreachable(run, unreachable = [.. part.UnreachablePartitions], "events follow when they do");
                foreach (var e in part.Events)
                {
                    await run.WriteAsync(format switch
                    {
                        "json" => Json.Line(EventDocument.From(e)),
                        "yaml" => "---\n" + Json.Yaml(EventDocument.From(e)),
                        _ => Tables.Row(EventTable.Row(e), EventTable.Widths),
                    }).ConfigureAwait(false);
                    if (e.Cursor.Length > 0)
                        (request.Since, request.Cursor) = (null, e.Cursor);
                }

                if (part.NextCursor.Length > 0)
                    (request.Since, request.Cursor) = (null, part.NextCursor);
            }

            throw Faults.EndedEarly();
        }, run.Cancellation).ConfigureAwait(false);
        return ExitCodes.Success;
    }
}
