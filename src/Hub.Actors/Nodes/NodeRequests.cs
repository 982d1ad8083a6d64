using Akka.Actor;
using AkkaHub.V1;
using Hub.Protocol;

namespace Hub.Actors.Nodes;

/// <summary>
/// Requests on their way to a node whose answer is owed: input, sizes, signals, opening, closing, cancelling. Bounded; each
/// one ends exactly once: with the node's answer, or as 'delivery unknown' when the session breaks or time runs out.
/// </summary>
internal sealed class NodeRequests(int capacity)
{
    private readonly Dictionary<long, Pending> _pending = [];
    private long _next;

    private readonly record struct Pending(IActorRef Asker, Action<RequestResult, IActorRef> Answer, long DeadlineUnixUs);

    public int Count => _pending.Count;

    /// <summary>
    /// A session begins: its requests have numbers of their own, so that a late answer to one of an earlier session, or of an
    /// earlier life of the node's actor on the same stream, is never taken for the answer to another.
    /// </summary>
    public void Begin(long epoch) => _next = epoch << 32;

    /// <summary>Keeps a request; null when there are too many.</summary>
    public long? TryAdd(IActorRef asker, Action<RequestResult, IActorRef> answer, long deadlineUnixUs)
    {
        if (_pending.Count >= capacity)
            return null;
        _pending.Add(++_next, new Pending(asker, answer, deadlineUnixUs));
        return _next;
    }

    public void Complete(RequestResult result)
    {
        if (_pending.Remove(result.Request, out var request))
            request.Answer(result, request.Asker);
    }

    /// <summary>Ends those whose time has run out.</summary>
    public void Expire(long nowUnixUs)
    {
        List<long>? late = null;
        foreach (var (number, request) in _pending)
        {
            if (request.DeadlineUnixUs <= nowUnixUs)
                (late ??= []).Add(number);
        }

        foreach (var number in late ?? [])
        {
            if (_pending.Remove(number, out var request))
                Unknown(request, "the node did not answer in time");
        }
    }

    /// <summary>The session ended: whether any of them was done is not known.</summary>
    public void Break(string why)
    {
        foreach (var request in _pending.Values)
            Unknown(request, why);
        _pending.Clear();
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
