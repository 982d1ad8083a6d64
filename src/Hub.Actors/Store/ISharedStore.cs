namespace Hub.Actors.Store;

/// <summary>A member of a shared store, as the cluster needs it. Anything that asks the store fails with an exception if that does not answer.</summary>
public interface ISharedStore
{
    /// <summary>All members but this one that are not fenced.</summary>
    Task<IReadOnlyList<PostgresMemberEntry>> OthersAsync(CancellationToken cancellationToken = default);

    /// <summary>
    /// Which of these members have no session any more, by the word of the server, while this member has had its own for some seconds: none otherwise, since
    /// the server may then have started again and all are about to come back. Members that are fenced or removed may be among them.
    /// </summary>
    Task<IReadOnlyCollection<int>> GoneAsync(IReadOnlyCollection<int> uids, CancellationToken cancellationToken = default);

    /// <summary>
    /// Asks whether this member may form a cluster of its own, and makes it the first of one if so: while another member lives that is of a
    /// cluster, nobody may; of several that ask at once, one is told so. Members that have died are fenced then, once they have been dead for
    /// some seconds: one that only lost its session is back by then. Asked again until it is formed, or another one is joined. One at a time.
    /// </summary>
    /// <returns>Members that are in the way; none if it is formed. Null if this one is itself fenced.</returns>
    Task<IReadOnlyList<PostgresMemberEntry>?> TryFormAsync(CancellationToken cancellationToken = default);

    /// <summary>
    /// Records that this member has joined the cluster of those with these numbers, before it writes anything of a node. Refused, and this
    /// member lost, if another cluster lives on the store.
    /// </summary>
    /// <returns>Whether it is recorded, now or since before.</returns>
    Task<bool> TryJoinAsync(IReadOnlySet<int> seen, CancellationToken cancellationToken = default);

    /// <summary>
    /// Fences another member, alive or not. Once this has given true, nothing the other wrote can land any more that has not landed yet; its
    /// open transactions are undone. It may be asked again, and by several at once.
    /// </summary>
    /// <returns>False if this member is itself fenced, and may not: of two that fence each other the first wins.</returns>
    Task<bool> FenceAsync(int uid, CancellationToken cancellationToken = default);

    /// <summary>Completes the fences that anybody has begun: nothing of those members can land any more.</summary>
    Task SealMarkedAsync();

    /// <summary>A write was refused as one of a fenced member: looks at once whether it is.</summary>
    void LookNow();

    /// <summary>Raised when a look at the store, several each second, got no answer; from any thread.</summary>
    event Action<Exception>? Silent;
}
