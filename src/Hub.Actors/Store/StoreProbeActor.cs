using Akka.Actor;
using Akka.Persistence;
using AkkaHub.Internal.V1;
using Hub.Actors.Telemetry;

namespace Hub.Actors.Store;

/// <summary>Someone saw a write or a recovery fail: is the store there?</summary>
internal sealed record StoreSuspected(Exception? Cause);

/// <summary>
/// Asks to be told <see cref="StoreAnswers"/> once the store answers, at once if nothing is wrong; until then
/// <see cref="StoreReads"/>, perhaps more than once, while it reads only.
/// </summary>
internal sealed record AwaitStore;

/// <summary>The store can be read; whether it takes writes is not known yet, or it does not (a full disk).</summary>
internal sealed record StoreReads
{
    public static readonly StoreReads Instance = new();
}

/// <summary>The store answers.</summary>
internal sealed record StoreAnswers
{
    public static readonly StoreAnswers Instance = new();
}

/// <summary>
/// One per member: decides whether the store answers, so that while it is down one probe tries instead of a thousand nodes.
/// A probe is a persistent actor that recovers, writes one row and stops; it is made anew until it succeeds.
/// </summary>
internal sealed class StoreProbeActor : UntypedActor, IWithTimers
{
    private sealed record ProbeRecovered
    {
        public static readonly ProbeRecovered Instance = new();
    }

    private sealed record ProbeFailed(Exception Cause);

    private sealed record ProbeSucceeded
    {
        public static readonly ProbeSucceeded Instance = new();
    }

    private sealed record TryAgain
    {
        public static readonly TryAgain Instance = new();
    }

    private static readonly TimeSpan RetryInterval = TimeSpan.FromSeconds(1);

    private readonly HubRuntime _hub;
    private readonly string _member;
    private readonly HashSet<IActorRef> _waiting = [];
    private IActorRef? _attempt;
    private bool _probing;
    // What the newest attempt that got so far has shown: recovery reads.
    private bool _reads;
    private bool _recovered;
    private bool _succeeded;
    private bool _down;
    private Exception? _cause;

    public StoreProbeActor(HubRuntime hub, string member)
    {
        _hub = hub;
        _member = member;
    }

    public ITimerScheduler Timers { get; set; } = null!;

    public static Props Props(HubRuntime hub, string member) => Akka.Actor.Props.Create(() => new StoreProbeActor(hub, member));

    protected override SupervisorStrategy SupervisorStrategy() => new OneForOneStrategy(_ => Directive.Stop);

    protected override void PreStart() => Probe();

    protected override void OnReceive(object message)
    {
        switch (message)
        {
            case StoreSuspected m:
                _cause = m.Cause;
                if (_probing)
                    break;
                _probing = true;
                // The attempt before may still be tidying up: two at once would be two writers of one persistence id.
                if (_attempt is null)
                    Probe();
                break;
            case AwaitStore:
                if (!_probing)
                {
                    Sender.Tell(StoreAnswers.Instance);
                    break;
                }

                _waiting.Add(Sender);
                if (_reads)
                    Sender.Tell(StoreReads.Instance);
                break;
            case ProbeRecovered when Sender.Equals(_attempt):
                _recovered = _reads = true;
                foreach (var waiting in _waiting)
                    waiting.Tell(StoreReads.Instance);
                break;
            case ProbeFailed m when Sender.Equals(_attempt):
                _cause = m.Cause;
                break;
            case ProbeSucceeded when Sender.Equals(_attempt):
                _probing = false;
                _succeeded = true;
                _hub.Readiness.Clear(Readiness.Store);
                if (_down)
                    HubLog.StoreUp(_hub.Log);
                _down = false;
                foreach (var waiting in _waiting)
                    waiting.Tell(StoreAnswers.Instance);
                _waiting.Clear();
                break;
            case Terminated m when m.ActorRef.Equals(_attempt):
                _attempt = null;
                if (_succeeded)
                {
                    if (_probing)
                        Probe();
                    break;
                }

                _reads = _recovered;
                _hub.Readiness.Set(Readiness.Store, _reads ? "the store takes no writes" : "the store does not answer");
                if (!_down)
                    HubLog.StoreDown(_hub.Log, _cause);
                _down = true;
                Timers.StartSingleTimer(TryAgain.Instance, TryAgain.Instance, RetryInterval);
                break;
            case TryAgain:
                Probe();
                break;
        }
    }

    private void Probe()
    {
        _probing = true;
        _recovered = _succeeded = false;
        _attempt = Context.ActorOf(Akka.Actor.Props.Create(() => new ProbeAttempt(_member)));
        Context.Watch(_attempt);
    }

    /// <summary>One attempt.</summary>
    private sealed class ProbeAttempt(string member) : UntypedPersistentActor
    {
        private long _count;

        public override string PersistenceId { get; } = "store-probe-" + member;

        // Said once, by who made this, and not at each attempt.
        protected override void OnRecoveryFailure(Exception reason, object? message = null) => Context.Parent.Tell(new ProbeFailed(reason));

        protected override void OnPersistFailure(Exception cause, object @event, long sequenceNr) => Context.Parent.Tell(new ProbeFailed(cause));

        protected override void OnPersistRejected(Exception cause, object @event, long sequenceNr)
        {
            Context.Parent.Tell(new ProbeFailed(cause));
            Context.Stop(Self);
        }

        protected override void OnRecover(object message)
        {
            if (message is StoreProbed probed)
                _count = probed.Count;
            else if (message is RecoveryCompleted)
            {
                Context.Parent.Tell(ProbeRecovered.Instance);
                Self.Tell(TryAgain.Instance);
            }
        }

        protected override void OnCommand(object message)
        {
            switch (message)
            {
                case TryAgain:
                    Persist(new StoreProbed { Count = _count + 1 }, _ =>
                    {
                        Context.Parent.Tell(ProbeSucceeded.Instance);
                        if (LastSequenceNr > 1)
                            DeleteMessages(LastSequenceNr - 1);
                        else
                            Context.Stop(Self);
                    });
                    break;
                case DeleteMessagesSuccess or DeleteMessagesFailure:
                    Context.Stop(Self);
                    break;
            }
        }
    }
}
