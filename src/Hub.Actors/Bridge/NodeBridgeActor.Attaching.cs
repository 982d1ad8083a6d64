using Akka.Actor;
using AkkaHub.V1;
using Hub.Actors.History;
using Hub.Actors.Members;
using Hub.Actors.Nodes;
using Hub.Protocol;

namespace Hub.Actors.Bridge;

// Attaching. The partition may be on its way from a member that died: what is sent to a dead one is lost without a word. So the question
// is repeated until the partition says that it has it; meanwhile the node hears that it is not forgotten.
public sealed partial class NodeBridgeActor
{
    private const string AskKey = "ask";
    private const uint SpeaksOfMembers = 1;

    // Twice as long each time: while nobody knows where the partition will live, each copy lies in a buffer that many share.
    private static readonly TimeSpan RepeatAfter = TimeSpan.FromMilliseconds(300);
    private static readonly TimeSpan MostRepeatAfter = TimeSpan.FromSeconds(4);
    private const int QuickAsks = 4;
    private static readonly TimeSpan AnewAfter = TimeSpan.FromSeconds(30);
    // Before a node that is answered as usual would hear it, and well within the 10 s it waits for a word.
    private static readonly TimeSpan FirstSign = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan SignInterval = TimeSpan.FromSeconds(3);

    private int _ask;
    private bool _taken;
    private int _refusals;
    private TimeSpan _repeatAfter = RepeatAfter;

    private sealed record AskAgain(bool Anew);

    private sealed record StillWaiting
    {
        public static readonly StillWaiting Instance = new();
    }

    private void BeginAttach()
    {
        Ask(anew: true);
        Timers.StartPeriodicTimer(StillWaiting.Instance, StillWaiting.Instance, FirstSign, SignInterval);
    }

    private void AskLater(int atLeastMs, int lessThanMs) =>
        Timers.StartSingleTimer(AskKey, new AskAgain(Anew: true), TimeSpan.FromMilliseconds(Random.Shared.Next(atLeastMs, lessThanMs)));

    private void Ask(bool anew)
    {
        if (anew)
            (_ask, _taken, _repeatAfter) = (_ask + 1, false, RepeatAfter);
        var hello = _hello;
        if (_welcomed)
        {
            // As it is now: what was opened since, and commands that were passed on but have not reported yet.
            hello = _hello.Clone();
            hello.Streams.Clear();
            hello.Streams.Add(_streams.Values.Select(s => s.Live));
            hello.Streams.Add(_dispatched.Select(id => new LiveStream { Name = Names.CommandStream(id), Kind = StreamKind.Command }));
        }

        _registry.Tell(new Attach(_hello.Name, hello, Self, _lastRewind, Again: _welcomed, _ask));
        // A partition of an older build says nothing when it has the question, and would take a repeated one for another.
        if (_hub.Members.AllRead(WireForms.AttachTaken))
        {
            Timers.StartSingleTimer(AskKey, new AskAgain(Anew: false), _repeatAfter);
            _repeatAfter = _repeatAfter * 2 < MostRepeatAfter ? _repeatAfter * 2 : MostRepeatAfter;
        }
        else
            Timers.StartSingleTimer(AskKey, new AskAgain(Anew: true), AnewAfter);
    }

    private void OnTaken()
    {
        _taken = true;
        Timers.StartSingleTimer(AskKey, new AskAgain(Anew: true), AnewAfter);
    }

    private void OnStillWaiting()
    {
        // Who waits for a partition keeps nobody waiting whose partition is there; who waits for the store does.
        if (!_taken)
            _outbound.Waits();
        if (_hello.Protocol >= SpeaksOfMembers)
            _outbound.TryWrite(new ConnectResponse { Waiting = new HubWaiting() });
    }

    private void OnMembersChanged(MembersChanged m)
    {
        if (_welcomed && _hello.Protocol >= SpeaksOfMembers)
            Write(new ConnectResponse { Members = m.Members });
        // One may have gone with the question, and from now on it reaches another: no reason to wait for longer than at first.
        if (_node is null && !_taken && Timers.IsTimerActive(AskKey) && _hub.Members.AllRead(WireForms.AttachTaken))
        {
            _repeatAfter = RepeatAfter;
            Timers.StartSingleTimer(AskKey, new AskAgain(Anew: false), RepeatAfter * Random.Shared.NextDouble());
        }
    }

    private void OnAttached(Attached m)
    {
        Timers.Cancel(AskKey);
        Timers.Cancel(StillWaiting.Instance);
        _refusals = 0;
        if (_node is not null)
            Context.Unwatch(_node);
        _node = m.NodeActor;
        _epoch = m.Epoch;
        Context.Watch(_node);
        if (_welcomed)
        {
            // The stream goes on: positions arrive as rewinds and progress.
            foreach (var stream in _streams.Values)
                stream.Credit.Renew();
            OnProgress(new Progress(m.Epoch, m.Positions));
            foreach (var held in _held)
            {
                if (held.MessageCase == ConnectRequest.MessageOneofCase.CommandExited)
                    _dispatched.Remove(held.CommandExited.CommandId);
                _node.Tell(new FromNode(_epoch, held));
            }

            _held.Clear();
            Report(_hub.ElapsedUs());
            return;
        }

        _welcomed = true;
        var limits = _hub.Settings;
        var welcome = new NodeWelcome
        {
            SessionEpoch = m.Epoch,
            HeartbeatIntervalMs = (uint)_interval.TotalMilliseconds,
            HubMember = ((ExtendedActorSystem)Context.System).Provider.DefaultAddress.ToString(),
            HubVersion = BuildVersion.Text,
            Members = _hub.Members.Known,
            Limits = new NodeLimits
            {
                MaxOutputBytes = (uint)limits.History.MaxChunkBytes,
                MaxTerminals = (uint)limits.Terminals.MaxPerNode,
                MaxRunningCommands = (uint)limits.Commands.MaxRunning,
            },
        };
        var byId = _hello.Streams.ToDictionary(s => IncarnationId.From(s.Incarnation));
        foreach (var position in m.Positions)
        {
            if (position.Closed)
            {
                welcome.Streams.Add(new StreamFlow { Incarnation = position.Incarnation.ToByteString(), AckOffset = position.Durable, LimitOffset = position.Durable, Closed = true });
                continue;
            }

            var stream = Open(position.Incarnation, byId[position.Incarnation], position.Durable);
            welcome.Streams.Add(Flow(position.Incarnation, stream));
        }

        Write(new ConnectResponse { Welcome = welcome });
        Timers.StartPeriodicTimer(Judge.Instance, Judge.Instance, _interval);
    }

    private void OnRefused(Failure failure)
    {
        _hub.Metrics.AttachRefused(failure.Reason);
        // A late answer to an earlier question: meanwhile it was taken elsewhere.
        if (_node is not null && failure.Kind == FailureKind.Unavailable)
            return;
        if (_welcomed && failure.Kind == FailureKind.Unavailable)
        {
            // One that moves is elsewhere in a moment, as a rule; one that cannot write, or is not there for longer, is to be left alone for longer.
            if (failure.Reason == ErrorReasons.NotReady && ++_refusals <= QuickAsks)
                AskLater(50, 300);
            else
                AskLater(300, 1500);
            return;
        }

        // Nobody took it, or its partition is just moving: asked anew it gets through sooner than a node that dials again.
        if (!_welcomed && failure is { Kind: FailureKind.Unavailable, Reason: ErrorReasons.NotReady } && _hello.Protocol >= SpeaksOfMembers)
        {
            _taken = false;
            if (++_refusals <= QuickAsks)
                AskLater(100, 400);
            else
                AskLater(300, 1500);
            return;
        }

        if (_welcomed)
        {
            End(DisconnectReason.Fenced, "fenced", failure.Message);
            return;
        }

        _ended = true;
        _outbound.Complete(failure);
        Context.Stop(Self);
    }
}
