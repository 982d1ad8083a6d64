using Akka.Actor;
using Akka.TestKit;
using AkkaHub.V1;
using Google.Protobuf;
using Google.Protobuf.WellKnownTypes;
using Hub.Actors.Nodes;
using Hub.Actors.Registry;
using Hub.Actors.Tests.Actors;
using Hub.Protocol;
using MeshNode = AkkaHub.V1.Node;
using NodeState = AkkaHub.V1.NodeState;

namespace Hub.Actors.Tests.Registry;

/// <summary>Requests of clients while partitions move and members die. The region is a probe; where nothing answers, time is moved.</summary>
public sealed class NodeRegistrySpecs : ActorSpec
{
    private static readonly NodeFailure Moving = new(new Failure(FailureKind.Unavailable, ErrorReasons.NotReady, "moving"));
    private readonly TestProbe _region;
    private readonly NodeRegistry _registry;

    public NodeRegistrySpecs()
    {
        _region = CreateTestProbe();
        _registry = new NodeRegistry(_region.Ref, Hub);
    }

    private Task<T> Ask<T>(IMessage request)
        where T : IMessage => _registry.AskAsync<T>("n1", request, CancellationToken.None);

    private T Taken<T>()
        where T : IMessage => (T)AdvanceUntil<NodeRequest>(_region, TimeSpan.FromMilliseconds(500), 200).Request;

    [Fact]
    public async Task A_read_is_asked_again_while_the_partition_moves_and_when_nothing_answers()
    {
        var read = Ask<ListTerminalsResponse>(new ListTerminalsRequest());
        Taken<ListTerminalsRequest>();
        _region.Reply(Moving);
        Taken<ListTerminalsRequest>();
        // This one died with its member.
        Taken<ListTerminalsRequest>();
        _region.Reply(new NodeReply(new ListTerminalsResponse { NodeState = NodeState.Online }));
        (await read).NodeState.ShouldBe(NodeState.Online);
    }

    [Fact]
    public async Task Many_refusals_make_nobody_wait_longer_for_a_question_that_is_lost()
    {
        var read = Ask<ListTerminalsResponse>(new ListTerminalsRequest());
        for (var i = 0; i < 40; i++)
        {
            Taken<ListTerminalsRequest>();
            _region.Reply(Moving);
        }

        Taken<ListTerminalsRequest>();
        var lost = Hub.Time.GetTimestamp();
        Taken<ListTerminalsRequest>();
        Hub.Time.GetElapsedTime(lost).ShouldBeLessThan(TimeSpan.FromSeconds(6));
        _region.Reply(new NodeReply(new ListTerminalsResponse()));
        await read;
    }

    [Fact]
    public async Task A_read_that_is_refused_to_the_end_is_told_why()
    {
        var read = Ask<ListTerminalsResponse>(new ListTerminalsRequest());
        for (var i = 0; i < 2000 && !read.IsCompleted; i++)
        {
            if (_region.ReceiveOne(TimeSpan.FromMilliseconds(5)) is not null)
                _region.Reply(Moving);
            Advance(TimeSpan.FromMilliseconds(500));
        }

        (await Should.ThrowAsync<NodeRequestFailedException>(read)).Failure.Reason.ShouldBe(ErrorReasons.NotReady);
    }

    [Fact]
    public void Who_waits_for_output_is_not_asked_for_again_before_the_wait_is_over()
    {
        _ = Ask<ReadHistoryResponse>(new ReadHistoryRequest { Wait = Duration.FromTimeSpan(TimeSpan.FromSeconds(20)) });
        Taken<ReadHistoryRequest>();
        Advance(TimeSpan.FromSeconds(20));
        _region.ExpectNoMsg(Moment);
        Advance(TimeSpan.FromSeconds(4));
        Taken<ReadHistoryRequest>();
    }

    [Fact]
    public async Task A_read_that_is_never_answered_ends_in_time_and_says_so()
    {
        var read = Ask<GetNodeResponse>(new GetNodeRequest());
        var asked = 0;
        for (var i = 0; i < 200 && !read.IsCompleted; i++)
        {
            Advance(TimeSpan.FromSeconds(1));
            while (_region.ReceiveOne(TimeSpan.FromMilliseconds(10)) is not null)
                asked++;
        }

        (await Should.ThrowAsync<NodeRequestFailedException>(read)).Failure.Reason.ShouldBe(ErrorReasons.DeliveryUnknown);
        asked.ShouldBeInRange(3, 8, "not lost with one question, and not a flood");
    }

    [Fact]
    public async Task What_changes_something_is_asked_once_and_its_asker_told_at_once()
    {
        var write = Ask<PurgeTerminalResponse>(new PurgeTerminalRequest());
        Taken<PurgeTerminalRequest>();
        _region.Reply(Moving);
        (await Should.ThrowAsync<NodeRequestFailedException>(write)).Failure.ShouldBe(Moving.Failure);
        Advance(TimeSpan.FromSeconds(60));
        _region.ExpectNoMsg(Moment);
    }

    [Fact]
    public async Task Input_waits_for_its_program_as_long_as_the_session_stands()
    {
        var input = Ask<SendInputResponse>(new SendInputRequest());
        Taken<SendInputRequest>();
        var program = _region.LastSender;
        for (var i = 0; i < 6; i++)
        {
            Taken<GetNodeRequest>();
            _region.Reply(Node(epoch: 7));
        }

        input.IsCompleted.ShouldBeFalse();
        program.Tell(new NodeReply(new SendInputResponse()));
        await input;
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Input_that_was_lost_with_its_member_ends(bool foundElsewhere)
    {
        var input = Ask<SendInputResponse>(new SendInputRequest());
        Taken<SendInputRequest>();
        Taken<GetNodeRequest>();
        _region.Reply(Node(epoch: 7));
        Taken<GetNodeRequest>();
        if (foundElsewhere)
            _region.Reply(Node(epoch: 8));
        for (var i = 0; i < 200 && !input.IsCompleted; i++)
        {
            Advance(TimeSpan.FromMilliseconds(100));
            _region.ReceiveOne(TimeSpan.FromMilliseconds(10));
        }

        (await Should.ThrowAsync<NodeRequestFailedException>(input)).Failure.Reason.ShouldBe(ErrorReasons.DeliveryUnknown);
    }

    [Fact]
    public async Task Input_whose_first_look_was_lost_too_does_not_take_the_next_session_for_its_own()
    {
        var input = Ask<SendInputResponse>(new SendInputRequest());
        Taken<SendInputRequest>();
        Taken<GetNodeRequest>();
        // Lost with the input; the next one finds the node elsewhere.
        Taken<GetNodeRequest>();
        _region.Reply(Node(epoch: 8));
        (await Should.ThrowAsync<NodeRequestFailedException>(input)).Failure.Reason.ShouldBe(ErrorReasons.DeliveryUnknown);
    }

    /// <summary>All of a large partition's nodes at once would be more than a message between members may be.</summary>
    [Fact]
    public async Task A_large_partition_is_listed_page_by_page_also_when_one_is_lost()
    {
        var list = _registry.ListAsync([3], CancellationToken.None);
        var asked = new List<string>();
        for (var i = 0; i < 400 && !list.IsCompleted; i++)
        {
            Advance(TimeSpan.FromMilliseconds(100));
            while (_region.ReceiveOne(TimeSpan.FromMilliseconds(10)) is ListPartition m)
            {
                asked.Add(m.After);
                m.MaxBytes.ShouldBeGreaterThan(0);
                if (asked.Count != 2)
                    _region.Reply(new PartitionNodes(3, [new MeshNode { Name = m.After == "" ? "nodes/n1" : "nodes/n2" }], More: m.After == ""));
            }
        }

        (await list).Unreachable.ShouldBeEmpty();
        (await list).Nodes.Select(n => n.Name).ShouldBe(["nodes/n1", "nodes/n2"]);
        asked.ShouldBe(["", "n1", "n1"]);
    }

    [Fact]
    public async Task A_list_asks_the_partitions_that_move_again_and_names_those_that_never_answer()
    {
        var list = _registry.ListAsync([3, 4], CancellationToken.None);
        var asked = new List<int>();
        for (var i = 0; i < 400 && !list.IsCompleted; i++)
        {
            Advance(TimeSpan.FromMilliseconds(100));
            while (_region.ReceiveOne(TimeSpan.FromMilliseconds(10)) is ListPartition m)
            {
                asked.Add(m.Partition);
                if (m.Partition == 3)
                    _region.Reply(asked.Count(p => p == 3) < 3 ? Moving : new PartitionNodes(3, [new MeshNode { Name = "nodes/n1" }]));
            }
        }

        (await list).Unreachable.ShouldBe([4]);
        (await list).Nodes.ShouldHaveSingleItem().Name.ShouldBe("nodes/n1");
        asked.Count(p => p == 4).ShouldBeGreaterThan(1);
    }

    private static NodeReply Node(long epoch) => new(new GetNodeResponse { Node = new MeshNode { SessionEpoch = epoch } });
}
