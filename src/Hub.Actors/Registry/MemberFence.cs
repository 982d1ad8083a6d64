using System.Globalization;

namespace Hub.Actors.Registry;

/// <summary>
/// Which members that were downed can still write. Partitions begin only when none can: a zombie's last write must be there, or be refused,
/// before its successor reads.
/// </summary>
public sealed class MemberFence
{
    private const string RolePrefix = "store-";

    private readonly Lock _gate = new();
    private readonly HashSet<int> _open = [];
    private TaskCompletionSource _sealed = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Nobody is being fenced.</summary>
    public MemberFence() => _sealed.SetResult();

    /// <summary>Completes when no fence is under way; at once if none is.</summary>
    public Task WhenSealed
    {
        get
        {
            lock (_gate)
                return _sealed.Task;
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
