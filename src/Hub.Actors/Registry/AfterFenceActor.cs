using Akka.Actor;

namespace Hub.Actors.Registry;

/// <summary>Starts an actor that writes to the shared store once nobody who was downed can write any more, and is its way in; both end together.</summary>
internal sealed class AfterFenceActor : UntypedActor, IWithUnboundedStash
{
    // Who gets no answer asks again, or is told so by its own time-out.
    private const int MaxWaiting = 1000;

    private sealed record Sealed
    {
        public static readonly Sealed Instance = new();
    }

    private readonly MemberFence _fence;
    private readonly Props _child;
    private readonly object _stop;
    private IActorRef? _actor;
    private int _waiting;

    public AfterFenceActor(MemberFence fence, Props child, object stop)
    {
        _fence = fence;
        _child = child;
        _stop = stop;
    }

    public IStash Stash { get; set; } = null!;

    /// <summary>Makes it.</summary>
    /// <param name="fence">What is waited for.</param>
    /// <param name="child">The actor.</param>
    /// <param name="stop">What tells the actor to stop.</param>
    public static Props Props(MemberFence fence, Props child, object stop) => Akka.Actor.Props.Create(() => new AfterFenceActor(fence, child, stop));

    protected override void PreStart() => _fence.SealedAsync().PipeTo(Self, success: static () => Sealed.Instance);

    protected override void OnReceive(object message)
    {
        switch (message)
        {
            case Sealed:
                _actor = Context.Watch(Context.ActorOf(_child, "child"));
                Stash.UnstashAll();
                break;
            case Terminated:
                Context.Stop(Self);
                break;
            case not null when _actor is not null:
                _actor.Forward(message);
                break;
            case not null when message.Equals(_stop):
                Context.Stop(Self);
                break;
            default:
                if (_waiting++ < MaxWaiting)
                    Stash.Stash();
                break;
        }
    }
}
