using AkkaHub.V1;
using Grpc.Core;
using Grpc.Net.Client;
using Hub.Actors;
using Hub.Host.Hosting;
using Hub.Host.Services;
using Hub.Protocol;
using static Hub.Host.Tests.TestSupport;

namespace Hub.Host.Tests;

/// <summary>A hub that others go on without.</summary>
public sealed class ExpulsionSpecs : IDisposable
{
    private readonly TemporaryDirectory _data = new();

    public void Dispose() => _data.Dispose();

    [Fact]
    public async Task It_is_not_ready_any_more_and_ends_its_streams_with_a_reason_whatever_the_store_says_and_then_itself()
    {
        var built = new TaskCompletionSource<WebApplication>(TaskCreationOptions.RunContinuationsAsynchronously);
        var run = RunAsync(Isolated(_data.Path, "--set", "log.level=warning"), start =>
        {
            var app = HubApplication.Build(start);
            built.SetResult(app);
            return app;
        });
        var app = await built.Task.WaitAsync(Patience);
        var readiness = app.Services.GetRequiredService<Readiness>();
        while (!readiness.IsReady)
            await Task.Delay(20);
        var hub = LocalHub.TryRead(_data.Path)!;
        using var channel = GrpcChannel.ForAddress(hub.Grpc);
        var client = new HubService.HubServiceClient(channel);
        var bearer = new Metadata { { "authorization", $"Bearer {LocalHub.TryReadToken(_data.Path)}" } };
        using var nodes = client.WatchNodes(new WatchNodesRequest(), bearer);
        (await nodes.ResponseStream.MoveNext(default).WaitAsync(Patience)).ShouldBeTrue();

        // The store never answers. Only what is waited for at most is waited for.
        var asked = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var never = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var expulsion = app.Services.GetRequiredService<Expulsion>();
        expulsion.Of(
            _ =>
            {
                asked.SetResult();
                return never.Task;
            },
            app.Services.GetRequiredService<Akka.Actor.ActorSystem>());
        var served = expulsion.Begin("spec");
        expulsion.Begun.IsCompleted.ShouldBeTrue();
        readiness.Reasons.ShouldContainKey(Readiness.Draining);
        await asked.Task.WaitAsync(Patience);
        await served.WaitAsync(Patience);
        var ended = await Should.ThrowAsync<RpcException>(async () =>
        {
            while (await nodes.ResponseStream.MoveNext(default).WaitAsync(Patience))
            {
            }
        });
        (ended.StatusCode, HubErrors.ReasonOf(ended)).ShouldBe((StatusCode.Unavailable, ErrorReasons.NotReady));
        ended.Status.Detail.ShouldContain("no longer part of its cluster");
        never.Task.IsCompleted.ShouldBeFalse();

        var (code, _, error) = await run.WaitAsync(Patience);
        code.ShouldBe(ExitCodes.AlreadyRunning, error);
    }
}
