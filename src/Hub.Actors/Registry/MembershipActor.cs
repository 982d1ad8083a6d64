using System.Diagnostics;
using Akka.Actor;
using Akka.Persistence;
using AkkaHub.Internal.V1;
using Hub.Actors.Store;

namespace Hub.Actors.Registry;

/// <summary>Writes changes of a partition's list of nodes; answered with <see cref="MembershipWritten"/>, in order.</summary>
internal sealed record WriteMembership(MembershipChanged Change);

/// <summary>The changes up to here are durable.</summary>
internal sealed record MembershipWritten(MembershipChanged Change);

/// <summary>The list as it was stored.</summary>
internal sealed record MembershipRecovered(IReadOnlyCollection<NodeDescriptor> Nodes);

/// <summary>The list could not be written; its actor stops.</summary>
internal sealed record MembershipStoreFailed(Exception Cause);

/// <summary>
/// The durable list of nodes of one partition: which nodes were ever registered and what they were like. Apart from its
/// parent so that a failed write takes down this actor and not the partition with all its nodes.
/// </summary>
internal sealed class MembershipActor : UntypedPersistentActor
{
    private const int EventsPerSnapshot = 1000;
    private const int MaxChangesPerEvent = 256;

    private readonly int _partition;
    private readonly HubRuntime _hub;
    private readonly uint _writer = RowWriter.New();
    private readonly Dictionary<string, NodeDescriptor> _nodes = new(StringComparer.Ordinal);
    private readonly Queue<MembershipChanged> _waiting = new();
    private readonly long _started = Stopwatch.GetTimestamp();
    private List<MembershipChanged> _inFlight = [];
    private int _sinceSnapshot;
    private long _previousSnapshot;

    public MembershipActor(int partition, HubRuntime hub)
    {
        _partition = partition;
        _hub = hub;
    }

    public override string PersistenceId => $"partition-{_partition}";

    public static Props Props(int partition, HubRuntime hub) => Akka.Actor.Props.Create(() => new MembershipActor(partition, hub));

    protected override void OnRecover(object message)
    {
        switch (message)
        {
            case SnapshotOffer offer:
                foreach (var node in ((MembershipSnapshot)offer.Snapshot).Nodes)
                    _nodes[node.Node] = node;
                _previousSnapshot = offer.Metadata.SequenceNr;
                break;
            case MembershipChanged change:
                Apply(change);
                // Counted over restarts, or a hub that is restarted often would never come to its snapshot.
                _sinceSnapshot++;
                break;
            case RecoveryCompleted:
                _hub.Metrics.Recovered("membership", Stopwatch.GetElapsedTime(_started));
                Context.Parent.Tell(new MembershipRecovered([.. _nodes.Values]));
                break;
        }
    }

    protected override void OnCommand(object message)
    {
        switch (message)
        {
            case WriteMembership m:
                _waiting.Enqueue(m.Change);
                Flush();
                break;
            case SaveSnapshotSuccess m:
                DeleteMessages(m.Metadata.SequenceNr);
                if (_previousSnapshot > 1)
                    DeleteSnapshots(new SnapshotSelectionCriteria(_previousSnapshot - 1));
                _previousSnapshot = m.Metadata.SequenceNr;
                break;
        }
    }

    protected override void OnPersistFailure(Exception cause, object @event, long sequenceNr)
    {
        _hub.Metrics.PersistFailed("membership");
        Context.Parent.Tell(new MembershipStoreFailed(cause));
    }

    protected override void OnPersistRejected(Exception cause, object @event, long sequenceNr)
    {
        OnPersistFailure(cause, @event, sequenceNr);
        Context.Stop(Self);
    }

    // What waits is bounded by the partition's nodes: each has at most a few changes under way (attach, detach, forget).
    private void Flush()
    {
        if (_inFlight.Count > 0 || _waiting.Count == 0)
            return;
        // A stored change is read as 'upserts, then removals': a batch ends at its first removal, so that order survives.
        var batch = new MembershipChanged { Writer = _writer };
        while (batch.Removed.Count == 0 && _inFlight.Count < MaxChangesPerEvent && _waiting.TryDequeue(out var change))
        {
            _inFlight.Add(change);
            batch.Upserts.Add(change.Upserts);
            batch.Removed.Add(change.Removed);
        }

        PersistAsync(batch, _ =>
        {
            foreach (var change in _inFlight)
            {
                Apply(change);
                Context.Parent.Tell(new MembershipWritten(change));
            }

            _inFlight = [];
            if (++_sinceSnapshot >= EventsPerSnapshot)
            {
                _sinceSnapshot = 0;
                var snapshot = new MembershipSnapshot();
                snapshot.Nodes.Add(_nodes.Values);
                SaveSnapshot(snapshot);
            }

            Flush();
        });
    }

    private void Apply(MembershipChanged change)
    {
        foreach (var node in change.Upserts)
            _nodes[node.Node] = node;
        foreach (var node in change.Removed)
            _nodes.Remove(node);
    }
}
