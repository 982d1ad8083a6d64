using Akka.Actor;
using Akka.TestKit;
using AkkaHub.Internal.V1;
using AkkaHub.V1;
using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;
using Hub.Actors.Nodes;
using Hub.Actors.Settings;
using Hub.Actors.Tests.Actors;
using Hub.Protocol;

namespace Hub.Actors.Tests.Nodes;

/// <summary>One node's actor under a probe for its partition, a probe for the governor of snapshots, and probes for bridges.</summary>
public abstract class NodeActorSpec : ActorSpec
{
    protected const string Main = "nodes/n1/terminals/main";

    protected NodeActorSpec(HubSettings? settings = null)
        : base(settings)
    {
        Partition = CreateTestProbe();
        Mesh = CreateTestProbe();
        _parent = Sys.ActorOf(Props.Create(() => new Parent(Partition.Ref, Mesh.Ref)));
        Snapshots = CreateTestProbe();
        Bridge = CreateTestProbe();
        Node = Start();
    }

    private readonly IActorRef _parent;

    protected TestProbe Partition { get; }

    /// <summary>What the node's actor tells the mesh, in order.</summary>
    protected TestProbe Mesh { get; }

    /// <summary>The event log cannot be written: what the node tells is not confirmed.</summary>
    protected void StopTheLog(bool stopped = true) => _parent.Tell(stopped);

    /// <summary>The next thing the mesh is told.</summary>
    protected MeshFact NextFact()
    {
        if (_facts.Count == 0)
        {
            foreach (var fact in Mesh.ExpectMsg<NodeTold>(Bound).Row.Facts)
                _facts.Enqueue(fact);
        }

        return _facts.Dequeue();
    }

    private readonly Queue<MeshFact> _facts = new();

    protected TestProbe Snapshots { get; }

    protected TestProbe Bridge { get; }

    protected IActorRef Node { get; private set; }

    protected IActorRef Start(string name = "n1")
    {
        var maker = CreateTestProbe();
        _parent.Tell(NodeActor.Props(name, Hub, Snapshots.Ref), maker.Ref);
        var node = maker.ExpectMsg<IActorRef>(Bound);
        Partition.FishForMessage<NodeRecovered>(_ => true, Bound);
        return node;
    }

    /// <summary>The actor is gone without a word and another takes its place.</summary>
    protected void Restart()
    {
        Watch(Node);
        Sys.Stop(Node);
        ExpectTerminated(Node, Bound);
        Node = Start();
    }

    protected static Attach Attach(NodeHello hello, IActorRef bridge, uint lastRewind = 0, bool again = false) => new(hello.Name, hello, bridge, lastRewind, again);

    protected Attached Attach(TestProbe? bridge = null, NodeHello? hello = null, uint lastRewind = 0, bool again = false)
    {
        bridge ??= Bridge;
        Node.Tell(Attach(hello ?? Hello(), bridge.Ref, lastRewind, again), bridge.Ref);
        return bridge.FishForMessage<Attached>(_ => true, Bound);
    }

    protected void Say(long epoch, ConnectRequest message) => Node.Tell(new FromNode(epoch, message), Bridge.Ref);

    protected StreamPosition Position(byte id, Predicate<StreamPosition> matches, TestProbe? bridge = null) =>
        (bridge ?? Bridge).FishForMessage<Progress>(p => p.Positions.Any(x => x.Incarnation == Inc(id) && matches(x)), Bound)
            .Positions.Last(x => x.Incarnation == Inc(id));

    /// <summary>Opens 'main' as incarnation <paramref name="id"/> and shows some text, durable when this returns.</summary>
    protected long Open(long epoch, byte id = 1, string text = "hello", string name = "main")
    {
        Say(epoch, Opened(name, id));
        Say(epoch, Bytes(id, 0, text));
        Position(id, p => p.Durable == text.Length);
        return text.Length;
    }

    protected T Ask<T>(IMessage request)
        where T : IMessage
    {
        var answer = AskRaw(request).ExpectMsg<object>(Bound);
        return answer.ShouldBeOfType<NodeReply>(answer.ToString()).Response.ShouldBeOfType<T>();
    }

    protected Failure AskFailure(IMessage request) => AskRaw(request).ExpectMsg<NodeFailure>(Bound).Failure;

    protected TestProbe AskRaw(IMessage request)
    {
        var asker = CreateTestProbe();
        Node.Tell(new NodeRequest("n1", request), asker.Ref);
        return asker;
    }

    /// <summary>Refused at a limit, and programs are told which setting it is.</summary>
    protected static void ShouldBeAtLimit(Failure failure, string setting) =>
        (failure.Kind, failure.Reason, failure.Detail, failure.DetailValue).ShouldBe((FailureKind.ResourceExhausted, ErrorReasons.LimitReached, "limit", setting));

    protected static ReadHistoryRequest Read(string name = Main, HistoryStart? start = null, TimeSpan? wait = null) =>
        new() { Name = name, Start = start, Wait = wait is { } w ? Duration.FromTimeSpan(w) : null };

    protected static string TextOf(ReadHistoryResponse response) =>
        string.Concat(response.Records.Where(r => r.Output is not null).Select(r => r.Output.Data.ToStringUtf8()));

    /// <summary>Stands where the partition does: makes node actors, passes on what they say, and confirms what they tell the mesh.</summary>
    private sealed class Parent : UntypedActor
    {
        private readonly IActorRef _partition;
        private readonly IActorRef _mesh;
        private bool _stopped;

        public Parent(IActorRef partition, IActorRef mesh) => (_partition, _mesh) = (partition, mesh);

        protected override SupervisorStrategy SupervisorStrategy() => new OneForOneStrategy(_ => Directive.Stop);

        protected override void OnReceive(object message)
        {
            if (message is Props props)
            {
                Sender.Tell(Context.ActorOf(props));
            }
            else if (message is bool stopped)
            {
                _stopped = stopped;
            }
            else if (message is NodeTold told)
            {
                _mesh.Tell(told);
                if (!_stopped)
                    Sender.Tell(new NodeToldWritten(told.Row.Number));
            }
            else
            {
                _partition.Forward(message);
            }
        }
    }

    protected T Told<T>(Func<ConnectResponse, T?> of, TestProbe? bridge = null)
        where T : class =>
        of((bridge ?? Bridge).FishForMessage<ToNode>(m => of(m.Message) is not null, Bound).Message)!;
}
