using System.Runtime.InteropServices;
using AkkaHub.V1;
using Grpc.Core;
using Hub.Cli.Commands;
using Hub.Cli.Connection;
using Hub.Cli.Tests.Fakes;
using Hub.Protocol;
using NodeInfo = AkkaHub.V1.Node;

namespace Hub.Cli.Tests;

// Longer than most files: each case is a few lines, and they share the fake hub and the way a command line is run.
public sealed class CommandLineSpecs
{
    [Theory]
    [InlineData("get nodez")]
    [InlineData("get nodes -o xml")]
    [InlineData("get nodes -l =x")]
    [InlineData("get nodes -l a=1,,b")]
    [InlineData("get nodes -l !!a")]
    [InlineData("get terminals Not.A.Node!")]
    [InlineData("logs n1 -t a/b")]
    [InlineData("logs n1 --tail 5 --since 10m")]
    [InlineData("logs n1 --tail -1")]
    [InlineData("logs n1 --since yesterday")]
    [InlineData("exec n1")]
    [InlineData("exec n1 --timeout soon -- ls")]
    [InlineData("exec n1 --env =x -- ls")]
    [InlineData("exec n1 --request-id a/b -- ls")]
    [InlineData("open n1")]
    [InlineData("open n1 -t a --size 80")]
    [InlineData("open n1 -t a --size 0x24")]
    [InlineData("send n1")]
    [InlineData("attach n1 --detach-keys ctrl-1")]
    [InlineData("cancel n1")]
    [InlineData("cancel n1 a/b")]
    [InlineData("cancel n1 c1 --signal unspecified")]
    [InlineData("cancel n1 c1 --signal 9")]
    [InlineData("describe command n1")]
    [InlineData("purge n1")]
    [InlineData("purge n1 -t main --all")]
    [InlineData("token create")]
    [InlineData("token create --type root")]
    [InlineData("token create --type node --ttl never")]
    [InlineData("completion tcsh")]
    [InlineData("--hub ftp://x get nodes")]
    [InlineData("--hub host:1/path get nodes")]
    [InlineData("--hub 127.0.0.1:1 node run --name x")]
    public async Task A_wrong_command_line_ends_with_2_and_says_so_on_standard_error(string line)
    {
        await using var run = new CliRun();
        (await run.RunAsync(line.Split(' '))).ShouldBe(2);
        run.OutputText.ShouldBeEmpty();
        run.ErrorText.ShouldStartWith("hub: ");
    }

    [Fact]
    public async Task Help_is_data_and_names_the_program_as_it_is_typed()
    {
        await using var run = new CliRun();
        (await run.RunAsync("exec", "--help")).ShouldBe(0);
        run.OutputText.ShouldContain("  hub exec <NODE>");
        run.ErrorText.ShouldBeEmpty();
    }

    [Theory]
    [InlineData("get nodes")]
    [InlineData("get events")]
    [InlineData("logs")]
    [InlineData("attach")]
    [InlineData("purge")]
    [InlineData("token create")]
    [InlineData("node run")]
    public async Task Help_speaks_of_no_insides(string command)
    {
        await using var run = new CliRun();
        (await run.RunAsync([.. command.Split(' '), "--help"])).ShouldBe(0);
        run.OutputText.ShouldContain($"  hub {command}");
        run.OutputText.ShouldNotContain("Hub.Cli");
        run.OutputText.Split("[default: table]").Length.ShouldBeLessThan(3);
    }

    [Fact]
    public async Task Options_of_open_become_the_request()
    {
        await using var hub = await FakeHub.StartAsync();
        hub.Script.On<OpenTerminalRequest>(r => new OpenTerminalResponse { Terminal = new Terminal { Name = r.Name } });
        await using var run = new CliRun().With("PASSED", "on");
        (await run.RunAsync(hub, "open", "n1", "-t", "build", "--size", "120x40", "--cwd", "/srv", "--env", "A=b=c", "--env", "PASSED", "--env", "ABSENT", "--", "top", "-d", "1")).ShouldBe(0);
        var request = hub.Script.Asked<OpenTerminalRequest>().ShouldHaveSingleItem();
        request.ShouldBe(new OpenTerminalRequest
        {
            Name = "nodes/n1/terminals/build",
            Size = new TerminalSize { Cols = 120, Rows = 40 },
            Cwd = "/srv",
            Argv = { "top", "-d", "1" },
            Env = { ["A"] = "b=c", ["PASSED"] = "on" },
        });
    }

    [Fact]
    public async Task Text_is_typed_as_it_is_and_keys_after_it()
    {
        await using var hub = await FakeHub.StartAsync();
        hub.Script.On<SendInputRequest>(_ => new SendInputResponse()).On<SendKeysRequest>(_ => new SendKeysResponse());
        await using var run = new CliRun();
        (await run.RunAsync(hub, "send", "n1", "-t", "main", "echo", "héllo", "--enter", "--key", "ctrl-c,up", "-k", "enter")).ShouldBe(0);
        hub.Script.Asked<SendInputRequest>().ShouldHaveSingleItem().Data.ToStringUtf8().ShouldBe("echo héllo\r");
        hub.Script.Asked<SendKeysRequest>().ShouldHaveSingleItem().Keys.ShouldBe(["ctrl-c", "up", "enter"]);
    }

    [Fact]
    public async Task Nodes_are_listed_over_all_pages_with_the_selector_and_the_token()
    {
        await using var hub = await FakeHub.StartAsync();
        hub.Script.On<ListNodesRequest>(r => r.PageToken.Length == 0
            ? new ListNodesResponse { Nodes = { new NodeInfo { Name = "nodes/a", State = NodeState.Online } }, NextPageToken = "p2" }
            : new ListNodesResponse { Nodes = { new NodeInfo { Name = "nodes/b", State = NodeState.Offline } } });
        await using var run = new CliRun().With("AKKAHUB_TOKEN", "ahub_x");
        (await run.RunAsync(hub, "get", "nodes", "-l", "env=prod,!old", "-o", "name")).ShouldBe(0);
        run.OutputText.ShouldBe("a\nb\n");
        hub.Script.Asked<ListNodesRequest>()[1].LabelSelector.ShouldBe("env=prod,!old");
        hub.Script.Credential.ShouldBe("Bearer ahub_x");
    }

    [Fact]
    public async Task A_list_that_is_not_complete_says_so()
    {
        await using var hub = await FakeHub.StartAsync();
        hub.Script.On<ListNodesRequest>(r => r.PageToken.Length == 0
            ? new ListNodesResponse { NextPageToken = "p2", UnreachablePartitions = { 7, 3 } }
            : new ListNodesResponse { UnreachablePartitions = { 3 }, Nodes = { new NodeInfo { Name = "nodes/b" } } });
        hub.Script.WatchEvents = (_, w, _) => w.WriteAsync(new WatchEventsResponse { NextCursor = "c", UnreachablePartitions = { 5 } });
        await using var run = new CliRun();
        (await run.RunAsync(hub, "get", "nodes", "-o", "name")).ShouldBe(0);
        run.OutputText.ShouldBe("b\n");
        run.ErrorText.ShouldContain("partitions 3, 7 of the registry did not answer: their nodes are not listed");
        await using var json = new CliRun();
        (await json.RunAsync(hub, "get", "events", "-o", "json")).ShouldBe(0);
        json.OutputText.ShouldBe("{\n  \"events\": [],\n  \"nextCursor\": \"c\",\n  \"unreachablePartitions\": [\n    5\n  ]\n}\n");
        json.ErrorText.ShouldContain("partition 5 of the registry did not answer: their events are not listed");
    }

    [Fact]
    public async Task A_table_is_plain_and_harmless()
    {
        await using var hub = await FakeHub.StartAsync();
        hub.Script.On<ListNodesRequest>(_ => new ListNodesResponse
        {
            Nodes = { new NodeInfo { Name = "nodes/alpha", State = NodeState.Online, Labels = { ["x"] = "\e[31mred\n" } }, new NodeInfo { Name = "nodes/b", State = NodeState.Stale } },
        });
        await using var run = new CliRun();
        (await run.RunAsync(hub, "get", "nodes")).ShouldBe(0);
        var lines = run.OutputText.Split('\n');
        lines[0].ShouldBe("NAME    STATE    FOR   SEEN   CPU   MEMORY   LABELS");
        lines[1].ShouldBe("alpha   online   -     -      -     -        x=red");
        lines[2].ShouldBe("b       stale    -     -      -     -        -");
        lines.Length.ShouldBe(4);
    }

    [Fact]
    public async Task A_refusal_says_what_and_what_to_do_next()
    {
        await using var hub = await FakeHub.StartAsync();
        hub.Script.On<SendInputRequest>(_ => throw FakeHub.Error(StatusCode.Unavailable, ErrorReasons.NodeOffline, "node n1 is offline"));
        await using var run = new CliRun();
        (await run.RunAsync(hub, "send", "n1", "x")).ShouldBe(1);
        run.ErrorText.ShouldStartWith("hub: node n1 is offline\nsee 'hub describe node'");
        hub.Script.Asked<SendInputRequest>().Count.ShouldBe(1);
    }

    [Fact]
    public async Task A_refused_argument_is_usage()
    {
        await using var hub = await FakeHub.StartAsync();
        hub.Script.On<ListNodesRequest>(_ => throw FakeHub.Error(StatusCode.InvalidArgument, ErrorReasons.InvalidField, "label_selector is malformed", ("field", "label_selector")));
        await using var run = new CliRun();
        (await run.RunAsync(hub, "get", "nodes", "-l", "a")).ShouldBe(2);
        run.ErrorText.ShouldContain("label_selector is malformed");
    }

    [Fact]
    public async Task A_member_that_does_not_answer_is_passed_over()
    {
        var gone = await FakeHub.StartAsync();
        var address = gone.Address;
        await gone.DisposeAsync();
        await using var hub = await FakeHub.StartAsync();
        hub.Script.On<SendInputRequest>(_ => new SendInputResponse());
        await using var run = new CliRun();
        (await run.RunAsync("--hub", $"{address},{hub.Address}", "send", "n1", "x")).ShouldBe(0);
        hub.Script.Asked<SendInputRequest>().Count.ShouldBe(1);
    }

    [Fact]
    public async Task No_hub_at_all_is_said_with_its_address()
    {
        var gone = await FakeHub.StartAsync();
        var address = gone.Address;
        await gone.DisposeAsync();
        await using var run = new CliRun();
        (await run.RunAsync("--hub", address, "get", "nodes")).ShouldBe(1);
        run.ErrorText.ShouldStartWith($"hub: no hub answers at {address}\n");
    }

    [Fact]
    public async Task Ctrl_C_ends_a_watch_with_130()
    {
        await using var hub = await FakeHub.StartAsync();
        hub.Script.WatchEvents = async (_, w, c) =>
        {
            await w.WriteAsync(new WatchEventsResponse { Events = { new MeshEvent { Cursor = "1", Type = MeshEventType.NodeOnline, Subject = "nodes/a" } }, NextCursor = "1" });
            await Task.Delay(Timeout.Infinite, c.CancellationToken);
        };
        await using var run = new CliRun();
        var ended = run.RunAsync(hub, "get", "events", "-f", "-o", "json");
        await run.Output.SeenAsync("node-online");
        run.Raise(PosixSignal.SIGINT);
        (await ended).ShouldBe(130);
    }

    [Fact]
    public async Task Only_the_secret_is_printed_for_a_script()
    {
        await using var hub = await FakeHub.StartAsync();
        hub.Script.On<CreateTokenRequest>(_ => new CreateTokenResponse { Token = new Token { Id = "abc", Type = TokenType.Node }, Secret = "ahub_secret" });
        await using var run = new CliRun();
        (await run.RunAsync(hub, "token", "create", "--type", "node", "--ttl", "30d", "--description", "build farm", "-o", "name")).ShouldBe(0);
        run.OutputText.ShouldBe("ahub_secret\n");
        var request = hub.Script.Asked<CreateTokenRequest>().ShouldHaveSingleItem();
        request.Ttl.ToTimeSpan().ShouldBe(TimeSpan.FromDays(30));
        request.Type.ShouldBe(TokenType.Node);
    }

    [Fact]
    public void The_owners_token_stays_on_this_machine_and_goes_to_no_guessed_address()
    {
        var directory = Directory.CreateTempSubdirectory("hub-cli-").FullName;
        try
        {
            File.WriteAllText(Path.Combine(directory, LocalHub.TokenFileName), "ahub_owner\n");
            ConnectionSettings Resolve(string? hub) => ConnectionSettings.Resolve(hub, null, directory, _ => null);
            var far = Resolve("https://hub.example:5100");
            far.TokenFor(far.Endpoints[0]).ShouldBeNull();
            Should.Throw<CliException>(() => Resolve("127.0.0.1:7")).Message.ShouldContain("--token or AKKAHUB_TOKEN");
            var guessed = Resolve(null);
            guessed.TokenFor(guessed.Endpoints[0]).ShouldBeNull();
            new LocalHub(1, "http://127.0.0.1:5123", "http://127.0.0.1:5180", "0").Write(directory);
            var crashed = Resolve(null);
            crashed.Endpoints[0].ToString().ShouldBe("127.0.0.1:5100");
            crashed.TokenFor(crashed.Endpoints[0]).ShouldBeNull();
            using var held = new FileStream(Path.Combine(directory, LocalHub.LockFileName), FileMode.CreateNew, FileAccess.ReadWrite, FileShare.None);
            var found = Resolve(null);
            found.Endpoints[0].ToString().ShouldBe("127.0.0.1:5123");
            found.TokenFor(found.Endpoints[0]).ShouldBe("ahub_owner");
            foreach (var same in (string[])["127.0.0.1:5123", "localhost:5123", "http://127.0.0.1:5123/"])
            {
                var named = Resolve(same);
                named.Endpoints.ShouldBe(found.Endpoints);
                named.TokenFor(named.Endpoints[0]).ShouldBe("ahub_owner");
            }

            foreach (var other in (string[])["127.0.0.1:5124", "localhost", "[::1]:5123", "https://127.0.0.1:5123", "127.0.0.2:5123"])
                Should.Throw<CliException>(() => Resolve(other)).Message.ShouldContain("listens on http://127.0.0.1:5123");
            var several = Resolve("127.0.0.1:5124,127.0.0.1:5123");
            several.Endpoints.Select(several.TokenFor).ShouldBe([null, "ahub_owner"]);

            // Over TLS it goes wherever hub.json says, since nobody else can show that certificate; without one named there it stays.
            foreach (var address in (string[])["https://127.0.0.1:5123", "https://192.0.2.7:5123"])
            {
                (new LocalHub(1, address, "", "0") { Certificates = ["ab"] }).Write(directory);
                var known = Resolve(null);
                known.TokenFor(known.Endpoints[0]).ShouldBe("ahub_owner");
                known.Known.ShouldBe(known.Endpoints[0]);
                var elsewhere = Resolve("https://hub.example:5123");
                elsewhere.TokenFor(elsewhere.Endpoints[0]).ShouldBeNull();
                elsewhere.Known.ShouldNotBe(elsewhere.Endpoints[0]);
                new LocalHub(1, address, "", "0").Write(directory);
                var unknown = Resolve(null);
                unknown.TokenFor(unknown.Endpoints[0]).ShouldBeNull();
                unknown.Known.ShouldBeNull();
            }
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    [Fact]
    public async Task Who_listens_where_a_hub_crashed_is_asked_nothing()
    {
        var directory = Directory.CreateTempSubdirectory("hub-cli-").FullName;
        await using var hub = await FakeHub.StartAsync();
        hub.Script.On<GetHubRequest>(_ => new GetHubResponse());
        try
        {
            File.WriteAllText(Path.Combine(directory, LocalHub.TokenFileName), "ahub_owner\n");
            new LocalHub(1, $"http://{hub.Address}", "", "0").Write(directory);
            FileStream Run() => new(Path.Combine(directory, LocalHub.LockFileName), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
            await using var world = new CliRun();
            var environment = new CliEnvironment
            {
                Input = Stream.Null,
                Output = Stream.Null,
                ErrorBytes = Stream.Null,
                Variable = _ => null,
                Terminal = world,
                Signals = world,
            };
            var running = Run();
            await using var connection = new HubConnection(ConnectionSettings.Resolve(null, null, directory, _ => null), environment);
            Task<GetHubResponse> AskAsync() => connection.CallAsync((c, o) => c.GetHubAsync(new GetHubRequest(), o), Repeat.Safe, CancellationToken.None);
            await AskAsync();
            hub.Script.Credential.ShouldBe("Bearer ahub_owner");
            running.Dispose();
            (await Should.ThrowAsync<CliException>(AskAsync)).Message.ShouldContain("no hub answers");
            hub.Script.Asked<GetHubRequest>().Count.ShouldBe(1);
            using var again = Run();
            await AskAsync();
            hub.Script.Asked<GetHubRequest>().Count.ShouldBe(2);
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    [Fact]
    public async Task A_token_does_not_travel_in_clear_text()
    {
        await using var run = new CliRun();
        (await run.RunAsync("--hub", "hub.example:5100", "--token", "ahub_x", "get", "nodes")).ShouldBe(1);
        run.ErrorText.ShouldContain("clear text");
    }

    [Theory]
    [InlineData("500ms", 0.5)]
    [InlineData("1h30m", 5400)]
    [InlineData("7d", 604800)]
    [InlineData("2w", 1209600)]
    [InlineData("1.5s", 1.5)]
    public void A_time_reads_as(string text, double seconds)
    {
        Arguments.TryDuration(text, out var span).ShouldBeTrue();
        span.TotalSeconds.ShouldBe(seconds);
    }

    [Theory]
    [InlineData("hub.example", "hub.example:5100")]
    [InlineData("hub.example:80", "hub.example:80")]
    [InlineData("http://hub.example", "hub.example:5100")]
    [InlineData("http://hub.example:80", "hub.example:80")]
    [InlineData("https://hub.example/", "https://hub.example:5100")]
    [InlineData("[::1]", "[::1]:5100")]
    [InlineData("[::1]:7", "[::1]:7")]
    public void An_address_reads_as(string text, string address) => HubAddress.ParseList(text, []).ShouldHaveSingleItem().ToString().ShouldBe(address);

    [Fact]
    public async Task Completion_scripts_and_suggestions_are_there()
    {
        await using var run = new CliRun();
        (await run.RunAsync("completion", "bash")).ShouldBe(0);
        run.OutputText.ShouldContain("complete -F _hub_complete hub");
        await using var suggest = new CliRun();
        (await suggest.RunAsync("[suggest:6]", "get no")).ShouldBe(0);
        suggest.OutputText.ShouldContain("nodes");
        await using var node = new CliRun();
        await using var hub = await FakeHub.StartAsync();
        hub.Script.On<ListNodesRequest>(_ => new ListNodesResponse { Nodes = { new NodeInfo { Name = "nodes/web1" } } });
        (await node.With("AKKAHUB_ADDR", hub.Address).RunAsync("[suggest:9]", "cancel we")).ShouldBe(0);
        node.OutputText.ShouldBe("web1\n");
    }
}
