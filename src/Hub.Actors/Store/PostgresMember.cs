using System.Threading.Channels;
using Npgsql;

namespace Hub.Actors.Store;

/// <summary>
/// This hub as a member of a shared store, which takes writes of members only, and only while they are not fenced. It is alive, for the
/// other members, as long as one session of its own is open; when that breaks (the server restarts, the network is cut) it is opened again.
/// A member can be fenced at any time: what it writes from then on fails with <see cref="FencedState"/>, whether it knows or not.
/// </summary>
public sealed partial class PostgresMember : ISharedStore, IAsyncDisposable
{
    /// <summary>SQLSTATE of a write that is refused: its session names no member, or one that is fenced.</summary>
    public const string FencedState = PostgresRegistry.FencedState;

    /// <summary>How long one that seems to live is waited for before a hub is refused: the server may not have noticed yet that it is gone.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    /// <summary>
    /// How long it has to have had its session before its word that others have none is taken: after the server was away, or was replaced by another,
    /// nobody has one, and some are later than others to open it again.
    /// </summary>
    public static readonly TimeSpan Settled = TimeSpan.FromSeconds(6);

    private static readonly TimeSpan LookEvery = TimeSpan.FromMilliseconds(500);
    private static readonly TimeSpan Retry = TimeSpan.FromMilliseconds(250);
    private static readonly TimeSpan LeaveTimeout = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan LostTimeout = TimeSpan.FromSeconds(1);

    private readonly string _own;
    private readonly TimeProvider _time;
    private readonly CancellationTokenSource _leaving = new();
    private readonly TaskCompletionSource _lost = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Channel<bool> _look = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });
    private readonly Task _keeping;
    private volatile bool _resigned;
    private NpgsqlConnection? _session;
    private long _sessionSince;
    private bool _disposed;

    private PostgresMember(string connectionString, string own, TimeProvider time, NpgsqlConnection session, int uid)
    {
        _own = own;
        _time = time;
        _session = session;
        _sessionSince = time.GetTimestamp();
        Uid = uid;
        ConnectionString = PostgresRegistry.Of(connectionString, uid);
        _keeping = KeepAsync();
    }

    /// <inheritdoc/>
    public event Action<Exception>? Silent;

    /// <summary>Its number, never given again in this store.</summary>
    public int Uid { get; }

    /// <summary>How its journal and snapshots reach the store: any other connection may only read.</summary>
    public string ConnectionString { get; }

    /// <summary>Completes when it finds itself fenced; it never will write again.</summary>
    public Task Lost => _lost.Task;

    /// <summary>Makes this hub a member of a store that the preflight has accepted.</summary>
    /// <param name="connectionString">A string that <see cref="PostgresStore.Complete"/> gave.</param>
    /// <param name="address">How the others know it; shown to operators.</param>
    /// <param name="alone">
    /// It shares the store with nobody: it is refused while another member lives, and fences those that do not. Otherwise it is refused only
    /// while one lives that is alone; which others belong to its cluster, and which are to be fenced, is the caller's to find out.
    /// </param>
    /// <param name="time">The clock.</param>
    /// <param name="patience">How long one that seems to live is waited for; null for <see cref="Patience"/>.</param>
    /// <exception cref="StoreRefusedException">Another hub has the store, or it cannot be used.</exception>
    public static async Task<PostgresMember> RegisterAsync(string connectionString, string address, bool alone, TimeProvider time, TimeSpan? patience = null)
    {
        var own = PostgresRegistry.Own(connectionString);
        var name = PostgresStore.Describe(connectionString);
        NpgsqlConnection? session = null;
        try
        {
            session = await PostgresRegistry.OpenAsync(own, CancellationToken.None).ConfigureAwait(false);
            var began = time.GetTimestamp();
            (int Uid, string? InUseBy) added;
            while ((added = await PostgresRegistry.AddAsync(session, address, alone).ConfigureAwait(false)).InUseBy is not null)
            {
                if (time.GetElapsedTime(began) >= (patience ?? Patience))
                    throw new StoreRefusedException($"store {name} is in use: another hub runs on it ({added.InUseBy}).", inUse: true);
                await Task.Delay(Retry, time).ConfigureAwait(false);
            }

            // Also what somebody began and did not live to complete. Before this hub reads anything.
            await PostgresRegistry.SealAllAsync(session).ConfigureAwait(false);
            var member = new PostgresMember(connectionString, own, time, session, added.Uid);
            session = null;
            return member;
        }
        catch (NpgsqlException e)
        {
            throw new StoreRefusedException($"store {name} cannot be used: {e.InnerException?.Message ?? e.Message}", inner: e);
        }
        finally
        {
            if (session is not null)
                await session.DisposeAsync().ConfigureAwait(false);
        }
    }

    /// <summary>
    /// Fences this member itself: it is about to end, and others are to go on at once with what it had. Nothing it wrote can land any more
    /// after this.
    /// </summary>
    /// <exception cref="NpgsqlException">The store does not answer, or a commit takes too long.</exception>
    public async Task ResignAsync(CancellationToken cancellationToken)
    {
        await using var connection = await PostgresRegistry.OpenAsync(_own, cancellationToken).ConfigureAwait(false);
        await PostgresRegistry.RemoveAsync(connection, Uid, cancellationToken).ConfigureAwait(false);
        _resigned = true;
        _lost.TrySetResult();
    }

    /// <inheritdoc/>
    public void LookNow() => _look.Writer.TryWrite(true);

    /// <inheritdoc/>
    public async Task<bool> FenceAsync(int uid, CancellationToken cancellationToken = default)
    {
        ArgumentOutOfRangeException.ThrowIfEqual(uid, Uid);
        await using var connection = await PostgresRegistry.OpenAsync(_own, cancellationToken).ConfigureAwait(false);
        if (!await PostgresRegistry.TryMarkAsync(connection, Uid, uid, cancellationToken).ConfigureAwait(false))
        {
            _lost.TrySetResult();
            return false;
        }

        await PostgresRegistry.SealAsync(connection, uid, cancellationToken).ConfigureAwait(false);
        return true;
    }

    /// <inheritdoc/>
    public async Task SealMarkedAsync()
    {
        await using var connection = await PostgresRegistry.OpenAsync(_own, CancellationToken.None).ConfigureAwait(false);
        await PostgresRegistry.SealAllAsync(connection).ConfigureAwait(false);
    }

    /// <summary>
    /// Leaves: it is fenced, so that whoever comes next finds nothing that could still land. If the store does not answer, that is left to
    /// who comes next.
    /// </summary>
    public async ValueTask DisposeAsync()
    {
        if (_disposed)
            return;
        _disposed = true;
        await _leaving.CancelAsync().ConfigureAwait(false);
        await _keeping.ConfigureAwait(false);
        using (var pool = new NpgsqlConnection(ConnectionString))
            NpgsqlConnection.ClearPool(pool);
        try
        {
            if (_resigned)
                return;
            // Who is fenced is so by others; what is left is to say it in case they have not come to its end.
            using var late = new CancellationTokenSource(Lost.IsCompleted ? LostTimeout : LeaveTimeout, _time);
            await using var connection = await PostgresRegistry.OpenAsync(_own, late.Token).ConfigureAwait(false);
            await PostgresRegistry.RemoveAsync(connection, Uid, late.Token).ConfigureAwait(false);
        }
        catch (Exception e) when (NoAnswer(e))
        {
        }
        finally
        {
            if (_session is not null)
                await _session.DisposeAsync().ConfigureAwait(false);
            _leaving.Dispose();
        }
    }

    private async Task KeepAsync()
    {
        var pause = LookEvery;
        while (true)
        {
            try
            {
                await PauseAsync(pause).ConfigureAwait(false);
                // Who has lost it opens it again at once: the others may ask the server who is there.
                pause = _session is null ? Retry : TimeSpan.Zero;
                var session = _session ?? await PostgresRegistry.OpenAsync(_own, _leaving.Token).ConfigureAwait(false);
                var fresh = _session is null;
                _session = session;
                if (!await PostgresRegistry.IsMemberAsync(session, Uid, _leaving.Token).ConfigureAwait(false))
                {
                    _lost.TrySetResult();
                    return;
                }

                // Until it has the lock it is alive by its old session, if at all; nobody else ever has it.
                if (fresh && !await PostgresRegistry.TryLiveAsync(session, Uid, _leaving.Token).ConfigureAwait(false))
                {
                    await DropAsync().ConfigureAwait(false);
                    continue;
                }

                if (fresh)
                    Volatile.Write(ref _sessionSince, _time.GetTimestamp());
                pause = LookEvery;
            }
            catch (OperationCanceledException) when (_leaving.IsCancellationRequested)
            {
                return;
            }
            catch (Exception e) when (NoAnswer(e))
            {
                await DropAsync().ConfigureAwait(false);
                Silent?.Invoke(e);
            }
        }
    }

    // Until it is time to look, or somebody asks for it.
    private async Task PauseAsync(TimeSpan pause)
    {
        using var enough = CancellationTokenSource.CreateLinkedTokenSource(_leaving.Token);
        var asked = _look.Reader.ReadAsync(enough.Token).AsTask();
        await Task.WhenAny(Task.Delay(pause, _time, enough.Token), asked).ConfigureAwait(false);
        await enough.CancelAsync().ConfigureAwait(false);
        _leaving.Token.ThrowIfCancellationRequested();
    }

    private async Task DropAsync()
    {
        if (_session is not null)
            await _session.DisposeAsync().ConfigureAwait(false);
        _session = null;
    }

    private static bool NoAnswer(Exception e) => e is NpgsqlException or TimeoutException or OperationCanceledException or InvalidOperationException;
}
