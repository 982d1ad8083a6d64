using System.Collections.Concurrent;
using Akka.Actor;
using Akka.TestKit;
using AkkaHub.V1;
using Hub.Actors.Bridge;
using Hub.Actors.Members;
using Hub.Actors.Nodes;
using Hub.Actors.Settings;
using Hub.Actors.Tests.Actors;
using Hub.Protocol;

namespace Hub.Actors.Tests.Bridge;

// Longer than most files: the cases share one bridge and the helpers that drive it.
public sealed class NodeBridgeActorSpecs : ActorSpec
{
    private readonly TestProbe _registry;
    private readonly Wire _wire = new();

    public NodeBridgeActorSpecs()
        : base(new HubSettings
        {
            Flow = new FlowSettings { InitialWindowBytes = 100, MaxWindowBytes = 200, WindowMessages = 4, MaxControlMessages = 20 },
            Liveness = new LivenessSettings { MaxHeartbeatsPerSecond = 10 },
        }) => _registry = CreateTestProbe();

    private IActorRef Start(params LiveStream[] streams)
    {
        var bridge = Sys.ActorOf(NodeBridgeActor.Props(Hello(streams: streams), _wire, _registry.Ref, Hub));
        Watch(bridge);
        return bridge;
    }

    private (IActorRef Bridge, TestProbe Node) Welcomed(params LiveStream[] streams)
    {
        var bridge = Start(streams);
        var attach = _registry.ExpectMsg<Attach>(Bound);
        attach.Again.ShouldBeFalse();
        var node = CreateTestProbe();
        bridge.Tell(new Attached(1, [.. streams.Select(s => new StreamPosition(global::Hub.Actors.History.IncarnationId.From(s.Incarnation), 10, false, 0))], node.Ref));
        Said(m => m.Welcome);
        return (bridge, node);
    }

    /// <summary>The node's actor dies; gives the attach that follows.</summary>
    private Attach LoseNode(TestProbe node)
    {
        Sys.Stop(node.Ref);
        return AdvanceUntil<Attach>(_registry, TimeSpan.FromMilliseconds(100), 100);
    }

    private T Said<T>(Func<ConnectResponse, T?> of)
        where T : class
    {
        T? found = null;
        AwaitAssert(() => found = _wire.Take(of).ShouldNotBeNull(), Bound);
        return found!;
    }

    private StreamFlow Flow(byte id, Predicate<StreamFlow> matches) =>
        Said(m => m.FlowUpdate?.Streams.LastOrDefault(s => s.Incarnation == Id(id) && matches(s)));

    private HubDisconnect Ended(IActorRef bridge)
    {
        var disconnect = Said(m => m.Disconnect);
        ExpectTerminated(bridge, Bound);
        _wire.Completed.ShouldBe(1);
        Hub.Budget.Used.ShouldBe(0);
        Hub.Load.Streams.ShouldBe(0);
        return disconnect;
    }

    [Fact]
    public void The_welcome_says_where_to_go_on_and_how_much_is_granted()
    {
        var bridge = Start(Live("main", 1, 50), Live("old", 2, 7));
        var node = CreateTestProbe();
        bridge.Tell(new Attached(6, [new(Inc(1), 30, false, 0), new(Inc(2), 7, true, 0)], node.Ref));
        var welcome = Said(m => m.Welcome);
        welcome.SessionEpoch.ShouldBe(6);
        welcome.HeartbeatIntervalMs.ShouldBe(5000u);
        welcome.HubMember.ShouldBe(((ExtendedActorSystem)Sys).Provider.DefaultAddress.ToString());
        welcome.Streams.ShouldBe(
        [
            new StreamFlow { Incarnation = Id(1), AckOffset = 30, LimitOffset = 130, LimitMessages = 4 },
            new StreamFlow { Incarnation = Id(2), AckOffset = 7, LimitOffset = 7, Closed = true },
        ]);
    }

    [Fact]
    public void A_refusal_ends_the_stream_with_its_reason()
    {
        var bridge = Start();
        bridge.Tell(new AttachRefused(new Failure(FailureKind.AlreadyExists, ErrorReasons.NodeLive, "words")));
        ExpectTerminated(bridge, Bound);
        _wire.Failure!.Reason.ShouldBe(ErrorReasons.NodeLive);
        _wire.Completed.ShouldBe(1);
    }

    [Fact]
    public void Messages_are_passed_on_with_the_session_and_each_is_counted_as_processed()
    {
        var (bridge, node) = Welcomed(Live("main", 1));
        bridge.Tell(Bytes(1, 10, "hi"));
        node.ExpectMsg<FromNode>(Bound).Epoch.ShouldBe(1);
        bridge.Tell(new Progress(1, [new(Inc(1), 12, false, 1)]));
        var flow = Flow(1, f => f.AckOffset == 12);
        (flow.LimitOffset, flow.LimitMessages).ShouldBe((112, 5));
        bridge.Tell(new Progress(0, [new(Inc(1), 99, false, 1)]));
        _wire.Processed.ShouldBe(1);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void What_a_busy_stream_was_granted_goes_back_when_it_ends(bool streamAlone)
    {
        var (bridge, _) = Welcomed(Live("main", 1));
        bridge.Tell(Bytes(1, 10, new string('x', 60)));
        bridge.Tell(new Progress(1, [new(Inc(1), 70, false, 1)]));
        Flow(1, f => f.AckOffset == 70).LimitOffset.ShouldBe(270);
        Hub.Budget.Used.ShouldBe(100);
        if (streamAlone)
        {
            bridge.Tell(new Progress(1, [new(Inc(1), 70, true, 0)]));
            Flow(1, f => f.Closed);
            Hub.Budget.Used.ShouldBe(0);
        }

        bridge.Tell(new EndStream(DisconnectReason.HubStopping, "hub-stopped", "words"));
        Ended(bridge);
    }

    [Theory]
    [InlineData(10, 101, "beyond its credit")]
    [InlineData(111, 1, "beyond its credit")]
    public void Output_beyond_the_credit_is_a_breach(long offset, int length, string words)
    {
        var (bridge, node) = Welcomed(Live("main", 1));
        bridge.Tell(Bytes(1, offset, new string('x', length)));
        node.ExpectMsg<Detach>(Bound).Cause.ShouldBe("protocol-error");
        var end = Ended(bridge);
        end.Reason.ShouldBe(DisconnectReason.ProtocolError);
        end.Message.ShouldContain(words);
    }

    [Fact]
    public void More_messages_than_granted_or_control_without_end_is_a_breach()
    {
        var (bridge, _) = Welcomed(Live("main", 1));
        for (var i = 0; i < 5; i++)
            bridge.Tell(Bytes(1, 10, "x"));
        Ended(bridge).Reason.ShouldBe(DisconnectReason.ProtocolError);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void What_needs_no_credit_is_bounded_all_the_same(bool unknownStream)
    {
        var (bridge, _) = Welcomed();
        for (var i = 0; i <= Hub.Settings.Flow.MaxControlMessages; i++)
            bridge.Tell(unknownStream ? Bytes(7, i, "x") : new ConnectRequest { Heartbeat = new NodeHeartbeat() });
        Ended(bridge).Reason.ShouldBe(DisconnectReason.ProtocolError);
    }

    [Fact]
    public void When_the_nodes_actor_is_made_again_streams_are_attached_as_they_are_now_and_sent_again()
    {
        var (bridge, node) = Welcomed(Live("main", 1), Live("gone", 3));
        bridge.Tell(new Progress(1, [new(Inc(3), 10, true, 0)]));
        bridge.Tell(Opened("late", 2));
        bridge.Tell(new ToNode(1, new ConnectResponse { CommandRun = new CommandRun { CommandId = "c1" } }));
        bridge.Tell(new ToNode(1, new ConnectResponse { Rewind = new Rewind { Incarnation = Id(2), Number = 5 } }));
        for (var i = 0; i < 3; i++)
            bridge.Tell(Bytes(1, 10, "x")); // taken by the actor that dies, never reported
        node.FishForMessage<FromNode>(m => m.Message.TerminalOutput is not null, Bound);
        Said(m => m.CommandRun);
        Said(m => m.Rewind);
        var attach = LoseNode(node);
        (attach.Again, attach.LastRewind).ShouldBe((true, 5u));
        attach.Hello.Streams.Select(s => s.Name).ShouldBe(["main", "late", "cmd/c1"], ignoreOrder: true);

        // Dropped while there is nobody, and credited.
        bridge.Tell(Bytes(1, 11, "y"));
        Flow(1, f => f.LimitMessages == 5);
        var anew = CreateTestProbe();
        bridge.Tell(new Attached(2, [new(Inc(1), 10, false, 0), new(Inc(2), 0, false, 0)], anew.Ref));
        bridge.Tell(new ToNode(2, new ConnectResponse { Rewind = new Rewind { Incarnation = Id(1), Number = 6, FromOffset = 10 } }));
        Flow(1, f => f.LimitMessages == 8).AckOffset.ShouldBe(10);
        Said(m => m.Rewind).Number.ShouldBe(6u);

        // From before the rewind: dropped and credited; after it: passed on.
        anew.ExpectMsg<LivenessReport>(Bound);
        bridge.Tell(Bytes(1, 11, "y"));
        Flow(1, f => f.LimitMessages == 9);
        bridge.Tell(Bytes(1, 10, "z", rewind: 6));
        anew.ExpectMsg<FromNode>(Bound).Message.TerminalOutput.Rewind.ShouldBe(6u);
    }

    [Fact]
    public void What_begins_while_the_bridge_attaches_again_is_told_to_the_new_actor()
    {
        var (bridge, node) = Welcomed();
        LoseNode(node).Hello.Streams.ShouldBeEmpty();
        bridge.Tell(Opened("late", 2));
        bridge.Tell(new ConnectRequest { CommandExited = new CommandExited { CommandId = "c1", End = CommandEnd.NotStarted } });
        Flow(2, f => f.LimitOffset == 100);
        var anew = CreateTestProbe();
        bridge.Tell(new Attached(2, [], anew.Ref));
        anew.ExpectMsg<FromNode>(Bound).Message.TerminalOpened.Name.ShouldBe("late");
        anew.ExpectMsg<FromNode>(Bound).Message.CommandExited.CommandId.ShouldBe("c1");
        bridge.Tell(Bytes(2, 0, "x"));
        anew.FishForMessage<FromNode>(m => m.Message.TerminalOutput is not null, Bound).Epoch.ShouldBe(2);
    }

    [Fact]
    public void A_refused_attach_is_tried_again_while_it_may_and_ends_the_stream_when_fenced()
    {
        var (bridge, node) = Welcomed();
        LoseNode(node);
        bridge.Tell(new AttachRefused(new Failure(FailureKind.Unavailable, ErrorReasons.StoreUnavailable, "later")));
        AdvanceUntil<Attach>(_registry, TimeSpan.FromMilliseconds(500), 20);
        bridge.Tell(new AttachRefused(new Failure(FailureKind.Aborted, ErrorReasons.Fenced, "another")));
        Ended(bridge).Reason.ShouldBe(DisconnectReason.Fenced);
    }

    /// <summary>The partition was asked more than once, and refused one of the questions on its way elsewhere.</summary>
    [Fact]
    public void A_refusal_that_comes_after_it_was_attached_changes_nothing()
    {
        var (bridge, node) = Welcomed();
        bridge.Tell(new AttachRefused(new Failure(FailureKind.Unavailable, ErrorReasons.NotReady, "moving")));
        for (var i = 0; i < 20; i++)
            Time.Advance(TimeSpan.FromMilliseconds(500));
        bridge.Tell(Opened("t", 1));
        node.FishForMessage<FromNode>(m => m.Message.TerminalOpened is not null, Bound);
        _registry.ExpectNoMsg(Moment);
    }

    [Fact]
    public void An_attach_nobody_answers_is_sent_again()
    {
        Start();
        _registry.ExpectMsg<Attach>(Bound);
        AdvanceUntil<Attach>(_registry, TimeSpan.FromSeconds(5), 20).Again.ShouldBeFalse();
    }

    [Fact]
    public void While_the_way_out_is_full_the_newest_acknowledgement_is_kept_and_sent_later()
    {
        var (bridge, _) = Welcomed(Live("main", 1), Live("b", 2));
        _wire.Full = true;
        for (var i = 11; i <= 50; i++)
            bridge.Tell(new Progress(1, [new(Inc(1), i, false, 1)]));
        bridge.Tell(new Progress(1, [new(Inc(2), 20, true, 0)]));
        AwaitAssert(() => _wire.Refused.ShouldBeGreaterThan(0), Bound);
        _wire.Full = false;
        ConnectResponse? update = null;
        for (var i = 0; i < 50 && update is null; i++)
        {
            Advance(TimeSpan.FromMilliseconds(50));
            ExpectNoMsg(TimeSpan.FromMilliseconds(20));
            update = _wire.Take(m => m.FlowUpdate?.Streams.Count == 2 ? m : null);
        }

        update.ShouldNotBeNull().FlowUpdate.Streams.ShouldContain(s => s.Incarnation == Id(1) && s.AckOffset == 50 && s.LimitMessages == 44);
        update.FlowUpdate.Streams.ShouldContain(s => s.Incarnation == Id(2) && s.Closed);
    }

    [Fact]
    public void A_machine_that_does_not_know_itself_costs_its_node_nothing_but_the_figure()
    {
        var (bridge, node) = Welcomed();
        bridge.Tell(new ConnectRequest { Heartbeat = new NodeHeartbeat { Figures = new MachineFigures { Cpu = double.NaN, Load1 = 2, UptimeSeconds = long.MaxValue } } });
        node.ExpectMsg<LivenessReport>(Bound).Heartbeat!.Figures.ShouldBe(new MachineFigures { Load1 = 2 });
    }

    [Fact]
    public void A_node_that_does_not_read_is_cut_off()
    {
        var (bridge, node) = Welcomed(Live("main", 1));
        _wire.Full = true;
        bridge.Tell(new ToNode(1, new ConnectResponse { NodeDrain = new NodeDrain { On = true } }));
        node.FishForMessage<Detach>(_ => true, Bound).Cause.ShouldBe("slow-node");
        ExpectTerminated(bridge, Bound);
        _wire.Completed.ShouldBe(1);
    }

    [Fact]
    public void A_silent_node_is_stale_and_later_cut_off_and_a_beat_in_between_brings_it_back()
    {
        var (bridge, node) = Welcomed();
        bridge.Tell(new ConnectRequest { Heartbeat = new NodeHeartbeat { UnacknowledgedBytes = 9 } });
        node.ExpectMsg<LivenessReport>(Bound).State.ShouldBe(NodeStatus.Online);
        AdvanceUntil<LivenessReport>(node, TimeSpan.FromSeconds(5), 10).State.ShouldBe(NodeStatus.Stale);
        bridge.Tell(new ConnectRequest { Heartbeat = new NodeHeartbeat { UnacknowledgedBytes = 9 } });
        node.FishForMessage<LivenessReport>(r => r.State == NodeStatus.Online, Bound);
        var detach = AdvanceUntil<Detach>(node, TimeSpan.FromSeconds(5), 20);
        (detach.Cause, detach.Unacknowledged).ShouldBe(("heartbeat-timeout", 9));
        Ended(bridge).Reason.ShouldBe(DisconnectReason.HeartbeatTimeout);
    }

    [Theory]
    [InlineData(2)]
    [InlineData(-2)]
    public void A_wall_clock_that_is_set_changes_nothing_but_what_is_shown(int hours)
    {
        var (bridge, node) = Welcomed();
        Beat();
        var before = node.ExpectMsg<LivenessReport>(Bound).SeenUnixUs;
        Time.StepWallClock(TimeSpan.FromHours(hours));
        Advance(TimeSpan.FromSeconds(5));
        node.ExpectNoMsg(Moment);
        Advance(TimeSpan.FromSeconds(5));
        Beat();
        var report = node.ExpectMsg<LivenessReport>(Bound);
        report.State.ShouldBe(NodeStatus.Online);
        TimeSpan.FromMicroseconds(report.SeenUnixUs - before).ShouldBe(TimeSpan.FromHours(hours) + TimeSpan.FromSeconds(10), TimeSpan.FromSeconds(1));
        AdvanceUntil<LivenessReport>(node, TimeSpan.FromSeconds(5), 10).State.ShouldBe(NodeStatus.Stale);

        void Beat() => bridge.Tell(new ConnectRequest { Heartbeat = new NodeHeartbeat() });
    }

    [Fact]
    public void The_interval_lengthens_with_the_streams_of_the_member()
    {
        Welcomed();
        for (var i = 0; i < 100; i++)
            Hub.Load.Enter();
        Advance(TimeSpan.FromSeconds(5));
        Said(m => m.HeartbeatInterval).IntervalMs.ShouldBe(10100u);
    }

    [Theory]
    [InlineData(DisconnectReason.CredentialRevoked, "revoked")]
    [InlineData(DisconnectReason.HubStopping, "hub-stopped")]
    public void The_hub_says_why_it_ends_a_stream(DisconnectReason reason, string cause)
    {
        var (bridge, node) = Welcomed();
        bridge.Tell(new EndStream(reason, cause, "words"));
        node.ExpectMsg<Detach>(Bound).Cause.ShouldBe(cause);
        Ended(bridge).Reason.ShouldBe(reason);
    }

    [Fact]
    public void The_end_the_nodes_actor_decides_is_not_reported_back_to_it()
    {
        var (bridge, node) = Welcomed();
        bridge.Tell(new SessionEnded(1, DisconnectReason.Fenced, "newer"));
        Ended(bridge).Reason.ShouldBe(DisconnectReason.Fenced);
        node.ExpectNoMsg(Moment);
    }

    [Fact]
    public void A_node_that_leaves_is_said_to_have_left_and_one_that_breaks_off_with_its_lag()
    {
        var (bridge, node) = Welcomed();
        bridge.Tell(new ConnectRequest { Disconnect = new NodeDisconnect { Reason = "bye" } });
        node.ExpectMsg<Detach>(Bound).ShouldBe(new Detach(1, "node-left", "bye", 0));
        ExpectTerminated(bridge, Bound);
        _wire.Completed.ShouldBe(1);
    }

    [Fact]
    public void A_message_that_breaks_the_rules_ends_the_stream_and_not_the_actor_with_an_error()
    {
        var (bridge, _) = Welcomed();
        bridge.Tell(new ConnectRequest { TerminalOpened = new TerminalOpened { Name = "a", Size = new TerminalSize { Cols = 1, Rows = 1 }, Incarnation = Google.Protobuf.ByteString.CopyFrom(new byte[16]) } });
        Ended(bridge).Reason.ShouldBe(DisconnectReason.ProtocolError);
    }

    [Fact]
    public void A_command_whose_refusal_is_held_back_is_listed_until_the_nodes_actor_has_it()
    {
        var (bridge, node) = Welcomed();
        bridge.Tell(new ToNode(1, new ConnectResponse { CommandRun = new CommandRun { CommandId = "c1", Argv = { "nothing" } } }));
        Said(m => m.CommandRun);
        LoseNode(node).Hello.Streams.ShouldHaveSingleItem().Name.ShouldBe("cmd/c1");
        bridge.Tell(new ConnectRequest { CommandExited = new CommandExited { CommandId = "c1", End = CommandEnd.NotStarted, Message = "no such program" } });
        bridge.Tell(new AttachRefused(new Failure(FailureKind.Unavailable, ErrorReasons.StoreUnavailable, "later")));
        AdvanceUntil<Attach>(_registry, TimeSpan.FromMilliseconds(100), 100).Hello.Streams.ShouldHaveSingleItem().Name.ShouldBe("cmd/c1");
        var next = CreateTestProbe();
        bridge.Tell(new Attached(2, [], next.Ref));
        next.FishForMessage<FromNode>(m => m.Message.CommandExited?.Message == "no such program", Bound).Epoch.ShouldBe(2);
        LoseNode(next).Hello.Streams.ShouldBeEmpty();
    }

    [Fact]
    public void A_question_that_nobody_has_is_repeated_and_one_that_a_partition_has_is_not()
    {
        var bridge = Start();
        var first = _registry.ExpectMsg<Attach>(Bound);
        Advance(TimeSpan.FromMilliseconds(300));
        // Sent to a member that had just died: the same question, so that nobody answers it twice.
        _registry.ExpectMsg<Attach>(Bound).ShouldBe(first);
        // Ever more seldom, up to 4 s.
        foreach (var ms in (int[])[600, 1200, 2400, 4000, 4000])
        {
            // Armed before the clock moves.
            bridge.Tell(new Identify(0), TestActor);
            ExpectMsg<ActorIdentity>(Bound);
            Advance(TimeSpan.FromMilliseconds(ms - 1));
            _registry.ExpectNoMsg(Moment);
            Advance(TimeSpan.FromMilliseconds(1));
            _registry.ExpectMsg<Attach>(Bound).ShouldBe(first);
        }

        // But soon when a member has gone or come.
        bridge.Tell(new MembersChanged(new HubMembers()));
        bridge.Tell(new Identify(0), TestActor);
        ExpectMsg<ActorIdentity>(Bound);
        Advance(TimeSpan.FromMilliseconds(300));
        _registry.ExpectMsg<Attach>(Bound).ShouldBe(first);
        bridge.Tell(new AttachTaken(first.Ask));
        bridge.Tell(new AttachTaken(first.Ask + 1));
        // Handled before the clock moves.
        bridge.Tell(new Identify(1), TestActor);
        ExpectMsg<ActorIdentity>(Bound);
        Advance(TimeSpan.FromSeconds(20));
        _registry.ExpectNoMsg(Moment);
        // It may have died with the question in its hands.
        AdvanceUntil<Attach>(_registry, TimeSpan.FromSeconds(1), 20).Ask.ShouldBe(first.Ask + 1);
    }

    [Fact]
    public void Partitions_of_an_older_build_are_not_asked_the_same_twice()
    {
        Hub.Members.SetLowestWire(1);
        Start();
        var first = _registry.ExpectMsg<Attach>(Bound);
        Advance(TimeSpan.FromSeconds(20));
        _registry.ExpectNoMsg(Moment);
        AdvanceUntil<Attach>(_registry, TimeSpan.FromSeconds(1), 20).Ask.ShouldBe(first.Ask + 1);
    }

    [Theory]
    [InlineData(1u, ErrorReasons.NotReady, true)]
    [InlineData(0u, ErrorReasons.NotReady, false)]
    [InlineData(1u, ErrorReasons.StoreUnavailable, false)]
    public void A_partition_that_is_not_there_is_asked_anew_while_the_node_waits(uint protocol, string reason, bool waits)
    {
        var hello = Hello();
        hello.Protocol = protocol;
        var bridge = Sys.ActorOf(NodeBridgeActor.Props(hello, _wire, _registry.Ref, Hub));
        Watch(bridge);
        var first = _registry.ExpectMsg<Attach>(Bound);
        bridge.Tell(new AttachRefused(new Failure(FailureKind.Unavailable, reason, "words")));
        if (waits)
        {
            AdvanceUntil<Attach>(_registry, TimeSpan.FromMilliseconds(100), 20, a => a.Ask > first.Ask);
            _wire.Completed.ShouldBe(0);
            return;
        }

        ExpectTerminated(bridge, Bound);
        _wire.Failure!.Reason.ShouldBe(reason);
    }

    [Theory]
    [InlineData(1u, true)]
    [InlineData(1u, false)]
    [InlineData(0u, false)]
    public void Who_waits_is_told_so_and_keeps_others_waiting_only_while_its_partition_has_it(uint protocol, bool taken)
    {
        var hello = Hello();
        hello.Protocol = protocol;
        var bridge = Sys.ActorOf(NodeBridgeActor.Props(hello, _wire, _registry.Ref, Hub));
        var ask = _registry.ExpectMsg<Attach>(Bound).Ask;
        if (taken)
            bridge.Tell(new AttachTaken(ask));
        // Handled before the clock moves.
        bridge.Tell(new Identify(1), TestActor);
        ExpectMsg<ActorIdentity>(Bound);
        Advance(TimeSpan.FromSeconds(2));
        if (protocol > 0)
            Said(m => m.Waiting);
        Advance(TimeSpan.FromSeconds(3));
        if (protocol > 0)
            Said(m => m.Waiting);
        bridge.Tell(new Identify(2), TestActor);
        ExpectMsg<ActorIdentity>(Bound);
        (_wire.Waited > 0).ShouldBe(!taken);
        bridge.Tell(new Attached(1, [], CreateTestProbe().Ref));
        Said(m => m.Welcome);
        Advance(TimeSpan.FromSeconds(4));
        bridge.Tell(new Identify(3), TestActor);
        ExpectMsg<ActorIdentity>(Bound);
        _wire.Take(m => m.Waiting).ShouldBeNull("it waits no longer");
    }

    private sealed class Wire : INodeOutbound
    {
        private readonly ConcurrentQueue<ConnectResponse> _sent = new();
        private int _processed;
        private int _completed;
        private int _refused;
        private volatile bool _full;

        public bool Full
        {
            get => _full;
            set => _full = value;
        }

        public Failure? Failure { get; private set; }

        public int Processed => Volatile.Read(ref _processed);

        public int Refused => Volatile.Read(ref _refused);

        /// <summary>How often it was ended; the first counts.</summary>
        public int Completed => Math.Min(1, Volatile.Read(ref _completed));

        /// <summary>Takes messages up to the first that gives something.</summary>
        public T? Take<T>(Func<ConnectResponse, T?> of)
            where T : class
        {
            while (_sent.TryDequeue(out var message))
            {
                if (of(message) is { } found)
                    return found;
            }

            return null;
        }

        bool INodeOutbound.TryWrite(ConnectResponse message)
        {
            if (_full)
            {
                Interlocked.Increment(ref _refused);
                return false;
            }

            _sent.Enqueue(message.Clone());
            return true;
        }

        public int Waited { get; private set; }

        void INodeOutbound.Waits() => Waited++;

        void INodeOutbound.Processed() => Interlocked.Increment(ref _processed);

        void INodeOutbound.Complete(Failure? failure)
        {
            if (Interlocked.Increment(ref _completed) == 1)
                Failure = failure;
        }
    }
}
