using AkkaHub.V1;
using Grpc.Core;
using Grpc.Net.Client;
using Hub.Node.Logging;
using Hub.Node.State;
using Hub.Node.Streams;
using Hub.Protocol;
using Microsoft.Extensions.Logging;

namespace Hub.Node.Uplink;

/// <summary>What the uplink needs of the agent.</summary>
internal interface IUplinkOwner
{
    /// <summary>Makes the first message of a session.</summary>
    NodeHello Hello(uint reconnects, string lastDisconnect, bool takeOver);
    /// <summary>Makes a sign of life.</summary>
    NodeHeartbeat Beat();
    /// <summary>Takes the hub's limits.</summary>
    void Welcomed(NodeWelcome welcome);
    /// <summary>Handles what the hub says in a session.</summary>
    ValueTask HandleAsync(ConnectResponse message, Outbox outbox, CancellationToken cancellationToken);
    /// <summary>Control messages to repeat at the beginning of a session.</summary>
    IReadOnlyList<ConnectRequest> Repeat();
}

/// <summary>
/// Keeps the agent connected: dials the hub's members in turn, runs one session at a time, and decides after each whether,
/// where and when to dial again. A member that is lost costs a moment when there are others; a round that nobody took costs a pause
/// that grows. Each change is logged once, not each attempt.
/// </summary>
internal sealed class HubUplink(
    NodeOptions options, LearnedMembers learned, StreamTable table, IUplinkOwner owner, TimeProvider time, ILogger log, Random? random = null)
{
    /// <summary>A session that lasted this long was stable: the back-off begins anew.</summary>
    private static readonly TimeSpan Stable = TimeSpan.FromSeconds(30);
    /// <summary>Those who lost a member at the same moment come to the others within this time.</summary>
    private static readonly TimeSpan FailOverSpread = TimeSpan.FromMilliseconds(500);
    private const string NoLocalHub = "no hub runs on this data directory; start it, or name another directory (--hub-data-dir, AKKAHUB_DATA_DIR), "
        + "or for a hub elsewhere its address (--hub, AKKAHUB_ADDR) and a token (AKKAHUB_TOKEN, --token-file)";

    private readonly Random _random = random ?? Random.Shared;
    private readonly HubTargets _targets = new(options, learned, random ?? Random.Shared);
    private readonly Backoff _backoff = new(options.MaxBackoff, (random ?? Random.Shared).NextDouble);
    // What the member of the last session is called: as it was dialled, and as it says itself.
    private HubAddress[] _lost = [];
    private int _failedOver;
    private UplinkSession? _session;
    private uint _contacts;
    private string _lastDisconnect = "";
    private bool _takeOver = options.TakeOver;
    // What was logged since the last welcome: with several members, causes may alternate.
    private readonly HashSet<string> _logged = [];
    private string? _revoked;

    /// <summary>The session that is on; null if none.</summary>
    public UplinkSession? Session => Volatile.Read(ref _session);

    /// <summary>Wakes the session's writer, if there is one.</summary>
    public void Pulse() => Session?.Pulse();

    /// <summary>Runs until the hub sends the agent away for good, or until cancelled.</summary>
    /// <returns>How the last session ended.</returns>
    public async Task<SessionEnd> RunAsync(CancellationToken cancellationToken)
    {
        var inVain = false;
        while (true)
        {
            var hint = TimeSpan.Zero;
            TimeSpan? failOver = null;
            _targets.BeginRound(_lost, inVain);
            inVain = true;
            while (_targets.TryNext(out var target))
            {
                var began = time.GetTimestamp();
                var (end, welcomed) = await DialAsync(target, cancellationToken).ConfigureAwait(false);
                if (end.Verdict is Verdict.NameClaimed or Verdict.SentAway or Verdict.Stopped
                    || (end.Verdict == Verdict.TokenRevoked && !_targets.TokenMayChange))
                {
                    return end;
                }

                if (end.Verdict is Verdict.NodeLive or Verdict.TokenRefused or Verdict.TokenRevoked)
                    _backoff.Raise();
                else if (welcomed && time.GetElapsedTime(began) >= Stable)
                {
                    _backoff.Reset();
                    _failedOver = 0;
                }

                hint = end.RetryAfter > hint ? end.RetryAfter : hint;
                if (!welcomed)
                    continue;
                inVain = false;
                failOver = FailOver(end);
                break;
            }

            await Task.Delay(failOver ?? _backoff.Next(hint), time, cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>The short wait before another member is dialled; null if there is none, or if each was tried so without a session that was stable.</summary>
    private TimeSpan? FailOver(SessionEnd end)
    {
        if (end.Verdict != Verdict.DialAgain || _targets.Others(_lost) == 0)
            return null;
        // A member that drains spreads its nodes itself, in groups or by the time it gives each; and others are known to be there.
        if (end.Reason == DisconnectReason.Drain)
            return end.RetryAfter < FailOverSpread ? end.RetryAfter : FailOverSpread;
        return ++_failedOver > _targets.Others(_lost) + 1 ? null : FailOverSpread * _random.NextDouble();
    }

    private async Task<(SessionEnd End, bool Welcomed)> DialAsync(HubTarget? target, CancellationToken cancellationToken)
    {
        if (target is null)
            return (Report(SessionEnd.Broken(NoLocalHub), options.HubDataDirectory!, welcomed: false), false);
        if (_revoked is not null && _revoked == target.Token)
            return (new SessionEnd(Verdict.TokenRevoked, "the token was revoked"), false);
        var welcomed = false;
        SessionEnd end;
        try
        {
            log.Dialling(target.Address.Uri.Authority);
            (end, welcomed) = await CallAsync(target, () => welcomed = true, cancellationToken).ConfigureAwait(false);
        }
        catch (DisconnectedException e)
        {
            end = SessionEnd.From(e.Disconnect);
        }
        catch (RpcException e)
        {
            end = SessionEnd.From(e);
        }
        catch (Exception e) when (e is TimeoutException or ProtocolException or HttpRequestException or IOException)
        {
            end = SessionEnd.Broken(e is TimeoutException ? "the hub did not answer in time" : e.Message);
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            // The agent holds people's programs: whatever goes wrong with the hub, it must not end them.
            log.SessionFailed(e);
            end = SessionEnd.Broken(e.Message);
        }

        cancellationToken.ThrowIfCancellationRequested();
        if (end.Verdict == Verdict.TokenRevoked)
            _revoked = target.Token ?? "";
        if (welcomed)
            _lastDisconnect = end.Cause;
        return (Report(end, target.Address.Uri.Authority, welcomed), welcomed);
    }

    private async Task<(SessionEnd End, bool Welcomed)> CallAsync(HubTarget target, Action onWelcome, CancellationToken cancellationToken)
    {
        using var channel = GrpcChannel.ForAddress(target.Address.Uri, new GrpcChannelOptions { HttpHandler = Handler(target), DisposeHttpClient = true });
        var headers = new Metadata();
        if (target.Token is { } token)
            headers.Add("authorization", "Bearer " + token);
        using var aborting = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var call = new NodeBridgeService.NodeBridgeServiceClient(channel).Connect(headers, cancellationToken: aborting.Token);
        using var session = new UplinkSession(call, table, time, owner.Beat, aborting.Token);
        try
        {
            var welcome = await session.GreetAsync(owner.Hello(_contacts, _lastDisconnect, _takeOver)).ConfigureAwait(false);
            onWelcome();
            _contacts++;
            _takeOver = false;
            _logged.Clear();
            _lost = HubAddress.TryParse(welcome.Members?.Self, out var self) ? [target.Address, self] : [target.Address];
            if (welcome.Members is { } members)
                _targets.Learn(members, target);
            else
                _targets.IsAlone();
            owner.Welcomed(welcome);
            log.Connected(welcome.HubMember, target.Address.Uri.Authority, welcome.SessionEpoch, welcome.HubVersion, welcome.HeartbeatIntervalMs);
            Volatile.Write(ref _session, session);
            foreach (var message in owner.Repeat())
                session.Say(message);
            var end = await session.RunAsync(welcome, HandleAsync).ConfigureAwait(false);
            if (end.Members is { } elsewhere)
                _targets.Learn(elsewhere, target);
            return (end, true);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            return (SessionEnd.Broken("the call was cancelled"), Session is not null);
        }
        finally
        {
            Volatile.Write(ref _session, null);
            await aborting.CancelAsync().ConfigureAwait(false);
        }

        ValueTask HandleAsync(ConnectResponse message, Outbox outbox, CancellationToken cancelled)
        {
            if (message.Members is not { } changed)
                return owner.HandleAsync(message, outbox, cancelled);
            _targets.Learn(changed, target);
            return ValueTask.CompletedTask;
        }
    }

    private SessionEnd Report(SessionEnd end, string address, bool welcomed)
    {
        if (end.Verdict == Verdict.Stopped)
            return end;
        if (end.Verdict is Verdict.SentAway || (end.Verdict == Verdict.TokenRevoked && !_targets.TokenMayChange))
        {
            log.SentAway(end.Reason, end.Cause);
            return end;
        }

        var key = welcomed ? "lost" : end.Verdict.ToString();
        if (!_logged.Add(key))
            return end;
        if (welcomed)
            log.Disconnected(address, end.Cause);
        else if (end.Verdict == Verdict.NodeLive)
            log.NodeLive(options.Name);
        else if (end.Verdict == Verdict.NameClaimed)
            log.NameClaimed(options.Name);
        else if (end.Verdict is Verdict.TokenRefused or Verdict.TokenRevoked)
            log.TokenRefused(end.Cause);
        else
            log.Unreachable(end.Cause, address, options.MaxBackoff.TotalSeconds);
        return end;
    }

    // A member that hangs or is cut off is given up soon: others may be there, and which they are the agent learns only after the connection is made.
    // The hub of a data directory is the only one, and nothing lies between that could be cut.
    private SocketsHttpHandler Handler(HubTarget target) => new()
    {
        SslOptions = target.DataDirectory is { } directory ? HubTrust.OfLocalHub(directory) : HubTrust.OfAuthority(options.AuthorityFile),
        ConnectTimeout = TimeSpan.FromSeconds(_targets.AreSeveral ? 3 : 5),
        EnableMultipleHttp2Connections = true,
        KeepAlivePingDelay = TimeSpan.FromSeconds(target.DataDirectory is null ? 10 : 30),
        KeepAlivePingTimeout = TimeSpan.FromSeconds(target.DataDirectory is null ? 5 : 20),
        PooledConnectionIdleTimeout = Timeout.InfiniteTimeSpan,
        // A proxy for web pages speaks no cleartext HTTP/2 and has no business between a node and its hub.
        UseProxy = false,
    };
}
