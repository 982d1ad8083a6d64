using System.Collections.Concurrent;
using Grpc.Core;

namespace Hub.Host.Auth;

/// <summary>The calls under way on this member, so that a stop can wait for them and then end them.</summary>
public sealed class LiveCalls
{
    private readonly ConcurrentDictionary<LiveCall, bool> _calls = new();
    private readonly TaskCompletionSource _empty = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile bool _draining;

    /// <summary>How many there are.</summary>
    public int Count => _calls.Count;

    /// <summary>
    /// Ends clients' streams with this status at once, and waits for the others, at most this long: nodes' streams, which the bridges
    /// end in order, and calls with one answer. Then ends those that are left. No new call is let in from now on.
    /// </summary>
    /// <returns>How many had to be ended.</returns>
    public async Task<int> DrainAsync(TimeSpan patience, Func<RpcException> status, TimeProvider time)
    {
        _draining = true;
        foreach (var call in _calls.Keys)
        {
            if (!call.IsWaitedFor)
                call.End(status(), TimeSpan.Zero);
        }

        if (_calls.IsEmpty)
            _empty.TrySetResult();
        try
        {
            await _empty.Task.WaitAsync(patience, time).ConfigureAwait(false);
            return 0;
        }
        catch (TimeoutException)
        {
            var left = _calls.Keys.ToArray();
            foreach (var call in left)
                call.End(status(), TimeSpan.Zero);
            return left.Length;
        }
    }

    // False if the hub drains: the call must not run. The look follows the entry, so that a drain that begins between them sees it.
    internal bool Add(LiveCall call)
    {
        _calls[call] = true;
        return !_draining;
    }

    internal void Remove(LiveCall call)
    {
        _calls.TryRemove(call, out _);
        if (_draining && _calls.IsEmpty)
            _empty.TrySetResult();
    }
}
