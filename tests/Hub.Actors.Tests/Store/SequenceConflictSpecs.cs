using Akka.Actor;
using Akka.Actor.Setup;
using Akka.Configuration;
using Akka.Persistence.Sql;
using Akka.TestKit;
using Akka.TestKit.Xunit2;
using AkkaHub.Internal.V1;
using AkkaHub.V1;
using Google.Protobuf;
using Hub.Actors.Nodes;
using Hub.Actors.Registry;
using Hub.Actors.Settings;
using Hub.Actors.Store;
using Hub.Actors.Telemetry;
using Microsoft.Data.Sqlite;
using Microsoft.Extensions.Logging.Abstractions;

namespace Hub.Actors.Tests.Store;

/// <summary>
/// The last line against two writers of one node: the journal refuses the second row of a sequence number, and nothing of what
/// other nodes wrote in the same transaction. The node comes back, and what was acknowledged is there.
/// </summary>
public sealed class SequenceConflictSpecs : TestKit
{
    private static readonly TimeSpan Bound = TimeSpan.FromSeconds(40);

    private readonly string _directory;
    private readonly string _stall;
    private readonly HubRuntime _hub = new(new HubSettings(), new HubMetrics(), new Readiness((Readiness.Store, "not yet")), TimeProvider.System, NullLogger.Instance);

    public SequenceConflictSpecs()
        : this(Directory.CreateTempSubdirectory("akkahub-").FullName)
    {
    }

    private SequenceConflictSpecs(string directory)
        : base(Setup(directory), "conflict")
    {
        _directory = directory;
        _stall = Path.Combine(directory, "stall");
    }

    private static ActorSystemSetup Setup(string directory)
    {
        StorePreflight.Run(directory, partitions: 1, checkMaxBytes: 0);
        var options = new SqliteStoreOptions { StallFile = Path.Combine(directory, "stall") };
        var config = ConfigurationFactory.ParseString("akka { loglevel = OFF, stdout-loglevel = OFF }")
            .WithFallback(HubActors.SerializationConfig)
            .WithFallback(HubConfiguration.Sqlite)
            .WithFallback(SqlPersistence.DefaultConfiguration)
            .WithFallback(DefaultConfig);
        var store = new SqliteStoreSetup(directory, options);
        return BootstrapSetup.Create().WithConfig(config).And(store).And(store.Plugin);
    }

    protected override void AfterAll()
    {
        File.Delete(_stall);
        base.AfterAll();
        SqliteConnection.ClearAllPools();
        Directory.Delete(_directory, recursive: true);
    }

    [Fact]
    public void A_row_behind_a_nodes_back_costs_nothing_that_was_acknowledged()
    {
        // Whose bridge knows sooner than its partition that the actor has stopped asks one that is not there any more.
        Sys.ActorOf(UndeliveredActor.Props());
        var probe = Sys.ActorOf(StoreProbeActor.Props(_hub, "member"));
        AwaitAssert(() => _hub.Readiness.Reasons.ShouldBeEmpty(), Bound);
        var governor = Sys.ActorOf(SnapshotGovernorActor.Props(2, _hub.Metrics));
        var partition = Sys.ActorOf(NodePartitionActor.Props(0, _hub, governor, probe));
        var nodes = Enumerable.Range(1, 4).Select(i => new Session(this, partition, "n" + i, (byte)i)).ToArray();
        foreach (var node in nodes)
        {
            node.Attach();
            node.Open("first ");
        }

        WriteBehind("node-n1");
        Watch(nodes[0].Actor);

        // The fourth's transaction is held; what the others write meanwhile goes into the next one together.
        File.WriteAllText(_stall, "");
        nodes[3].Say("second");
        foreach (var node in nodes[..3])
            node.Say("second");
        File.Delete(_stall);
        ExpectTerminated(nodes[0].Actor, Bound);
        foreach (var innocent in nodes[1..])
        {
            innocent.Actor.Tell(new Identify(null));
            ExpectMsg<ActorIdentity>(Bound).Subject.ShouldBe(innocent.Actor, "another node's actor was stopped");
        }

        foreach (var node in nodes)
        {
            node.Finish("first second");
            node.Read(partition).ShouldBe("first second");
        }
    }

    /// <summary>A row that means nothing, under the sequence number the node takes next.</summary>
    private void WriteBehind(string persistenceId)
    {
        using var connection = new SqliteConnection(new SqliteConnectionStringBuilder { DataSource = SqliteStore.PathIn(_directory), Pooling = false }.ToString());
        connection.Open();
        var columns = new List<string>();
        using (var info = connection.CreateCommand())
        {
            info.CommandText = "SELECT name FROM pragma_table_info('journal') WHERE name NOT IN ('ordering', 'sequence_number', 'message')";
            using var reader = info.ExecuteReader();
            while (reader.Read())
                columns.Add(reader.GetString(0));
        }

        var list = string.Join(", ", columns);
        using var insert = connection.CreateCommand();
        insert.CommandText = $"""
            INSERT INTO journal ({list}, sequence_number, message)
            SELECT {list}, sequence_number + 1, $message FROM journal WHERE persistence_id = $id ORDER BY sequence_number DESC LIMIT 1
            """;
        var nothing = new NodeEvents { Events = { new NodeEvent { CommandRunning = new CommandRunning { CommandId = "nobodys" } } } };
        insert.Parameters.AddWithValue("$message", nothing.ToByteArray());
        insert.Parameters.AddWithValue("$id", persistenceId);
        insert.ExecuteNonQuery().ShouldBe(1);
    }

    /// <summary>One node and its bridge: sends again from where it is told to.</summary>
    private sealed class Session(TestKit kit, IActorRef partition, string name, byte id)
    {
        private readonly TestProbe _bridge = kit.CreateTestProbe();
        private readonly ByteString _incarnation = ByteString.CopyFrom([.. new byte[15], id]);
        private string _text = "";
        private long _epoch;
        private long _durable;
        private uint _rewind;
        private bool _attachedBefore;

        public IActorRef Actor { get; private set; } = ActorRefs.Nobody;

        public void Attach()
        {
            var hello = new NodeHello { Name = name, ClaimKey = ByteString.CopyFrom(new byte[32]), InstanceId = _incarnation };
            if (_attachedBefore)
                hello.Streams.Add(new LiveStream { Name = "main", Incarnation = _incarnation, Kind = StreamKind.Terminal, EndOffset = _text.Length });
            partition.Tell(new Attach(name, hello, _bridge.Ref, _rewind, _attachedBefore), _bridge.Ref);
            object answer;
            do
                answer = _bridge.FishForMessage<object>(m => m is Attached or AttachRefused, Bound);
            while (answer is AttachRefused refused && Retry(refused, hello));
            var attached = (Attached)answer;
            (Actor, _epoch, _attachedBefore) = (attached.NodeActor, attached.Epoch, true);
            _bridge.Watch(Actor);
            foreach (var position in attached.Positions)
                (position.Durable >= _durable).ShouldBeTrue("what was acknowledged is there");
        }

        public void Open(string text)
        {
            Tell(new ConnectRequest { TerminalOpened = new TerminalOpened { Name = "main", Incarnation = _incarnation, Size = new TerminalSize { Cols = 80, Rows = 24 } } });
            Say(text);
            Finish(text);
        }

        public void Say(string text)
        {
            Send(text, _text.Length);
            _text += text;
        }

        /// <summary>Goes on until everything is acknowledged, over as many lives of the node's actor as it takes.</summary>
        public void Finish(string text)
        {
            _text.ShouldBe(text);
            while (_durable < _text.Length)
            {
                switch (_bridge.FishForMessage<object>(_ => true, Bound))
                {
                    case Progress m when m.Epoch == _epoch:
                        _durable = Math.Max(_durable, m.Positions.Max(p => p.Durable));
                        break;
                    case ToNode { Message.Rewind: { } rewind } m when m.Epoch == _epoch:
                        _rewind = rewind.Number;
                        if (rewind.FromOffset < _text.Length)
                            Send(_text[(int)rewind.FromOffset..], rewind.FromOffset);
                        _durable = Math.Max(_durable, rewind.FromOffset);
                        break;
                    case Terminated m when m.ActorRef.Equals(Actor):
                        Attach();
                        break;
                }
            }
        }

        public string Read(IActorRef region)
        {
            var asker = kit.CreateTestProbe();
            region.Tell(new NodeRequest(name, new ReadHistoryRequest { Name = $"nodes/{name}/terminals/main" }), asker.Ref);
            var answer = (ReadHistoryResponse)asker.ExpectMsg<NodeReply>(Bound).Response;
            return string.Concat(answer.Records.Where(r => r.Output is not null).Select(r => r.Output.Data.ToStringUtf8()));
        }

        private bool Retry(AttachRefused refused, NodeHello hello)
        {
            refused.Failure.Kind.ShouldBe(FailureKind.Unavailable);
            partition.Tell(new Attach(name, hello, _bridge.Ref, _rewind, _attachedBefore), _bridge.Ref);
            return true;
        }

        private void Send(string text, long offset) => Tell(new ConnectRequest
        {
            TerminalOutput = new TerminalOutput { Incarnation = _incarnation, Offset = offset, Data = ByteString.CopyFromUtf8(text), Rewind = _rewind },
        });

        private void Tell(ConnectRequest message) => Actor.Tell(new FromNode(_epoch, message), _bridge.Ref);
    }
}
