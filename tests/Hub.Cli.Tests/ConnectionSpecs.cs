using System.Net.Sockets;
using AkkaHub.V1;
using Grpc.Core;
using Hub.Cli.Connection;
using Hub.Cli.Tests.Fakes;
using Hub.Protocol;
using Microsoft.Extensions.Time.Testing;

namespace Hub.Cli.Tests;

/// <summary>Several members of one hub, some of them not there, and by what they are known.</summary>
public sealed class ConnectionSpecs
{
    private const string NobodyThere = "127.0.0.1:1";

    [Fact]
    public void A_dialling_that_took_too_long_reached_nobody()
    {
        Faults.NeverReached(new RpcException(new Status(StatusCode.Unavailable, "", new TimeoutException()))).ShouldBeTrue();
        Faults.NeverReached(new RpcException(new Status(StatusCode.Unavailable, "", new IOException()))).ShouldBeFalse();
    }

    /// <summary>The variable may be set for all hubs that somebody works with, also where one in clear text is among them.</summary>
    [Fact]
    public void The_authority_is_read_for_encrypted_addresses_only_and_a_fault_names_who_gave_it()
    {
        const string nowhere = "/nowhere/ca.pem";
        var both = Resolve(null, "127.0.0.1:7,https://hub.example");
        both.TrustFor(both.Endpoints[0]).CertificateChainPolicy.ShouldBeNull();
        Should.Throw<CliException>(() => both.TrustFor(both.Endpoints[1])).Message.ShouldStartWith($"AKKAHUB_CA '{nowhere}': ");
        var option = Resolve("/nowhere/else.pem", "https://hub.example");
        Should.Throw<CliException>(() => option.TrustFor(option.Endpoints[0])).Message.ShouldStartWith("--ca '/nowhere/else.pem': ");

        static ConnectionSettings Resolve(string? option, string hub) =>
            ConnectionSettings.Resolve(hub, "ahub_given", null, n => n == "AKKAHUB_CA" ? nowhere : null, option);
    }

    [Fact]
    public async Task A_member_that_starts_is_waited_for_though_another_is_down()
    {
        await using var hub = await FakeHub.StartAsync();
        var calls = 0;
        hub.Script.On<ListNodesRequest>(_ => Interlocked.Increment(ref calls) <= 3 ? throw Starting() : new ListNodesResponse());
        await using var run = new CliRun();
        (await run.RunAsync("--hub", $"{hub.Address},{NobodyThere}", "get", "nodes", "-o", "json")).ShouldBe(0);
        calls.ShouldBe(4);
    }

    [Fact]
    public async Task A_stream_waits_for_a_member_that_starts_though_another_is_down()
    {
        await using var hub = await FakeHub.StartAsync();
        var calls = 0;
        hub.Script.Follow = (_, w, _) => Interlocked.Increment(ref calls) <= 3
            ? throw Starting()
            : w.WriteAsync(FakeHub.Part(TerminalState.Closed, FakeHub.Output(0, "done\n")));
        await using var run = new CliRun();
        (await run.RunAsync("--hub", $"{hub.Address},{NobodyThere}", "logs", "n1", "-t", "cmd/c1", "-f")).ShouldBe(0);
        run.OutputText.ShouldBe("done\n");
    }

    [Fact]
    public async Task At_most_once_still_goes_to_the_next_member_when_nobody_is_there()
    {
        await using var hub = await FakeHub.StartAsync();
        hub.Script.On<SendInputRequest>(_ => new SendInputResponse());
        await using var run = new CliRun();
        (await run.RunAsync("--hub", $"{NobodyThere},{hub.Address}", "send", "n1", "x")).ShouldBe(0);
        hub.Script.Asked<SendInputRequest>().Count.ShouldBe(1);
    }

    [Fact]
    public async Task A_hub_that_resets_connections_is_asked_again()
    {
        await using var hub = await FakeHub.StartAsync();
        var connections = 0;
        hub.Script.Resets = () => Interlocked.Increment(ref connections) <= 3;
        hub.Script.On<ListNodesRequest>(_ => new ListNodesResponse());
        await using var run = new CliRun { Time = new HurriedTime() };
        (await run.RunAsync(hub, "get", "nodes", "-o", "json")).ShouldBe(0);
        connections.ShouldBe(4);
        hub.Script.Asked<ListNodesRequest>().Count.ShouldBe(1);
        run.ErrorText.ShouldBeEmpty();
    }

    [Fact]
    public async Task A_member_that_resets_connections_is_waited_for_though_another_is_down()
    {
        await using var hub = await FakeHub.StartAsync();
        var connections = 0;
        hub.Script.Resets = () => Interlocked.Increment(ref connections) <= 3;
        hub.Script.On<ListNodesRequest>(_ => new ListNodesResponse());
        await using var run = new CliRun { Time = new HurriedTime() };
        (await run.RunAsync("--hub", $"{hub.Address},{NobodyThere}", "get", "nodes", "-o", "json")).ShouldBe(0);
        connections.ShouldBe(4);
    }

    [Fact]
    public async Task A_hub_that_goes_on_resetting_connections_is_given_up_with_a_reason()
    {
        await using var hub = await FakeHub.StartAsync();
        hub.Script.Resets = () => true;
        var time = new HurriedTime();
        await using var run = new CliRun { Time = time };
        (await run.RunAsync(hub, "get", "nodes")).ShouldBe(1);
        run.ErrorText.ShouldBe("hub: the hub cut the connection off before it answered: it resets connections when too many come at once, or it went away\ntry again in a moment\n");
        time.Waits.Sum(w => w.TotalSeconds).ShouldBeInRange(HubConnection.StartPatience.TotalSeconds, HubConnection.StartPatience.TotalSeconds + 2);
        time.Waits.Max().ShouldBeLessThanOrEqualTo(TimeSpan.FromSeconds(2));
        // Who were reset together do not come back together: without the spread there are six.
        time.Waits.Distinct().Count().ShouldBeGreaterThan(10);
    }

    [Fact]
    public async Task At_most_once_is_not_asked_again_after_a_reset()
    {
        await using var hub = await FakeHub.StartAsync();
        var connections = 0;
        hub.Script.Resets = () => Interlocked.Increment(ref connections) == 1;
        hub.Script.On<SendInputRequest>(_ => new SendInputResponse());
        await using var run = new CliRun { Time = new HurriedTime() };
        (await run.RunAsync("--hub", $"{hub.Address},{hub.Address}", "send", "n1", "x")).ShouldBe(1);
        run.ErrorText.ShouldStartWith("hub: the hub cut the connection off before it answered: ");
        run.ErrorText.ShouldEndWith("\nit may have been done or not; look before you ask for it again\n");
        hub.Script.Asked<SendInputRequest>().ShouldBeEmpty();
    }

    [Fact]
    public async Task At_most_once_is_asked_again_when_it_was_reset_before_it_was_connected()
    {
        await using var hub = await FakeHub.StartAsync();
        hub.Script.On<SendInputRequest>(_ => new SendInputResponse());
        await using var run = new CliRun { Time = new HurriedTime() };
        var environment = run.World();
        await using var connection = new HubConnection(ConnectionSettings.Resolve(hub.Address, null, null, environment.Variable), environment);
        var calls = 0;
        await connection.CallAsync(
            (c, o) => ++calls <= 3 ? throw ResetWhileConnecting() : c.SendInputAsync(new SendInputRequest(), o), Repeat.AtMostOnce, CancellationToken.None);
        calls.ShouldBe(4);
        hub.Script.Asked<SendInputRequest>().Count.ShouldBe(1);
    }

    [Fact]
    public async Task A_stream_that_is_reset_before_it_is_connected_is_begun_again()
    {
        await using var run = new CliRun { Time = new HurriedTime() };
        var environment = run.World();
        await using var connection = new HubConnection(ConnectionSettings.Resolve(NobodyThere, null, null, environment.Variable), environment);
        var begun = 0;
        await new Reconnector(connection, environment, "it").RunAsync(
            (_, _, _) => ++begun <= 3 ? throw ResetWhileConnecting() : Task.CompletedTask, CancellationToken.None);
        begun.ShouldBe(4);
    }

    [Fact]
    public async Task A_stream_goes_on_at_another_member_without_the_wait_that_the_first_one_asked_for()
    {
        await using var first = await FakeHub.StartAsync();
        await using var second = await FakeHub.StartAsync();
        first.Script.Follow = async (_, w, _) =>
        {
            await w.WriteAsync(FakeHub.Part(TerminalState.Live, FakeHub.Output(0, "one\n")));
            throw FakeHub.Error(StatusCode.Unavailable, ErrorReasons.NotReady, "the hub is stopping");
        };
        second.Script.Follow = (r, w, _) =>
        {
            r.Start.Cursor.ShouldBe("c4");
            return w.WriteAsync(FakeHub.Part(TerminalState.Closed, FakeHub.Output(4, "two\n")));
        };
        var time = new HurriedTime();
        await using var run = new CliRun { Time = time };
        (await run.RunAsync("--hub", $"{first.Address},{second.Address}", "logs", "n1", "-t", "cmd/c1", "-f")).ShouldBe(0);
        run.OutputText.ShouldBe("one\ntwo\n");
        time.Waits.ShouldHaveSingleItem().ShouldBeLessThanOrEqualTo(TimeSpan.FromMilliseconds(250));
        first.Script.Asked<FollowHistoryRequest>().Count.ShouldBe(1);
    }

    [Fact]
    public void Cut_off_is_what_broke_and_not_what_speaks_another_protocol()
    {
        Faults.IsCutOff(new RpcException(new Status(StatusCode.Unavailable, "", new HttpRequestException("", new IOException())))).ShouldBeTrue();
        Faults.IsCutOff(new RpcException(new Status(StatusCode.Internal, "", new HttpRequestException("no handshake")))).ShouldBeTrue();
        Faults.IsCutOff(new RpcException(new Status(StatusCode.Internal, "", new HttpRequestException(HttpRequestError.HttpProtocolError)))).ShouldBeFalse();
        Faults.IsCutOff(new RpcException(new Status(StatusCode.Unavailable, "the hub ended the stream"))).ShouldBeFalse();
    }

    private static RpcException ResetWhileConnecting() => new(new Status(
        StatusCode.Unavailable, "", new HttpRequestException(HttpRequestError.ConnectionError, inner: new SocketException((int)SocketError.ConnectionReset))));

    private static RpcException Starting() => FakeHub.Error(StatusCode.Unavailable, ErrorReasons.NotReady, "starting");

    /// <summary>Time that jumps to the end of each wait.</summary>
    private sealed class HurriedTime : FakeTimeProvider
    {
        private readonly List<TimeSpan> _waits = [];

        /// <summary>The waits so far.</summary>
        public IReadOnlyList<TimeSpan> Waits => _waits;

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
        {
            var timer = base.CreateTimer(callback, state, dueTime, period);
            _waits.Add(dueTime);
            Advance(dueTime);
            return timer;
        }
    }
}
