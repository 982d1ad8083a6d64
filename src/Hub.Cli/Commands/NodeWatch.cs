using AkkaHub.V1;
using Grpc.Core;
using Hub.Cli.Connection;
using Hub.Cli.Output;
using NodeInfo = AkkaHub.V1.Node;

namespace Hub.Cli.Commands;

/// <summary><c>get nodes --watch</c>: the nodes, then each change as a row or an object of its own line.</summary>
internal sealed class NodeWatch(Invocation run, string format, string selector)
{
    private readonly List<NodeInfo> _snapshot = [];
    private string _resume = "";
    private int[] _unreachable = [];
    private int[]? _widths;

    /// <summary>Runs until interrupted.</summary>
    public async Task<int> RunAsync()
    {
        var reconnector = new Reconnector(run.Hub, run.Environment, "the watch", mayBeQuiet: true);
        while (true)
        {
            try
            {
                await reconnector.RunAsync(WatchAsync, run.Cancellation).ConfigureAwait(false);
            }
            catch (RpcException e) when (e.StatusCode == StatusCode.OutOfRange && _resume.Length > 0)
            {
                // Too much happened meanwhile: begin again with all nodes.
                _resume = "";
                _snapshot.Clear();
                _widths = null;
                run.Environment.Note("too much changed to go on from before; here are all nodes again");
            }
        }
    }

    private async Task WatchAsync(HubService.HubServiceClient client, Action alive, CancellationToken cancellation)
    {
        using var call = client.WatchNodes(new WatchNodesRequest { LabelSelector = selector, ResumeToken = _resume }, cancellationToken: cancellation);
        if (_resume.Length == 0)
            _snapshot.Clear();
        await foreach (var change in call.ResponseStream.ReadAllAsync(cancellation).ConfigureAwait(false))
        {
            alive();
            await ShowAsync(change).ConfigureAwait(false);
            if (change.ChangeCase is WatchNodesResponse.ChangeOneofCase.Synced or WatchNodesResponse.ChangeOneofCase.None)
                await ShowUnreachableAsync(change.UnreachablePartitions).ConfigureAwait(false);
            if (change.ResumeToken.Length > 0)
                _resume = change.ResumeToken;
        }

        throw Faults.EndedEarly();
    }

    private async ValueTask ShowUnreachableAsync(IReadOnlyList<int> partitions)
    {
        if (partitions.SequenceEqual(_unreachable))
            return;
        _unreachable = [.. partitions];
        var document = new NodeChangeDocument("unreachable", Partitions: _unreachable);
        if (format is "json" or "yaml")
            await run.WriteAsync(format == "json" ? Json.Line(document) : "---\n" + Json.Yaml(document)).ConfigureAwait(false);
        else
            GetCommands.NoteUnreachable(run, partitions, "nodes are not up to date");
    }

    private async ValueTask ShowAsync(WatchNodesResponse change)
    {
        var wide = format == "wide";
        switch (format)
        {
            case "json":
            case "yaml":
                var document = change.ChangeCase switch
                {
                    WatchNodesResponse.ChangeOneofCase.Node => new NodeChangeDocument("node", NodeDocument.From(change.Node)),
                    WatchNodesResponse.ChangeOneofCase.Removed => new NodeChangeDocument("removed", Name: Short.Node(change.Removed)),
                    WatchNodesResponse.ChangeOneofCase.Synced => new NodeChangeDocument("synced"),
                    _ => null,
                };
                if (document is not null)
                    await run.WriteAsync(format == "json" ? Json.Line(document) : "---\n" + Json.Yaml(document)).ConfigureAwait(false);
                return;
            case "name":
                if (change.ChangeCase == WatchNodesResponse.ChangeOneofCase.Node)
                    await run.WriteAsync(TextSanitizer.Line(Short.Node(change.Node.Name)) + "\n").ConfigureAwait(false);
                return;
        }

        switch (change.ChangeCase)
        {
            case WatchNodesResponse.ChangeOneofCase.Node when _widths is null:
                _snapshot.Add(change.Node);
                break;
            case WatchNodesResponse.ChangeOneofCase.Node:
                await run.WriteAsync(Tables.Row(NodeTable.Row(change.Node, wide, run.Environment.Time), _widths)).ConfigureAwait(false);
                break;
            case WatchNodesResponse.ChangeOneofCase.Removed when _widths is not null:
                Cell[] gone = [Short.Node(change.Removed), "forgotten", .. Enumerable.Repeat(new Cell("-"), _widths.Length - 2)];
                await run.WriteAsync(Tables.Row(gone, _widths)).ConfigureAwait(false);
                break;
            case WatchNodesResponse.ChangeOneofCase.Synced when _widths is null:
                Cell[][] rows = [.. _snapshot.Select(n => NodeTable.Row(n, wide, run.Environment.Time))];
                var headings = NodeTable.Headings(wide);
                _widths = Tables.Widths(headings, rows);
                await run.WriteAsync(Tables.Render(headings, rows, run.Environment.Color)).ConfigureAwait(false);
                _snapshot.Clear();
                break;
        }
    }
}
