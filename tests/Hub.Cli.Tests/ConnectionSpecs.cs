using AkkaHub.V1;
using Grpc.Core;
using Hub.Cli.Connection;
using Hub.Cli.Tests.Fakes;
using Hub.Protocol;

namespace Hub.Cli.Tests;

/// <summary>Several members of one hub, some of them not there.</summary>
public sealed class ConnectionSpecs
{
    private const string NobodyThere = "127.0.0.1:1";

    [Fact]
    public void A_dialling_that_took_too_long_reached_nobody()
    {
        Faults.NeverReached(new RpcException(new Status(StatusCode.Unavailable, "", new TimeoutException()))).ShouldBeTrue();
        Faults.NeverReached(new RpcException(new Status(StatusCode.Unavailable, "", new IOException()))).ShouldBeFalse();
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

    private static RpcException Starting() => FakeHub.Error(StatusCode.Unavailable, ErrorReasons.NotReady, "starting");
}
