using Akka.Actor;
using Akka.Serialization;
using AkkaHub.Internal.V1;
using AkkaHub.V1;
using Google.Protobuf;
using Google.Protobuf.Reflection;
using Google.Protobuf.WellKnownTypes;
using Hub.Actors.Events;
using Hub.Actors.History;
using Hub.Actors.Members;
using Hub.Actors.Nodes;
using Hub.Actors.Registry;
using Hub.Actors.Tokens;

namespace Hub.Actors.Serialization;

/// <summary>
/// The explicit wire forms of all that is stored or crosses members. A manifest is permanent: stored rows carry it. The ledger:
/// <list type="table">
/// <item><term>s1 … s9</term><description>stored: NodeEvents, NodeSnapshot, MembershipChanged, MembershipSnapshot, TokensChanged, TokensSnapshot, StoreProbed, EventsLogged, EventLogSnapshot</description></item>
/// <item><term>c1 … c16</term><description>between members: NodeRequest, NodeReply, NodeFailure, Attach, Attached, AttachRefused, FromNode, ToNode, Progress, LivenessReport, Detach, SessionEnded, StartPartition, PartitionStarted, ListPartition, PartitionNodes</description></item>
/// <item><term>c17</term><description>HandOffPartition</description></item>
/// <item><term>c18 … c25</term><description>CreateToken, RevokeToken, ListTokens, TokenCreated, TokenRefused, TokenList, TokenRevoked, WatchTokens (answered with TokensSnapshot, s6)</description></item>
/// <item><term>c30, c31</term><description>FollowEvents, EventsTold (since wire version 2)</description></item>
/// <item><term>c40 … c43</term><description>TellFacts, StopMember, StopTaken, AttachTaken (since wire version 2)</description></item>
/// </list>
/// </summary>
public sealed class HubSerializer : SerializerWithStringManifest
{
    /// <summary>Identifier of this serializer in stored rows and remote envelopes; permanent.</summary>
    public const int Id = 7301;

    // Of what a member says of itself.
    private const int MaxText = 300;
    private const int MaxUnreachable = 64;

    private static readonly TypeRegistry Public = TypeRegistry.FromFiles(HubReflection.Descriptor, NodeBridgeReflection.Descriptor);

    /// <summary>Made by Akka.</summary>
    public HubSerializer(ExtendedActorSystem system)
        : base(system)
    {
    }

    /// <summary>What is stored, by manifest.</summary>
    public static IReadOnlyDictionary<string, MessageParser> Stored { get; } = new Dictionary<string, MessageParser>
    {
        ["s1"] = NodeEvents.Parser,
        ["s2"] = NodeSnapshot.Parser,
        ["s3"] = MembershipChanged.Parser,
        ["s4"] = MembershipSnapshot.Parser,
        ["s5"] = TokensChanged.Parser,
        ["s6"] = TokensSnapshot.Parser,
        ["s7"] = StoreProbed.Parser,
        ["s8"] = EventsLogged.Parser,
        ["s9"] = EventLogSnapshot.Parser,
    };

    /// <inheritdoc/>
    public override int Identifier => Id;

    /// <inheritdoc/>
    public override string Manifest(object o) => o switch
    {
        NodeEvents => "s1",
        NodeSnapshot => "s2",
        MembershipChanged => "s3",
        MembershipSnapshot => "s4",
        TokensChanged => "s5",
        TokensSnapshot => "s6",
        StoreProbed => "s7",
        EventsLogged => "s8",
        EventLogSnapshot => "s9",
        NodeRequest => "c1",
        NodeReply => "c2",
        NodeFailure => "c3",
        Attach => "c4",
        Attached => "c5",
        AttachRefused => "c6",
        FromNode => "c7",
        ToNode => "c8",
        Progress => "c9",
        LivenessReport => "c10",
        Detach => "c11",
        SessionEnded => "c12",
        StartPartition => "c13",
        PartitionStarted => "c14",
        ListPartition => "c15",
        PartitionNodes => "c16",
        HandOffPartition => "c17",
        CreateToken => "c18",
        RevokeToken => "c19",
        ListTokens => "c20",
        TokenCreated => "c21",
        TokenRefused => "c22",
        TokenList => "c23",
        TokenRevoked => "c24",
        WatchTokens => "c25",
        FollowEvents => "c30",
        EventsTold => "c31",
        TellFacts => "c40",
        StopMember => "c41",
        StopTaken => "c42",
        AttachTaken => "c43",
        _ => throw new ArgumentException($"{o.GetType()} has no wire form."),
    };

    /// <inheritdoc/>
    public override byte[] ToBinary(object obj) => Form(obj).ToByteArray();

    private static IMessage Form(object obj) => obj switch
    {
        NodeRequest m => new NodeRequestForm { Node = m.Node, Request = Any.Pack(m.Request), Caller = m.Caller },
        NodeReply m => new NodeReplyForm { Response = Any.Pack(m.Response) },
        NodeFailure m => ToForm(m.Failure),
        Attach m => new AttachForm { Hello = m.Hello, Bridge = Path(m.Bridge), LastRewind = m.LastRewind, Again = m.Again, Ask = m.Ask },
        Attached m => new AttachedForm { Epoch = m.Epoch, NodeActor = Path(m.NodeActor), Positions = { ToForm(m.Positions) } },
        AttachRefused m => new AttachRefusedForm { Failure = ToForm(m.Failure) },
        FromNode m => new FromNodeForm { Epoch = m.Epoch, Message = m.Message },
        ToNode m => new ToNodeForm { Epoch = m.Epoch, Message = m.Message },
        Progress m => new ProgressForm { Epoch = m.Epoch, Positions = { ToForm(m.Positions) } },
        LivenessReport m => new LivenessForm { Epoch = m.Epoch, State = m.State, Heartbeat = m.Heartbeat, SeenUnixUs = m.SeenUnixUs },
        Detach m => new DetachForm { Epoch = m.Epoch, Cause = m.Cause, Message = m.Message, UnacknowledgedBytes = m.Unacknowledged },
        SessionEnded m => new SessionEndedForm { Epoch = m.Epoch, Reason = m.Reason, Message = m.Message },
        StartPartition m => new PartitionForm { Partition = m.Partition },
        PartitionStarted m => new PartitionForm { Partition = m.Partition },
        ListPartition m => new ListPartitionForm { Partition = m.Partition, After = m.After, MaxBytes = m.MaxBytes },
        PartitionNodes m => new PartitionNodesForm { Partition = m.Partition, Nodes = { m.Nodes }, More = m.More },
        HandOffPartition => new PartitionForm(),
        CreateToken m => new CreateTokenForm { Type = m.Type, SecretHash = m.SecretHash, Ttl = m.TimeToLive?.ToDuration(), Description = m.Description },
        RevokeToken m => new TokenIdForm { Id = m.Id },
        ListTokens or WatchTokens => new EmptyForm(),
        TokenCreated m => new TokenCreatedForm { Token = m.Token },
        TokenRefused m => new TokenRefusedForm { MaxCount = m.MaxCount },
        TokenList m => new TokenListForm { Tokens = { m.Tokens } },
        TokenRevoked m => new TokenRevokedForm { Found = m.Found },
        FollowEvents m => new FollowEventsForm { Partition = m.Partition, After = m.After },
        EventsTold m => new EventsToldForm { Partition = m.Partition, After = m.After, Facts = { m.Facts }, Before = m.Before, End = m.End, Origin = m.Origin },
        TellFacts m => ToForm(m.Facts),
        StopMember m => new StopMemberForm { How = (int)m.How },
        StopTaken => new EmptyForm(),
        AttachTaken m => new AttachTakenForm { Ask = m.Ask },
        IMessage stored => stored,
        _ => throw new ArgumentException($"{obj.GetType()} has no wire form."),
    };

    /// <inheritdoc/>
    public override object FromBinary(byte[] bytes, string manifest)
    {
        if (Stored.TryGetValue(manifest, out var parser))
            return parser.ParseFrom(bytes);
        switch (manifest)
        {
            case "c1":
                var request = NodeRequestForm.Parser.ParseFrom(bytes);
                return new NodeRequest(request.Node, Unpack(request.Request), request.Caller);
            case "c2":
                return new NodeReply(Unpack(NodeReplyForm.Parser.ParseFrom(bytes).Response));
            case "c3":
                return new NodeFailure(FromForm(FailureForm.Parser.ParseFrom(bytes)));
            case "c4":
                var attach = AttachForm.Parser.ParseFrom(bytes);
                return new Attach(attach.Hello.Name, attach.Hello, Resolve(attach.Bridge), attach.LastRewind, attach.Again, attach.Ask);
            case "c5":
                var attached = AttachedForm.Parser.ParseFrom(bytes);
                return new Attached(attached.Epoch, FromForm(attached.Positions), Resolve(attached.NodeActor));
            case "c6":
                return new AttachRefused(FromForm(AttachRefusedForm.Parser.ParseFrom(bytes).Failure));
            case "c7":
                var from = FromNodeForm.Parser.ParseFrom(bytes);
                return new FromNode(from.Epoch, from.Message);
            case "c8":
                var to = ToNodeForm.Parser.ParseFrom(bytes);
                return new ToNode(to.Epoch, to.Message);
            case "c9":
                var progress = ProgressForm.Parser.ParseFrom(bytes);
                return new Progress(progress.Epoch, FromForm(progress.Positions));
            case "c10":
                var liveness = LivenessForm.Parser.ParseFrom(bytes);
                return new LivenessReport(liveness.Epoch, liveness.State, liveness.Heartbeat, liveness.SeenUnixUs);
            case "c11":
                var detach = DetachForm.Parser.ParseFrom(bytes);
                return new Detach(detach.Epoch, detach.Cause, detach.Message, detach.UnacknowledgedBytes);
            case "c12":
                var ended = SessionEndedForm.Parser.ParseFrom(bytes);
                return new SessionEnded(ended.Epoch, ended.Reason, ended.Message);
            case "c13":
                return new StartPartition(PartitionForm.Parser.ParseFrom(bytes).Partition);
            case "c14":
                return new PartitionStarted(PartitionForm.Parser.ParseFrom(bytes).Partition);
            case "c15":
                var list = ListPartitionForm.Parser.ParseFrom(bytes);
                return new ListPartition(list.Partition, list.After, list.MaxBytes);
            case "c16":
                var nodes = PartitionNodesForm.Parser.ParseFrom(bytes);
                return new PartitionNodes(nodes.Partition, nodes.Nodes, nodes.More);
            case "c17":
                return HandOffPartition.Instance;
            case "c18":
                var create = CreateTokenForm.Parser.ParseFrom(bytes);
                return new CreateToken(create.Type, create.SecretHash, create.Ttl?.ToTimeSpan(), create.Description);
            case "c19":
                return new RevokeToken(TokenIdForm.Parser.ParseFrom(bytes).Id);
            case "c20":
                return ListTokens.Instance;
            case "c21":
                return new TokenCreated(TokenCreatedForm.Parser.ParseFrom(bytes).Token);
            case "c22":
                return new TokenRefused(TokenRefusedForm.Parser.ParseFrom(bytes).MaxCount);
            case "c23":
                return new TokenList([.. TokenListForm.Parser.ParseFrom(bytes).Tokens]);
            case "c24":
                return new TokenRevoked(TokenRevokedForm.Parser.ParseFrom(bytes).Found);
            case "c25":
                return WatchTokens.Instance;
            case "c30":
                var follow = FollowEventsForm.Parser.ParseFrom(bytes);
                return new FollowEvents(follow.Partition, follow.After);
            case "c31":
                var told = EventsToldForm.Parser.ParseFrom(bytes);
                return new EventsTold(told.Partition, told.After, told.Facts, told.Before, told.End, told.Origin);
            case "c40":
                return new TellFacts(FromForm(MemberFactsForm.Parser.ParseFrom(bytes)));
            case "c41":
                var how = (MemberStop)StopMemberForm.Parser.ParseFrom(bytes).How;
                // What this build does not know must not stop the process.
                return how is MemberStop.Drain or MemberStop.Leave
                    ? new StopMember(how)
                    : throw new System.Runtime.Serialization.SerializationException($"A member asked to stop in a way ({(int)how}) that this one does not know.");
            case "c42":
                return StopTaken.Instance;
            case "c43":
                return new AttachTaken(AttachTakenForm.Parser.ParseFrom(bytes).Ask);
            default:
                throw new System.Runtime.Serialization.SerializationException(
                    $"The manifest '{manifest}' is not known: it was written by a newer hub. Start that version, or newer.");
        }
    }

    private static FailureForm ToForm(Failure f) => new()
    {
        Status = (int)f.Kind,
        Reason = f.Reason,
        Message = f.Message,
        Detail = f.Detail ?? "",
        DetailValue = f.DetailValue ?? "",
    };

    private static Failure FromForm(FailureForm f) =>
        new((FailureKind)f.Status, f.Reason, f.Message, f.Detail.Length == 0 ? null : f.Detail, f.Detail.Length == 0 ? null : f.DetailValue);

    private static MemberFactsForm ToForm(MemberFacts f) => new()
    {
        ClientAddress = f.ClientAddress,
        Version = f.Version,
        StartedUnixUs = f.StartedUnixUs,
        NodeStreams = f.NodeStreams,
        Partitions = f.Partitions,
        Nodes = f.Nodes,
        Draining = f.Draining,
        Unreachable = { f.Unreachable },
    };

    private static MemberFacts FromForm(MemberFactsForm f) =>
        new(
            f.ClientAddress.Length <= MaxText ? f.ClientAddress : "", f.Version.Length <= MaxText ? f.Version : f.Version[..MaxText], UnixTime.Hold(f.StartedUnixUs),
            Math.Max(0, f.NodeStreams), Math.Max(0, f.Partitions), Math.Max(0, f.Nodes), f.Draining, [.. f.Unreachable.Where(u => u.Length <= MaxText).Take(MaxUnreachable)]);

    private static IEnumerable<StreamPositionForm> ToForm(IEnumerable<StreamPosition> positions) =>
        positions.Select(p => new StreamPositionForm { Incarnation = p.Incarnation.ToByteString(), DurableOffset = p.Durable, Closed = p.Closed, Messages = p.Messages, Limit = p.Limit });

    private static StreamPosition[] FromForm(IEnumerable<StreamPositionForm> positions) =>
        positions.Select(p => new StreamPosition(IncarnationId.From(p.Incarnation), p.DurableOffset, p.Closed, p.Messages, p.Limit)).ToArray();

    private static IMessage Unpack(Any any) =>
        any.Unpack(Public) ?? throw new System.Runtime.Serialization.SerializationException($"'{any.TypeUrl}' is not a message of HubService: it comes from a newer member.");

    private static string Path(IActorRef actor) => Akka.Serialization.Serialization.SerializedActorPath(actor);

    private IActorRef Resolve(string path) => system.Provider.ResolveActorRef(path);
}
