using Akka.Actor;
using AkkaHub.Internal.V1;
using AkkaHub.V1;
using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;
using Hub.Actors.Events;
using Hub.Actors.History;
using Hub.Actors.Members;
using Hub.Actors.Nodes;
using Hub.Actors.Registry;
using Hub.Actors.Tokens;

namespace Hub.Actors.Tests.Serialization;

/// <summary>One of each message that crosses members or is stored, with every field set.</summary>
internal static class Samples
{
    public static readonly ByteString Id = ByteString.CopyFrom([.. Enumerable.Range(1, 16).Select(i => (byte)i)]);

    private static readonly TerminalSize Size = new() { Cols = 132, Rows = 43 };

    public static IEnumerable<ICrossesMembers> Crossing(IActorRef actor)
    {
        var failure = new Failure(FailureKind.OutOfRange, "R", "words", "key", "value");
        StreamPosition[] positions = [new(IncarnationId.From(Id), 5, true, 3), new(IncarnationId.From(ByteString.CopyFrom([.. new byte[15], 9])), 7, false, 0)];
        return
        [
            new NodeRequest("n1", new ReadHistoryRequest { Name = "nodes/n1/terminals/main", MaxBytes = 5 }),
            new NodeReply(new OpenTerminalResponse { Terminal = new Terminal { Name = "nodes/n1/terminals/main" } }),
            new NodeFailure(failure),
            new NodeFailure(new Failure(FailureKind.NotFound, "R", "words")),
            new Attach("n1", new NodeHello { Name = "n1", InstanceId = Id, Labels = { ["a"] = "b" } }, actor, 7, true, 3),
            new AttachTaken(3),
            new Attached(9, positions, actor),
            new AttachRefused(failure),
            new FromNode(3, new ConnectRequest { TerminalGap = new TerminalGap { Incarnation = Id, ToOffset = 4 } }),
            new ToNode(3, new ConnectResponse { Rewind = new Rewind { Incarnation = Id, Number = 2 } }),
            new Progress(3, positions),
            new LivenessReport(3, NodeStatus.Stale, new NodeHeartbeat { UnacknowledgedBytes = 4 }, 12),
            new LivenessReport(3, NodeStatus.Online, null, 12),
            new Detach(3, "node-left", "bye", 8),
            new SessionEnded(3, DisconnectReason.Fenced, "gone"),
            new StartPartition(4),
            new PartitionStarted(4),
            new ListPartition(4, "n1", 1000),
            new PartitionNodes(4, [new AkkaHub.V1.Node { Name = "nodes/n1" }], More: true),
            HandOffPartition.Instance,
            new CreateToken(TokenType.Node, Id, TimeSpan.FromMinutes(5), "for a node"),
            new CreateToken(TokenType.Client, Id, null, ""),
            new RevokeToken("t1"),
            ListTokens.Instance,
            new TokenCreated(Token().Token),
            new TokenRefused(10),
            new TokenList([Token().Token]),
            new TokenRevoked(true),
            WatchTokens.Instance,
            new TellFacts(new MemberFacts("h:5100", "0.1.0", 12, 3, 4, 5, true, ["h:5110"])),
            new StopMember(MemberStop.Leave),
            StopTaken.Instance,
            new FollowEvents(4, 7),
            new EventsTold(4, 7, [Fact], 5, 8, 2),
        ];
    }

    /// <summary>By manifest, with every field of today. A field that is added gets a value here, and its bytes a golden file of their own.</summary>
    public static IReadOnlyDictionary<string, IMessage> Stored { get; } = new Dictionary<string, IMessage>
    {
        ["s1"] = Events(),
        ["s2"] = Snapshot(),
        ["s3"] = new MembershipChanged { Upserts = { Descriptor() }, Removed = { "gone" }, Writer = 10 },
        ["s4"] = new MembershipSnapshot { Nodes = { Descriptor() } },
        ["s5"] = new TokensChanged { Created = Token(), Removed = { "t0" } },
        ["s6"] = new TokensSnapshot { Tokens = { Token() } },
        ["s7"] = new StoreProbed { Count = 42 },
        ["s8"] = new EventsLogged { Before = 7, Entries = { new LoggedFacts { Node = "n1", Number = 5, Facts = { Fact }, Member = "akka://m#1" } }, Life = 8, GivenThrough = 9, Writer = 10 },
        ["s9"] = new EventLogSnapshot
        {
            Before = 7,
            Events = { Fact },
            Nodes = { new ToldNode { Node = "n1", Number = 5 } },
            Life = 8,
            GivenThrough = 9,
            Members = { "akka://m#1" },
            Origin = 3,
            Present = { "n1" },
        },
    };

    /// <summary>
    /// What each golden file holds. 's1-2' is the second form of 's1': a released file never changes, so the fields that were
    /// added since are missing in those before the newest.
    /// </summary>
    public static IReadOnlyDictionary<string, IMessage> Golden { get; } = new Dictionary<string, IMessage>(Stored.Where(s => s.Key is not ("s1" or "s2" or "s3" or "s8")))
    {
        ["s1"] = FirstEvents(),
        ["s1-2"] = SecondEvents(),
        ["s1-3"] = ThirdEvents(),
        ["s1-4"] = Stored["s1"],
        ["s2"] = FirstSnapshot(),
        ["s2-2"] = SecondSnapshot(),
        ["s2-3"] = Stored["s2"],
        ["s3"] = FirstMembership(),
        ["s3-2"] = Stored["s3"],
        ["s8"] = FirstLogged(),
        ["s8-2"] = Stored["s8"],
    };

    private static MeshFact Fact => new() { Type = MeshEventType.TerminalOpened, Subject = "nodes/n1/terminals/main", Message = "opened", TimeUnixUs = 120 };

    private static SessionOpened Session => new() { Epoch = 3, InstanceId = Id, BootId = "boot", TimeUnixUs = 1000 };

    private static SessionClosed SessionEnd => new() { Epoch = 2, Cause = "stream-broken", Message = "words", TimeUnixUs = 900, LastOffset = 77, UnacknowledgedBytes = 5 };

    private static StreamOpened Opened => new() { Name = "main", Incarnation = Id, Kind = StreamKind.Terminal, Size = Size, TimeUnixUs = 10, CommandLine = "bash -l", InstanceId = Id };

    private static OutputAppended Output => new()
    {
        Incarnation = Id,
        Offset = 5,
        Data = ByteString.CopyFromUtf8("hello"),
        Channel = OutputChannel.Stderr,
        TimeUnixUs = 20,
        Lengths = { 2, 3 },
        DeltasUs = { 0, -4 },
    };

    private static StreamResized Resized => new() { Incarnation = Id, Offset = 10, Size = Size, TimeUnixUs = 30 };

    private static StreamGap Gap => new() { Incarnation = Id, FromOffset = 10, ToOffset = 20, Cause = GapCause.NodeOverflow, TimeUnixUs = 40 };

    private static StreamClosed Closed => new() { Incarnation = Id, FinalOffset = 20, Exit = new ProcessExit { Code = 130, Signal = 2 }, Cause = "c", TimeUnixUs = 50, UnknownLoss = true };

    private static CommandAccepted Accepted => new()
    {
        CommandId = "c1",
        Request = new RunCommandRequest
        {
            Parent = "nodes/n1",
            RequestId = "c1",
            Argv = { "ls", "-l" },
            Cwd = "/",
            Env = { ["K"] = "V" },
            Timeout = Duration.FromTimeSpan(TimeSpan.FromSeconds(9)),
            Pty = Size,
            Stdin = true,
            Detach = true,
        },
        TimeUnixUs = 60,
        InstanceId = Id,
    };

    private static CommandRunning Running => new() { CommandId = "c1", TimeUnixUs = 70 };

    private static CommandFinished Finished => new() { CommandId = "c1", State = CommandState.Exited, Exit = new ProcessExit { Code = 1 }, Message = "m", TimeUnixUs = 80 };

    private static NodeEvents Events() => new()
    {
        Events =
        {
            new NodeEvent { Registered = new NodeRegistered { ClaimHash = Id, TimeUnixUs = 1 } },
            new NodeEvent { SessionOpened = Session },
            new NodeEvent { SessionClosed = SessionEnd },
            new NodeEvent { StreamOpened = Opened },
            new NodeEvent { Output = Output },
            new NodeEvent { Resized = Resized },
            new NodeEvent { Gap = Gap },
            new NodeEvent { Closed = Closed },
            new NodeEvent { CommandAccepted = Accepted },
            new NodeEvent { CommandRunning = Running },
            new NodeEvent { CommandFinished = Finished },
            new NodeEvent { TerminalPurged = new TerminalPurged { Name = "main" } },
            new NodeEvent { CommandDropped = new CommandDropped { CommandId = "c1" } },
            new NodeEvent { Forgotten = new NodeForgotten { TimeUnixUs = 90 } },
            new NodeEvent { DrainSet = new NodeDrainSet { On = true, TimeUnixUs = 100 } },
        },
        TimeUnixUs = 110,
        ToldThrough = 4,
        Writer = 10,
    };

    private static NodeEvents ThirdEvents()
    {
        var events = Events();
        events.Writer = 0;
        return events;
    }

    private static NodeEvents SecondEvents()
    {
        var events = ThirdEvents();
        events.TimeUnixUs = events.ToldThrough = 0;
        return events;
    }

    private static NodeEvents FirstEvents()
    {
        var events = SecondEvents();
        events.Events.RemoveAt(events.Events.Count - 1);
        foreach (var e in events.Events)
        {
            if (e.StreamOpened is { } opened)
                opened.InstanceId = ByteString.Empty;
            if (e.CommandAccepted is { } accepted)
                accepted.InstanceId = ByteString.Empty;
        }

        return events;
    }

    private static MembershipChanged FirstMembership()
    {
        var change = ((MembershipChanged)Stored["s3"]).Clone();
        change.Writer = 0;
        return change;
    }

    private static EventsLogged FirstLogged()
    {
        var row = ((EventsLogged)Stored["s8"]).Clone();
        row.Writer = 0;
        return row;
    }

    private static NodeSnapshot Snapshot() => new()
    {
        ClaimHash = Id,
        RegisteredUnixUs = 1,
        Session = Session,
        SessionEnd = SessionEnd,
        SessionBytes = 55,
        Terminals =
        {
            new StoredTerminal
            {
                Name = "main",
                Kind = StreamKind.Terminal,
                Incarnations =
                {
                    new StoredIncarnation
                    {
                        Opened = Opened,
                        EndOffset = 20,
                        Closed = Closed,
                        Chunks = { Output },
                        Sizes = { Resized },
                        Gaps = { Gap },
                        PurgedTo = 5,
                        LastOutputUnixUs = 20,
                    },
                },
            },
        },
        Commands = { new StoredCommand { Accepted = Accepted, Running = Running, Finished = Finished } },
        DeletionOwed = true,
        Drained = true,
        Untold = { new UntoldRow { Number = 5, Facts = { Fact } } },
    };

    private static NodeSnapshot SecondSnapshot()
    {
        var snapshot = Snapshot();
        snapshot.Untold.Clear();
        return snapshot;
    }

    private static NodeSnapshot FirstSnapshot()
    {
        var snapshot = SecondSnapshot();
        snapshot.DeletionOwed = snapshot.Drained = false;
        snapshot.Terminals[0].Incarnations[0].Opened.InstanceId = ByteString.Empty;
        snapshot.Commands[0].Accepted.InstanceId = ByteString.Empty;
        return snapshot;
    }

    private static NodeDescriptor Descriptor() => new()
    {
        Node = "n1",
        Labels = { ["zone"] = "a" },
        Platform = new Platform { Os = "os", Arch = "x64", Host = "h", Cpus = 8, User = "u", MemoryBytes = 1024 },
        AgentVersion = "1.0",
        RegisteredUnixUs = 1,
        LastSeenUnixUs = 2,
        Attached = true,
        SessionEpoch = 3,
        SessionEnd = SessionEnd,
        Capabilities = { NodeCapability.Terminal, NodeCapability.Exec },
    };

    private static StoredToken Token() => new()
    {
        Token = new Token { Id = "t1", Type = TokenType.Node, Description = "d", CreateTime = new Timestamp { Seconds = 5 }, ExpireTime = new Timestamp { Seconds = 6 } },
        SecretHash = Id,
    };
}
