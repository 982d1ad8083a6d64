using Hub.Actors;
using Hub.Host.LocalAgent;
using Hub.Host.Settings;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using static Hub.Host.Tests.TestSupport;

namespace Hub.Host.Tests;

public sealed class LocalNodeSpecs : IAsyncLifetime
{
    private readonly FakeAgent _agent = new();
    private readonly Readiness _readiness = new(("test", "not yet"));
    private readonly FakeTimeProvider _time = new();
    private LocalNode _node = null!;

    public Task InitializeAsync() => StartAsync(new HostSettings());

    public async Task DisposeAsync()
    {
        await _node.StopAsync(CancellationToken.None);
        _node.Dispose();
    }

    [Fact]
    public async Task It_is_started_when_the_hub_is_ready_and_again_when_it_is_gone()
    {
        _agent.Starts.ShouldBe(0);
        _readiness.Clear("test");
        await UntilAsync(() => _agent.Starts == 1);
        _agent.Running = false;
        await UntilAsync(() => _agent.Starts == 2);
    }

    [Fact]
    public async Task One_that_runs_is_left_alone()
    {
        _agent.Running = true;
        _readiness.Clear("test");
        await UntilAsync(() => _agent.Looks >= 3);
        _agent.Starts.ShouldBe(0);
    }

    [Fact]
    public async Task One_that_cannot_be_started_is_tried_again_with_growing_waits()
    {
        _agent.Problem = new InvalidOperationException("no such program");
        _readiness.Clear("test");
        await UntilAsync(() => _agent.Attempts.Count >= 5);
        var waits = _agent.Attempts.Zip(_agent.Attempts.Skip(1), (a, b) => b - a).ToArray();
        waits[3].ShouldBeGreaterThan(waits[0]);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task It_goes_on_when_the_hub_leaves_unless_it_is_to_end(bool end)
    {
        _readiness.Clear("test");
        await UntilAsync(() => _agent.Starts == 1);
        await _node.LeaveAsync(end, CancellationToken.None).WaitAsync(Patience);
        _agent.Ended.ShouldBe(end);
        _agent.Running.ShouldBe(!end);
        _time.Advance(TimeSpan.FromMinutes(5));
        _agent.Starts.ShouldBe(1);
    }

    [Fact]
    public async Task One_that_is_just_being_launched_is_waited_for_and_ended()
    {
        var launch = _agent.HoldLaunch();
        _readiness.Clear("test");
        await UntilAsync(() => _agent.Attempts.Count == 1);
        var leaving = _node.LeaveAsync(end: true, CancellationToken.None);
        leaving.IsCompleted.ShouldBeFalse();
        launch.SetResult();
        await leaving.WaitAsync(Patience);
        (_agent.Running, _agent.Ended).ShouldBe((false, true));
    }

    [Fact]
    public async Task A_launch_that_takes_too_long_holds_no_stop_up()
    {
        _agent.HoldLaunch();
        _readiness.Clear("test");
        await UntilAsync(() => _agent.Attempts.Count == 1);
        var leaving = _node.LeaveAsync(end: true, CancellationToken.None);
        await UntilAsync(() => leaving.IsCompleted);
        await leaving;
        await _node.ExecuteTask!.WaitAsync(Patience);
    }

    [Fact]
    public async Task A_launch_is_not_waited_for_when_the_local_node_goes_on()
    {
        _agent.HoldLaunch();
        _readiness.Clear("test");
        await UntilAsync(() => _agent.Attempts.Count == 1);
        await _node.LeaveAsync(end: false, CancellationToken.None).WaitAsync(Patience);
    }

    [Fact]
    public async Task It_may_be_off()
    {
        await DisposeAsync();
        await StartAsync(new HostSettings { LocalNode = false });
        _readiness.Clear("test");
        await _node.ExecuteTask!.WaitAsync(Patience);
        await _node.LeaveAsync(end: true, CancellationToken.None).WaitAsync(Patience);
        (_agent.Starts, _agent.Ended).ShouldBe((0, false));
    }

    private Task StartAsync(HostSettings settings)
    {
        _agent.Time = _time;
        _node = new LocalNode(_agent, settings, _readiness, _time, NullLogger<LocalNode>.Instance);
        return _node.StartAsync(CancellationToken.None);
    }

    // The clock goes on until it is so; each step lets what is due run.
    private async Task UntilAsync(Func<bool> condition)
    {
        using var patience = new CancellationTokenSource(Patience);
        while (!condition())
        {
            patience.Token.ThrowIfCancellationRequested();
            _time.Advance(TimeSpan.FromMilliseconds(250));
            await Task.Delay(1);
        }
    }

    private sealed class FakeAgent : ILocalAgent
    {
        private int _looks;
        private Task _launched = Task.CompletedTask;

        public volatile bool Running;
        public volatile bool Ended;
        public volatile int Starts;
        public Exception? Problem;
        public FakeTimeProvider Time = null!;
        public System.Collections.Concurrent.ConcurrentQueue<DateTimeOffset> Attempts { get; } = new();

        public int Looks => _looks;

        public int? RunningPid()
        {
            Interlocked.Increment(ref _looks);
            return Running ? 7 : null;
        }

        /// <summary>From now on a launch takes until the test says that it is done.</summary>
        public TaskCompletionSource HoldLaunch()
        {
            var launch = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            _launched = launch.Task;
            return launch;
        }

        public async Task StartAsync(CancellationToken cancellationToken)
        {
            Attempts.Enqueue(Time.GetUtcNow());
            if (Problem is not null)
                throw Problem;
            await _launched.WaitAsync(cancellationToken);
            Running = true;
            Starts++;
        }

        public Task<bool> EndAsync(TimeSpan within, CancellationToken cancellationToken)
        {
            Ended = true;
            Running = false;
            return Task.FromResult(true);
        }
    }
}
