using System.Text;
using Akka.Actor;
using Akka.Persistence;
using AkkaHub.Internal.V1;
using AkkaHub.V1;
using Google.Protobuf;
using Hub.Actors.Nodes;
using Hub.Actors.Settings;
using Hub.Protocol;

namespace Hub.Actors.Tests.Nodes;

public sealed class NodeSnapshotSpecs : NodeActorSpec
{
    public NodeSnapshotSpecs()
        : base(new HubSettings { Snapshots = new SnapshotSettings { MinBytes = 4096 }, History = new HistorySettings { MaxBytes = 4096, MergeBytes = 0 } })
    {
    }

    private string Fill(long epoch, long from, int chunks)
    {
        var all = "";
        for (var i = 0; i < chunks; i++)
        {
            var text = new string((char)('a' + (i % 26)), 1000);
            all += text;
            Say(epoch, Bytes(1, from + (i * 1000), text));
            Position(1, p => p.Durable == from + ((i + 1) * 1000));
        }

        return all;
    }

    [Fact]
    public void A_snapshot_is_due_by_bytes_and_recovery_goes_on_from_it()
    {
        var epoch = Attach().Epoch;
        Say(epoch, Opened("main", 1));
        var text = Fill(epoch, 0, 12);
        Snapshots.ExpectMsg<SnapshotDue>(Bound).Node.ShouldBe(Node);
        Node.Tell(SnapshotPermit.Instance);
        Snapshots.ExpectMsg<SnapshotDone>(Bound);
        text += Fill(epoch, 12_000, 1);
        Restart();
        TextOf(Ask<ReadHistoryResponse>(Read())).ShouldBe(text[^4000..]);
        Attach(hello: Hello(streams: Live("main", 1, 13_000)), again: true).Positions.ShouldHaveSingleItem().Durable.ShouldBe(13_000);
    }

    [Fact]
    public void A_permit_that_is_not_needed_any_more_goes_back()
    {
        Node.Tell(SnapshotPermit.Instance);
        Snapshots.ExpectMsg<SnapshotDone>(Bound);
    }

    [Fact]
    public void An_actor_that_stops_while_it_waits_gives_its_place_back()
    {
        var epoch = Attach().Epoch;
        Say(epoch, Opened("main", 1));
        Fill(epoch, 0, 12);
        Snapshots.ExpectMsg<SnapshotDue>(Bound);
        Sys.Stop(Node);
        Snapshots.ExpectMsg<SnapshotDone>(Bound);
    }

    [Fact]
    public void A_forgotten_node_leaves_nothing_but_its_epoch()
    {
        Open(Attach().Epoch);
        Node.Tell(new EraseNode(Force: false));
        Partition.FishForMessage<EraseRefused>(_ => true, Bound).Failure.Reason.ShouldBe(ErrorReasons.NodeConnected);
        Watch(Node);
        Node.Tell(new EraseNode(Force: true));
        Bridge.FishForMessage<SessionEnded>(_ => true, Bound).Reason.ShouldBe(DisconnectReason.Forgotten);
        Partition.FishForMessage<NodeErased>(_ => true, Bound);
        ExpectTerminated(Node, Bound);
        var anew = Start();
        anew.Tell(Attach(Hello(key: 9, instance: 9), TestActor));
        ExpectMsg<Attached>(Bound).Epoch.ShouldBe(2);
        anew.Tell(new NodeRequest("n1", new ListTerminalsRequest()), TestActor);
        FishForMessage<NodeReply>(_ => true, Bound).Response.ShouldBeOfType<ListTerminalsResponse>().Terminals.ShouldBeEmpty();
    }

    [Theory]
    [InlineData(true, true)]
    [InlineData(true, false)]
    [InlineData(false, true)]
    public void Purged_bytes_leave_the_store_also_when_the_hub_ended_before_they_did(bool rowsStay, bool snapshotsStay)
    {
        AllowErrors();
        var epoch = Attach().Epoch;
        Say(epoch, Opened("main", 1));
        Fill(epoch, 0, 12);
        Snapshot();
        Say(epoch, Bytes(1, 12_000, "a secret"));
        Position(1, p => p.Durable == 12_008);
        Journal.FailDeletions(rowsStay ? new IOException("not now") : null, snapshotsStay ? new IOException("not now") : null);
        Ask<PurgeTerminalResponse>(new PurgeTerminalRequest { Name = Main });
        Snapshot();
        Stored().ShouldContain(s => s.Contains("llll", StringComparison.Ordinal) || s.Contains("a secret", StringComparison.Ordinal));
        Restart();
        Journal.Heal();
        Snapshot();
        Stored().ShouldNotContain(s => s.Contains("llll", StringComparison.Ordinal) || s.Contains("a secret", StringComparison.Ordinal));
        Ask<ListTerminalsResponse>(new ListTerminalsRequest()).Terminals.ShouldHaveSingleItem().EndOffset.ShouldBe(12_008);
    }

    [Theory]
    [InlineData(true, false)]
    [InlineData(false, true)]
    public void A_node_is_not_said_to_be_forgotten_while_the_store_still_holds_what_it_showed(bool rowsStay, bool snapshotsStay)
    {
        AllowErrors();
        var epoch = Attach().Epoch;
        Say(epoch, Opened("main", 1));
        Fill(epoch, 0, 12);
        Snapshot();
        Say(epoch, Bytes(1, 12_000, "a secret"));
        Position(1, p => p.Durable == 12_008);
        Journal.FailDeletions(rowsStay ? new IOException("not now") : null, snapshotsStay ? new IOException("not now") : null);
        Node.Tell(new EraseNode(Force: true));
        Partition.FishForMessage<EraseRefused>(_ => true, Bound).Failure.Kind.ShouldBe(FailureKind.Unavailable);
        Journal.Heal();
        Node.Tell(new EraseNode(Force: true));
        Partition.FishForMessage<NodeErased>(_ => true, Bound);
        Stored().ShouldNotContain(s => s.Contains("llll", StringComparison.Ordinal) || s.Contains("a secret", StringComparison.Ordinal));
    }

    [Fact]
    public void What_deletes_stands_in_a_row_of_its_own_because_a_store_may_keep_that_row()
    {
        var epoch = Attach().Epoch;
        Open(epoch);
        Journal.Close();
        Say(epoch, Bytes(1, 5, "first"));
        Say(epoch, Bytes(1, 10, "a secret"));
        var purge = AskRaw(new PurgeTerminalRequest { Name = Main });
        Ask<ListTerminalsResponse>(new ListTerminalsRequest());
        Journal.Open();
        purge.ExpectMsg<NodeReply>(Bound);
        var rows = Rows();
        rows.ShouldContain(r => r.Events.Any(e => e.Output != null && e.Output.Data.ToStringUtf8() == "a secret"));
        rows.Single(r => r.Events.Any(e => e.TerminalPurged != null)).Events.ShouldHaveSingleItem();
    }

    private void Snapshot()
    {
        Snapshots.FishForMessage<SnapshotDue>(m => m.Node.Equals(Node), Bound);
        Node.Tell(SnapshotPermit.Instance);
        Snapshots.FishForMessage<SnapshotDone>(m => m.Node.Equals(Node), Bound);
    }

    private List<NodeEvents> Rows()
    {
        var reader = CreateTestProbe();
        Persistence.Instance.Apply(Sys).JournalFor(null).Tell(new ReplayMessages(1, long.MaxValue, long.MaxValue, "node-n1", reader.Ref), reader.Ref);
        var rows = new List<NodeEvents>();
        while (reader.ExpectMsg<object>(Bound) is ReplayedMessage row)
            rows.Add((NodeEvents)row.Persistent.Payload);
        return rows;
    }

    /// <summary>All rows and snapshots that are left, as text.</summary>
    private List<string> Stored()
    {
        var stored = Rows().ConvertAll(r => Encoding.Latin1.GetString(r.ToByteArray()));
        var store = Persistence.Instance.Apply(Sys).SnapshotStoreFor(null);
        for (var upTo = long.MaxValue; ;)
        {
            store.Tell(new LoadSnapshot("node-n1", new SnapshotSelectionCriteria(upTo), long.MaxValue), TestActor);
            if (FishForMessage<LoadSnapshotResult>(_ => true, Bound).Snapshot is not { } snapshot)
                return stored;
            stored.Add(Encoding.Latin1.GetString(((NodeSnapshot)snapshot.Snapshot).ToByteArray()));
            upTo = snapshot.Metadata.SequenceNr - 1;
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Forgetting_while_a_stream_attaches_leaves_a_journal_that_can_be_read(bool force)
    {
        Open(Attach().Epoch);
        Restart();
        Journal.Close();
        var asked = Journal.Asked.Count;
        // Another instance: its attach closes the terminal of the one before.
        Node.Tell(Attach(Hello(instance: 2), Bridge.Ref));
        AwaitAssert(() => Journal.Asked.Count.ShouldBe(asked + 1), Bound);
        Node.Tell(new EraseNode(force));
        if (force)
            Bridge.FishForMessage<AttachRefused>(_ => true, Bound);
        else
            Partition.FishForMessage<EraseRefused>(_ => true, Bound);
        Watch(Node);
        Journal.Open();
        if (force)
        {
            Partition.FishForMessage<NodeErased>(_ => true, Bound);
            ExpectTerminated(Node, Bound);
            Start();
            return;
        }

        Bridge.FishForMessage<Attached>(_ => true, Bound);
        Unwatch(Node);
        Restart();
    }
}
