using AkkaHub.V1;
using Google.Protobuf.WellKnownTypes;
using Grpc.Core;
using Hub.Cli.Tests.Fakes;
using Hub.Protocol;

namespace Hub.Cli.Tests;

/// <summary><c>hub cluster …</c>.</summary>
public sealed class ClusterSpecs
{
    private static readonly Timestamp At = Timestamp.FromDateTimeOffset(new DateTimeOffset(2026, 1, 31, 12, 0, 0, 250, TimeSpan.Zero));

    private static readonly ClusterMember First = new()
    {
        Address = "a:5110",
        ClientAddress = "a:5100",
        Role = "full",
        State = MemberState.Up,
        Version = "0.1.0",
        WireVersion = 2,
        StartTime = At,
        Partitions = 22,
        Nodes = 5,
        NodeStreams = 3,
        Leader = true,
        Oldest = true,
        Self = true,
        HeardTime = At,
    };

    private static readonly ClusterMember Second = new()
    {
        Address = "b:5110",
        Role = "gateway",
        State = MemberState.Up,
        UnreachableBy = { "a:5110" },
        WireVersion = 1,
    };

    [Fact]
    public async Task Show_lists_the_members_and_what_is_wrong_with_them()
    {
        await using var hub = await HubOfAsync(First, Second);
        await using var run = new CliRun();
        (await run.RunAsync(hub, "cluster", "show")).ShouldBe(0);
        var lines = run.OutputText.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        lines.Length.ShouldBe(3);
        Words(lines[0])[..4].ShouldBe(["MEMBER", "CLIENTS", "ROLE", "STATE"]);
        Words(lines[1]).Where((_, i) => i != 5).ShouldBe(["a:5110", "a:5100", "full", "up", "0.1.0", "22", "5", "3", "asked,", "leader,", "oldest"]);
        Words(lines[2]).ShouldBe(["b:5110", "-", "gateway", "unreachable", "-", "-", "-", "-", "-", "unreachable", "by", "a:5110"]);
    }

    [Fact]
    public async Task Show_gives_scripts_the_same()
    {
        await using var hub = await HubOfAsync(First, Second);
        await using var json = new CliRun();
        (await json.RunAsync(hub, "cluster", "show", "-o", "json")).ShouldBe(0);
        json.OutputText.ReplaceLineEndings("\n").ShouldBe("""
            {
              "members": [
                {
                  "address": "a:5110",
                  "clientAddress": "a:5100",
                  "role": "full",
                  "state": "up",
                  "unreachableBy": [],
                  "version": "0.1.0",
                  "wireVersion": 2,
                  "startTime": "2026-01-31T12:00:00.250Z",
                  "partitions": 22,
                  "nodes": 5,
                  "nodeStreams": 3,
                  "draining": false,
                  "leader": true,
                  "oldest": true,
                  "self": true,
                  "heardTime": "2026-01-31T12:00:00.250Z"
                },
                {
                  "address": "b:5110",
                  "role": "gateway",
                  "state": "up",
                  "unreachableBy": [
                    "a:5110"
                  ],
                  "wireVersion": 1,
                  "draining": false,
                  "leader": false,
                  "oldest": false,
                  "self": false
                }
              ],
              "lowestWireVersion": 1
            }

            """.ReplaceLineEndings("\n"));
        await using var names = new CliRun();
        (await names.RunAsync(hub, "cluster", "show", "-o", "name")).ShouldBe(0);
        names.OutputText.ShouldBe("a:5110\nb:5110\n");
        await using var yaml = new CliRun();
        (await yaml.RunAsync(hub, "cluster", "show", "-o", "yaml")).ShouldBe(0);
        yaml.OutputText.ShouldContain("lowestWireVersion: 1");
    }

    [Theory]
    [InlineData("drain", MemberChange.Drain)]
    [InlineData("leave", MemberChange.Leave)]
    public async Task A_member_is_waited_for_until_it_has_left(string command, MemberChange change)
    {
        await using var hub = await HubOfAsync(First, Second);
        var looks = 0;
        hub.Script.On<ListMembersRequest>(_ => ++looks <= 2 ? new ListMembersResponse { Members = { First, Second } } : new ListMembersResponse { Members = { First } });
        await using var run = new CliRun();
        (await run.RunAsync(hub, "cluster", command, "b:5110")).ShouldBe(0);
        run.ErrorText.ShouldBe("hub: member b:5110 has left\n");
        looks.ShouldBe(3);
        hub.Script.Asked<ChangeMemberRequest>().ShouldHaveSingleItem().ShouldBe(new ChangeMemberRequest { Member = "b:5110", Change = change });
    }

    [Fact]
    public async Task A_member_that_is_there_again_has_left()
    {
        await using var hub = await HubOfAsync(First, Second);
        var anew = Second.Clone();
        anew.StartTime = At;
        hub.Script.On<ListMembersRequest>(_ => new ListMembersResponse { Members = { First, anew } });
        await using var run = new CliRun();
        (await run.RunAsync(hub, "cluster", "drain", "b:5110")).ShouldBe(0);
        run.ErrorText.ShouldBe("hub: member b:5110 has left\n");
    }

    [Fact]
    public async Task The_member_that_was_asked_cannot_say_that_it_has_left()
    {
        await using var hub = await HubOfAsync(First);
        await using var run = new CliRun();
        (await run.RunAsync(hub, "cluster", "drain", "a")).ShouldBe(0);
        run.ErrorText.ShouldBe("hub: member a:5110 is leaving\n");
        hub.Script.Asked<ListMembersRequest>().ShouldBeEmpty();
    }

    [Theory]
    [InlineData(StatusCode.Unauthenticated)]
    [InlineData(StatusCode.PermissionDenied)]
    public async Task A_hub_that_does_not_know_the_token_of_the_one_that_left_makes_no_failure_of_it(StatusCode code)
    {
        await using var one = await HubOfAsync(First);
        await using var two = await FakeHub.StartAsync();
        two.Script.On<ListMembersRequest>(_ => throw FakeHub.Error(code, ErrorReasons.TokenInvalid, "The token is not valid."));
        await using var run = new CliRun();
        (await run.RunAsync("cluster", "drain", "a", "--hub", $"{one.Address},{two.Address}")).ShouldBe(0);
        run.ErrorText.ShouldStartWith("hub: member a:5110 is leaving");
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Down_is_forced_only_when_told_so(bool force)
    {
        await using var hub = await HubOfAsync(First, Second);
        await using var run = new CliRun();
        (await run.RunAsync(hub, ["cluster", "down", "b:5110", .. force ? ["--force"] : (string[])[]])).ShouldBe(0);
        run.ErrorText.ShouldBe("hub: member b:5110 is marked as down\n");
        hub.Script.Asked<ChangeMemberRequest>().ShouldHaveSingleItem().ShouldBe(new ChangeMemberRequest { Member = "b:5110", Change = MemberChange.Down, Force = force });
    }

    [Fact]
    public async Task What_the_hub_refuses_is_explained()
    {
        await using var hub = await FakeHub.StartAsync();
        hub.Script.On<ChangeMemberRequest>(_ => throw FakeHub.Error(StatusCode.FailedPrecondition, ErrorReasons.MemberReachable, "Member b:5110 can be reached."));
        await using var down = new CliRun();
        (await down.RunAsync(hub, "cluster", "down", "b:5110")).ShouldBe(1);
        down.ErrorText.ShouldBe("hub: Member b:5110 can be reached.\nuse 'hub cluster drain MEMBER', or add --force\n");
        hub.Script.On<ChangeMemberRequest>(_ => throw FakeHub.Error(StatusCode.NotFound, ErrorReasons.MemberUnknown, "No member 'x' is known."));
        await using var unknown = new CliRun();
        (await unknown.RunAsync(hub, "cluster", "drain", "x")).ShouldBe(1);
        unknown.ErrorText.ShouldBe("hub: No member 'x' is known.\nsee 'hub cluster show'\n");
    }

    private static async Task<FakeHub> HubOfAsync(params ClusterMember[] members)
    {
        var hub = await FakeHub.StartAsync();
        hub.Script
            .On<ListMembersRequest>(_ => new ListMembersResponse { Members = { members }, LowestWireVersion = 1 })
            .On<ChangeMemberRequest>(r => new ChangeMemberResponse { Member = members.First(m => m.Address.StartsWith(r.Member, StringComparison.Ordinal)) });
        return hub;
    }

    private static string[] Words(string line) => line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
}
