using Akka.Actor;
using AkkaHub.V1;
using Hub.Protocol;

namespace Hub.Actors.Nodes;

/// <summary>
/// Requests on their way to a node whose answer is owed: input, sizes, signals, opening, closing, cancelling. Each one ends
/// exactly once: with the node's answer, or as 'delivery unknown' when the session breaks or time runs out.
/// <para>
/// Input has no time: it is answered when the program has read so far, which is the program's affair, and what became of it
/// is known as long as the session stands. So input is bounded apart from the rest: programs that do not read must not keep
/// anybody from ending them.
/// </para>
/// </summary>
internal sealed class NodeRequests(int capacity)
{
    private readonly Dictionary<long, Pending> _pending = [];
    private long _next;
    private int _inputs;

    private readonly record struct Pending(IActorRef Asker, Action<RequestResult, IActorRef> Answer, long? DeadlineUs);

    public int Count => _pending.Count;

    /// <summary>Those that end in time, whatever programs do.</summary>
    public int Timed => _pending.Count - _inputs;

    /// <summary>
    /// A session begins: its requests have numbers of their own, so that a late answer to one of an earlier session, or of an
    /// earlier life of the node's actor on the same stream, is never taken for the answer to another.
    /// </summary>
    public void Begin(long epoch) => _next = epoch << 32;

    /// <summary>Keeps a request; null when there are too many of its kind.</summary>
    /// <param name="asker">Whom to answer.</param>
    /// <param name="answer">Makes the answer.</param>
    /// <param name="deadlineUs">When it ends unanswered; null for input.</param>
    public long? TryAdd(IActorRef asker, Action<RequestResult, IActorRef> answer, long? deadlineUs)
    {
        if ((deadlineUs is null ? _inputs : Timed) >= capacity)
            return null;
        _pending.Add(++_next, new Pending(asker, answer, deadlineUs));
        _inputs += deadlineUs is null ? 1 : 0;
        return _next;
    }

    public void Complete(RequestResult result)
    {
        if (Take(result.Request) is { } request)
            request.Answer(result, request.Asker);
    }

    /// <summary>Ends those whose time has run out.</summary>
    public void Expire(long nowUs)
    {
        List<long>? late = null;
        foreach (var (number, request) in _pending)
        {
            if (request.DeadlineUs <= nowUs)
                (late ??= []).Add(number);
        }

        foreach (var number in late ?? [])
        {
            if (Take(number) is { } request)
                Unknown(request, "the node did not answer in time");
        }
    }

    /// <summary>The session ended: whether any of them was done is not known.</summary>
    public void Break(string why)
    {
        foreach (var request in _pending.Values)
            Unknown(request, why);
        _pending.Clear();
        _inputs = 0;
    }

    private Pending? Take(long number)
    {
        if (!_pending.Remove(number, out var request))
            return null;
        _inputs -= request.DeadlineUs is null ? 1 : 0;
        return request;
    }

    private static void Unknown(Pending request, string why) =>
        request.Asker.Tell(new NodeFailure(new Failure(FailureKind.Aborted, ErrorReasons.DeliveryUnknown,
            $"It is not known whether the node did this: {why}. Look at the terminal before you try again.")));

    /// <summary>The failure a node's answer stands for; null for DONE.</summary>
    public static Failure? ToFailure(RequestResult result)
    {
        var text = result.Message.Length > 0 ? result.Message : "the node gave no reason";
        return result.Outcome switch
        {
            RequestOutcome.Done => null,
            RequestOutcome.NotFound => new Failure(FailureKind.NotFound, ErrorReasons.TerminalUnknown, text),
            RequestOutcome.FailedPrecondition => new Failure(FailureKind.FailedPrecondition, ErrorReasons.NodeRefused, text),
            RequestOutcome.Denied => new Failure(FailureKind.PermissionDenied, ErrorReasons.CapabilityMissing, text),
            // The node's own bound, which is no setting of the hub: the message names it.
            RequestOutcome.ResourceExhausted => new Failure(FailureKind.ResourceExhausted, ErrorReasons.LimitReached, text),
            _ => new Failure(FailureKind.FailedPrecondition, ErrorReasons.NodeRefused, text),
        };
    }
}
