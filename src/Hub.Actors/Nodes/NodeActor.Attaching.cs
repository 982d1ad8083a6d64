using System.Security.Cryptography;
using Akka.Actor;
using AkkaHub.Internal.V1;
using AkkaHub.V1;
using Google.Protobuf;
using Hub.Actors.History;
using Hub.Actors.Telemetry;
using Hub.Protocol;

namespace Hub.Actors.Nodes;

// Attaching: who may, and what the node holds against what is stored. One file of its length because each step follows from
// the one before.
public sealed partial class NodeActor
{
    /// <summary>Causes of an end: of a session whose stream attached anew; of a stream that the agent no longer knows, or whose agent is another now.</summary>
    internal const string Reattached = "reattached", LostByAgent = "lost-by-agent", AgentRestarted = "agent-restarted";

    // Accepted, though perhaps not durable yet; the durable ones stand in the state.
    private byte[]? _claim;
    private ByteString? _lastInstance;
    private bool _sessionOpen;
    private long _epoch;
    private Attach? _attaching;

    private void OnAttach(Attach m)
    {
        var hello = m.Hello;
        var claim = SHA256.HashData(hello.ClaimKey.Span);
        if (_stopping || _eraseStage != EraseStage.None)
        {
            m.Bridge.Tell(new AttachRefused(Ending));
            return;
        }

        if (_claim is not null && !CryptographicOperations.FixedTimeEquals(_claim, claim))
        {
            m.Bridge.Tell(new AttachRefused(new Failure(FailureKind.PermissionDenied, ErrorReasons.NameClaimed,
                $"The name '{_node}' belongs to another machine (its agent has another claim key). Give this agent another --name, or forget the node.")));
            return;
        }

        if (IsFull)
        {
            _hub.Metrics.QueueRejected(HubQueue.NodePending);
            m.Bridge.Tell(new AttachRefused(new Failure(FailureKind.Unavailable, ErrorReasons.StoreUnavailable,
                "More waits for the store than the hub allows (akkahub.flow.max-pending-facts); try again in a moment.")));
            return;
        }

        // A bridge that has waited long asks once more; its first question is being answered.
        if (!m.Again && m.Bridge.Equals(_attaching?.Bridge))
            return;
        if (IsOutdated(m))
        {
            m.Bridge.Tell(new AttachRefused(new Failure(FailureKind.Aborted, ErrorReasons.Fenced, "A newer session of this node took over.")));
            return;
        }

        var owner = Owner?.InstanceId;
        if (owner is not null && !owner.Equals(hello.InstanceId) && !hello.TakeOver)
        {
            m.Bridge.Tell(new AttachRefused(new Failure(FailureKind.AlreadyExists, ErrorReasons.NodeLive,
                $"Another agent is connected as '{_node}'. Stop it, or start this one with --take-over.")));
            return;
        }

        if (_attaching is { } superseded && !superseded.Bridge.Equals(m.Bridge))
            superseded.Bridge.Tell(new AttachRefused(new Failure(FailureKind.Aborted, ErrorReasons.Fenced, "A newer session of this node took over.")));
        if (_session is { } old)
        {
            if (!old.Bridge.Equals(m.Bridge))
            {
                old.Bridge.Tell(new SessionEnded(old.Epoch, DisconnectReason.Fenced, "A newer session of this node took over."));
                EndSession(NodeFacts.Fenced, "A newer session of this node took over.", 0);
            }
            else
            {
                EndSession(Reattached, "Its stream attached anew.", 0);
            }
        }

        Context.SetReceiveTimeout(null);
        var replaced = _attaching is not null;
        _attaching = m;
        var now = _hub.NowUnixUs();
        if (_sessionOpen)
            AddSessionClosed(
                m.Again ? "store-failed" : replaced ? "attach-abandoned" : "hub-crashed",
                replaced ? "The node came anew before it was welcome." : "The hub lost the session before it could record an end.",
                0);
        if (_claim is null)
        {
            _claim = claim;
            _pending.Add(new NodeEvent { Registered = new NodeRegistered { ClaimHash = ByteString.CopyFrom(claim), TimeUnixUs = now } });
        }

        _lastInstance = hello.InstanceId;
        _sessionOpen = true;
        var epoch = ++_epoch;
        _pending.Add(
            new NodeEvent { SessionOpened = new SessionOpened { Epoch = epoch, InstanceId = hello.InstanceId, BootId = hello.BootId, TimeUnixUs = now } },
            durable: () => Reconcile(m, epoch));
        Flush();
    }

    private NodeHello? Owner => _attaching?.Hello ?? _session?.Hello;

    // When this actor was made again every bridge that still has a stream attaches anew, in any order, and so does one whose
    // connection is dead though nobody noticed yet. Such a bridge never ends a newer session: its agent would be told that it is
    // fenced, and would not come back.
    private bool IsOutdated(Attach m) =>
        (m.Again && _lastInstance is not null && !_lastInstance.Equals(m.Hello.InstanceId))
        || (Owner is { } owner && owner.InstanceId.Equals(m.Hello.InstanceId) && owner.Reconnects > m.Hello.Reconnects);

    /// <summary>The epoch is durable, and all that came before it: now what the node holds and what is stored can be compared.</summary>
    private void Reconcile(Attach m, long epoch)
    {
        if (!ReferenceEquals(_attaching, m))
            return;
        var now = _hub.NowUnixUs();
        var listed = new Dictionary<IncarnationId, LiveStream>();
        foreach (var stream in m.Hello.Streams)
        {
            if (IncarnationId.TryFrom(stream.Incarnation, out var id))
                listed[id] = stream;
        }

        var closing = new HashSet<string>(StringComparer.Ordinal);
        foreach (var (incarnation, history) in _state.Live)
        {
            if (!listed.ContainsKey(incarnation) && closing.Add(history.Name))
                AddLost(history, incarnation, byInstance: m.Hello.InstanceId.Equals(history.Newest!.Opened.InstanceId), now);
        }

        foreach (var command in _state.CommandsInOrder)
        {
            var stream = Names.CommandStream(command.Id);
            if (command.Finished is not null || m.Hello.Streams.Any(s => s.Name == stream))
                continue;
            // Proof is the command's own: the instance it was for is here and does not hold it. Which instance attached last
            // proves nothing, for that attach may have ended before it looked at this command.
            var neverTold = command.Running is null && m.Hello.InstanceId.Equals(command.Accepted.InstanceId);
            AddFinished(command.Id, neverTold ? CommandState.Failed : CommandState.Unknown, null,
                neverTold ? NeverTold : "The agent was lost while the command ran; it may have run in part or whole.", now);
        }

        // Newest first: of two unknown lives of one name only the newer is taken.
        var refused = new HashSet<IncarnationId>();
        var opening = new HashSet<string>(StringComparer.Ordinal);
        foreach (var (incarnation, stream) in listed.OrderByDescending(s => s.Value.StartedUnixUs))
        {
            if (_state.FindLive(incarnation) is null && !IsKnownEnd(stream.Name, incarnation)
                && !(opening.Add(stream.Name) && TryAddOpened(stream, incarnation, closing)))
                refused.Add(incarnation);
        }

        void Complete() => CompleteAttach(m, epoch, listed, refused);
        if (_pending.IsEmpty)
            Complete();
        else
            // Nothing but a session adds to streams, and there is none: the last of these facts is durable when this runs.
            _pending.AfterLast(Complete);
        Flush();
    }

    private void CompleteAttach(Attach m, long epoch, Dictionary<IncarnationId, LiveStream> listed, HashSet<IncarnationId> refused)
    {
        if (!ReferenceEquals(_attaching, m))
            return;
        _attaching = null;
        var session = new NodeSession(epoch, m.Bridge, m.Hello, m.LastRewind);
        _session = session;
        _requests.Begin(epoch);
        Context.Watch(m.Bridge);
        var positions = new List<StreamPosition>(listed.Count);
        foreach (var (incarnation, stream) in listed)
        {
            var history = _state.FindLive(incarnation);
            var limit = long.MaxValue;
            if (history is { Kind: StreamKind.Command })
            {
                // Whoever reads along is not known here yet after a restart: it has the usual time to ask before more is granted.
                if (_holds.LimitOf(history.Name) == long.MaxValue && _holds.Set(history.Name, UnknownCaller, history.Newest!.EndOffset, _hub.ElapsedUs()))
                    ArmTick();
                limit = _holds.LimitOf(history.Name);
            }

            if (history is not null)
                session.Link(history.Name, incarnation, stream.Incarnation, history.Kind, history.Newest!.EndOffset);
            positions.Add(new StreamPosition(incarnation, history?.Newest!.EndOffset ?? stream.EndOffset, history is null || refused.Contains(incarnation), 0, limit));
        }

        m.Bridge.Tell(new Attached(epoch, positions, Self));
        if (_state.Drained || m.Again)
        {
            // The agent forgets it at each connection; on one that goes on it was perhaps changed while nobody could be told.
            session.Draining = _state.Drained;
            Say(session, new ConnectResponse { NodeDrain = new NodeDrain { On = _state.Drained } });
        }

        if (m.Again)
        {
            foreach (var position in positions)
            {
                if (session.Find(position.Incarnation) is { } link)
                    AskRewind(session, link);
            }
        }

        if (epoch > 1)
            _hub.Metrics.Reconnected();
        HubLog.SessionOpened(_hub.Log, _node, epoch, positions.Count);
        Context.Parent.Tell(new NodeAttached(_node, Describe(m.Hello, epoch)));
    }

    private NodeDescriptor Describe(NodeHello hello, long epoch)
    {
        var descriptor = new NodeDescriptor
        {
            Node = _node,
            Platform = hello.Platform,
            AgentVersion = hello.AgentVersion,
            RegisteredUnixUs = _state.RegisteredUnixUs,
            LastSeenUnixUs = _hub.NowUnixUs(),
            Attached = true,
            SessionEpoch = epoch,
            SessionEnd = _state.SessionEnd,
        };
        descriptor.Labels.Add(hello.Labels);
        descriptor.Capabilities.Add(hello.Capabilities);
        return descriptor;
    }

    private bool IsKnownEnd(string name, IncarnationId incarnation) =>
        _state.Histories.TryGetValue(name, out var history) && history.Find(incarnation) is { Closed: not null };

    private void AddLost(TerminalHistory history, IncarnationId incarnation, bool byInstance, long now)
    {
        _pending.Add(new NodeEvent
        {
            Closed = new StreamClosed
            {
                Incarnation = incarnation.ToByteString(),
                FinalOffset = history.Newest!.EndOffset,
                Cause = byInstance ? LostByAgent : AgentRestarted,
                TimeUnixUs = now,
                UnknownLoss = true,
            },
        }, incarnation);
    }

    private bool TryAddOpened(LiveStream stream, IncarnationId incarnation, HashSet<string> closing)
    {
        if (!Names.IsStreamName(stream.Name))
            return false;
        if (_state.Histories.TryGetValue(stream.Name, out var history) && history.Kind != stream.Kind)
            return false;
        if (!TryMakeRoom(stream.Name, stream.Kind))
            return false;
        if (history is { IsLive: true } && closing.Add(stream.Name))
        {
            // Both incarnations are listed: the older one's end is still with the agent. It is closed now; its rest is lost.
            AddLost(history, history.Newest!.Id, byInstance: true, _hub.NowUnixUs());
        }

        if (stream.Kind == StreamKind.Command && history is not null)
            return false; // a command runs once
        AddOpened(stream.Name, stream.Incarnation, stream.Kind, stream.Size, stream.StartedUnixUs, stream.CommandLine);
        return true;
    }

    private void AddOpened(string name, ByteString incarnation, StreamKind kind, TerminalSize? size, long timeUnixUs, string commandLine)
    {
        if (kind == StreamKind.Command && _state.Commands.TryGetValue(name[Names.CommandStreamPrefix.Length..], out var command))
        {
            size ??= command.Accepted.Request.Pty;
            commandLine = CommandLine(command);
            if (command.Running is null)
                _pending.Add(new NodeEvent { CommandRunning = new CommandRunning { CommandId = command.Id, TimeUnixUs = timeUnixUs } });
        }

        _opening.Add(name);
        _pending.Add(new NodeEvent
        {
            StreamOpened = new StreamOpened
            {
                Name = name,
                Incarnation = incarnation,
                Kind = kind,
                Size = size,
                TimeUnixUs = timeUnixUs,
                CommandLine = commandLine.Length > 4096 ? commandLine[..4096] : commandLine,
                InstanceId = Owner?.InstanceId ?? ByteString.Empty,
            },
        }, durable: () => _opening.Remove(name));
    }

    /// <summary>Room for one more terminal: the oldest ended one goes if need be.</summary>
    private bool TryMakeRoom(string name, StreamKind kind)
    {
        var isCommand = name.StartsWith(Names.CommandStreamPrefix, StringComparison.Ordinal);
        if (isCommand || kind == StreamKind.Command)
            return isCommand && kind == StreamKind.Command && _state.Commands.ContainsKey(name[Names.CommandStreamPrefix.Length..]);
        if (WillBeThere(name) || PlannedTerminals() < _hub.Settings.Terminals.MaxPerNode)
            return true;
        // Not one that is just being opened again: its purge would come after that and take what it shows now.
        var oldest = _state.Histories.Values
            .Where(h => h.Kind == StreamKind.Terminal && !h.IsLive && !_purging.Contains(h.Name) && !_opening.Contains(h.Name))
            .MinBy(h => h.Newest?.Closed?.TimeUnixUs ?? 0);
        if (oldest is null)
            return false;
        _purging.Add(oldest.Name);
        var purged = oldest.Name;
        _pending.Add(new NodeEvent { TerminalPurged = new TerminalPurged { Name = purged } }, durable: () => _purging.Remove(purged));
        return true;
    }

    // Ended terminals on their way out, and streams on their way in: accepted, not durable yet.
    private readonly HashSet<string> _purging = new(StringComparer.Ordinal);
    private readonly HashSet<string> _opening = new(StringComparer.Ordinal);

    private bool WillBeThere(string name) => _opening.Contains(name) || (_state.Histories.ContainsKey(name) && !_purging.Contains(name));

    private int PlannedTerminals() => _state.TerminalCount - _purging.Count
        + _opening.Count(n => !n.StartsWith(Names.CommandStreamPrefix, StringComparison.Ordinal) && (!_state.Histories.ContainsKey(n) || _purging.Contains(n)));
}
