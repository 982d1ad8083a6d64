using System.Text;
using Akka.Actor;
using Akka.Actor.Setup;
using Akka.Configuration;
using Akka.Persistence.Sql;
using Akka.TestKit;
using Akka.TestKit.Xunit2;
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

/// <summary>A node on the real store: while it takes no row, and what is left in it after a purge and a forget.</summary>
public sealed class SqliteNodeSpecs : TestKit
{
    private const string Main = "nodes/n1/terminals/main";
    private static readonly TimeSpan Bound = TimeSpan.FromSeconds(30);
    private static readonly ByteString Incarnation = ByteString.CopyFrom([.. new byte[15], 1]);

    private readonly string _directory;
    private readonly HubRuntime _hub = new(new HubSettings(), new HubMetrics(), new Readiness((Readiness.Store, "not yet")), TimeProvider.System, NullLogger.Instance);
    private readonly IActorRef _partition;
    private readonly TestProbe _bridge;

    public SqliteNodeSpecs()
        : this(Directory.CreateTempSubdirectory("akkahub-").FullName)
    {
    }

    private SqliteNodeSpecs(string directory)
        : base(Setup(directory), "sqlite")
    {
        _directory = directory;
        _bridge = CreateTestProbe();
        var probe = Sys.ActorOf(StoreProbeActor.Props(_hub, "member"));
        AwaitAssert(() => _hub.Readiness.Reasons.ShouldBeEmpty(), Bound);
        _partition = Sys.ActorOf(NodePartitionActor.Props(0, _hub, Sys.ActorOf(SnapshotGovernorActor.Props(2, _hub.Metrics)), probe));
    }

    private string Stall => Path.Combine(_directory, "stall");

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
        File.Delete(Stall);
        base.AfterAll();
        SqliteConnection.ClearAllPools();
        Directory.Delete(_directory, recursive: true);
    }

    [Fact]
    public void While_the_store_takes_no_row_as_on_a_full_disk_histories_are_read_and_all_goes_on_after_it()
    {
        var attached = Attach(again: false);
        Say(attached, new ConnectRequest { TerminalOpened = new TerminalOpened { Name = "main", Incarnation = Incarnation, Size = new TerminalSize { Cols = 80, Rows = 24 } } });
        Say(attached, Shown(0, "before"));
        Durable(6);
        Watch(attached.NodeActor);
        // As SQLITE_FULL does, it takes the whole transaction back.
        Execute("CREATE TRIGGER full BEFORE INSERT ON journal BEGIN SELECT RAISE(ROLLBACK, 'full'); END");
        Say(attached, Shown(6, " and after"));
        ExpectTerminated(attached.NodeActor, Bound);
        AwaitAssert(() => _hub.Readiness.Reasons.ShouldContainKey(Readiness.Store), Bound);
        TellAttach(again: true);
        for (var i = 0; i < 3; i++)
            Read().ShouldBe("before");
        _bridge.ReceiveWhile<object>(TimeSpan.FromMilliseconds(100), m => m).OfType<Attached>().ShouldBeEmpty("an epoch is durable first");
        Execute("DROP TRIGGER full");
        var again = _bridge.FishForMessage<Attached>(_ => true, Bound);
        again.Positions.ShouldHaveSingleItem().Durable.ShouldBe(6);
        var rewind = _bridge.FishForMessage<ToNode>(m => m.Message.Rewind is not null, Bound).Message.Rewind;
        Say(again, Shown(rewind.FromOffset, " and after", rewind.Number));
        Durable(16);
        Read().ShouldBe("before and after");
    }

    [Fact]
    public void What_was_purged_or_forgotten_is_in_no_row_and_no_snapshot()
    {
        var attached = Attach(again: false);
        Say(attached, new ConnectRequest { TerminalOpened = new TerminalOpened { Name = "main", Incarnation = Incarnation, Size = new TerminalSize { Cols = 80, Rows = 24 } } });
        Say(attached, Shown(0, "shown, "));
        Durable(7);
        // One write is held; what is purged waits for the next one, together with the purge.
        File.WriteAllText(Stall, "");
        Say(attached, Shown(7, "held, "));
        Say(attached, Shown(13, "a secret"));
        var asker = CreateTestProbe();
        _partition.Tell(new NodeRequest("n1", new PurgeTerminalRequest { Name = Main }), asker.Ref);
        Read();
        File.Delete(Stall);
        asker.ExpectMsg<NodeReply>(Bound);
        AwaitAssert(() => Stored().ShouldNotContain("a secret"), Bound);
        Stored().ShouldContain("main");
        File.WriteAllText(Stall, "");
        Say(attached, Shown(21, "held, "));
        Say(attached, Shown(27, "the other"));
        _partition.Tell(new NodeRequest("n1", new ForgetNodeRequest { Force = true }), asker.Ref);
        _bridge.FishForMessage<SessionEnded>(_ => true, Bound);
        File.Delete(Stall);
        asker.ExpectMsg<NodeReply>(Bound).Response.ShouldBeOfType<ForgetNodeResponse>();
        Stored().ShouldNotContain("the other");
        Stored().ShouldNotContain("main");
    }

    private void TellAttach(bool again)
    {
        var hello = new NodeHello { Name = "n1", ClaimKey = ByteString.CopyFrom(new byte[32]), InstanceId = Incarnation };
        if (again)
            hello.Streams.Add(new LiveStream { Name = "main", Incarnation = Incarnation, Kind = StreamKind.Terminal, EndOffset = 16 });
        _partition.Tell(new Attach("n1", hello, _bridge.Ref, 0, again), _bridge.Ref);
    }

    private Attached Attach(bool again)
    {
        TellAttach(again);
        return _bridge.FishForMessage<Attached>(_ => true, Bound);
    }

    private void Say(Attached attached, ConnectRequest message) => attached.NodeActor.Tell(new FromNode(attached.Epoch, message), _bridge.Ref);

    private static ConnectRequest Shown(long offset, string text, uint rewind = 0) => new()
    {
        TerminalOutput = new TerminalOutput { Incarnation = Incarnation, Offset = offset, Data = ByteString.CopyFromUtf8(text), Rewind = rewind },
    };

    private void Durable(long offset) => _bridge.FishForMessage<Progress>(p => p.Positions.Any(x => x.Durable == offset), Bound);

    private string Read()
    {
        var asker = CreateTestProbe();
        _partition.Tell(new NodeRequest("n1", new ReadHistoryRequest { Name = Main }), asker.Ref);
        var answer = (ReadHistoryResponse)asker.ExpectMsg<NodeReply>(Bound).Response;
        return string.Concat(answer.Records.Where(r => r.Output is not null).Select(r => r.Output.Data.ToStringUtf8()));
    }

    /// <summary>All that the store holds of the node, as text.</summary>
    private string Stored()
    {
        using var connection = Open();
        using var select = connection.CreateCommand();
        select.CommandText = "SELECT message FROM journal WHERE persistence_id = 'node-n1' UNION ALL SELECT snapshot FROM snapshot WHERE persistence_id = 'node-n1'";
        using var reader = select.ExecuteReader();
        var stored = new StringBuilder();
        while (reader.Read())
            stored.AppendLine(Encoding.Latin1.GetString((byte[])reader[0]));
        return stored.ToString();
    }

    private void Execute(string statement)
    {
        using var connection = Open();
        using var command = connection.CreateCommand();
        command.CommandText = statement;
        command.ExecuteNonQuery();
    }

    private SqliteConnection Open()
    {
        var connection = new SqliteConnection(new SqliteConnectionStringBuilder { DataSource = SqliteStore.PathIn(_directory), Pooling = false }.ToString());
        connection.Open();
        return connection;
    }
}
