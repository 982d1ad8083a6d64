using Hub.Actors.Store;

namespace Hub.Actors.Tests.Registry;

/// <summary>A shared store that agrees to everything and remembers it.</summary>
internal sealed class FakeSharedStore : ISharedStore
{
    private int _asked;

    public event Action<Exception>? Silent;
    private int _looks;
    private int _formAsked;
    private int _goneAsked;

    public PostgresMemberEntry[] Others { get; set; } = [];

    public int[] Joined { get; private set; } = [];

    public List<int> Fenced { get; } = [];

    public int Asked => Volatile.Read(ref _asked);

    public int Looks => Volatile.Read(ref _looks);

    /// <summary>What an answer about the others waits for.</summary>
    public Task Held { get; set; } = Task.CompletedTask;

    /// <summary>Who is in the way of forming a cluster.</summary>
    public PostgresMemberEntry[] InTheWay { get; set; } = [];

    public int FormAsked => Volatile.Read(ref _formAsked);

    public async Task<IReadOnlyList<PostgresMemberEntry>> OthersAsync(CancellationToken cancellationToken = default)
    {
        Interlocked.Increment(ref _asked);
        await Held;
        return Others;
    }

    /// <summary>Who has no session.</summary>
    public int[] Gone { get; set; } = [];

    public bool GoneFails { get; set; }

    public int GoneAsked => Volatile.Read(ref _goneAsked);

    public Task<IReadOnlyCollection<int>> GoneAsync(IReadOnlyCollection<int> uids, CancellationToken cancellationToken = default)
    {
        Interlocked.Increment(ref _goneAsked);
        return GoneFails ? Task.FromException<IReadOnlyCollection<int>>(new TimeoutException()) : Task.FromResult<IReadOnlyCollection<int>>([.. Gone.Intersect(uids)]);
    }

    public Task<IReadOnlyList<PostgresMemberEntry>?> TryFormAsync(CancellationToken cancellationToken = default)
    {
        Interlocked.Increment(ref _formAsked);
        return Task.FromResult<IReadOnlyList<PostgresMemberEntry>?>(InTheWay);
    }

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
