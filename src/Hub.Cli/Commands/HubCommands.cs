using System.CommandLine;
using System.Diagnostics;
using AkkaHub.V1;
using Grpc.Core;
using Hub.Cli.Connection;
using Hub.Cli.Output;
using Hub.Protocol;
using Command = System.CommandLine.Command;

namespace Hub.Cli.Commands;

/// <summary><c>stop</c> and <c>version</c>.</summary>
internal static class HubCommands
{
    private static readonly TimeSpan StopPatience = TimeSpan.FromSeconds(60);

    /// <summary><c>hub stop</c>.</summary>
    public static Command Stop(Bind bind)
    {
        var localNode = new Option<bool>("--local-node") { Description = "End the hub's own local node and its shells too" };
        var command = new Command("stop", "Stop the hub in order: writes are finished, nodes are told") { localNode };
        bind(command, async run =>
        {
            var local = run.Settings().Local;
            await run.Hub.CallAsync((c, o) => c.StopHubAsync(new StopHubRequest { LocalNode = run.Get(localNode) }, o), Repeat.AtMostOnce, run.Cancellation).ConfigureAwait(false);
            if (local is null)
            {
                run.Environment.Note("the hub is stopping");
                return ExitCodes.Success;
            }

            // The hub of this machine: wait until it is gone, so that a start after this finds the data directory free.
            if (await GoneAsync(local.Pid, run).ConfigureAwait(false))
            {
                run.Environment.Note("the hub has stopped");
                return ExitCodes.Success;
            }

            throw new CliException($"the hub (process {local.Pid}) is still stopping after {(int)StopPatience.TotalSeconds} s", ExitCodes.TimedOut);
        });
        return command;
    }

    /// <summary><c>hub version</c>.</summary>
    public static Command Version(Bind bind)
    {
        var client = new Option<bool>("--client") { Description = "Only this program's" };
        var output = Arguments.Output("text", "json", "yaml");
        var command = new Command("version", "Show the versions of this program and of the hub") { client, output };
        bind(command, async run =>
        {
            GetHubResponse? hub = null;
            string? fault = null;
            if (!run.Get(client))
            {
                try
                {
                    hub = await run.Hub.CallAsync((c, o) => c.GetHubAsync(new GetHubRequest(), o), Repeat.Safe, run.Cancellation).ConfigureAwait(false);
                }
                catch (RpcException e) when (!run.Cancellation.IsCancellationRequested)
                {
                    fault = Faults.Explain(e).Message;
                }
                catch (CliException e) when (e.ExitCode == ExitCodes.Failure)
                {
                    fault = e.Message;
                }
            }

            var document = new VersionDocument(BuildVersion.Text, hub is null ? null : HubDocument.From(hub));
            await run.WriteAsync(run.Get(output) switch
            {
                "json" => Json.Document(document),
                "yaml" => Json.Yaml(document),
                _ => Text(document),
            }).ConfigureAwait(false);
            if (fault is null)
                return ExitCodes.Success;
            run.Environment.Note(fault);
            return ExitCodes.Failure;
        });
        return command;
    }

    private static string Text(VersionDocument document)
    {
        var text = $"hub {document.Client}\n";
        return document.Hub is { } h
            ? text + TextSanitizer.Line($"hub server {h.Version} at {h.Member}, {h.NodesOnline} of {h.Nodes} nodes online") + "\n"
            : text;
    }

    private static async Task<bool> GoneAsync(int pid, Invocation run)
    {
        try
        {
            using var process = Process.GetProcessById(pid);
            await process.WaitForExitAsync(run.Cancellation).WaitAsync(StopPatience, run.Environment.Time, run.Cancellation).ConfigureAwait(false);
            return true;
        }
        catch (ArgumentException)
        {
            return true; // No process of this id any more.
        }
        catch (TimeoutException)
        {
            return false;
        }
    }
}
