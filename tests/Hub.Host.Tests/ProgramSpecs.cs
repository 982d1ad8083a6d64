using System.Net;
using System.Net.Sockets;
using System.Reflection;
using Akka.Actor;
using Akka.Persistence.Sql.Config;
using AkkaHub.V1;
using Google.Protobuf.WellKnownTypes;
using Grpc.AspNetCore.Server;
using Grpc.Core;
using Grpc.Net.Client;
using Hub.Actors;
using Hub.Actors.Settings;
using Hub.Actors.Store;
using Hub.Host.Hosting;
using Hub.Host.LocalAgent;
using Hub.Host.Services;
using Hub.Host.Settings;
using Hub.Protocol;
using LinqToDB;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using Microsoft.Data.Sqlite;
using Microsoft.Extensions.Options;
using static Hub.Host.Tests.TestSupport;

namespace Hub.Host.Tests;

public sealed class ProgramSpecs : IDisposable
{
    private readonly TemporaryDirectory _data = new();

    public void Dispose() => _data.Dispose();

    [Fact]
    public async Task Check_config_prints_what_is_in_force_and_touches_nothing()
    {
        var directory = _data["none"];
        var (code, output, error) = await RunAsync(["--check-config", "--data-dir", directory], null, ("AKKAHUB_HISTORY_MAX_CHUNKS", "7"));
        code.ShouldBe(ExitCodes.Ok, error);
        output.ShouldContain("akkahub.history.max-chunks = 7  # environment AKKAHUB_HISTORY_MAX_CHUNKS");
        output.ShouldContain("akkahub.http.port = 5180  # default");
        Directory.Exists(directory).ShouldBeFalse();
    }

    [Theory]
    [InlineData("--check-config")]
    [InlineData("--local-node", "maybe")]
    public async Task Wrong_settings_exit_with_2_and_start_nothing(params string[] arguments)
    {
        var (code, output, error) = await RunAsync([.. arguments, "--data-dir", _data["none"]], null, ("AKKAHUB_HISTORY_MAX_CHUNKS", "0"));
        code.ShouldBe(ExitCodes.Usage);
        output.ShouldBeEmpty();
        error.ShouldContain("akkahub.history.max-chunks = '0'");
        Directory.Exists(_data["none"]).ShouldBeFalse();
    }

    [Theory]
    [InlineData("--help", "--check-config")]
    [InlineData("--version", "0.")]
    [InlineData("--print-settings-doc", "# Settings")]
    [InlineData("--print-default-config", "akkahub {")]
    public async Task Information_is_printed(string option, string part)
    {
        var (code, output, error) = await RunAsync([option]);
        (code, error).ShouldBe((ExitCodes.Ok, ""));
        output.ShouldContain(part);
    }

    [Fact]
    public async Task A_second_hub_is_refused_and_told_who_is_there()
    {
        using var held = await DataDirectory.AcquireAsync(_data.Path, TimeProvider.System);
        new LocalHub(4711, "", "", "").Write(_data.Path);
        var before = _data.Hashes();
        var (code, _, error) = await RunAsync(Isolated(_data.Path));
        code.ShouldBe(ExitCodes.AlreadyRunning);
        error.ShouldContain("another hub (pid 4711)");
        error.ShouldContain("AKKAHUB_DATA_DIR");
        _data.Hashes().ShouldBe(before);
    }

    [Fact]
    public async Task A_taken_port_is_named_with_its_setting()
    {
        using var taken = new TcpListener(IPAddress.Loopback, 0);
        taken.Start();
        var port = ((IPEndPoint)taken.LocalEndpoint).Port;
        var (code, _, error) = await RunAsync(Isolated(_data.Path, "--http-port", $"{port}"));
        code.ShouldBe(ExitCodes.AddressInUse);
        error.ShouldContain($"port {port}");
        error.ShouldContain("akkahub.http.port (AKKAHUB_HTTP_PORT)");
        File.Exists(SqliteStore.PathIn(_data.Path)).ShouldBeFalse();
    }

    [Fact]
    public async Task A_store_that_cannot_be_used_exits_with_4()
    {
        File.WriteAllText(SqliteStore.PathIn(_data.Path), "no database");
        var (code, _, error) = await RunAsync(Isolated(_data.Path));
        code.ShouldBe(ExitCodes.StoreRefused);
        error.ShouldContain("corrupt");
    }

    /// <summary>The whole server as it ships, without its local node: it becomes ready, tells where, has seen its settings, and stops in order.</summary>
    [Fact]
    public async Task It_becomes_ready_sees_its_settings_and_stops_in_order()
    {
        var built = new TaskCompletionSource<WebApplication>(TaskCreationOptions.RunContinuationsAsynchronously);
        var run = RunAsync(
            Isolated(_data.Path, "--set", "grpc.max-message=2MiB", "--set", "grpc.max-streams-per-connection=321", "--set", "shutdown-timeout=25s",
                "--set", "store.busy-timeout=17s", "--set", "log.level=warning", "--set", "tokens.max-count=1", "--set", "max-connections=1234",
                "--set", "history.max-chunks=99"),
            start =>
            {
                var app = HubApplication.Build(start);
                built.SetResult(app);
                return app;
            });
        var app = await AwaitAsync(built.Task, run);
        var readiness = app.Services.GetRequiredService<Readiness>();
        await AwaitAsync(ReadyAsync(readiness), run);

        var hub = LocalHub.TryRead(_data.Path)!;
        hub.Pid.ShouldBe(Environment.ProcessId);
        using var http = new HttpClient();
        (await http.GetStringAsync($"{hub.Http}/livez")).ShouldBe("ok\n");
        (await http.GetStringAsync($"{hub.Http}/readyz")).ShouldBe("ok\n");
        readiness.Set("test", "a reason");
        var answer = await http.GetAsync($"{hub.Http}/readyz");
        answer.StatusCode.ShouldBe(HttpStatusCode.ServiceUnavailable);
        (await answer.Content.ReadAsStringAsync()).ShouldBe("test: a reason\n");
        var foreign = new HttpRequestMessage(HttpMethod.Get, $"{hub.Http}/livez") { Headers = { Host = "hub.example" } };
        (await http.SendAsync(foreign)).StatusCode.ShouldBe(HttpStatusCode.BadRequest);

        new Uri(hub.Grpc).Port.ShouldNotBe(new HostSettings().GrpcPort);
        new Uri(hub.Http).Port.ShouldNotBe(new HostSettings().HttpPort);
        await ShouldHaveSeenItsSettingsAsync(app.Services);
        app.Services.GetRequiredService<HubLifetime>().RequestStop(localNode: false);
        var (code, _, error) = await run.WaitAsync(Patience);
        code.ShouldBe(ExitCodes.Ok, error);
        LocalHub.TryRead(_data.Path).ShouldBeNull();
        Directory.Exists(_data[AgentProcess.StateDirectoryName]).ShouldBeFalse("a local node was not wanted");
        using var again = await DataDirectory.AcquireAsync(_data.Path, TimeProvider.System);
        StorePreflight.Run(_data.Path, 64, long.MaxValue).ShouldSatisfyAllConditions(r => r.Created.ShouldBeFalse(), r => r.Checked.ShouldBeTrue());
    }

    /// <summary>Any loopback address that may be set can be reached by its own name, also by members.</summary>
    [SkippableTheory]
    [InlineData("127.0.0.2")]
    [InlineData("::1")]
    public async Task It_can_be_reached_on_any_loopback_address(string bind)
    {
        Prerequisite.Require(CanListen(bind), $"this machine has no address {bind}");
        var built = new TaskCompletionSource<WebApplication>(TaskCreationOptions.RunContinuationsAsynchronously);
        var run = RunAsync(Isolated(_data.Path, "--bind", bind, "--set", "log.level=warning"), start =>
        {
            var app = HubApplication.Build(start);
            built.SetResult(app);
            return app;
        });
        var app = await AwaitAsync(built.Task, run);
        await AwaitAsync(ReadyAsync(app.Services.GetRequiredService<Readiness>()), run);
        var hub = LocalHub.TryRead(_data.Path)!;
        using var http = new HttpClient();
        (await http.GetStringAsync($"{hub.Http}/readyz")).ShouldBe("ok\n");
        using var channel = GrpcChannel.ForAddress(hub.Grpc);
        var client = new HubService.HubServiceClient(channel);
        var bearer = new Metadata { { "authorization", $"Bearer {LocalHub.TryReadToken(_data.Path)}" } };
        (await client.GetHubAsync(new GetHubRequest(), bearer)).Member.ShouldContain(bind);
        using var watch = client.WatchEvents(new WatchEventsRequest { Since = new Timestamp { Nanos = -1 } }, bearer);
        (await Should.ThrowAsync<RpcException>(() => watch.ResponseStream.MoveNext(default))).StatusCode.ShouldBe(StatusCode.InvalidArgument);
        app.Services.GetRequiredService<HubLifetime>().RequestStop(localNode: false);
        var (code, _, error) = await run.WaitAsync(Patience);
        code.ShouldBe(ExitCodes.Ok, error);
    }

    [Fact]
    public async Task What_nobody_foresaw_is_a_sentence_and_exit_code_1()
    {
        var (code, output, error) = await RunAsync(Isolated(_data.Path), _ => throw new InvalidOperationException("first\nsecond"));
        (code, output, error).ShouldBe((ExitCodes.Failure, "", "the hub failed: first second\n"));
    }

    [Theory]
    [InlineData("akka.actor.provider = \"no such provider\"", false)]
    [InlineData("", true)]
    public async Task A_start_that_fails_is_a_sentence_and_exit_code_1(string akka, bool full)
    {
        using var elsewhere = new TemporaryDirectory();
        await File.WriteAllTextAsync(elsewhere["hub.conf"], akka);
        // Stands for a full disk: hub.json cannot be written.
        if (full)
            Directory.CreateDirectory(_data[LocalHub.FileName + ".new"]);
        var (code, _, error) = await RunAsync(Isolated(_data.Path, "--config", elsewhere["hub.conf"]), HubApplication.Build);
        code.ShouldBe(ExitCodes.Failure);
        error.Split('\n', StringSplitOptions.RemoveEmptyEntries).ShouldHaveSingleItem().ShouldStartWith("the hub failed: ");
    }

    private static bool CanListen(string address)
    {
        try
        {
            using var listener = new TcpListener(IPAddress.Parse(address), 0);
            listener.Start();
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }

    // Each setting the test gives, where it takes effect.
    private static async Task ShouldHaveSeenItsSettingsAsync(IServiceProvider services)
    {
        services.GetRequiredService<IOptions<GrpcServiceOptions>>().Value.MaxReceiveMessageSize.ShouldBe(2 * 1024 * 1024);
        var limits = services.GetRequiredService<IOptions<KestrelServerOptions>>().Value.Limits;
        (limits.Http2.MaxStreamsPerConnection, limits.MaxConcurrentConnections).ShouldBe((321, 1234));
        services.GetRequiredService<IOptions<SocketTransportOptions>>().Value.MaxReadBufferSize.ShouldBe(32 * 1024);
        services.GetRequiredService<IOptions<HostOptions>>().Value.ShutdownTimeout.ShouldBe(TimeSpan.FromSeconds(33));
        services.GetRequiredService<HubSettings>().History.MaxChunks.ShouldBe(99);
        var tokens = services.GetRequiredService<TokenOperations>();
        var token = new CreateTokenRequest { Type = TokenType.Client };
        await tokens.CreateAsync(token, CancellationToken.None);
        (await Should.ThrowAsync<RpcException>(() => tokens.CreateAsync(token, CancellationToken.None))).Message.ShouldContain("1 tokens");
        var logs = services.GetRequiredService<ILoggerFactory>().CreateLogger("Hub.Any");
        (logs.IsEnabled(LogLevel.Information), logs.IsEnabled(LogLevel.Warning)).ShouldBe((false, true));

        var system = services.GetRequiredService<ActorSystem>();
        new SqliteConnectionStringBuilder(StoreOptionsOf(system).ConnectionOptions.ConnectionString).DefaultTimeout.ShouldBe(17);

        var akka = system.Settings.Config;
        akka.GetInt("akka.remote.dot-netty.tcp.port").ShouldBe(0);
        akka.GetString("akka.cluster.sharding.passivate-idle-entity-after").ShouldBe("off");
        akka.GetString("akka.cluster.sharding.state-store-mode").ShouldBe("ddata");
        akka.GetStringList("akka.cluster.sharding.distributed-data.durable.keys").ShouldBeEmpty();
        akka.GetString("akka.remote.dot-netty.tcp.hostname").ShouldBe("127.0.0.1");
        akka.GetBoolean("akka.remote.dot-netty.tcp.enable-ssl").ShouldBeTrue();
        akka.GetString("akka.persistence.journal.sql.class").ShouldStartWith(typeof(SqliteJournal).FullName!);
        akka.GetString("akka.persistence.journal.sql.replay-filter.mode").ShouldBe("fail");
        akka.GetTimeSpan("akka.persistence.journal.sql.circuit-breaker.call-timeout").ShouldBe(TimeSpan.FromSeconds(60));
        akka.GetBoolean("akka.coordinated-shutdown.run-by-clr-shutdown-hook").ShouldBeFalse();

        // The actors' part of a stop, in the worst case, ends before the host gives up waiting.
        var phases = akka.GetConfig("akka.coordinated-shutdown.phases").Root.GetObject().Items.Keys;
        var fallback = akka.GetTimeSpan("akka.coordinated-shutdown.default-phase-timeout");
        TimeSpan.FromTicks(phases.Sum(p => akka.GetTimeSpan($"akka.coordinated-shutdown.phases.{p}.timeout", fallback).Ticks))
            .ShouldBeLessThanOrEqualTo(TimeSpan.FromSeconds(25 - 5));
    }

    // What the plugin was given for its connections; it keeps that to itself.
    private static DataOptions StoreOptionsOf(ActorSystem system) =>
        (DataOptions)typeof(DataOptionsSetup).GetProperty("DataOptions", BindingFlags.Instance | BindingFlags.NonPublic)!
            .GetValue(system.Settings.Setup.Get<DataOptionsSetup>().Value)!;

    private async Task<bool> ReadyAsync(Readiness readiness)
    {
        await readiness.WhenReadyAsync(CancellationToken.None);
        while (LocalHub.TryRead(_data.Path) is null)
            await Task.Delay(20);
        return true;
    }

    // What is awaited; if the hub ends before, what it said.
    private static async Task<T> AwaitAsync<T>(Task<T> task, Task<(int Code, string Output, string Error)> run) =>
        await Task.WhenAny(task, run).WaitAsync(Patience) == task ? await task : throw new InvalidOperationException($"the hub ended: {(await run).Error}");
}
