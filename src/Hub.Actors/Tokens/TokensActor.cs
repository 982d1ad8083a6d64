using System.Security.Cryptography;
using Akka.Actor;
using Akka.Pattern;
using Akka.Persistence;
using AkkaHub.Internal.V1;
using AkkaHub.V1;
using Google.Protobuf.WellKnownTypes;
using Hub.Actors.Telemetry;

namespace Hub.Actors.Tokens;

/// <summary>
/// Keeps the tokens of nodes and clients. It alone writes them, and there is one in a cluster; everybody reads them from the
/// <see cref="TokenDirectory"/> of their member, which it fills itself, or in a cluster a <see cref="TokenMirrorActor"/> on each member. A change
/// is told only after it is durable. The store holds hashes of
/// secrets, never a secret. A failed write stops it (whether the write landed is not known); it is made again from the store.
/// </summary>
public sealed class TokensActor : ReceivePersistentActor, IWithTimers
{
    private const int SnapshotEvery = 100;
    private const int IdBytes = 9;
    private static readonly TimeSpan LongestTimer = TimeSpan.FromDays(1);

    private sealed record ExpireNow
    {
        public static ExpireNow Instance { get; } = new();
    }

    private readonly TokensState _state = new();
    private readonly TokenDirectory? _directory;
    private readonly HashSet<IActorRef> _watchers = [];
    private readonly int _maxCount;
    private readonly Readiness? _readiness;
    private readonly HubMetrics? _metrics;
    private readonly TimeProvider _time;
    private readonly long _started;

    /// <summary>Makes the actor.</summary>
    /// <param name="directory">Where tokens are published; null in a cluster, where each member has a <see cref="TokenMirrorActor"/> for that.</param>
    /// <param name="maxCount">Most tokens that exist at once.</param>
    /// <param name="time">The clock.</param>
    /// <param name="readiness">Told when the tokens have been read.</param>
    /// <param name="metrics">Told how long that took.</param>
    public TokensActor(TokenDirectory? directory, int maxCount, TimeProvider time, Readiness? readiness = null, HubMetrics? metrics = null)
    {
        _directory = directory;
        _maxCount = maxCount;
        _time = time;
        _readiness = readiness;
        _metrics = metrics;
        _started = time.GetTimestamp();

        Recover<TokensChanged>(_state.Apply);
        Recover<SnapshotOffer>(offer => _state.Restore((TokensSnapshot)offer.Snapshot));
        Recover<RecoveryCompleted>(_ => Recovered());

        Command<CreateToken>(Handle);
        Command<RevokeToken>(Handle);
        Command<ListTokens>(_ => Sender.Tell(new TokenList(_state.Public)));
        // Handled after the write under way: commands wait for it.
        Command<StopTokens>(_ => Context.Stop(Self));
        Command<WatchTokens>(_ => AddWatcher(Sender));
        Command<Terminated>(gone => _watchers.Remove(gone.ActorRef));
        Command<ExpireNow>(_ => Expire());
        Command<SaveSnapshotSuccess>(saved => DeleteMessages(saved.Metadata.SequenceNr));
        Command<SaveSnapshotFailure>(_ => _metrics?.SnapshotFailed());
        Command<DeleteMessagesSuccess>(done => DeleteSnapshots(new SnapshotSelectionCriteria(done.ToSequenceNr - 1)));
        // Deleting is tidying up: what is left is deleted after the next snapshot.
        Command<DeleteMessagesFailure>(_ => { });
        Command<DeleteSnapshotsSuccess>(_ => { });
        Command<DeleteSnapshotsFailure>(_ => { });
    }

    /// <inheritdoc/>
    public override string PersistenceId => "tokens";

    /// <inheritdoc/>
    public ITimerScheduler Timers { get; set; } = null!;

    /// <summary>
    /// The actor under its supervisor: it is made again 0.2 s to 10 s after it stopped. Requests meanwhile are lost and the asker's
    /// time-out tells.
    /// </summary>
    public static Props Supervised(TokenDirectory? directory, int maxCount, TimeProvider time, Readiness? readiness = null, HubMetrics? metrics = null) =>
        BackoffSupervisor.Props(
            Backoff.OnStop(
                Props.Create(() => new TokensActor(directory, maxCount, time, readiness, metrics)),
                childName: "tokens", minBackoff: TimeSpan.FromMilliseconds(200), maxBackoff: TimeSpan.FromSeconds(10), randomFactor: 0.2, maxNrOfRetries: -1)
                .WithFinalStopMessage(message => message is StopTokens));

    private void Handle(CreateToken command)
    {
        if (_state.Count >= _maxCount)
        {
            Sender.Tell(new TokenRefused(_maxCount));
            return;
        }

        var now = _time.GetUtcNow();
        var token = new Token
        {
            Id = NewId(),
            Type = command.Type,
            Description = command.Description,
            CreateTime = now.ToTimestamp(),
            ExpireTime = command.TimeToLive is { } ttl ? (now + ttl).ToTimestamp() : null,
        };
        Persist(new TokensChanged { Created = new StoredToken { Token = token, SecretHash = command.SecretHash } }, change =>
        {
            Take(change);
            Sender.Tell(new TokenCreated(token.Clone()));
        });
    }

    private void Handle(RevokeToken command)
    {
        if (!_state.Contains(command.Id))
        {
            Sender.Tell(new TokenRevoked(Found: false));
            return;
        }

        Persist(new TokensChanged { Removed = { command.Id } }, change =>
        {
            Take(change);
            Sender.Tell(new TokenRevoked(Found: true));
        });
    }

    private void Expire()
    {
        var expired = _state.ExpiredAt(_time.GetUtcNow());
        if (expired.Count > 0)
            Persist(new TokensChanged { Removed = { expired } }, Take);
        else
            ArmExpiry();
    }

    private void Take(TokensChanged change)
    {
        _state.Apply(change);
        _directory?.Publish(_state.All);
        var snapshot = _state.ToSnapshot();
        foreach (var watcher in _watchers)
            watcher.Tell(snapshot);
        ArmExpiry();
        if (LastSequenceNr % SnapshotEvery == 0)
            SaveSnapshot(_state.ToSnapshot());
    }

    private void Recovered()
    {
        _directory?.Publish(_state.All);
        _metrics?.Recovered("tokens", _time.GetElapsedTime(_started));
        _readiness?.Clear(Readiness.Tokens);
        ArmExpiry();
    }

    private void AddWatcher(IActorRef watcher)
    {
        if (_watchers.Add(watcher))
            Context.Watch(watcher);
        watcher.Tell(_state.ToSnapshot());
    }

    // The directory itself refuses a token that is over; the timer is there to end its streams and to forget it.
    private void ArmExpiry()
    {
        if (_state.NextExpiry is not { } next)
        {
            Timers.Cancel(ExpireNow.Instance);
            return;
        }

        var wait = next - _time.GetUtcNow();
        // A millisecond more, so that the timer never comes a moment too early; long waits are taken in pieces.
        wait = wait <= TimeSpan.Zero ? TimeSpan.Zero : wait + TimeSpan.FromMilliseconds(1);
        Timers.StartSingleTimer(ExpireNow.Instance, ExpireNow.Instance, wait < LongestTimer ? wait : LongestTimer);
    }

    private string NewId()
    {
        while (true)
        {
            // 9 bytes are 12 characters. '-' first would read as an option on a command line.
            var id = Convert.ToBase64String(RandomNumberGenerator.GetBytes(IdBytes)).Replace('+', 'a').Replace('/', 'b');
            if (!_state.Contains(id))
                return id;
        }
    }

    /// <inheritdoc/>
    protected override void OnPersistFailure(Exception cause, object @event, long sequenceNr)
    {
        _metrics?.PersistFailed("tokens");
        base.OnPersistFailure(cause, @event, sequenceNr);
    }
}
