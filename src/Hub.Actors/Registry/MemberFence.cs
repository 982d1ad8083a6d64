using System.Globalization;

namespace Hub.Actors.Registry;

/// <summary>
/// Which members that were downed can still write. Partitions begin only when none can: a zombie's last write must be there, or be refused,
/// before its successor reads.
/// </summary>
public sealed class MemberFence
{
    private const string RolePrefix = "store-";
    private static readonly TimeSpan Retry = TimeSpan.FromSeconds(1);

    private readonly Lock _gate = new();
    private readonly HashSet<int> _open = [];
    private TaskCompletionSource _sealed = new(TaskCreationOptions.RunContinuationsAsynchronously);

    private readonly SemaphoreSlim _asking = new(1);
    private long _asked;
    private long _answered;
    private Func<Task>? _sealMarked;

    /// <summary>Nobody is being fenced.</summary>
    public MemberFence() => _sealed.SetResult();

    /// <summary>The store is shared: it is asked, too, since a member that has just joined may have missed a downing.</summary>
    /// <param name="sealMarked">Completes all fences that anybody has begun in the store.</param>
    public void Share(Func<Task> sealMarked) => _sealMarked = sealMarked;

    /// <summary>Completes when nobody who was downed can write any more: at once with a store of the hub's own.</summary>
    public Task SealedAsync() => _sealMarked is { } sealMarked ? SealAsync(sealMarked) : Task.CompletedTask;

    private async Task SealAsync(Func<Task> sealMarked)
    {
        while (true)
        {
            try
            {
                Task known;
                lock (_gate)
                    known = _sealed.Task;
                await known.ConfigureAwait(false);
                await AskAsync(sealMarked).ConfigureAwait(false);
                return;
            }
            catch (Exception)
            {
                // The store does not answer, so that nobody could begin anyway; the store's probe says so, and readiness.
                await Task.Delay(Retry).ConfigureAwait(false);
            }
        }
    }

    // A member's partitions begin by the dozen: one question answers all that were asked before it.
    private async Task AskAsync(Func<Task> sealMarked)
    {
        var mine = Interlocked.Increment(ref _asked);
        await _asking.WaitAsync().ConfigureAwait(false);
        try
        {
            if (_answered >= mine)
                return;
            var upTo = Interlocked.Read(ref _asked);
            await sealMarked().ConfigureAwait(false);
            _answered = upTo;
        }
        finally
        {
            _asking.Release();
        }
    }

    /// <summary>The role by which members know what another one is called in the store.</summary>
    public static string RoleOf(int uid) => RolePrefix + uid.ToString(CultureInfo.InvariantCulture);

    /// <summary>What a member with these roles is called in the store; null if it has no such role.</summary>
    public static int? UidOf(IEnumerable<string> roles)
    {
        foreach (var role in roles)
        {
            if (role.StartsWith(RolePrefix, StringComparison.Ordinal) && int.TryParse(role.AsSpan(RolePrefix.Length), NumberStyles.None, CultureInfo.InvariantCulture, out var uid))
                return uid;
        }

        return null;
    }

    /// <summary>A member is to be fenced.</summary>
    internal void Begin(int uid)
    {
        lock (_gate)
        {
            if (_open.Add(uid) && _open.Count == 1)
                _sealed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        }
    }

    /// <summary>It is.</summary>
    internal void End(int uid)
    {
        lock (_gate)
        {
            if (_open.Remove(uid) && _open.Count == 0)
                _sealed.TrySetResult();
        }
    }
}
