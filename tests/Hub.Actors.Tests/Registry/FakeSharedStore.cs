using Hub.Actors.Store;

namespace Hub.Actors.Tests.Registry;

/// <summary>A shared store that agrees to everything and remembers it.</summary>
internal sealed class FakeSharedStore : ISharedStore
{
    private int _asked;

    public event Action<Exception>? Silent;
    private int _looks;

    public PostgresMemberEntry[] Others { get; set; } = [];

    public int[] Joined { get; private set; } = [];

    public List<int> Fenced { get; } = [];

    public int Asked => Volatile.Read(ref _asked);

    public int Looks => Volatile.Read(ref _looks);

    public Task<IReadOnlyList<PostgresMemberEntry>> OthersAsync(CancellationToken cancellationToken = default)
    {
        Interlocked.Increment(ref _asked);
        return Task.FromResult<IReadOnlyList<PostgresMemberEntry>>(Others);
    }

    public Task<IReadOnlyList<PostgresMemberEntry>?> TryFormAsync(CancellationToken cancellationToken = default) => throw new NotSupportedException();

    public Task<bool> TryJoinAsync(IReadOnlySet<int> seen, CancellationToken cancellationToken = default)
    {
        Joined = [.. seen.Order()];
        return Task.FromResult(true);
    }

    public Task<bool> FenceAsync(int uid, CancellationToken cancellationToken = default)
    {
        Fenced.Add(uid);
        return Task.FromResult(true);
    }

    public Task SealMarkedAsync() => Task.CompletedTask;

    public void LookNow() => Interlocked.Increment(ref _looks);

    public void FallSilent() => Silent?.Invoke(new TimeoutException());
}
