using Akka.Actor;
using Akka.Cluster;
using Akka.Configuration;
using AkkaHub.V1;
using Grpc.Core;
using Grpc.Net.Client;
using Hub.Actors;
using Hub.Actors.Members;
using Hub.Actors.Settings;
using Hub.Host.Hosting;
using Hub.Host.LocalAgent;
using Hub.Host.Services;
using Hub.Host.Settings;
using Hub.Protocol;
using Microsoft.Extensions.Options;
using static Hub.Host.Tests.TestSupport;

namespace Hub.Host.Tests;

/// <summary>A hub by itself is its only member, and can be asked to go.</summary>
public sealed class ClusterEndpointSpecs : IAsyncLifetime
{
    private readonly TemporaryDirectory _data = new();
    private readonly TaskCompletionSource<WebApplication> _built = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private Task<(int Code, string Output, string Error)> _run = null!;
    private WebApplication _app = null!;
    private HubLifetime _lifetime = null!;
    private GrpcChannel _channel = null!;
    private HubService.HubServiceClient _hub = null!;
    private Metadata _token = null!;

    public async Task InitializeAsync()
    {
        _run = RunAsync(Isolated(_data.Path, "--set", "registry.partitions=3", "--set", "log.level=error"), start =>
        {
            var app = HubApplication.Build(start);
            _built.SetResult(app);
            return app;
        });
        (await Task.WhenAny(_built.Task, _run).WaitAsync(Patience)).ShouldBe(_built.Task);
        _app = await _built.Task;
        _lifetime = _app.Services.GetRequiredService<HubLifetime>();
        await _app.Services.GetRequiredService<Readiness>().WhenReadyAsync(CancellationToken.None).WaitAsync(Patience);
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
        // One that has been drained is gone, and its services with it.
        if (!_run.IsCompleted)
            _lifetime?.RequestStop(localNode: false);
        await _run.WaitAsync(Patience);
        _data.Dispose();
    }

    [Fact]
    public async Task It_lists_itself_and_is_neither_marked_as_down_nor_taken_for_another_and_drains_to_exit_code_0()
    {
        var answer = await _hub.ListMembersAsync(new ListMembersRequest(), _token);
        answer.LowestWireVersion.ShouldBe(HubVersion.Wire);
        var member = answer.Members.ShouldHaveSingleItem();
        member.ShouldSatisfyAllConditions(
            m => m.State.ShouldBe(MemberState.Up), m => m.Self.ShouldBeTrue(), m => m.Leader.ShouldBeTrue(), m => m.Oldest.ShouldBeTrue(),
            m => m.Partitions.ShouldBe(3), m => m.Role.ShouldBe("full"), m => m.Version.ShouldBe(BuildVersion.Text), m => m.UnreachableBy.ShouldBeEmpty(),
            m => m.ClientAddress.ShouldBe(new Uri(_app.Services.GetRequiredService<HubListeners>().Grpc).Authority));

        (await RefusedAsync(new ChangeMemberRequest { Member = member.Address, Change = MemberChange.Down })).ShouldBe((StatusCode.FailedPrecondition, ErrorReasons.MemberReachable));
        (await RefusedAsync(new ChangeMemberRequest { Member = "elsewhere:1", Change = MemberChange.Drain })).ShouldBe((StatusCode.NotFound, ErrorReasons.MemberUnknown));
        (await RefusedAsync(new ChangeMemberRequest { Member = member.Address })).ShouldBe((StatusCode.InvalidArgument, ErrorReasons.InvalidField));
        (await RefusedAsync(new ChangeMemberRequest { Change = MemberChange.Drain })).ShouldBe((StatusCode.InvalidArgument, ErrorReasons.InvalidField));
        _run.IsCompleted.ShouldBeFalse();

        (await _hub.ChangeMemberAsync(new ChangeMemberRequest { Member = member.ClientAddress, Change = MemberChange.Drain }, _token)).Member.Address.ShouldBe(member.Address);
        (await _run.WaitAsync(Patience)).Code.ShouldBe(ExitCodes.Ok);
    }

    [Fact]
    public void The_host_gives_the_actors_the_time_their_phases_may_take()
    {
        var host = _app.Services.GetRequiredService<HostSettings>();
        _app.Services.GetRequiredService<IOptions<HostOptions>>().Value.ShutdownTimeout.ShouldBe(host.ShutdownTimeout + LocalNode.EndTimeout);
        ShutdownTimeSpecs.PhasesOf(_app.Services.GetRequiredService<ActorSystem>()).ShouldBeLessThanOrEqualTo(host.ActorsStopTime);
    }

    private async Task<(StatusCode, string?)> RefusedAsync(ChangeMemberRequest request)
    {
        var refused = await Should.ThrowAsync<RpcException>(_hub.ChangeMemberAsync(request, _token).ResponseAsync);
        return (refused.StatusCode, HubErrors.ReasonOf(refused));
    }
}

public sealed class MemberNameSpecs
{
    private static readonly MemberView[] All = [Member("a.example", 5110, "a.example:5100"), Member("ab.example", 5110, "https://ab.example:5100"), Member("c", 5110, ""), Member("c1", 5110, ""), Member("a.second", 5110, "")];

    [Theory]
    [InlineData("a.example:5110", 0)]
    [InlineData("a.example:5100", 0)]
    [InlineData("a.example", 0)]
    [InlineData("a.second", 4)]
    [InlineData("c1", 3)]
    [InlineData("ab", 1)]
    [InlineData("https://ab.example:5100", 1)]
    [InlineData("c", 2)]
    public void A_member_is_named_by_its_addresses_or_the_beginning_of_one(string name, int index) => HubEndpoint.Find(All, name).ShouldBe(All[index]);

    [Fact]
    public void What_fits_several_or_none_is_refused_with_those_there_are()
    {
        var several = Should.Throw<RpcException>(() => HubEndpoint.Find(All, "a"));
        (several.StatusCode, HubErrors.ReasonOf(several)).ShouldBe((StatusCode.InvalidArgument, ErrorReasons.InvalidField));
        several.Status.Detail.ShouldContain("a.example:5110 (client address a.example:5100), a.second:5110");
        several.Status.Detail.ShouldNotContain("ab.example:5110", Case.Sensitive, "a host's name is whole");
        var none = Should.Throw<RpcException>(() => HubEndpoint.Find(All, "d"));
        (none.StatusCode, HubErrors.ReasonOf(none)).ShouldBe((StatusCode.NotFound, ErrorReasons.MemberUnknown));
        none.Status.Detail.ShouldContain("c:5110");
    }

    [Fact]
    public void Of_two_lives_of_one_address_the_newer_is_meant()
    {
        var before = Member("c", 5110, "") with { State = MemberStatus.Down };
        HubEndpoint.Find([before, All[2]], "c:5110").ShouldBe(All[2]);
    }

    private static MemberView Member(string host, int port, string client) => new(
        new Address("akka.tcp", "akkahub", host, port), MemberRoles.Full, MemberStatus.Up, true, 2,
        new MemberFacts(client, "0.1.0", 1, 0, 0, 0, false, []), 1, [], false, false, false);
}

/// <summary>A stop has a time, and all its parts fit into it.</summary>
public sealed class ShutdownTimeSpecs
{
    private static readonly string[] Phases =
    [
        CoordinatedShutdown.PhaseBeforeServiceUnbind, CoordinatedShutdown.PhaseServiceUnbind, CoordinatedShutdown.PhaseServiceRequestsDone,
        CoordinatedShutdown.PhaseServiceStop, CoordinatedShutdown.PhaseBeforeClusterShutdown, CoordinatedShutdown.PhaseClusterShardingShutdownRegion,
        CoordinatedShutdown.PhaseClusterLeave, CoordinatedShutdown.PhaseClusterExiting, CoordinatedShutdown.PhaseClusterExitingDone,
        CoordinatedShutdown.PhaseClusterShutdown, CoordinatedShutdown.PhaseBeforeActorSystemTerminate, CoordinatedShutdown.PhaseActorSystemTerminate,
    ];

    /// <summary>How long the phases of a stop may take one after the other.</summary>
    public static TimeSpan PhasesOf(ActorSystem system)
    {
        var config = system.Settings.Config.GetConfig("akka.coordinated-shutdown");
        return Phases.Aggregate(TimeSpan.Zero, (sum, phase) => sum + config.GetTimeSpan($"phases.{phase}.timeout", config.GetTimeSpan("default-phase-timeout")));
    }

    [Theory]
    [InlineData(20, 5)]
    [InlineData(10, 5)]
    [InlineData(10, 0)]
    [InlineData(600, 300)]
    public async Task The_phases_of_the_actors_fit_into_what_the_streams_leave(int shutdown, int drain)
    {
        var host = new HostSettings { ShutdownTimeout = TimeSpan.FromSeconds(shutdown), DrainTimeout = TimeSpan.FromSeconds(drain) };
        var system = ActorSystem.Create("arithmetic", ConfigurationFactory.ParseString("akka.actor.provider = local")
            .WithFallback(ActorHosting.FromSettings(host)).WithFallback(HubConfiguration.Cluster).WithFallback(HubConfiguration.Akka));
        var phases = PhasesOf(system);
        phases.ShouldBeLessThanOrEqualTo(host.ActorsStopTime);
        phases.ShouldBeGreaterThan(host.ActorsStopTime * 0.98, "none is left out");
        (host.DrainTimeout + host.ActorsStopTime).ShouldBeLessThan(host.ShutdownTimeout);
        host.MoveTime.ShouldBeLessThanOrEqualTo(host.DrainTimeout);
        await system.Terminate();
    }
}
