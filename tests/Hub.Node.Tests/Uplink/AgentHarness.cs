using Hub.Node.State;
using Microsoft.Extensions.Logging;

namespace Hub.Node.Tests.Uplink;

/// <summary>An agent on a state directory of its own, against a hub the test plays.</summary>
internal sealed class AgentHarness : IAsyncDisposable
{
    private readonly CancellationTokenSource _stop = new();
    private readonly StateDirectory _state;

    private AgentHarness(StateDirectory state, Func<CancellationToken, Task<int>> run, Lines log)
    {
        _state = state;
        Log = log;
        Exit = run(_stop.Token);
    }

    public Task<int> Exit { get; }
    public Lines Log { get; }

    public static async Task<AgentHarness> StartAsync(Uri hub, Func<NodeOptions, NodeOptions>? change = null)
    {
        var directory = Path.Combine(Path.GetTempPath(), $"akkahub-node-{Guid.NewGuid():N}");
        var options = new NodeOptions { Hubs = [hub], Name = "test", StateDirectory = directory, Shell = "/bin/sh", MaxBackoff = TimeSpan.FromMilliseconds(200) };
        options = change?.Invoke(options) ?? options;
        var state = await StateDirectory.OpenAsync(options.StateDirectory, TimeProvider.System, CancellationToken.None);
        var log = new Lines();
        return new AgentHarness(state, async stop =>
        {
            using var agent = new NodeAgent(options, state, TimeProvider.System, log);
            return await agent.RunAsync(stop);
        }, log);
    }

    public Task StopAsync() => _stop.CancelAsync();

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await Exit.WaitAsync(FakeHub.Patience);
        _state.Dispose();
        Directory.Delete(_state.Location, recursive: true);
        _stop.Dispose();
        Log.Errors.ShouldBeEmpty();
    }

    /// <summary>What was logged.</summary>
    public sealed class Lines : ILogger
    {
        private readonly List<(LogLevel Level, int Id, string Text)> _all = [];

        public IReadOnlyList<(LogLevel Level, int Id, string Text)> All
        {
            get
            {
                lock (_all)
                    return [.. _all];
            }
        }

        /// <summary>Errors that no test expects: failures of the agent's own, not verdicts of the hub.</summary>
        public IEnumerable<string> Errors => All.Where(l => l.Level >= LogLevel.Error && l.Id is not (7 or 8)).Select(l => l.Text);

        public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Information;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            lock (_all)
                _all.Add((logLevel, eventId.Id, $"{formatter(state, exception)} {exception}"));
        }
    }
}
