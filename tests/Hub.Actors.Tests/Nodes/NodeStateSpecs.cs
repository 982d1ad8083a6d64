using AkkaHub.Internal.V1;
using AkkaHub.V1;
using FsCheck.Xunit;
using Google.Protobuf;
using Hub.Actors.History;
using Hub.Actors.Nodes;
using Hub.Actors.Settings;
using NodeState = Hub.Actors.Nodes.NodeState;

namespace Hub.Actors.Tests.Nodes;

public sealed class NodeStateSpecs
{
    private static readonly HubSettings Tight = new()
    {
        History = new HistorySettings { MaxChunks = 4, MaxBytes = 64, MaxChunkBytes = 16, MergeBytes = 8, MaxIncarnations = 3, MaxAnnotations = 3 },
        Commands = new CommandSettings { HeadBytes = 8, TailBytes = 16 },
    };

    [Property(MaxTest = 300, EndSize = 150)]
    public void A_restored_state_is_the_one_that_was_captured_and_goes_on_alike(byte[] script)
    {
        var writer = new Script();
        var lived = new NodeState(Tight);
        var restored = new NodeState(Tight);
        foreach (var step in script)
        {
            foreach (var e in writer.Next(step, lived))
            {
                lived.Apply(e);
                restored.Apply(e.Clone());
            }

            if (step % 5 == 0)
                restored = NodeState.Restore(NodeSnapshot.Parser.ParseFrom(lived.Capture().ToByteArray()), Tight);
            InOrder(restored.Capture()).ShouldBe(InOrder(lived.Capture()));
            restored.StoredSize.ShouldBe(lived.StoredSize);
            restored.TerminalCount.ShouldBe(lived.TerminalCount);
            restored.CommandStreamCount.ShouldBe(lived.CommandStreamCount);
            restored.Live.Keys.ShouldBe(lived.Live.Keys, ignoreOrder: true);
            restored.SessionOpen.ShouldBe(lived.SessionOpen);
        }
    }

    // The order of a snapshot's terminals says nothing.
    private static NodeSnapshot InOrder(NodeSnapshot snapshot)
    {
        var terminals = snapshot.Terminals.OrderBy(t => t.Name, StringComparer.Ordinal).ToList();
        snapshot.Terminals.Clear();
        snapshot.Terminals.Add(terminals);
        return snapshot;
    }

    [Property(MaxTest = 300, EndSize = 150)]
    public void The_stored_size_is_the_sum_of_what_is_there_and_near_the_truth(byte[] script)
    {
        var writer = new Script();
        var state = new NodeState(Tight);
        foreach (var step in script)
        {
            foreach (var e in writer.Next(step, state))
                state.Apply(e);
        }

        state.StoredSize.ShouldBe(256 + state.Histories.Values.Sum(h => h.StoredSize) + state.Commands.Values.Sum(c => c.StoredSize));
        long real = state.Capture().CalculateSize();
        state.StoredSize.ShouldBeGreaterThanOrEqualTo(real - (32 * state.Histories.Count));
        state.StoredSize.ShouldBeLessThanOrEqualTo((4 * real) + 512);
    }

    [Fact]
    public void A_large_command_counts_for_the_snapshot()
    {
        var state = new NodeState(new HubSettings());
        var request = new RunCommandRequest { RequestId = "c", Argv = { new string('x', 200_000) } };
        state.Apply(new NodeEvent { CommandAccepted = new CommandAccepted { CommandId = "c", Request = request } });
        state.StoredSize.ShouldBeGreaterThan(200_000);
        state.Apply(new NodeEvent { CommandDropped = new CommandDropped { CommandId = "c" } });
        state.StoredSize.ShouldBe(new NodeState(new HubSettings()).StoredSize);
    }

    [Fact]
    public void An_unknown_event_fails_loudly() =>
        Should.Throw<InvalidOperationException>(() => new NodeState(new HubSettings()).Apply(new NodeEvent())).Message.ShouldContain("newer hub");

    [Fact]
    public void An_event_of_a_stream_that_does_not_live_fails_loudly() =>
        Should.Throw<InvalidOperationException>(() => new NodeState(new HubSettings()).Apply(
            new NodeEvent { Closed = new StreamClosed { Incarnation = Script.Id(1) } })).Message.ShouldContain("not live");

    [Fact]
    public void Forgotten_leaves_nothing_but_the_epoch()
    {
        var state = new NodeState(new HubSettings());
        state.Apply(new NodeEvent { Registered = new NodeRegistered { ClaimHash = ByteString.CopyFromUtf8("x"), TimeUnixUs = 1 } });
        state.Apply(new NodeEvent { SessionOpened = new SessionOpened { Epoch = 7 } });
        state.Apply(new NodeEvent { StreamOpened = new StreamOpened { Name = "main", Incarnation = Script.Id(1), Kind = StreamKind.Terminal } });
        state.Apply(new NodeEvent { Forgotten = new NodeForgotten() });
        state.ClaimHash.ShouldBeNull();
        state.Histories.ShouldBeEmpty();
        state.Live.ShouldBeEmpty();
        state.Session!.Epoch.ShouldBe(7);
        NodeState.Restore(state.Capture(), new HubSettings()).Capture().ShouldBe(state.Capture());
    }

    /// <summary>Turns bytes into events that follow from what is there.</summary>
    private sealed class Script
    {
        private byte _next;
        private int _commands;
        private long _epoch;

        public static ByteString Id(byte n) => ByteString.CopyFrom([.. new byte[15], n]);

        public IEnumerable<NodeEvent> Next(byte step, NodeState state)
        {
            var name = "t" + (step / 16 % 3);
            var live = state.Histories.Values.Where(h => h.IsLive).OrderBy(h => h.Name, StringComparer.Ordinal).ToList();
            var one = live.Count == 0 ? null : live[step / 16 % live.Count];
            switch (step % 16)
            {
                case 0:
                    yield return new NodeEvent { Registered = new NodeRegistered { ClaimHash = ByteString.CopyFrom(step), TimeUnixUs = step } };
                    break;
                case 1:
                    yield return new NodeEvent { SessionOpened = new SessionOpened { Epoch = ++_epoch, InstanceId = Id(step), BootId = "b" } };
                    break;
                case 2:
                    yield return new NodeEvent { SessionClosed = new SessionClosed { Epoch = _epoch, Cause = "x", LastOffset = step } };
                    break;
                case 3 or 4 when !(state.Histories.TryGetValue(name, out var there) && there.IsLive) && _next < 250:
                    yield return new NodeEvent { StreamOpened = new StreamOpened { Name = name, Incarnation = Id(++_next), Kind = StreamKind.Terminal, CommandLine = "sh", Size = new TerminalSize { Cols = 80, Rows = 24 } } };
                    break;
                case 5 or 6 or 7 or 8 when one is not null:
                    yield return new NodeEvent { Output = new OutputAppended { Incarnation = one.Newest!.Id.ToByteString(), Offset = one.Newest.EndOffset, Data = ByteString.CopyFrom(new byte[(step / 16) + 1]), TimeUnixUs = step } };
                    break;
                case 9 when one is not null:
                    yield return new NodeEvent { Resized = new StreamResized { Incarnation = one.Newest!.Id.ToByteString(), Offset = one.Newest.EndOffset, Size = new TerminalSize { Cols = (uint)step + 1, Rows = 2 } } };
                    break;
                case 10 when one is not null:
                    yield return new NodeEvent { Gap = new StreamGap { Incarnation = one.Newest!.Id.ToByteString(), FromOffset = one.Newest.EndOffset, ToOffset = one.Newest.EndOffset + step + 1, Cause = GapCause.NodeOverflow } };
                    break;
                case 11 when one is not null:
                    yield return new NodeEvent { Closed = new StreamClosed { Incarnation = one.Newest!.Id.ToByteString(), FinalOffset = one.Newest.EndOffset, Cause = "c" } };
                    break;
                case 12 when _next < 250:
                    var id = "c" + _commands++;
                    yield return new NodeEvent { CommandAccepted = new CommandAccepted { CommandId = id, Request = new RunCommandRequest { RequestId = id, Argv = { new string('a', step) } } } };
                    yield return new NodeEvent { CommandRunning = new CommandRunning { CommandId = id, TimeUnixUs = step } };
                    yield return new NodeEvent { StreamOpened = new StreamOpened { Name = "cmd/" + id, Incarnation = Id(++_next), Kind = StreamKind.Command } };
                    break;
                case 13 when state.CommandsInOrder.FirstOrDefault(c => c.Finished is null) is { } running:
                    yield return new NodeEvent { CommandFinished = new CommandFinished { CommandId = running.Id, State = CommandState.Exited, Exit = new ProcessExit { Code = step } } };
                    break;
                case 14:
                    if (step > 128 && state.CommandsInOrder.FirstOrDefault(c => c.Finished is not null) is { } ended)
                        yield return new NodeEvent { CommandDropped = new CommandDropped { CommandId = ended.Id } };
                    else
                        yield return new NodeEvent { TerminalPurged = new TerminalPurged { Name = name } };
                    break;
                case 15 when step == 255:
                    yield return new NodeEvent { Forgotten = new NodeForgotten { TimeUnixUs = step } };
                    break;
                case 15:
                    yield return new NodeEvent { DrainSet = new NodeDrainSet { On = step > 128 } };
                    break;
            }
        }
    }
}
