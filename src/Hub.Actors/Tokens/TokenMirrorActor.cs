using Akka.Actor;
using AkkaHub.Internal.V1;

namespace Hub.Actors.Tokens;

/// <summary>
/// Fills the <see cref="TokenDirectory"/> of a member of a cluster from the one <see cref="TokensActor"/> there is, wherever that runs. While it is being
/// made again, or moves to another member, the last tokens stay valid here.
/// </summary>
public sealed class TokenMirrorActor : UntypedActor, IWithTimers
{
    private static readonly TimeSpan AskAgain = TimeSpan.FromSeconds(5);
    // Until the first answer: the tokens' actor may be recovering, and nobody is let in before.
    private static readonly TimeSpan AskFirst = TimeSpan.FromMilliseconds(100);

    private sealed record Ask
    {
        public static readonly Ask Instance = new();
    }

    private readonly IActorRef _tokens;
    private readonly TokenDirectory _directory;
    private readonly Readiness? _readiness;

    /// <summary>Makes the actor.</summary>
    /// <param name="tokens">The way to the <see cref="TokensActor"/>.</param>
    /// <param name="directory">What it fills.</param>
    /// <param name="readiness">Told when it is filled for the first time.</param>
    public TokenMirrorActor(IActorRef tokens, TokenDirectory directory, Readiness? readiness)
    {
        _tokens = tokens;
        _directory = directory;
        _readiness = readiness;
    }

    /// <inheritdoc/>
    public ITimerScheduler Timers { get; set; } = null!;

    /// <summary>Makes it.</summary>
    public static Props Props(IActorRef tokens, TokenDirectory directory, Readiness? readiness) =>
        Akka.Actor.Props.Create(() => new TokenMirrorActor(tokens, directory, readiness));

    /// <inheritdoc/>
    protected override void PreStart() => Self.Tell(Ask.Instance);

    /// <inheritdoc/>
    protected override void OnReceive(object message)
    {
        switch (message)
        {
            case Ask:
                _tokens.Tell(WatchTokens.Instance);
                Timers.StartSingleTimer(Ask.Instance, Ask.Instance, _directory.IsLoaded ? AskAgain : AskFirst);
                break;
            case TokensSnapshot snapshot:
                _directory.Publish(snapshot.Tokens);
                _readiness?.Clear(Readiness.Tokens);
                break;
        }
    }
}
