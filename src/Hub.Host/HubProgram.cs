using System.Net.Sockets;
using Akka.Actor;
using Hub.Actors.Store;
using Hub.Host.Auth;
using Hub.Host.Hosting;
using Hub.Host.Settings;
using Hub.Protocol;

namespace Hub.Host;

/// <summary>From the command line to an exit code. What cannot work is said in a sentence, not in a stack trace.</summary>
public static class HubProgram
{
    // After the actors have ended, for a commit that is under way.
    private static readonly TimeSpan StoreStopTimeout = TimeSpan.FromSeconds(3);

    /// <summary>Does what the arguments ask.</summary>
    /// <param name="arguments">The command line.</param>
    /// <param name="environment">Environment variables.</param>
    /// <param name="output">For what was asked for.</param>
    /// <param name="error">For everything else; the log goes to the process's own standard error.</param>
    /// <param name="build">Makes the host, once everything has been checked and taken hold of.</param>
    /// <returns>One of <see cref="ExitCodes"/>.</returns>
    public static async Task<int> RunAsync(IReadOnlyList<string> arguments, IReadOnlyDictionary<string, string> environment,
        TextWriter output, TextWriter error, Func<HubStart, WebApplication> build)
    {
        var commandLine = CommandLine.Parse(arguments);
        if (commandLine.Errors.Count == 0 && TextFor(commandLine.Action) is { } text)
        {
            await output.WriteAsync(text).ConfigureAwait(false);
            return ExitCodes.Ok;
        }

        var bound = HubSettingsBinder.Bind(commandLine, environment);
        if (bound.Errors.Count > 0)
        {
            foreach (var problem in bound.Errors)
                await error.WriteLineAsync(problem).ConfigureAwait(false);
            return ExitCodes.Usage;
        }

        if (commandLine.Action == HostAction.CheckConfig)
        {
            await output.WriteAsync(SettingsText.Effective(bound)).ConfigureAwait(false);
            return ExitCodes.Ok;
        }

        try
        {
            return await StartAsync(bound, build).ConfigureAwait(false);
        }
        catch (StoreRefusedException e)
        {
            await error.WriteLineAsync(e.Message).ConfigureAwait(false);
            return e.InUse ? ExitCodes.AlreadyRunning : ExitCodes.StoreRefused;
        }
        catch (CertificateRefusedException e)
        {
            await error.WriteLineAsync(e.Message).ConfigureAwait(false);
            return ExitCodes.Usage;
        }
        catch (AddressTakenException e)
        {
            await error.WriteLineAsync(e.Message).ConfigureAwait(false);
            return ExitCodes.AddressInUse;
        }
        catch (Exception e) when (IsAddressInUse(e))
        {
            await error.WriteLineAsync(
                "a port was taken by another program during the start; the ports are akkahub.grpc.port (AKKAHUB_GRPC_PORT), " +
                "akkahub.http.port (AKKAHUB_HTTP_PORT) and akkahub.remote.port (AKKAHUB_REMOTE_PORT)").ConfigureAwait(false);
            return ExitCodes.AddressInUse;
        }
        catch (Exception e)
        {
            await error.WriteLineAsync($"the hub failed: {OneLine(e)}").ConfigureAwait(false);
            return ExitCodes.Failure;
        }
    }

    private static async Task<int> StartAsync(BoundSettings bound, Func<HubStart, WebApplication> build)
    {
        var host = bound.Settings.Host;
        using var lastResort = new LastResort();
        using var data = await DataDirectory.AcquireAsync(host.DataDir, TimeProvider.System).ConfigureAwait(false);
        HubListeners.RefuseTaken(host);
        var tls = await ListenerCertificate.LoadAsync(host, TimeProvider.System).ConfigureAwait(false);
        var partitions = bound.Settings.Hub.Registry.Partitions;
        var shared = host.Store == StoreKind.Postgresql;
        var embedded = shared ? null : StorePreflight.Run(host.DataDir, partitions, host.StoreCheckMaxBytes);
        var created = embedded?.Created ?? await PostgresPreflight.RunAsync(host.ConnectionString, partitions, TimeProvider.System, wire: host.Cluster.WireVersion).ConfigureAwait(false);
        await using var member = shared
            ? await PostgresMember.RegisterAsync(host.ConnectionString, NameOf(host), alone: !host.Cluster.IsMember, TimeProvider.System).ConfigureAwait(false)
            : null;
        using var identity = await MemberCertificate.LoadAsync(host, TimeProvider.System).ConfigureAwait(false);
        // Journal and snapshots say whose they are: the store takes them from a member only.
        var ours = member is null ? bound : bound with { Settings = bound.Settings with { Host = host with { ConnectionString = member.ConnectionString } } };
        await using var app = build(new HubStart(ours, AdminToken.LoadOrCreate(host.DataDir), identity, member) { Tls = tls });
        var log = app.Services.GetRequiredService<ILoggerFactory>().CreateLogger("Hub.Host");
        LogStart(log, host, embedded, created);
        // Taken before the run: the services are gone after it.
        var lifetime = app.Services.GetRequiredService<HubLifetime>();
        var system = app.Services.GetRequiredService<ActorSystem>();
        var expulsion = app.Services.GetRequiredService<Expulsion>();
        var expelled = host.Cluster.IsMember ? ExitCodes.Downed : ExitCodes.AlreadyRunning;
        if (member is not null)
        {
            expulsion.Of(member.ResignAsync, system);
            lastResort.Watch(expulsion, expelled);
            _ = StopWhenLostAsync(member, expulsion, log);
        }

        try
        {
            await app.RunAsync().ConfigureAwait(false);
        }
        catch (Exception e) when (!IsAddressInUse(e))
        {
            log.Failed(e);
            throw;
        }
        finally
        {
            await Task.WhenAny(SqliteStoreSetup.StoppedAsync(system), Task.Delay(StoreStopTimeout)).ConfigureAwait(false);
        }

        if (expulsion.Begun.IsCompleted)
        {
            if (host.Cluster.IsMember)
                log.Downed();
            return expelled;
        }

        if (lifetime.StopRequested)
            return ExitCodes.Ok;

        log.ActorSystemEnded();
        return ExitCodes.Failure;
    }

    private static async Task StopWhenLostAsync(PostgresMember member, Expulsion expulsion, ILogger log)
    {
        await member.Lost.ConfigureAwait(false);
        // It does so itself when it leaves.
        if (!expulsion.Begun.IsCompleted)
            log.StoreLost();
        _ = expulsion.Begin("fenced in the store");
    }

    private static string NameOf(HostSettings host) => host.Cluster.IsMember
        ? $"{(host.Cluster.PublicHost.Length > 0 ? host.Cluster.PublicHost : host.Bind)}:{host.RemotePort}"
        : $"{Environment.MachineName}, process {Environment.ProcessId}";

    private static void LogStart(ILogger log, HostSettings host, StoreReport? embedded, bool created)
    {
        log.Starting(BuildVersion.Text, Environment.ProcessId, host.DataDir);
        if (!host.Auth)
            log.AuthOff();
        if (host.Cluster.SeedList.Count() == 2)
            log.TwoMembers();
        var store = embedded is null ? PostgresStore.Describe(host.ConnectionString) : SqliteStore.PathIn(host.DataDir);
        if (created)
            log.StoreCreated(store);
        else if (embedded is null)
            log.StoreOpened(store);
        else if (embedded.Checked)
            log.StoreChecked(store, embedded.Bytes);
        else
            log.StoreNotSearched(store, embedded.Bytes);
        if (host.Diagnostics.Enabled)
            log.DiagnosticsOn(host.Diagnostics.CommitDelay, host.Diagnostics.StallFile);
    }

    private static string? TextFor(HostAction action) => action switch
    {
        HostAction.Help => SettingsText.Usage(),
        HostAction.Version => BuildVersion.Text + "\n",
        HostAction.PrintSettingsDoc => SettingsText.Markdown(),
        HostAction.PrintDefaultConfig => SettingsText.Hocon(),
        _ => null,
    };

    private static string OneLine(Exception e) => string.Join(' ', e.Message.Split((char[])['\r', '\n'], StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries));

    private static bool IsAddressInUse(Exception? e) => e switch
    {
        null => false,
        SocketException socket => socket.SocketErrorCode == SocketError.AddressAlreadyInUse,
        AggregateException many => many.InnerExceptions.Any(IsAddressInUse),
        _ => IsAddressInUse(e.InnerException),
    };
}
