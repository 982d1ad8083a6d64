using System.CommandLine;
using System.Globalization;
using AkkaHub.V1;
using Grpc.Core;
using Hub.Cli.Connection;
using Hub.Cli.Output;
using Command = System.CommandLine.Command;

namespace Hub.Cli.Commands;

/// <summary><c>hub cluster …</c>.</summary>
internal static class ClusterCommands
{
    private static readonly string[] Headings = ["MEMBER", "CLIENTS", "ROLE", "STATE", "VERSION", "AGE", "PARTITIONS", "NODES", "STREAMS", "NOTES"];
    private static readonly TimeSpan GonePatience = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan LookEvery = TimeSpan.FromMilliseconds(500);

    /// <summary>The command with its subcommands.</summary>
    public static Command Create(Bind bind)
    {
        var cluster = new Command("cluster", "Show the members of the cluster, and make them leave");
        cluster.Add(Show(bind));
        cluster.Add(Stop(bind, "drain", MemberChange.Drain, "Stop a member in order: its nodes are moved to others in groups, its partitions handed over"));
        cluster.Add(Stop(bind, "leave", MemberChange.Leave, "Stop a member as drain does, but end its streams at once: for one that has to go now"));
        cluster.Add(Down(bind));
        return cluster;
    }

    private static Command Show(Bind bind)
    {
        var output = Arguments.Output("table", "json", "yaml", "name");
        var command = new Command("show", "List the members as the one asked sees them") { output };
        bind(command, async run =>
        {
            var answer = await ListAsync(run).ConfigureAwait(false);
            switch (run.Get(output))
            {
                case "name":
                    await run.WriteAsync(string.Concat(answer.Members.Select(m => TextSanitizer.Line(m.Address) + "\n"))).ConfigureAwait(false);
                    break;
                case "json":
                    await run.WriteAsync(Json.Document(ClusterDocument.From(answer))).ConfigureAwait(false);
                    break;
                case "yaml":
                    await run.WriteAsync(Json.Yaml(ClusterDocument.From(answer))).ConfigureAwait(false);
                    break;
                default:
                    await run.WriteTableAsync(Headings, [.. answer.Members.Select(m => Row(m, run.Environment.Time))], "no members").ConfigureAwait(false);
                    break;
            }

            return ExitCodes.Success;
        });
        return command;
    }

    private static Command Stop(Bind bind, string name, MemberChange change, string description)
    {
        var member = Member();
        var noWait = new Option<bool>("--no-wait") { Description = "Do not wait until it has left" };
        var command = new Command(name, description) { member, noWait };
        bind(command, async run =>
        {
            var asked = new ChangeMemberRequest { Member = run.Get(member)!, Change = change };
            var answer = await run.Hub.CallAsync((c, o) => c.ChangeMemberAsync(asked, o), Repeat.AtMostOnce, run.Cancellation).ConfigureAwait(false);
            var address = answer.Member.Address;
            // The one that leaves cannot say that it has left.
            if (run.Get(noWait) || (answer.Member.Self && run.Hub.Count == 1))
            {
                run.Environment.Note($"member {address} is leaving");
                return ExitCodes.Success;
            }

            if (answer.Member.Self)
                run.Hub.MoveOn();
            try
            {
                await UntilGoneAsync(run, answer.Member).ConfigureAwait(false);
            }
            catch (RpcException e) when (answer.Member.Self && e.StatusCode is (StatusCode.Unauthenticated or StatusCode.PermissionDenied))
            {
                // The token was good enough for the one that leaves, which was the hub that was asked; the other is not, or does not know it.
                run.Environment.Note($"member {address} is leaving; no other hub that was named says when it has left");
                return ExitCodes.Success;
            }

            run.Environment.Note($"member {address} has left");
            return ExitCodes.Success;
        });
        return command;
    }

    private static Command Down(Bind bind)
    {
        var member = Member();
        var force = new Option<bool>("--force") { Description = "Also one that can be reached: it stops serving and ends with exit code 6" };
        var command = new Command("down", "Go on without a member that cannot be reached, at once") { member, force };
        bind(command, async run =>
        {
            var asked = new ChangeMemberRequest { Member = run.Get(member)!, Change = MemberChange.Down, Force = run.Get(force) };
            var answer = await run.Hub.CallAsync((c, o) => c.ChangeMemberAsync(asked, o), Repeat.Safe, run.Cancellation).ConfigureAwait(false);
            run.Environment.Note($"member {answer.Member.Address} is marked as down");
            return ExitCodes.Success;
        });
        return command;
    }

    private static Argument<string> Member() =>
        new("MEMBER") { Description = "Address or client address of a member, or the beginning of one, see 'hub cluster show'" };

    private static Task<ListMembersResponse> ListAsync(Invocation run) =>
        run.Hub.CallAsync((c, o) => c.ListMembersAsync(new ListMembersRequest(), o), Repeat.Safe, run.Cancellation);

    private static async Task UntilGoneAsync(Invocation run, ClusterMember member)
    {
        var began = run.Environment.Time.GetTimestamp();
        // The same address with another start is the member after its restart.
        while ((await ListAsync(run).ConfigureAwait(false)).Members.Any(m => m.Address == member.Address && Equals(m.StartTime, member.StartTime)))
        {
            if (run.Environment.Time.GetElapsedTime(began) >= GonePatience)
                throw new CliException($"member {member.Address} is still leaving after {(int)GonePatience.TotalSeconds} s\nsee 'hub cluster show'", ExitCodes.TimedOut);
            await Task.Delay(LookEvery, run.Environment.Time, run.Cancellation).ConfigureAwait(false);
        }
    }

    private static Cell[] Row(ClusterMember m, TimeProvider clock)
    {
        var told = m.HeardTime is not null;
        return
        [
            m.Address, told && m.ClientAddress.Length > 0 ? m.ClientAddress : "-", m.Role, State(m), told ? m.Version : "-", told ? Humanize.Age(m.StartTime, clock) : "-",
            Count(m.Partitions), Count(m.Nodes), Count(m.NodeStreams), Notes(m),
        ];

        Cell Count(int value) => told ? value.ToString(CultureInfo.InvariantCulture) : "-";
    }

    private static Cell State(ClusterMember m)
    {
        if (m.UnreachableBy.Count > 0 && m.State != MemberState.Down)
            return new Cell("unreachable", "red");
        return m.Draining && m.State == MemberState.Up
            ? new Cell("draining", "yellow")
            : new Cell(Json.Word(m.State), m.State switch { MemberState.Up => "green", MemberState.Down => "red", _ => "yellow" });
    }

    private static string Notes(ClusterMember m)
    {
        List<string> notes = [];
        if (m.Self)
            notes.Add("asked");
        if (m.Leader)
            notes.Add("leader");
        if (m.Oldest)
            notes.Add("oldest");
        if (m.UnreachableBy.Count > 0)
            notes.Add($"unreachable by {string.Join(' ', m.UnreachableBy)}");
        return notes.Count == 0 ? "-" : string.Join(", ", notes);
    }
}
