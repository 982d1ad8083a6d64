using System.Security.Cryptography;
using System.Text;
using AkkaHub.V1;
using Google.Protobuf;
using Grpc.Core;

namespace Hub.Load.Nodes;

/// <summary>
/// A node without a machine: it says hello, keeps to its credit, obeys rewinds, sends heartbeats, and comes back with the
/// shipped back-off. It has one terminal, whose bytes follow from their offsets (<see cref="Pattern"/>). No thread of its own. In one
/// file because its reading, its writing and the fleet's clock share one state under one lock.
/// </summary>
public sealed class SimulatedNode
{
    private static readonly WriteOptions Flushed = new();
    private static readonly WriteOptions Buffered = new(WriteFlags.BufferHint);

    /// <summary>How long the hub may take to answer hello, as with the shipped agent.</summary>
    private static readonly TimeSpan WelcomeTimeout = TimeSpan.FromSeconds(10);

    /// <summary>How long a hub that says that it still waits may let the node wait.</summary>
    private static readonly TimeSpan MostWaiting = TimeSpan.FromSeconds(60);

    private readonly Lock _gate = new();
    private readonly FleetOptions _options;
    private readonly FleetMeters _meters;
    private readonly TimeProvider _time;
    private readonly Random _random;
    private readonly IReadOnlyList<NodeConnection> _members;
    private readonly MemberRounds _rounds;
    private readonly Metadata _headers;
    private readonly Action<SimulatedNode, bool> _onlineChanged;
    private readonly WakeUp _wakeUp = new();
    private readonly AckWaits _waits;
    private readonly Queue<ConnectRequest> _control = new();
    private readonly ConnectRequest _outputMessage = new() { TerminalOutput = new TerminalOutput() };
    private readonly byte[] _claimKey;
    private readonly byte[] _instanceId;
    private readonly Action<long, long> _durable;
    private readonly TaskCompletionSource _firstDial = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private string _lastDisconnect = "";
    private uint _reconnects;
    private bool _online;
    private bool _welcomed;

    internal SimulatedNode(int index, FleetOptions options, FleetMeters meters, TimeProvider time,
        IReadOnlyList<NodeConnection> members, Action<SimulatedNode, bool> onlineChanged)
    {
        Name = options.NamePrefix + index.ToString("d5", System.Globalization.CultureInfo.InvariantCulture);
        _options = options;
        _meters = meters;
        _time = time;
        _members = members;
        _waits = new AckWaits(time);
        _onlineChanged = onlineChanged;
        // Not HashCode: that differs from process to process.
        _random = new Random(unchecked(options.Seed * 486_187_739 + index));
        _rounds = new MemberRounds(members.Count, index % members.Count, _random);
        // The claim follows from the name and the seed, so that a later run with the same seed is the same machine.
        _claimKey = SHA256.HashData(Encoding.UTF8.GetBytes($"claim/{options.Seed}/{Name}"));
        _instanceId = RandomNumberGenerator.GetBytes(16);
        _headers = options.Token is null ? [] : new Metadata { { "authorization", "Bearer " + options.Token } };
        _durable = (due, now) => _meters.Latency.Record(_time, due, now);
        if (options.HasTerminal)
        {
            Stream = new SimulatedStream(ByteString.CopyFrom(RandomNumberGenerator.GetBytes(16)), options.ChunkBytes,
                options.Load == NodeLoad.Idle ? 1 : options.MaxInFlight, index % 4096 * 13);
        }
    }

    /// <summary>Its name.</summary>
    public string Name { get; }

    /// <summary>Its terminal's name, for readers.</summary>
    public const string TerminalName = "main";

    /// <summary>Its terminal; null if it has none.</summary>
    public SimulatedStream? Stream { get; }

    /// <summary>Bytes produced, and bytes acknowledged as durable. Safe from any thread.</summary>
    public (long Produced, long Acknowledged) Position
    {
        get
        {
            lock (_gate)
                return Stream is null ? (0, 0) : (Stream.Produced, Stream.Acknowledged);
        }
    }

    /// <summary>The longest wait for an acknowledgement since it was last asked for, and all waits so far. Safe from any thread.</summary>
    public (TimeSpan Longest, TimeSpan Total) TakeWaits()
    {
        lock (_gate)
            return (_waits.TakeLongest(_time.GetTimestamp()), _waits.Total);
    }

    /// <summary>How long it waits for an acknowledgement now; zero if it has nothing to send. Safe from any thread.</summary>
    public TimeSpan WaitsFor
    {
        get
        {
            lock (_gate)
                return _waits.Running(_time.GetTimestamp());
        }
    }

    /// <summary>It has a session.</summary>
    public bool IsOnline => Volatile.Read(ref _online);

    /// <summary>The epoch of its newest session; 0 before the first.</summary>
    public long SessionEpoch { get; private set; }

    /// <summary>The heartbeat interval the hub assigned.</summary>
    public TimeSpan HeartbeatInterval { get; private set; } = TimeSpan.FromSeconds(5);

    /// <summary>Completes when the first try to connect was answered, well or not.</summary>
    internal Task FirstDial => _firstDial.Task;

    /// <summary>When its next heartbeat is due, a stamp of the clock; the fleet keeps it.</summary>
    internal long NextHeartbeat { get; set; }

    /// <summary>The due time of a chunk of its terminal, if still known. Safe from any thread.</summary>
    public bool TryGetDue(long chunk, out long due)
    {
        lock (_gate)
        {
            due = 0;
            return Stream is not null && Stream.TryGetDue(chunk, out due);
        }
    }

    /// <summary>A chunk is due. Called by the fleet's clock.</summary>
    internal void Produce(long due)
    {
        bool taken;
        lock (_gate)
        {
            taken = Stream!.Produce(due);
            _waits.Pending(_time.GetTimestamp());
        }

        if (taken)
            _wakeUp.Set();
        else
            _meters.ChunkRefused();
    }

    /// <summary>A heartbeat is due. Called by the fleet's clock.</summary>
    internal void Beat()
    {
        lock (_gate)
        {
            // One waiting heartbeat says as much as two.
            if (!_online || _control.Any(m => m.Heartbeat is not null))
                return;
            _control.Enqueue(new ConnectRequest { Heartbeat = Heartbeat() });
        }

        _wakeUp.Set();
    }

    /// <summary>Dials and dials again until it is stopped, fenced or forgotten; a round of the members at a time, as the shipped agent does.</summary>
    internal async Task RunAsync(CancellationToken stop)
    {
        var backoff = new ReconnectBackoff(_random, _options.LongestBackoff);
        while (!stop.IsCancellationRequested)
        {
            var hint = TimeSpan.Zero;
            var lasted = TimeSpan.Zero;
            TimeSpan? failOver = null;
            foreach (var member in _rounds.Begin())
            {
                var began = _time.GetTimestamp();
                var ending = await RunSessionAsync(_members[member], stop).ConfigureAwait(false);
                if (stop.IsCancellationRequested)
                    return;
                _meters.Ended(ending.Why);
                _lastDisconnect = ending.Why.Length > 255 ? ending.Why[..255] : ending.Why;
                if (ending.IsFinal)
                    return;
                hint = ending.RetryHint > hint ? ending.RetryHint.Value : hint;
                if (!_welcomed)
                    continue;
                lasted = _time.GetElapsedTime(began);
                failOver = _rounds.Lost(member, lasted, ending);
                break;
            }

            try
            {
                await Task.Delay(failOver ?? backoff.Next(lasted, hint), _time, stop).ConfigureAwait(false);
            }
            catch (OperationCanceledException)
            {
                return;
            }
        }
    }

    private async Task<SessionEnding> RunSessionAsync(NodeConnection connection, CancellationToken stop)
    {
        using var session = CancellationTokenSource.CreateLinkedTokenSource(stop);
        Task writing = Task.CompletedTask;
        _welcomed = false;
        try
        {
            var dialled = _time.GetTimestamp();
            if (await connection.ReachAsync().ConfigureAwait(false) is { } error)
                return new SessionEnding($"Unavailable (not reached: {error})");
            using var call = new NodeBridgeService.NodeBridgeServiceClient(connection.CreateCallInvoker()).Connect(_headers, cancellationToken: session.Token);
            session.CancelAfter(WelcomeTimeout);
            await call.RequestStream.WriteAsync(new ConnectRequest { Hello = Hello() }, session.Token).ConfigureAwait(false);
            do
            {
                if (!await call.ResponseStream.MoveNext(session.Token).ConfigureAwait(false))
                    return new SessionEnding("ended before welcome");
                if (_time.GetElapsedTime(dialled) < MostWaiting)
                    session.CancelAfter(WelcomeTimeout);
            }
            while (call.ResponseStream.Current.Waiting is not null);
            if (call.ResponseStream.Current.Disconnect is { } refusal)
                return SessionEnding.Of(refusal);
            var welcome = call.ResponseStream.Current.Welcome
                ?? throw new InvalidOperationException("the hub's first message is not a welcome");
            _welcomed = true;
            session.CancelAfter(Timeout.InfiniteTimeSpan);
            session.Token.ThrowIfCancellationRequested();
            _meters.Connect.Record(_time, dialled, _time.GetTimestamp());
            Begin(welcome);
            writing = WriteAsync(call.RequestStream, session.Token);
            SetOnline(true);
            _firstDial.TrySetResult();
            while (await call.ResponseStream.MoveNext(session.Token).ConfigureAwait(false))
            {
                if (Handle(call.ResponseStream.Current) is { } ending)
                    return ending;
            }

            return new SessionEnding("stream ended by the hub");
        }
        catch (Exception e)
        {
            // Whatever it was, the node comes back, as the shipped agent does.
            return !_welcomed && session.IsCancellationRequested ? new SessionEnding("no welcome in time") : SessionEnding.Of(e);
        }
        finally
        {
            SetOnline(false);
            _firstDial.TrySetResult();
            await session.CancelAsync().ConfigureAwait(false);
            await writing.ConfigureAwait(false);
        }
    }

    private void Begin(NodeWelcome welcome)
    {
        lock (_gate)
        {
            if (welcome.SessionEpoch <= SessionEpoch)
                _meters.Violated(Name, $"epoch {welcome.SessionEpoch} after {SessionEpoch}");
            SessionEpoch = welcome.SessionEpoch;
            HeartbeatInterval = TimeSpan.FromMilliseconds(Math.Max(100, welcome.HeartbeatIntervalMs));
            NextHeartbeat = _time.GetTimestamp()
                + (long)(_random.NextDouble() * HeartbeatInterval.TotalSeconds * _time.TimestampFrequency);
            _control.Clear();
            _reconnects++;
            if (Stream is not null && welcome.Streams.FirstOrDefault(s => s.Incarnation.Equals(Stream.Incarnation)) is { } flow)
            {
                var before = Stream.Acknowledged;
                Stream.Begin(flow);
                if (Stream.Acknowledged > before)
                    _waits.Acknowledged(_time.GetTimestamp(), Stream.IsPending);
                Report();
            }
        }

        _meters.Welcomed();
    }

    private SessionEnding? Handle(ConnectResponse message)
    {
        switch (message.MessageCase)
        {
            case ConnectResponse.MessageOneofCase.FlowUpdate:
                Update(message.FlowUpdate);
                break;
            case ConnectResponse.MessageOneofCase.Rewind:
                _meters.Rewound();
                lock (_gate)
                {
                    Stream?.Obey(message.Rewind);
                    Report();
                }

                break;
            case ConnectResponse.MessageOneofCase.HeartbeatInterval:
                HeartbeatInterval = TimeSpan.FromMilliseconds(Math.Max(100, message.HeartbeatInterval.IntervalMs));
                break;
            case ConnectResponse.MessageOneofCase.Disconnect:
                return SessionEnding.Of(message.Disconnect);
            default:
                Refuse(message);
                break;
        }

        _wakeUp.Set();
        return null;
    }

    private void Update(FlowUpdate update)
    {
        _meters.FlowUpdated();
        foreach (var flow in update.Streams)
        {
            int chunks;
            long bytes;
            lock (_gate)
            {
                if (Stream is null || !flow.Incarnation.Equals(Stream.Incarnation))
                    continue;
                var before = Stream.Acknowledged;
                chunks = Stream.Update(flow, _meters.IsRecording ? _durable : null, _time.GetTimestamp());
                bytes = Stream.Acknowledged - before;
                if (bytes > 0)
                    _waits.Acknowledged(_time.GetTimestamp(), Stream.IsPending);
                Report();
            }

            _meters.Acknowledged(chunks, bytes);
        }
    }

    // A simulated node has nothing to type into: it says so, as the protocol wants.
    private void Refuse(ConnectResponse message)
    {
        var request = message.MessageCase switch
        {
            ConnectResponse.MessageOneofCase.TerminalInput => message.TerminalInput.Request,
            ConnectResponse.MessageOneofCase.TerminalResize => message.TerminalResize.Request,
            ConnectResponse.MessageOneofCase.TerminalSignal => message.TerminalSignal.Request,
            ConnectResponse.MessageOneofCase.TerminalOpen => message.TerminalOpen.Request,
            ConnectResponse.MessageOneofCase.TerminalClose => message.TerminalClose.Request,
            ConnectResponse.MessageOneofCase.CommandCancel => message.CommandCancel.Request,
            _ => 0,
        };
        if (request == 0)
            return;
        lock (_gate)
        {
            _control.Enqueue(new ConnectRequest
            {
                RequestResult = new RequestResult { Request = request, Outcome = RequestOutcome.Denied, Message = "a simulated node" },
            });
        }
    }

    private async Task WriteAsync(IClientStreamWriter<ConnectRequest> stream, CancellationToken session)
    {
        try
        {
            while (true)
            {
                while (TryTake(out var message, out var more))
                {
                    stream.WriteOptions = more ? Buffered : Flushed;
                    await stream.WriteAsync(message, session).ConfigureAwait(false);
                }

                await _wakeUp.WaitAsync(session).ConfigureAwait(false);
            }
        }
        catch (Exception)
        {
            // The reading side sees how the call ended, and says so.
        }
    }

    private bool TryTake(out ConnectRequest message, out bool more)
    {
        more = false;
        lock (_gate)
        {
            if (_control.TryDequeue(out message!))
                return true;
            message = _outputMessage;
            if (Stream is null)
                return false;
            var now = _time.GetTimestamp();
            // In the closed loop a chunk is made at the moment it may leave, so its due time is then.
            if (_options.Load == NodeLoad.ClosedLoop && !Stream.HasUnsent && (!Stream.HasCreditForChunk || !Stream.Produce(now)))
                return false;
            if (!Stream.TryTake(_outputMessage.TerminalOutput, NowUnixMicroseconds()))
                return false;
            // Flushed are the last of several chunks: a wrong guess costs nothing but a flush too many, as the credit for the
            // next chunk is already there.
            more = _options.Load == NodeLoad.ClosedLoop && Stream.HasCreditForChunk && Stream.HasRoom;
            return true;
        }
    }

    private NodeHello Hello()
    {
        lock (_gate)
        {
            var hello = new NodeHello
            {
                Name = Name,
                ClaimKey = ByteString.CopyFrom(_claimKey),
                InstanceId = ByteString.CopyFrom(_instanceId),
                BootId = "00000000-0000-0000-0000-000000000000",
                AgentVersion = "load",
                Platform = new Platform { Os = "simulated", Arch = "x64", Host = Name, Cpus = 1, User = "load", MemoryBytes = 1L << 30 },
                Reconnects = _reconnects,
                LastDisconnect = _lastDisconnect,
                TimeUnixUs = NowUnixMicroseconds(),
                Capabilities = { NodeCapability.Terminal },
                Protocol = _members.Count > 1 ? 1u : 0,
                Labels = { ["load"] = "simulated" },
            };
            if (Stream is not null)
            {
                hello.Streams.Add(new LiveStream
                {
                    Name = TerminalName,
                    Incarnation = Stream.Incarnation,
                    Kind = StreamKind.Terminal,
                    FirstOffset = Stream.Acknowledged,
                    EndOffset = Stream.Produced,
                    StartedUnixUs = NowUnixMicroseconds(),
                    Size = new TerminalSize { Cols = 80, Rows = 24 },
                    CommandLine = "simulated",
                });
            }

            return hello;
        }
    }

    private NodeHeartbeat Heartbeat() => new()
    {
        TimeUnixUs = NowUnixMicroseconds(),
        UnacknowledgedBytes = Stream is null ? 0 : Stream.Produced - Stream.Acknowledged,
        Figures = new MachineFigures { Cpu = 0.25, MemoryUsedBytes = 1 << 29, MemoryTotalBytes = 1 << 30, Load1 = 0.5, UptimeSeconds = 3600 },
    };

    private void SetOnline(bool online)
    {
        lock (_gate)
        {
            if (_online == online)
                return;
            _online = online;
        }

        _onlineChanged(this, online);
    }

    private void Report()
    {
        if (Stream?.Violation is { } violation)
            _meters.Violated(Name, violation);
    }

    private long NowUnixMicroseconds() => _time.GetUtcNow().ToUnixTimeMilliseconds() * 1000;
}
