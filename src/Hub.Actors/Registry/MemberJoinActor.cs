using System.Collections.Immutable;
using Akka.Actor;
using Akka.Cluster;
using Hub.Actors.Store;
using Hub.Actors.Telemetry;

namespace Hub.Actors.Registry;

/// <summary>
/// Makes this process a member: of the cluster that lives on the store, or of a new one if the store lets it be formed. The cluster's own
/// way of forming (the first seed that finds no other joins itself) is not used: whom it cannot reach may live all the same. It goes on until it is
/// up, says meanwhile in readiness what it waits for, and then ends.
/// </summary>
public sealed class MemberJoinActor : UntypedActor, IWithTimers
{
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(500);
    // The first of the list forms, as everybody expects; where it does not come another one does.
    private static readonly TimeSpan AfterTheFirst = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan SayAfter = TimeSpan.FromSeconds(5);

    private sealed record Tick
    {
        public static readonly Tick Instance = new();
    }

    private sealed record IsUp
    {
        public static readonly IsUp Instance = new();
    }

    // Formed: the store has made this member the first of a cluster. Who only asked who is there has no such word, whatever the answer.
    private sealed record Answer(bool Formed, IReadOnlyList<PostgresMemberEntry>? InTheWay, string? Failure = null);

    private readonly HubRuntime _hub;
    private readonly ISharedStore _store;
    private readonly ImmutableList<Address> _seeds;
    private readonly Cluster _cluster = Cluster.Get(Context.System);
    private readonly long _began;
    private ImmutableList<Address> _targets = [];
    private bool _formed;
    private bool _said;

    /// <summary>Makes the actor.</summary>
    /// <param name="hub">Readiness, clock and log.</param>
    /// <param name="store">This member in the store.</param>
    /// <param name="seeds">The seeds, this member's own address among them if it may form a cluster.</param>
    public MemberJoinActor(HubRuntime hub, ISharedStore store, IEnumerable<Address> seeds)
    {
        _hub = hub;
        _store = store;
        _seeds = [.. seeds];
        _began = hub.Time.GetTimestamp();
    }

    /// <inheritdoc/>
    public ITimerScheduler Timers { get; set; } = null!;

    /// <summary>Makes it.</summary>
    public static Props Props(HubRuntime hub, ISharedStore store, IEnumerable<Address> seeds) =>
        Akka.Actor.Props.Create(() => new MemberJoinActor(hub, store, seeds));

    /// <inheritdoc/>
    protected override void PreStart()
    {
        var self = Self;
        _cluster.RegisterOnMemberUp(() => self.Tell(IsUp.Instance));
        Join([]);
        Ask();
    }

    /// <inheritdoc/>
    protected override void OnReceive(object message)
    {
        switch (message)
        {
            case IsUp:
                _hub.Readiness.Clear(Readiness.Cluster);
                Context.Stop(Self);
                break;
            case Tick:
                Ask();
                break;
            case Answer m:
                Take(m);
                break;
        }
    }

    private bool MayForm => _seeds.Count > 0 && (_seeds[0] == _cluster.SelfAddress
        || (_seeds.Contains(_cluster.SelfAddress) && _hub.Time.GetElapsedTime(_began) >= AfterTheFirst));

    private void Ask()
    {
        // Joined, and on its way to be up: nothing is to be asked any more.
        if (_cluster.SelfMember.Status is not (MemberStatus.Removed or MemberStatus.Down))
        {
            Timers.StartSingleTimer(Tick.Instance, Tick.Instance, Interval);
            return;
        }

        AskAsync(MayForm).PipeTo(Self);
    }

    private async Task<Answer> AskAsync(bool mayForm)
    {
        try
        {
            if (!mayForm)
                return new Answer(false, [.. (await _store.OthersAsync().ConfigureAwait(false)).Where(o => o.Cluster != 0)]);
            var inTheWay = await _store.TryFormAsync().ConfigureAwait(false);
            return new Answer(inTheWay is { Count: 0 }, inTheWay);
        }
        catch (Exception e)
        {
            return new Answer(false, null, e.Message);
        }
    }

    private void Take(Answer answer)
    {
        Timers.StartSingleTimer(Tick.Instance, Tick.Instance, Interval);
        if (answer.Failure is { } failure)
        {
            _hub.Readiness.Set(Readiness.Cluster, $"the store does not say whether a cluster lives on it: {failure}");
            return;
        }

        // Fenced: this process is about to end.
        if (answer.InTheWay is not { } others)
            return;
        if (answer.Formed)
        {
            // It may be asked again before what it has begun shows.
            if (!_formed)
                HubLog.ClusterFormed(_hub.Log);
            _formed = true;
            _cluster.Join(_cluster.SelfAddress);
            return;
        }

        if (others.Count == 0)
        {
            _hub.Readiness.Set(Readiness.Cluster, "no cluster is there yet, and the first seed has not formed one");
            return;
        }

        var live = others.Where(o => o.Alive).ToArray();
        Join(live);
        var waits = live.Length > 0
            ? $"a cluster lives on the store ({string.Join(", ", live.Select(o => o.Address))}) that this member has not been let into yet; it forms one of its own only when that is gone"
            : $"a cluster died on the store ({string.Join(", ", others.Select(o => o.Address))}); this member waits until that is certain";
        _hub.Readiness.Set(Readiness.Cluster, waits);
        if (_said || _hub.Time.GetElapsedTime(_began) < SayAfter)
            return;
        _said = true;
        HubLog.WaitsForCluster(_hub.Log, waits);
    }

    // Besides the seeds whoever is of the cluster by the store's word: a list that differs from the others' finds them all the same.
    private void Join(IReadOnlyList<PostgresMemberEntry> live)
    {
        var targets = _seeds.Concat(live.Select(AddressOf).OfType<Address>()).Where(a => a != _cluster.SelfAddress).Distinct().ToImmutableList();
        if (targets.SequenceEqual(_targets) || targets.IsEmpty)
            return;
        _targets = targets;
        // This member is not among them, so that it never joins itself by this.
        _cluster.JoinSeedNodes(targets);
    }

    private Address? AddressOf(PostgresMemberEntry other)
    {
        var colon = other.Address.LastIndexOf(':');
        return colon > 0 && int.TryParse(other.Address.AsSpan(colon + 1), System.Globalization.CultureInfo.InvariantCulture, out var port)
            ? _cluster.SelfAddress.WithHost(other.Address[..colon]).WithPort(port)
            : null;
    }
}
