using System.Collections.Concurrent;
using Hub.Load.Processes;

namespace Hub.Load.Chaos;

/// <summary>Starts members again whenever they end, as a service manager does, and counts what they ended with.</summary>
internal sealed class MemberSupervisor : IAsyncDisposable
{
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(500);

    private readonly CancellationTokenSource _stop = new();
    private readonly Task[] _running;

    /// <summary>Watches over members that run.</summary>
    public MemberSupervisor(IReadOnlyList<HubProcess> members) => _running = [.. members.Select(RunAsync)];

    /// <summary>Nobody is started again before this has completed.</summary>
    public Task MayStart { get; set; } = Task.CompletedTask;

    /// <summary>How often members ended, by exit code; 128 and the signal if one ended them.</summary>
    public ConcurrentDictionary<int, int> Ends { get; } = new();

    /// <summary>Starts nothing any more.</summary>
    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync().ConfigureAwait(false);
        await Task.WhenAll(_running).ConfigureAwait(false);
        _stop.Dispose();
    }

    private async Task RunAsync(HubProcess member)
    {
        try
        {
            while (true)
            {
                var code = await member.Child.WaitForExitAsync(Timeout.InfiniteTimeSpan).WaitAsync(_stop.Token).ConfigureAwait(false);
                Ends.AddOrUpdate(code, 1, static (_, count) => count + 1);
                await Task.Delay(Pause, _stop.Token).ConfigureAwait(false);
                await MayStart.WaitAsync(_stop.Token).ConfigureAwait(false);
                member.Start();
            }
        }
        catch (OperationCanceledException)
        {
            // Asked to end.
        }
    }
}
