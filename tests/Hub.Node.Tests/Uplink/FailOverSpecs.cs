using AkkaHub.V1;
using Grpc.Core;
using Hub.Node.State;
using Hub.Node.Streams;
using Hub.Node.Uplink;
using Hub.Protocol;
using Microsoft.Extensions.Time.Testing;

namespace Hub.Node.Tests.Uplink;

/// <summary>An agent among several members: which it dials, when, and with what.</summary>
public sealed class FailOverSpecs
{
    private static readonly Func<NodeOptions, NodeOptions> NoMain = o => o with { MainTerminal = false };

    [Fact]
    public async Task A_member_that_was_learned_is_dialled_when_the_given_one_is_lost()
    {
        var one = await FakeHub.StartAsync();
        await using var two = await FakeHub.StartAsync();
        await using var agent = await AgentHarness.StartAsync(one.Address, o => NoMain(o) with { Token = "t" });
        var session = await one.AcceptAsync();
        (await session.WelcomeAsync(members: Members(one, two))).Protocol.ShouldBe(1u);
        // The welcome was read; a cut would take it along.
        await session.NextBeatAsync();
        session.Cut();
        var again = await two.AcceptAsync();
        again.Authorization.ShouldBe("Bearer t");
        await again.WelcomeAsync(members: Members(two));
        // What it heard last in a session counts, too.
        await using var three = await FakeHub.StartAsync();
        await again.SayAsync(new ConnectResponse { Members = Members(two, three) });
        await again.RunAsync("a", "true");
        await again.UntilAsync(m => m.CommandStarted is not null);
        await one.DisposeAsync();
        again.Cut();
        var third = await three.AcceptAsync();
        await third.WelcomeAsync();
        third.End();
    }

    [Fact]
    public async Task A_member_that_was_learned_before_a_restart_is_dialled_when_the_given_one_is_gone()
    {
        await using var hub = await FakeHub.StartAsync();
        var directory = Directory.CreateTempSubdirectory("akkahub-node-").FullName;
        new LearnedMembers(directory, new AgentHarness.Lines()).Learn(Members(hub), "t");
        await using var agent = await AgentHarness.StartAsync(new Uri("http://127.0.0.1:1"), o => NoMain(o) with { Token = "t", StateDirectory = directory });
        var session = await hub.AcceptAsync();
        await session.WelcomeAsync();
        session.End();
    }

    [Fact]
    public async Task A_node_that_is_sent_away_dials_another_member_and_not_the_one_that_drains()
    {
        await using var one = await FakeHub.StartAsync();
        await using var two = await FakeHub.StartAsync();
        await using var agent = await AgentHarness.StartAsync(one.Address, NoMain);
        var session = await one.AcceptAsync();
        await session.WelcomeAsync();
        await session.DisconnectAsync(DisconnectReason.Drain, members: new HubMembers { Self = one.Address.Authority, Machine = ThisMachine.Id, Addresses = { two.Address.Authority } });
        var again = await two.AcceptAsync();
        await again.WelcomeAsync();
        one.Calls.ShouldBe(0);
        again.End();
    }

    [Fact]
    public async Task A_hub_that_says_it_waits_is_waited_for()
    {
        await using var hub = await FakeHub.StartAsync();
        await using var agent = await AgentHarness.StartAsync(hub.Address, NoMain);
        var session = await hub.AcceptAsync();
        await session.SayAsync(new ConnectResponse { Waiting = new HubWaiting() });
        await session.SayAsync(new ConnectResponse { Waiting = new HubWaiting() });
        await session.WelcomeAsync();
        await session.RunAsync("a", "true");
        (await session.NextAsync()).CommandStarted.CommandId.ShouldBe("a");
        hub.Calls.ShouldBe(0);
        session.End();
    }

    [Fact]
    public void The_first_round_is_in_the_order_given_and_later_ones_are_not_and_the_lost_member_comes_last()
    {
        var directory = Directory.CreateTempSubdirectory("akkahub-node-").FullName;
        Uri[] given = [new("http://127.0.0.1:1"), new("http://127.0.0.1:2"), new("http://127.0.0.1:3")];
        var learned = new LearnedMembers(directory, new AgentHarness.Lines());
        learned.Learn(new HubMembers { Machine = ThisMachine.Id, Addresses = { "127.0.0.1:2", "127.0.0.1:4" } }, null);
        var seconds = new HashSet<int>();
        for (var seed = 0; seed < 50; seed++)
        {
            var targets = new HubTargets(new NodeOptions { Hubs = given, Name = "n", StateDirectory = directory }, learned, new Random(seed));
            Round(targets).ShouldBe([1, 2, 3, 4]);
            var next = Round(targets, given[0], new Uri("http://127.0.0.1:4"));
            next.Order().ToArray().ShouldBe([1, 2, 3, 4]);
            next[2..].Order().ToArray().ShouldBe([1, 4], "by neither of its names");
            seconds.Add(next[0]);
            targets.BeginRound([], afterFailure: true);
            var afterFailure = Rest(targets);
            afterFailure[..3].Order().ToArray().ShouldBe([1, 2, 3], "who was learned may be gone for good");
            afterFailure[3].ShouldBe(4);
        }

        seconds.ShouldBe([2, 3], ignoreOrder: true);
        Directory.Delete(directory, recursive: true);
    }

    [Fact]
    public void Another_token_does_not_go_where_the_earlier_one_was_told_of()
    {
        var directory = Directory.CreateTempSubdirectory("akkahub-node-").FullName;
        var file = Path.Combine(directory, "token");
        File.WriteAllText(file, "one");
        var learned = new LearnedMembers(directory, new AgentHarness.Lines());
        learned.Learn(new HubMembers { Addresses = { "https://b:2" } }, "one");
        var targets = new HubTargets(new NodeOptions { Hubs = [new("https://a:1")], Name = "n", StateDirectory = directory, TokenFile = file }, learned, new Random(1));
        Round(targets).ShouldBe([1, 2]);
        targets.BeginRound([]);
        File.WriteAllText(file, "two");
        Rest(targets).ShouldBe([1]);
        Directory.Delete(directory, recursive: true);
    }

    [Fact]
    public async Task A_node_that_is_sent_away_waits_as_long_as_it_was_told()
    {
        await using var one = await FakeHub.StartAsync();
        await using var two = await FakeHub.StartAsync();
        await using var run = new Running(one, two);
        // Each time anew: members that drain one after the other are no failures.
        for (var (i, hub, other) = (0, one, two); i < 5; i++, (hub, other) = (other, hub))
        {
            var session = await hub.AcceptAsync();
            await session.WelcomeAsync(members: Members(hub, other));
            await run.ConnectedAsync(i + 1);
            var waits = run.Time.Waits;
            await session.DisconnectAsync(DisconnectReason.Drain, retryAfterMs: 300, members: Members(other));
            while (run.Time.Waits == waits)
                await Task.Yield();
            run.Time.Advance(TimeSpan.FromMilliseconds(299));
            other.Calls.ShouldBe(0);
            run.Time.Advance(TimeSpan.FromMilliseconds(1));
        }
    }

    [Theory]
    [InlineData(0.999, 499)]
    [InlineData(0.5, 249)]
    public async Task Another_member_is_dialled_after_at_most_half_a_second(double drawn, int notBefore)
    {
        await using var one = await FakeHub.StartAsync();
        await using var two = await FakeHub.StartAsync();
        var directory = Directory.CreateTempSubdirectory("akkahub-node-").FullName;
        var time = new CountingTime();
        var log = new AgentHarness.Lines();
        using var stop = new CancellationTokenSource();
        var options = new NodeOptions { Hubs = [one.Address, two.Address], Name = "n", StateDirectory = directory };
        var uplink = new HubUplink(options, new LearnedMembers(directory, log), new StreamTable(time, dropWhenOffline: true), new Owner(), time, log, new Drawn(drawn));
        var running = uplink.RunAsync(stop.Token);
        var session = await one.AcceptAsync();
        await session.WelcomeAsync();
        await ConnectedAsync(1);
        var waits = time.Waits;
        session.Cut();
        await DisconnectedAsync();
        time.Advance(TimeSpan.FromMilliseconds(notBefore));
        two.Calls.ShouldBe(0);
        time.Advance(TimeSpan.FromMilliseconds(500 - notBefore));
        var again = await two.AcceptAsync();
        await again.WelcomeAsync();
        again.End();
        await stop.CancelAsync();
        await Should.ThrowAsync<OperationCanceledException>(running);
        Directory.Delete(directory, recursive: true);

        async Task ConnectedAsync(int times)
        {
            while (log.All.Count(l => l.Id == 2) < times)
                await Task.Yield();
        }

        async Task DisconnectedAsync()
        {
            while (log.All.All(l => l.Id != 3))
                await Task.Yield();
            // The wait is armed after the line is written, with the clock of the test.
            while (time.Waits == waits)
                await Task.Yield();
        }
    }

    private static HubMembers Members(params FakeHub[] hubs) =>
        new() { Self = hubs[0].Address.Authority, Machine = ThisMachine.Id, Addresses = { hubs.Select(h => h.Address.Authority) } };

    private static int[] Round(HubTargets targets, params Uri[] lost)
    {
        targets.BeginRound([.. lost.Select(l => new HubAddress(l))]);
        return Rest(targets);
    }

    private static int[] Rest(HubTargets targets)
    {
        var ports = new List<int>();
        while (targets.TryNext(out var target))
            ports.Add(target!.Address.Uri.Port);
        return [.. ports];
    }

    /// <summary>Counts waits of at most half a second: the uplink has no others.</summary>
    private sealed class CountingTime : FakeTimeProvider
    {
        private int _waits;
        public int Waits => Volatile.Read(ref _waits);

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
        {
            var timer = base.CreateTimer(callback, state, dueTime, period);
            if (dueTime > TimeSpan.Zero && dueTime <= TimeSpan.FromMilliseconds(500))
                Interlocked.Increment(ref _waits);
            return timer;
        }
    }

    /// <summary>An uplink on a clock of the test.</summary>
    private sealed class Running : IAsyncDisposable
    {
        private readonly string _directory = Directory.CreateTempSubdirectory("akkahub-node-").FullName;
        private readonly CancellationTokenSource _stop = new();
        private readonly AgentHarness.Lines _log = new();
        private readonly Task _running;

        public Running(params FakeHub[] hubs)
        {
            var options = new NodeOptions { Hubs = [.. hubs.Select(h => h.Address)], Name = "n", StateDirectory = _directory };
            var uplink = new HubUplink(options, new LearnedMembers(_directory, _log), new StreamTable(Time, dropWhenOffline: true), new Owner(), Time, _log, new Drawn(0.5));
            _running = uplink.RunAsync(_stop.Token);
        }

        public CountingTime Time { get; } = new();

        public async Task ConnectedAsync(int times)
        {
            using var late = new CancellationTokenSource(FakeHub.Patience);
            while (_log.All.Count(l => l.Id == 2) < times)
            {
                late.Token.ThrowIfCancellationRequested();
                await Task.Yield();
            }
        }

        public async ValueTask DisposeAsync()
        {
            await _stop.CancelAsync();
            await Should.ThrowAsync<OperationCanceledException>(_running);
            _stop.Dispose();
            Directory.Delete(_directory, recursive: true);
        }
    }

    /// <summary>Draws the same number each time.</summary>
    private sealed class Drawn(double number) : Random
    {
        public override double NextDouble() => number;
    }

    private sealed class Owner : IUplinkOwner
    {
        public NodeHello Hello(uint reconnects, string lastDisconnect, bool takeOver) => new() { Name = "n" };

        public NodeHeartbeat Beat() => new();

        public void Welcomed(NodeWelcome welcome)
        {
        }

        public ValueTask HandleAsync(ConnectResponse message, Outbox outbox, CancellationToken cancellationToken) => ValueTask.CompletedTask;

        public IReadOnlyList<ConnectRequest> Repeat() => [];
    }
}
