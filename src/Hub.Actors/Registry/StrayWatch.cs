using Hub.Actors.Store;

namespace Hub.Actors.Registry;

/// <summary>
/// Judges the members of the store by who is in the cluster: who is to be fenced, and who is to be waited for, before partitions begin.
/// One that only lost its session, as all do when the server starts again, is not fenced for it; one that the gossip has not brought
/// yet neither. Not thread-safe.
/// </summary>
internal sealed class StrayWatch(TimeProvider time)
{
    /// <summary>After this a member that lives and is of no cluster that is known here is fenced, and one that has no session is not waited for.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    private readonly Dictionary<int, long> _since = [];

    /// <summary>Judges.</summary>
    /// <param name="others">The rows of the other members that are not fenced.</param>
    /// <param name="seen">Who is in the cluster, looked at after the rows were read.</param>
    public (IReadOnlyList<int> Fence, IReadOnlyList<int> WaitFor) Judge(IReadOnlyList<PostgresMemberEntry> others, MembersSeen seen)
    {
        var (fence, waitFor, kept) = (new List<int>(), new List<int>(), new HashSet<int>());
        // Who has joined no cluster has written nothing.
        foreach (var other in others.Where(o => o.Cluster != 0))
        {
            var present = seen.Present.Contains(other.Uid);
            if (present && other.Alive)
                continue;
            if (seen.Downed.Contains(other.Uid) || (!present && !other.Alive))
            {
                fence.Add(other.Uid);
                continue;
            }

            kept.Add(other.Uid);
            _since.TryAdd(other.Uid, time.GetTimestamp());
            if (time.GetElapsedTime(_since[other.Uid]) < Patience)
                waitFor.Add(other.Uid);
            else if (!present)
                fence.Add(other.Uid);
        }

        foreach (var gone in _since.Keys.Except(kept).ToArray())
            _since.Remove(gone);
        return (fence, waitFor);
    }
}
