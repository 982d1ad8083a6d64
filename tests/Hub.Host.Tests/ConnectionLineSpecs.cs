using Hub.Actors;
using Hub.Actors.Settings;
using Hub.Actors.Telemetry;
using Hub.Host.Hosting;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using static Hub.Host.Tests.TestSupport;

namespace Hub.Host.Tests;

/// <summary>Who is greeted, who waits and who is reset, when more connections come than the hub greets at a time.</summary>
public sealed class ConnectionLineSpecs : IDisposable
{
    private const string NodeCall = "/akkahub.v1.NodeBridgeService/Connect";
    private const string ClientCall = "/akkahub.v1.HubService/ListNodes";
    private static readonly TimeSpan Wait = TimeSpan.FromSeconds(5);

    // Nothing happens by itself here: whoever passes, passes for the reason the spec gives.
    private readonly FakeTimeProvider _time = new();
    private readonly HubMetrics _metrics = new();
    private readonly List<Connection> _connections = [];

    public void Dispose()
    {
        foreach (var connection in _connections)
            connection.Leave();
        _metrics.Dispose();
    }

    [Fact]
    public async Task A_starting_hub_answers_a_handful_and_the_others_when_it_is_ready()
    {
        var readiness = new Readiness((Readiness.Store, "starting"));
        await using var line = Line(readiness, concurrent: 2, waiting: 2);
        foreach (var answered in Enumerable.Range(0, ConnectionLine.MaxAnsweredEarly).Select(_ => Come(line)).ToArray())
            await answered.Passed.WaitAsync(Patience);
        var waiting = new[] { Come(line), Come(line) };
        var oneTooMany = Come(line);

        (await oneTooMany.Aborted.WaitAsync(Patience)).ShouldContain("max-waiting");
        waiting.ShouldAllBe(c => !c.Passed.IsCompleted && !c.Aborted.IsCompleted);
        readiness.Clear(Readiness.Store);
        foreach (var connection in waiting)
            await connection.Passed.WaitAsync(Patience);
        oneTooMany.Passed.IsCompleted.ShouldBeFalse();
    }

    [Fact]
    public async Task Who_has_not_had_its_turn_in_time_is_reset()
    {
        await using var starting = Line(new Readiness((Readiness.Store, "starting")));
        var answered = Enumerable.Range(0, ConnectionLine.MaxAnsweredEarly).Select(_ => Come(starting)).ToArray();
        var late = Come(starting);
        _time.Advance(Wait - TimeSpan.FromTicks(1));
        late.Aborted.IsCompleted.ShouldBeFalse();
        _time.Advance(TimeSpan.FromTicks(1));
        (await late.Aborted.WaitAsync(Patience)).ShouldContain("max-wait");
        answered.ShouldAllBe(c => !c.Aborted.IsCompleted);

        await using var busy = Line(new Readiness(), concurrent: 1);
        var first = Come(busy);
        first.Calls(NodeCall);
        late = Come(busy);
        _time.Advance(Wait);
        (await late.Aborted.WaitAsync(Patience)).ShouldContain("max-wait");
        first.Aborted.IsCompleted.ShouldBeFalse();
    }

    [Fact]
    public async Task As_many_as_allowed_are_greeted_the_next_wait_and_one_too_many_is_reset_at_once()
    {
        await using var line = Line(new Readiness(), concurrent: 2, waiting: 1);
        var greeted = new[] { Come(line), Come(line) };
        foreach (var connection in greeted)
            await connection.Passed.WaitAsync(Patience);
        var waiting = Come(line);
        (await Come(line).Aborted.WaitAsync(Patience)).ShouldContain("max-waiting");
        waiting.Passed.IsCompleted.ShouldBeFalse();
        greeted[1].Leave();
        await waiting.Passed.WaitAsync(Patience);
    }

    [Fact]
    public async Task Who_gives_up_leaves_its_place_in_the_line()
    {
        await using var line = Line(new Readiness(), concurrent: 1, waiting: 1);
        var greeted = Come(line);
        var gone = Come(line);
        gone.Leave();
        await gone.Done.WaitAsync(Patience);
        var next = Come(line);
        next.Aborted.IsCompleted.ShouldBeFalse();
        greeted.Leave();
        await next.Passed.WaitAsync(Patience);
        gone.Passed.IsCompleted.ShouldBeFalse();
    }

    [Fact]
    public async Task A_clients_call_ends_the_greeting_as_it_begins()
    {
        await using var line = Line(new Readiness(), concurrent: 1);
        var client = Come(line);
        var next = Come(line);
        var called = false;
        await Greeting.OnCallAsync(client.Http(ClientCall), async _ =>
        {
            await next.Passed.WaitAsync(Patience);
            called = true;
        });
        called.ShouldBeTrue();
    }

    [Fact]
    public async Task A_nodes_call_ends_it_when_it_is_over()
    {
        await using var line = Line(new Readiness(), concurrent: 1);
        var node = Come(line);
        var next = Come(line);
        await Should.ThrowAsync<IOException>(() => Greeting.OnCallAsync(node.Http(NodeCall), async _ =>
        {
            await Task.Yield();
            next.Passed.IsCompleted.ShouldBeFalse();
            throw new IOException("refused");
        }));
        await next.Passed.WaitAsync(Patience);
    }

    [Fact]
    public async Task A_connection_that_calls_nothing_does_not_keep_others_waiting()
    {
        await using var line = Line(new Readiness(), concurrent: 1);
        var silent = Come(line);
        var next = Come(line);
        _time.Advance(Greeting.FirstCallWithin - TimeSpan.FromTicks(1));
        next.Passed.IsCompleted.ShouldBeFalse();
        _time.Advance(TimeSpan.FromTicks(1));
        await next.Passed.WaitAsync(Patience);
        silent.Aborted.IsCompleted.ShouldBeFalse();
        silent.Done.IsCompleted.ShouldBeFalse();
    }

    [Fact]
    public async Task A_node_that_waits_for_its_welcome_keeps_its_place_as_long_as_an_agent_waits_and_no_longer()
    {
        await using var line = Line(new Readiness(), concurrent: 1);
        var node = Come(line);
        node.Calls(NodeCall);
        _time.Advance(Greeting.WelcomeWithin - TimeSpan.FromTicks(1));
        var next = Come(line);
        next.Passed.IsCompleted.ShouldBeFalse();
        _time.Advance(TimeSpan.FromTicks(1));
        await next.Passed.WaitAsync(Patience);
        node.Done.IsCompleted.ShouldBeFalse();
    }

    [Fact]
    public async Task A_hub_that_has_been_ready_is_not_starting_again_when_its_store_fails()
    {
        var readiness = new Readiness((Readiness.Store, "starting"));
        await using var line = Line(readiness, concurrent: 1000);
        readiness.Clear(Readiness.Store);
        // The line hears of it elsewhere.
        await readiness.WhenReadyAsync(CancellationToken.None).WaitAsync(Patience);
        await Come(line).Passed.WaitAsync(Patience);
        readiness.Set(Readiness.Store, "gone");
        foreach (var connection in Enumerable.Range(0, ConnectionLine.MaxAnsweredEarly + 1).Select(_ => Come(line)).ToArray())
            await connection.Passed.WaitAsync(Patience);
    }

    [Fact]
    public async Task Who_waits_when_the_listener_stops_is_let_go()
    {
        await using var line = Line(new Readiness(), concurrent: 1);
        Come(line);
        using var stop = new CancellationTokenSource();
        var waiting = Come(line, stop.Token);
        await stop.CancelAsync();
        await waiting.Done.WaitAsync(Patience);
        waiting.Passed.IsCompleted.ShouldBeFalse();
        (await waiting.Aborted).ShouldNotContain("akkahub.admission");
    }

    private ConnectionLine Line(Readiness readiness, int concurrent = 8, int waiting = 8) => new(new HubRuntime(
        new HubSettings
        {
            Admission = new AdmissionSettings { MaxConcurrentAttaches = concurrent, MaxWaiting = waiting, MaxWait = Wait },
        },
        _metrics, readiness, _time, NullLogger.Instance));

    private Connection Come(ConnectionLine line, CancellationToken stopping = default)
    {
        var connection = new Connection();
        connection.Features.Set<IConnectionLifetimeNotificationFeature>(new Listener(stopping));
        _connections.Add(connection);
        connection.Done = line.OnConnectionAsync(connection, connection.ServeAsync);
        return connection;
    }

    private sealed class Listener(CancellationToken stopping) : IConnectionLifetimeNotificationFeature
    {
        public CancellationToken ConnectionClosedRequested { get; set; } = stopping;

        public void RequestClose()
        {
        }
    }

    /// <summary>A connection whose server notes when it gets it.</summary>
    private sealed class Connection : DefaultConnectionContext
    {
        private readonly CancellationTokenSource _closed = new();
        private readonly TaskCompletionSource _passed = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly TaskCompletionSource<string> _aborted = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly TaskCompletionSource _left = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Connection() => ConnectionClosed = _closed.Token;

        public Task Passed => _passed.Task;

        public Task<string> Aborted => _aborted.Task;

        public Task Done { get; set; } = Task.CompletedTask;

        public override void Abort(ConnectionAbortedException abortReason) => _aborted.TrySetResult(abortReason.Message);

        public Task ServeAsync(ConnectionContext connection)
        {
            _passed.SetResult();
            return _left.Task;
        }

        public void Leave()
        {
            _closed.Cancel();
            _left.TrySetResult();
        }

        /// <summary>Begins a call that lasts as long as the connection.</summary>
        public void Calls(string path) => _ = Greeting.OnCallAsync(Http(path), _ => _left.Task);

        public DefaultHttpContext Http(string path)
        {
            var features = new FeatureCollection(Features);
            features.Set<IHttpRequestFeature>(new HttpRequestFeature { Path = path });
            features.Set<IHttpResponseFeature>(new HttpResponseFeature());
            return new DefaultHttpContext(features);
        }
    }
}
