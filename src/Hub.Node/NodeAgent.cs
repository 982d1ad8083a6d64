using System.Runtime.InteropServices;
using System.Runtime.Versioning;
using System.Security.Cryptography;
using AkkaHub.V1;
using Google.Protobuf;
using Hub.Node.Commands;
using Hub.Node.Logging;
using Hub.Node.Machine;
using Hub.Node.Pty;
using Hub.Node.State;
using Hub.Node.Streams;
using Hub.Node.Terminals;
using Hub.Node.Uplink;
using Hub.Protocol;
using Microsoft.Extensions.Logging;

namespace Hub.Node;

/// <summary>
/// The node agent: its terminals and commands, kept for as long as it runs, and its uplink, which comes and goes without
/// disturbing them. When the agent ends, its shells end: told to stop, it hangs them up in order; killed, the kernel does,
/// because the masters of their PTYs are closed. A command without PTY whose agent was killed goes on until it writes.
/// </summary>
[SupportedOSPlatform("linux")]
internal sealed class NodeAgent : IUplinkOwner, IDisposable
{
    private const long StopGraceMs = 2_000;
    private static readonly TimeSpan ProgramsEndWithin = TimeSpan.FromSeconds(3);
    private static readonly TimeSpan FlushWithin = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan StopPoll = TimeSpan.FromMilliseconds(20);

    private readonly NodeOptions _options;
    private readonly StateDirectory _state;
    private readonly TimeProvider _time;
    private readonly ILogger _log;
    private readonly byte[] _instance = RandomNumberGenerator.GetBytes(16);
    private readonly UserAccount _user = UserAccount.Current();
    private readonly Platform _platform;
    private readonly string _bootId = MachineReader.ReadBootId();
    private readonly MachineReader _machine;
    private readonly Reactor _reactor;
    private readonly StreamTable _table;
    private readonly StreamStarter _starter;
    private readonly TerminalService _terminals;
    private readonly CommandService _commands;
    private readonly UnstartedCommands _unstarted = new();
    private readonly RequestDispatcher _dispatcher;
    private readonly HubUplink _uplink;
    private volatile string? _leaving;

    /// <summary>An agent on a locked state directory.</summary>
    public NodeAgent(NodeOptions options, StateDirectory state, TimeProvider time, ILogger log)
    {
        _options = options;
        _state = state;
        _time = time;
        _log = log;
        Native.KeepInheritedDescriptors();
        _platform = MachineReader.ReadPlatform(_user);
        _machine = new MachineReader(state.Location);
        _reactor = new Reactor(time, log);
        _table = new StreamTable(time, options.DropWhenOffline);
        _starter = new StreamStarter(_reactor, _table,
            new StreamSettings(_user, _user.ChooseShell(options.Shell), options.BufferBytes, options.DropWhenOffline), Changed, log);
        _terminals = new TerminalService(_table, _starter);
        _commands = new CommandService(_table, _starter, time);
        _dispatcher = new RequestDispatcher(options, _table, _terminals, _commands, _unstarted, log);
        _uplink = new HubUplink(options, new LearnedMembers(state.Location, log), _table, this, time, log);
    }

    /// <summary>What the agent holds.</summary>
    public StreamTable Streams => _table;

    /// <summary>Opens the state directory and runs an agent until it is told to stop or the hub sends it away.</summary>
    /// <returns>One of <see cref="ExitCodes"/>.</returns>
    /// <exception cref="StateDirectoryException">The state directory cannot be used.</exception>
    public static async Task<int> RunAsync(NodeOptions options, StateDirectory state, TimeProvider time, ILogger log, CancellationToken stop)
    {
        using var signals = CancellationTokenSource.CreateLinkedTokenSource(stop);
        void Handle(PosixSignalContext context)
        {
            context.Cancel = true;
            signals.CancelAfter(0);
        }

        using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Handle);
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Handle);
        using var hangUp = PosixSignalRegistration.Create(PosixSignal.SIGHUP, Handle);
        using var agent = new NodeAgent(options, state, time, log);
        return await agent.RunAsync(signals.Token).ConfigureAwait(false);
    }

    /// <summary>Runs until told to stop or sent away.</summary>
    public async Task<int> RunAsync(CancellationToken stop)
    {
        _log.Starting(BuildVersion.Text, _options.Name, Environment.ProcessId, _state.Location);
        if (_options.MainTerminal)
        {
            _terminals.Open(new TerminalOpen { Name = TerminalService.MainName }, (outcome, message) =>
            {
                if (outcome != RequestOutcome.Done)
                    _log.TerminalNotOpened(TerminalService.MainName, message);
            });
        }

        using var hangingUp = new CancellationTokenSource();
        var uplink = _uplink.RunAsync(hangingUp.Token);
        var stopping = Task.Delay(Timeout.InfiniteTimeSpan, _time, stop);
        await Task.WhenAny(uplink, stopping).ConfigureAwait(false);
        var exit = ExitCodes.Ok;
        if (uplink.IsCompleted)
        {
            // RunAsync ends by itself only when dialling again makes no sense.
            var end = await uplink.ConfigureAwait(false);
            exit = end.Verdict == Verdict.NameClaimed ? ExitCodes.NameClaimed : ExitCodes.SentAway;
        }

        await StopAsync(exit == ExitCodes.Ok ? "told to stop" : "sent away").ConfigureAwait(false);
        await hangingUp.CancelAsync().ConfigureAwait(false);
        await ((Task)uplink).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _reactor.Dispose();
        await _reactor.Stopped.ConfigureAwait(false);
        _log.Stopped();
        return exit;
    }

    /// <inheritdoc/>
    public void Dispose() => _reactor.Dispose();

    /// <inheritdoc/>
    NodeHello IUplinkOwner.Hello(uint reconnects, string lastDisconnect, bool takeOver)
    {
        var hello = new NodeHello
        {
            Name = _options.Name,
            ClaimKey = ByteString.CopyFrom(_state.ClaimKey),
            InstanceId = ByteString.CopyFrom(_instance),
            BootId = _bootId,
            AgentVersion = BuildVersion.Text,
            Platform = _platform,
            TakeOver = takeOver,
            Reconnects = reconnects,
            LastDisconnect = lastDisconnect,
            TimeUnixUs = _reactor.NowUnixUs,
            Protocol = 1,
        };
        foreach (var (key, value) in _options.Labels)
            hello.Labels[key] = value;
        if (_options.AllowTerminal)
            hello.Capabilities.Add(NodeCapability.Terminal);
        if (_options.AllowExec)
            hello.Capabilities.Add(NodeCapability.Exec);
        hello.Streams.AddRange(_table.All.Where(s => !s.IsRefused).Select(s => s.Describe()));
        TrimCommandLines(hello);
        return hello;
    }

    /// <inheritdoc/>
    NodeHeartbeat IUplinkOwner.Beat() => new()
    {
        TimeUnixUs = _reactor.NowUnixUs,
        Figures = _machine.Read(),
        UnacknowledgedBytes = _table.UnacknowledgedBytes,
    };

    /// <inheritdoc/>
    void IUplinkOwner.Welcomed(NodeWelcome welcome)
    {
        _dispatcher.SessionBegins();
        if (welcome.Limits is not { } limits)
            return;
        _terminals.Limit = limits.MaxTerminals == 0 ? TerminalService.MaxLive : (int)Math.Min(limits.MaxTerminals, TerminalService.MaxLive);
        _commands.Limit = limits.MaxRunningCommands == 0
            ? CommandService.MaxRunning
            : (int)Math.Min(limits.MaxRunningCommands, CommandService.MaxRunning);
    }

    /// <inheritdoc/>
    ValueTask IUplinkOwner.HandleAsync(ConnectResponse message, Outbox outbox, CancellationToken cancellationToken) =>
        _dispatcher.HandleAsync(message, outbox, cancellationToken);

    /// <inheritdoc/>
    IReadOnlyList<ConnectRequest> IUplinkOwner.Repeat() =>
        _leaving is { } reason ? [.. _unstarted.TakeAll(), Draining(reason)] : _unstarted.TakeAll();

    private async Task StopAsync(string reason)
    {
        _dispatcher.Stop();
        _leaving = reason;
        var live = _table.Live.Count();
        _log.Stopping(reason, live);
        _uplink.Session?.Say(Draining(reason));
        _starter.EndAll(StopGraceMs);
        if (!await UntilAsync(() => !_table.Live.Any(), ProgramsEndWithin).ConfigureAwait(false))
        {
            _log.Abandoned();
            _starter.AbandonAll();
            await UntilAsync(() => !_table.Live.Any(), ProgramsEndWithin).ConfigureAwait(false);
        }

        if (_uplink.Session is not { } session)
            return;
        // The hub forgets nothing it has; what it has not by now it will never get.
        await UntilAsync(() => _table.All.IsEmpty || _uplink.Session != session, FlushWithin).ConfigureAwait(false);
        using var limit = new CancellationTokenSource(FlushWithin, _time);
        await session.LeaveAsync(new ConnectRequest { Disconnect = new NodeDisconnect { Reason = reason } })
            .WaitAsync(limit.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    private async Task<bool> UntilAsync(Func<bool> condition, TimeSpan within)
    {
        var began = _time.GetTimestamp();
        while (!condition())
        {
            if (_time.GetElapsedTime(began) >= within)
                return false;
            await Task.Delay(StopPoll, _time).ConfigureAwait(false);
        }

        return true;
    }

    private static ConnectRequest Draining(string reason) => new() { Draining = new NodeDraining { Reason = reason } };

    private void Changed() => _uplink?.Pulse();

    private static void TrimCommandLines(NodeHello hello)
    {
        const int maxHello = 60 * 1024;
        // Command lines are the only large part that can be spared: hello must stay below 64 KiB.
        for (var limit = 1024; hello.CalculateSize() > maxHello && limit >= 0; limit = limit == 0 ? -1 : limit / 4)
        {
            foreach (var stream in hello.Streams)
                stream.CommandLine = stream.CommandLine[..Math.Min(stream.CommandLine.Length, limit)];
        }
    }
}
