using AkkaHub.V1;
using Google.Protobuf;
using Grpc.Core;
using Grpc.Net.Client;
using Hub.Actors;
using Hub.Host.Hosting;
using Hub.Host.Services;
using Hub.Protocol;
using static Hub.Host.Tests.TestSupport;

namespace Hub.Host.Tests;

/// <summary>The whole server, a node that says what the spec wants, and a client: what is asked over gRPC arrives at the node.</summary>
public sealed class HubEdgeSpecs : IAsyncLifetime
{
    private const string Main = "nodes/n1/terminals/main";

    private readonly TemporaryDirectory _data = new();
    private readonly TaskCompletionSource<WebApplication> _built = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private Task<(int Code, string Output, string Error)> _run = null!;
    private WebApplication _app = null!;
    private GrpcChannel _channel = null!;
    private HubService.HubServiceClient _hub = null!;
    private Metadata _token = null!;

    public async Task InitializeAsync()
    {
        _run = RunAsync(Isolated(_data.Path, "--set", "registry.partitions=2", "--set", "log.level=error", "--set", "admission.max-concurrent-attaches=1"), start =>
        {
            var app = HubApplication.Build(start);
            _built.SetResult(app);
            return app;
        });
        (await Task.WhenAny(_built.Task, _run).WaitAsync(Patience)).ShouldBe(_built.Task);
        _app = await _built.Task;
        var readiness = _app.Services.GetRequiredService<Readiness>();
        // The first reason is there before the server is; listening is not.
        await readiness.WhenReadyAsync(CancellationToken.None).WaitAsync(Patience);
        var started = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await using var registered = _app.Lifetime.ApplicationStarted.Register(started.SetResult);
        await started.Task.WaitAsync(Patience);
        _channel = GrpcChannel.ForAddress(_app.Services.GetRequiredService<HubListeners>().Grpc);
        _hub = new HubService.HubServiceClient(_channel);
        _token = new Metadata { { "authorization", $"Bearer {LocalHub.TryReadToken(_data.Path)}" } };
    }

    public async Task DisposeAsync()
    {
        _channel?.Dispose();
        _app?.Services.GetRequiredService<HubLifetime>().RequestStop(localNode: false);
        await _run.WaitAsync(Patience);
        _data.Dispose();
    }

    /// <summary>The hub greets one connection at a time here: the first node's place would be free only when it leaves.</summary>
    [Fact]
    public async Task A_node_that_has_its_welcome_keeps_nobody_waiting()
    {
        using var first = GrpcChannel.ForAddress(_app.Services.GetRequiredService<HubListeners>().Grpc);
        using var second = GrpcChannel.ForAddress(_app.Services.GetRequiredService<HubListeners>().Grpc);
        await using var one = await ConnectAsync(first, "n1");
        await using var other = await ConnectAsync(second, "n2");
        await _hub.GetHubAsync(new(), _token);
    }

    [Fact]
    public void Akka_does_not_log_what_no_actor_took_for_it_may_be_what_somebody_typed() =>
        _app.Services.GetRequiredService<Akka.Actor.ActorSystem>().Settings.LogDeadLetters.ShouldBe(0);

    [Fact]
    public async Task Who_is_attached_sees_what_the_terminal_shows_and_types_into_it()
    {
        await using var node = await ConnectAsync();
        await node.OpenAsync();
        using var attached = _hub.AttachTerminal(_token);
        await attached.RequestStream.WriteAsync(new() { Start = new AttachStart { Name = Main, Size = new TerminalSize { Cols = 100, Rows = 30 } } });
        (await HeardAsync(attached, m => m.Attached)).Name.ShouldBe(Main);
        var resize = await node.HeardAsync(m => m.TerminalResize);
        resize.Size.Cols.ShouldBe(100u);
        await node.SayAsync(new() { TerminalResized = new TerminalResized { Incarnation = EdgeNode.Id(1), Size = resize.Size } });
        await node.AnswerAsync(resize.Request);
        // Seen before anything is typed: else its size would be asked for again with the first key.
        await HeardAsync(attached, m => m.History?.Records.FirstOrDefault(r => r.Resize?.Size.Cols == 100));
        await attached.RequestStream.WriteAsync(new() { Input = ByteString.CopyFromUtf8("ls\r") });
        var input = await node.HeardAsync(m => m.TerminalInput);
        input.Data.ToStringUtf8().ShouldBe("ls\r");
        await node.AnswerAsync(input.Request);
        await node.ShowAsync(0, "files");
        (await HeardAsync(attached, m => m.History?.Records.FirstOrDefault(r => r.Output is not null))).Output.Data.ToStringUtf8().ShouldBe("files");
        await attached.RequestStream.WriteAsync(new() { Input = ByteString.CopyFromUtf8("?") });
        await node.AnswerAsync((await node.HeardAsync(m => m.TerminalInput)).Request, RequestOutcome.FailedPrecondition);
        (await HeardAsync(attached, m => m.InputFailed)).Reason.ShouldBe(ErrorReasons.NodeRefused);
        await attached.RequestStream.WriteAsync(new() { Size = new TerminalSize { Cols = 2001, Rows = 1 } });
        (await HeardAsync(attached, m => m.InputFailed)).Reason.ShouldBe(ErrorReasons.InvalidField);
        await attached.RequestStream.CompleteAsync();
        while (await attached.ResponseStream.MoveNext(default).WaitAsync(Patience))
            attached.ResponseStream.Current.InputFailed.ShouldBeNull();
    }

    [Fact]
    public async Task Who_is_attached_to_look_on_types_nothing()
    {
        await using var node = await ConnectAsync();
        await node.OpenAsync();
        using var attached = _hub.AttachTerminal(_token);
        await attached.RequestStream.WriteAsync(new() { Start = new AttachStart { Name = Main, ReadOnly = true } });
        await attached.RequestStream.WriteAsync(new() { Input = ByteString.CopyFromUtf8("rm") });
        (await HeardAsync(attached, m => m.InputFailed)).Reason.ShouldBe(ErrorReasons.NotAllowed);
    }

    [Fact]
    public async Task Keys_sizes_and_signals_arrive_at_the_node_and_wrong_ones_do_not()
    {
        await using var node = await ConnectAsync();
        await node.OpenAsync();
        var keys = _hub.SendKeysAsync(new SendKeysRequest { Name = Main, Keys = { "ctrl-c", "up", "alt-x", "Enter" } }, _token);
        var input = await node.HeardAsync(m => m.TerminalInput);
        input.Data.ToStringUtf8().ShouldBe("\x03\e[A\ex\r");
        await node.AnswerAsync(input.Request);
        await keys.ResponseAsync.WaitAsync(Patience);
        var size = _hub.ResizeTerminalAsync(new ResizeTerminalRequest { Name = Main, Size = new TerminalSize { Cols = 90, Rows = 20 } }, _token);
        var resize = await node.HeardAsync(m => m.TerminalResize);
        resize.Size.ShouldBe(new TerminalSize { Cols = 90, Rows = 20 });
        await node.AnswerAsync(resize.Request);
        await size.ResponseAsync.WaitAsync(Patience);
        var interrupt = _hub.SignalTerminalAsync(new SignalTerminalRequest { Name = Main, Signal = Signal.Int }, _token);
        var signal = await node.HeardAsync(m => m.TerminalSignal);
        signal.Signal.ShouldBe(Signal.Int);
        await node.AnswerAsync(signal.Request, RequestOutcome.Denied);
        (await FailedAsync(interrupt.ResponseAsync)).ShouldBe((StatusCode.PermissionDenied, ErrorReasons.CapabilityMissing));
        foreach (var wrong in (string[][])[[], ["hyper"], ["ctrl-"], ["ctrl-é"], ["alt-xy"], [.. Enumerable.Repeat("a", 257)]])
            (await FailedAsync(_hub.SendKeysAsync(new SendKeysRequest { Name = Main, Keys = { wrong } }, _token).ResponseAsync)).ShouldBe((StatusCode.InvalidArgument, ErrorReasons.InvalidField));
        (await FailedAsync(_hub.ResizeTerminalAsync(new ResizeTerminalRequest { Name = Main }, _token).ResponseAsync)).Code.ShouldBe(StatusCode.InvalidArgument);
        (await FailedAsync(_hub.SignalTerminalAsync(new SignalTerminalRequest { Name = Main, Signal = (Signal)99 }, _token).ResponseAsync)).Code.ShouldBe(StatusCode.InvalidArgument);
    }

    [Fact]
    public async Task A_command_is_run_cancelled_and_its_end_told()
    {
        await using var node = await ConnectAsync();
        using var run = _hub.RunCommand(new RunCommandRequest { Parent = "nodes/n1", RequestId = "c1", Argv = { "sleep", "9" } }, _token);
        (await node.HeardAsync(m => m.CommandRun)).Argv.ShouldBe(["sleep", "9"]);
        await node.SayAsync(new() { CommandStarted = new CommandStarted { CommandId = "c1", Incarnation = EdgeNode.Id(2) } });
        var cancelling = _hub.CancelCommandAsync(new CancelCommandRequest { Name = "nodes/n1/commands/c1" }, _token);
        var cancel = await node.HeardAsync(m => m.CommandCancel);
        cancel.CommandId.ShouldBe("c1");
        await node.AnswerAsync(cancel.Request);
        await cancelling.ResponseAsync.WaitAsync(Patience);
        await node.SayAsync(new() { CommandExited = new CommandExited { CommandId = "c1", Incarnation = EdgeNode.Id(2), End = CommandEnd.Cancelled, Exit = new ProcessExit { Code = 143 } } });
        Command? last = null;
        while (await run.ResponseStream.MoveNext(default).WaitAsync(Patience))
            last = run.ResponseStream.Current.Command ?? last;
        last.ShouldNotBeNull().State.ShouldBe(CommandState.Cancelled);
    }

    [Fact]
    public async Task A_watcher_of_some_nodes_is_told_when_one_is_no_longer_among_them()
    {
        await using (await ConnectAsync(("stage", "live")))
        {
        }

        using var watch = _hub.WatchNodes(new WatchNodesRequest { LabelSelector = "stage=live" }, _token);
        (await WatchedAsync(watch, _ => true)).Node.Name.ShouldBe("nodes/n1");
        await using var other = await ConnectAsync(("stage", "test"));
        (await WatchedAsync(watch, m => m.ChangeCase == WatchNodesResponse.ChangeOneofCase.Removed)).Removed.ShouldBe("nodes/n1");
    }

    [Fact]
    public async Task A_watch_that_breaks_off_before_all_nodes_were_told_begins_anew_and_one_after_it_goes_on()
    {
        await using var one = await ConnectAsync(_channel, "n1");
        await using var two = await ConnectAsync(_channel, "n2");
        await using var three = await ConnectAsync(_channel, "n3");
        var token = "";
        using (var watch = _hub.WatchNodes(new WatchNodesRequest(), _token))
        {
            foreach (var name in (string[])["nodes/n1", "nodes/n2", "nodes/n3"])
            {
                var told = await WatchedAsync(watch, _ => true);
                (told.Node.Name, told.ResumeToken).ShouldBe((name, ""));
            }

            var synced = await WatchedAsync(watch, _ => true);
            (synced.Synced, synced.UnreachablePartitions.Count).ShouldBe((true, 0));
            token = synced.ResumeToken;
        }

        token.ShouldNotBeEmpty();
        using var later = _hub.WatchNodes(new WatchNodesRequest { ResumeToken = token }, _token);
        await using var four = await ConnectAsync(_channel, "n4");
        var next = await WatchedAsync(later, m => m.Synced || m.Node?.Name == "nodes/n4");
        next.Synced.ShouldBeFalse();
        next.ResumeToken.ShouldNotBeEmpty();
    }

    [Fact]
    public void What_has_no_wire_form_is_neither_written_nor_read()
    {
        var serialization = _app.Services.GetRequiredService<Akka.Actor.ActorSystem>().Serialization;
        var serializer = serialization.FindSerializerFor(new Uri("http://a"));
        Should.Throw<System.Runtime.Serialization.SerializationException>(() => serializer.ToBinary(new Uri("http://a"))).Message.ShouldContain("System.Uri has no wire form");
        Should.Throw<System.Runtime.Serialization.SerializationException>(() => serialization.Deserialize("{}"u8.ToArray(), 1, typeof(Uri).AssemblyQualifiedName!));
    }

    [Fact]
    public async Task What_gRPC_itself_refuses_says_its_reason_too()
    {
        var large = new RunCommandRequest { Parent = "nodes/n1", Argv = { new string('x', 2 * 1024 * 1024) } };
        var tooLarge = await Should.ThrowAsync<RpcException>(() => _hub.RunCommand(large, _token).ResponseStream.MoveNext(default).WaitAsync(Patience));
        (tooLarge.StatusCode, HubErrors.ReasonOf(tooLarge)).ShouldBe((StatusCode.ResourceExhausted, ErrorReasons.LimitReached));
        tooLarge.GetRpcStatus()!.GetDetail<Google.Rpc.ErrorInfo>()!.Metadata["limit"].ShouldBe("akkahub.grpc.max-message");
        tooLarge.GetRpcStatus()!.Message.ShouldBe(tooLarge.Status.Detail);
        var unheard = new Method<GetHubRequest, GetHubResponse>(MethodType.Unary, HubService.Descriptor.FullName, "Unheard",
            Marshallers.Create(static m => m.ToByteArray(), GetHubRequest.Parser.ParseFrom), Marshallers.Create(static m => m.ToByteArray(), GetHubResponse.Parser.ParseFrom));
        (await FailedAsync(_channel.CreateCallInvoker().AsyncUnaryCall(unheard, null, new CallOptions(_token), new GetHubRequest()).ResponseAsync))
            .ShouldBe((StatusCode.Unimplemented, ErrorReasons.MethodUnknown));
        using var bridge = new NodeBridgeService.NodeBridgeServiceClient(_channel).Connect(_token);
        _ = bridge.RequestStream.WriteAsync(new() { Hello = new NodeHello { Name = new string('x', 2 * 1024 * 1024) } });
        (await FailedAsync(bridge.ResponseStream.MoveNext(default))).ShouldBe((StatusCode.ResourceExhausted, ErrorReasons.LimitReached));
    }

    [Fact]
    public async Task A_message_that_is_too_large_is_not_taken_for_a_client_or_node_that_left()
    {
        var node = await ConnectAsync();
        await node.OpenAsync();
        using var attached = _hub.AttachTerminal(_token);
        await attached.RequestStream.WriteAsync(new() { Start = new AttachStart { Name = Main } });
        await HeardAsync(attached, m => m.Attached);
        var large = ByteString.CopyFrom(new byte[2 * 1024 * 1024]);
        // Not awaited, here and in other specs: the hub ends the call before it has the rest, and then the client's write may never end.
        _ = attached.RequestStream.WriteAsync(new() { Input = large });
        (await FailedAsync(HeardAsync(attached, m => m.InputFailed))).ShouldBe((StatusCode.ResourceExhausted, ErrorReasons.LimitReached));
        _ = node.SayAsync(new() { TerminalOutput = new TerminalOutput { Incarnation = EdgeNode.Id(1), Data = large } });
        var end = await node.HeardAsync(m => m.Disconnect);
        end.Reason.ShouldBe(DisconnectReason.ProtocolError);
        end.Message.ShouldContain("akkahub.grpc.max-message");
    }

    private static async Task<WatchNodesResponse> WatchedAsync(AsyncServerStreamingCall<WatchNodesResponse> watch, Predicate<WatchNodesResponse> matches)
    {
        do
            (await watch.ResponseStream.MoveNext(default).WaitAsync(Patience)).ShouldBeTrue();
        while (!matches(watch.ResponseStream.Current));
        return watch.ResponseStream.Current;
    }

    private static async Task<T> HeardAsync<T>(AsyncDuplexStreamingCall<AttachTerminalRequest, AttachTerminalResponse> attached, Func<AttachTerminalResponse, T?> of)
        where T : class
    {
        while (await attached.ResponseStream.MoveNext(default).WaitAsync(Patience))
        {
            if (of(attached.ResponseStream.Current) is { } found)
                return found;
        }

        throw new InvalidOperationException("the attachment ended");
    }

    private static async Task<(StatusCode Code, string? Reason)> FailedAsync(Task call)
    {
        var failure = await Should.ThrowAsync<RpcException>(() => call.WaitAsync(Patience));
        return (failure.StatusCode, HubErrors.ReasonOf(failure));
    }

    private Task<EdgeNode> ConnectAsync(params (string Key, string Value)[] labels) => ConnectAsync(_channel, "n1", labels);

    private async Task<EdgeNode> ConnectAsync(GrpcChannel channel, string name, params (string Key, string Value)[] labels)
    {
        var node = new EdgeNode(new NodeBridgeService.NodeBridgeServiceClient(channel).Connect(_token));
        var hello = new NodeHello
        {
            Name = name,
            ClaimKey = ByteString.CopyFrom(new byte[32]),
            InstanceId = EdgeNode.Id(1),
            Capabilities = { NodeCapability.Terminal, NodeCapability.Exec },
        };
        foreach (var (key, value) in labels)
            hello.Labels.Add(key, value);
        await node.SayAsync(new() { Hello = hello });
        await node.HeardAsync(m => m.Welcome);
        return node;
    }

    /// <summary>A node's stream; it leaves in order.</summary>
    private sealed class EdgeNode(AsyncDuplexStreamingCall<ConnectRequest, ConnectResponse> call) : IAsyncDisposable
    {
        public static ByteString Id(byte n) => ByteString.CopyFrom([.. new byte[15], n]);

        public Task SayAsync(ConnectRequest message) => call.RequestStream.WriteAsync(message);

        public Task AnswerAsync(long request, RequestOutcome outcome = RequestOutcome.Done) =>
            SayAsync(new() { RequestResult = new RequestResult { Request = request, Outcome = outcome } });

        public Task ShowAsync(long offset, string text) =>
            SayAsync(new() { TerminalOutput = new TerminalOutput { Incarnation = Id(1), Offset = offset, Data = ByteString.CopyFromUtf8(text), Channel = OutputChannel.Stdout } });

        /// <summary>Opens 'main'; it is known everywhere when this returns.</summary>
        public async Task OpenAsync()
        {
            await SayAsync(new() { TerminalOpened = new TerminalOpened { Name = "main", Incarnation = Id(1), Size = new TerminalSize { Cols = 80, Rows = 24 }, CommandLine = "sh" } });
            await SayAsync(new() { TerminalResized = new TerminalResized { Incarnation = Id(1), Size = new TerminalSize { Cols = 81, Rows = 24 } } });
            // The second report is of something durable: the first is the credit given at once.
            await HeardAsync(m => m.FlowUpdate);
            await HeardAsync(m => m.FlowUpdate);
        }

        public async Task<T> HeardAsync<T>(Func<ConnectResponse, T?> of)
            where T : class
        {
            while (await call.ResponseStream.MoveNext(default).WaitAsync(Patience))
            {
                if (of(call.ResponseStream.Current) is { } found)
                    return found;
            }

            throw new InvalidOperationException("the hub ended the node's stream");
        }

        public async ValueTask DisposeAsync()
        {
            await SayAsync(new() { Disconnect = new NodeDisconnect { Reason = "done" } });
            while (await call.ResponseStream.MoveNext(default).WaitAsync(Patience))
            {
            }

            call.Dispose();
        }
    }
}
