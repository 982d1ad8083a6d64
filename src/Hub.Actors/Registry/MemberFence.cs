using System.Globalization;
using Hub.Actors.Store;
using Hub.Actors.Telemetry;
using Microsoft.Extensions.Logging;

namespace Hub.Actors.Registry;

/// <summary>Who this member sees in its cluster, by their numbers in the store.</summary>
/// <param name="Present">Members that are not down, those that join or leave, too.</param>
/// <param name="Downed">Members that are down and not removed yet.</param>
public sealed record MembersSeen(IReadOnlySet<int> Present, IReadOnlySet<int> Downed);

/// <summary>What a member needs to keep others from the shared store, and itself.</summary>
/// <param name="Store">The member in the store.</param>
/// <param name="Look">
/// Who is in the cluster, as of a moment after the question; null while this member is not up. It has to know all of which this member has
/// told others that it has seen it.
/// </param>
/// <param name="Leave">Ends this member as one that was downed; the text says why. May be called again.</param>
/// <param name="SplitBrainPeriod">How long two sides of a split may both take themselves for the cluster.</param>
/// <param name="Time">The clock.</param>
/// <param name="Log">Where it says for whom partitions wait.</param>
public sealed record SharedFence(ISharedStore Store, Func<Task<MembersSeen?>> Look, Action<string> Leave, TimeSpan SplitBrainPeriod, TimeProvider Time, ILogger Log);

/// <summary>
/// Which members can still write that are no longer of this cluster. Partitions begin only when none can: a zombie's last write must be
/// there, or be refused, before its successor reads.
/// </summary>
public sealed class MemberFence
{
    private const string RolePrefix = "store-";
    private static readonly TimeSpan Retry = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan AskAgain = TimeSpan.FromMilliseconds(200);

    private readonly Lock _gate = new();
    private readonly HashSet<int> _open = [];
    private TaskCompletionSource _sealed = new(TaskCreationOptions.RunContinuationsAsynchronously);

    private readonly SemaphoreSlim _asking = new(1);
    private long _asked;
    private long _answered;
    private SharedFence? _shared;
    private StrayWatch? _strays;
    private string _said = "";

    /// <summary>Nobody is being fenced.</summary>
    public MemberFence() => _sealed.SetResult();

    /// <summary>Others write to the same store.</summary>
    public bool IsShared => _shared is not null;

    /// <summary>
    /// How long a partition waits after another writer of one of its persistence ids was met: until then one of the two is out of the cluster.
    /// Zero with a store of the hub's own.
    /// </summary>
    public TimeSpan ConflictWait => _shared?.SplitBrainPeriod ?? TimeSpan.Zero;

    /// <summary>The store is shared.</summary>
    public void Share(SharedFence shared)
    {
        _strays = new StrayWatch(shared.Time);
        _shared = shared;
    }

    /// <summary>Completes when nobody can write any more who is not of this cluster: at once with a store of the hub's own.</summary>
    public Task SealedAsync() => _shared is { } shared ? SealAsync(shared) : Task.CompletedTask;

    /// <summary>A write was refused as one of a fenced member.</summary>
    public void WriteRefused() => _shared?.Store.LookNow();

    /// <summary>Calls back whenever the shared store does not answer this member: one that writes nothing would not notice.</summary>
    public void WhenStoreIsSilent(Action<Exception> callback)
    {
        if (_shared is { } shared)
            shared.Store.Silent += callback;
    }

    /// <summary>This member cannot go on beside the others: it ends as one that was downed.</summary>
    public void Leave(string why) => _shared?.Leave(why);

    private async Task SealAsync(SharedFence shared)
    {
        while (true)
        {
            var wait = AskAgain;
            try
            {
                Task known;
                lock (_gate)
                    known = _sealed.Task;
                await known.ConfigureAwait(false);
                if (await AskAsync(shared).ConfigureAwait(false))
                    return;
            }
            catch (Exception)
            {
                // The store does not answer, so that nobody could begin anyway; the store's probe says so, and readiness.
                wait = Retry;
            }

            await Task.Delay(wait).ConfigureAwait(false);
        }
    }

    // A member's partitions begin by the dozen: one question answers all that were asked before it.
    private async Task<bool> AskAsync(SharedFence shared)
    {
        var mine = Interlocked.Increment(ref _asked);
        await _asking.WaitAsync().ConfigureAwait(false);
        try
        {
            if (_answered >= mine)
                return true;
            var upTo = Interlocked.Read(ref _asked);
            if (!await SettleAsync(shared).ConfigureAwait(false))
                return false;
            _answered = upTo;
            return true;
        }
        finally
        {
            _asking.Release();
        }
    }

    private async Task<bool> SettleAsync(SharedFence shared)
    {
        var others = await shared.Store.OthersAsync().ConfigureAwait(false);
        // After the rows: who has a session there and is seen here was in good standing when it had it.
        if (await shared.Look().ConfigureAwait(false) is not { } seen || !await shared.Store.TryJoinAsync(seen.Present).ConfigureAwait(false))
            return false;
        var verdict = _strays!.Judge(others, seen);
        foreach (var uid in verdict.Fence)
        {
            if (!await shared.Store.FenceAsync(uid).ConfigureAwait(false))
                return false;
            HubLog.StrayFenced(shared.Log, uid);
        }

        // Also what somebody else began and did not live to complete.
        await shared.Store.SealMarkedAsync().ConfigureAwait(false);
        var waits = string.Join(", ", verdict.WaitFor);
        if (waits.Length > 0 && waits != _said)
            HubLog.PartitionsWaitForMembers(shared.Log, waits);
        _said = waits;
        return waits.Length == 0;
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
