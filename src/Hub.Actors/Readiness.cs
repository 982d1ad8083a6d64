using System.Collections.Immutable;

namespace Hub.Actors;

/// <summary>
/// Why the hub is not ready. A component registers a reason under its own key and clears it when it is done; ready means that
/// none is left. Thread-safe; reading takes no lock. Ready once says nothing about later: a store that stops answering or a
/// drain sets a reason again.
/// </summary>
public sealed class Readiness
{
    /// <summary>Key of the reason that stands until the member is up in its cluster.</summary>
    public const string Cluster = "cluster";
    /// <summary>Key of the reason that stands until every partition answers.</summary>
    public const string Partitions = "partitions";
    /// <summary>Key of the reason that stands while the store does not answer.</summary>
    public const string Store = "store";
    /// <summary>Key of the reason that stands until the tokens have been read.</summary>
    public const string Tokens = "tokens";
    /// <summary>Key of the reason that stands once the hub stops; never cleared.</summary>
    public const string Draining = "draining";

    private readonly Lock _gate = new();
    private ImmutableSortedDictionary<string, string> _reasons = ImmutableSortedDictionary.Create<string, string>(StringComparer.Ordinal);
    private TaskCompletionSource _ready = NewSignal();
    private TaskCompletionSource _changed = NewSignal();

    /// <summary>Starts with the given reasons, so that nothing is ready before each of them was cleared.</summary>
    /// <param name="initial">Pairs of key and text.</param>
    public Readiness(params ReadOnlySpan<(string Key, string Reason)> initial)
    {
        foreach (var (key, reason) in initial)
            _reasons = _reasons.SetItem(key, reason);
        if (_reasons.IsEmpty)
            _ready.SetResult();
    }

    /// <summary>True when no reason is left.</summary>
    public bool IsReady => Volatile.Read(ref _reasons).IsEmpty;

    /// <summary>The reasons now, by key; the value is for people.</summary>
    public IReadOnlyDictionary<string, string> Reasons => Volatile.Read(ref _reasons);

    /// <summary>Completes at the next change of any reason; take it before reading the reasons to miss none.</summary>
    public Task Changed
    {
        get
        {
            lock (_gate)
                return _changed.Task;
        }
    }

    /// <summary>Sets or replaces a reason.</summary>
    public void Set(string key, string reason) => Update(reasons => reasons.SetItem(key, reason));

    /// <summary>Takes a reason away; nothing happens if there is none, or if the hub drains and this is that reason.</summary>
    public void Clear(string key)
    {
        if (key != Draining)
            Update(reasons => reasons.Remove(key));
    }

    /// <summary>Waits until no reason is left.</summary>
    /// <exception cref="OperationCanceledException">The token was cancelled first.</exception>
    public Task WhenReadyAsync(CancellationToken cancellationToken)
    {
        lock (_gate)
            return _ready.Task.WaitAsync(cancellationToken);
    }

    private void Update(Func<ImmutableSortedDictionary<string, string>, ImmutableSortedDictionary<string, string>> change)
    {
        lock (_gate)
        {
            var before = _reasons;
            var after = change(before);
            if (ReferenceEquals(before, after))
                return;
            Volatile.Write(ref _reasons, after);
            if (after.IsEmpty)
                _ready.TrySetResult();
            else if (before.IsEmpty)
                _ready = NewSignal();
            // Continuations run elsewhere (see NewSignal), never under this lock.
            _changed.SetResult();
            _changed = NewSignal();
        }
    }

    private static TaskCompletionSource NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);
}
