using System.Diagnostics;
using Akka.Actor;
using Akka.Persistence;
using AkkaHub.Internal.V1;
using AkkaHub.V1;
using Hub.Actors.Telemetry;
using Hub.Protocol;

namespace Hub.Actors.Nodes;

// Snapshots, what is deleted behind them, and the end of a node that is forgotten.
public sealed partial class NodeActor
{
    private SnapshotStage _snapshotStage;
    private long _snapshotStarted;
    private long _previousSnapshot;
    private bool _purged;
    private bool _purgedAtSave;
    // The newest snapshot is without bytes that older ones and the journal may still hold.
    private bool _deletionOwed;
    private int _deletions;
    private bool _deletionFailed;
    private EraseStage _eraseStage;

    private enum SnapshotStage
    {
        None,
        Waiting,
        Saving,
        Deleting,
    }

    private enum EraseStage
    {
        None,
        Accepted,
        Forgotten,
        Saving,
    }

    /// <summary>A snapshot is due when the journal since the last one holds about what a snapshot would write.</summary>
    private void ConsiderSnapshot()
    {
        if (_snapshotStage != SnapshotStage.None || _eraseStage != EraseStage.None || _stopping)
            return;
        if (!_purged && !_deletionOwed && _journaledBytes < Math.Max(_hub.Settings.Snapshots.MinBytes, _state.StoredSize) * _snapshotJitter)
            return;
        _snapshotStage = SnapshotStage.Waiting;
        _snapshots.Tell(new SnapshotDue(Self));
    }

    private void OnSnapshotPermit()
    {
        if (_snapshotStage != SnapshotStage.Waiting)
        {
            _snapshots.Tell(new SnapshotDone(Self));
            return;
        }

        if (_deletionOwed && !_purged)
        {
            DeleteBehind(_previousSnapshot - 1);
            return;
        }

        _journaledBytes = 0;
        (_purgedAtSave, _purged) = (_purged, false);
        Save(deletes: _purgedAtSave);
    }

    private void Save(bool deletes)
    {
        _snapshotStage = SnapshotStage.Saving;
        _snapshotStarted = Stopwatch.GetTimestamp();
        var snapshot = _state.Capture();
        snapshot.DeletionOwed = deletes;
        snapshot.Untold.Add(_untold.Rows);
        SaveSnapshot(snapshot);
    }

    private void OnSnapshotSaved(long sequenceNr)
    {
        _hub.Metrics.SnapshotSaved(Stopwatch.GetElapsedTime(_snapshotStarted));
        _deletionOwed = _eraseStage == EraseStage.Saving || _purgedAtSave;
        // Two snapshots stay, this one and the one before, unless that one holds what has to go.
        var last = (_deletionOwed ? sequenceNr : _previousSnapshot) - 1;
        _previousSnapshot = sequenceNr;
        DeleteBehind(last);
    }

    private void DeleteBehind(long lastSnapshot)
    {
        _snapshotStage = SnapshotStage.Deleting;
        _deletions = 1;
        if (lastSnapshot > 0)
        {
            _deletions++;
            DeleteSnapshots(new SnapshotSelectionCriteria(lastSnapshot));
        }

        DeleteMessages(_previousSnapshot);
    }

    private void OnDeleted(Exception? failure)
    {
        if (failure is not null)
        {
            HubLog.DeleteFailed(_hub.Log, _node, failure);
            _deletionFailed = true;
        }

        if (--_deletions > 0)
            return;
        var owed = _deletionOwed && _deletionFailed;
        if (_deletionFailed)
            AbandonErase();
        _deletionOwed = _deletionFailed = false;
        EndSnapshot();
        // Tried again after the next write or housekeeping, not at once and for ever.
        _deletionOwed = owed;
    }

    private void EndSnapshot()
    {
        _snapshotStage = SnapshotStage.None;
        _snapshots.Tell(new SnapshotDone(Self));
        switch (_eraseStage)
        {
            case EraseStage.None:
                ConsiderSnapshot();
                break;
            case EraseStage.Forgotten:
                ContinueErase();
                break;
            case EraseStage.Saving:
                Context.Parent.Tell(new NodeErased(_node));
                _stopping = true;
                Context.Stop(Self);
                break;
        }
    }

    private void OnErase(EraseNode m)
    {
        if (!m.Force && (_session is not null || _attaching is not null))
        {
            Context.Parent.Tell(new EraseRefused(_node, new Failure(FailureKind.FailedPrecondition, ErrorReasons.NodeConnected,
                $"Node '{_node}' is connected. Stop its agent first, or use force.")));
            return;
        }

        if (_attaching is { } attaching)
        {
            // What its attach would write follows from a state that is about to go: after 'forgotten' it could not be replayed.
            _attaching = null;
            attaching.Bridge.Tell(new AttachRefused(new Failure(FailureKind.Aborted, ErrorReasons.NodeUnknown, "The node was forgotten.")));
            AddSessionClosed("forgotten", "The node was forgotten.", 0);
        }

        if (_session is { } session)
        {
            session.Bridge.Tell(new SessionEnded(session.Epoch, DisconnectReason.Forgotten, "The node was forgotten."));
            EndSession("forgotten", "The node was forgotten.", 0);
        }

        if (_eraseStage != EraseStage.None)
            return;
        _eraseStage = EraseStage.Accepted;
        _pending.BeginRow();
        _pending.Add(new NodeEvent { Forgotten = new NodeForgotten { TimeUnixUs = _hub.NowUnixUs() } }, durable: () =>
        {
            _claim = null;
            _eraseStage = EraseStage.Forgotten;
            ContinueErase();
        });
        Flush();
    }

    private void AbandonErase()
    {
        if (_eraseStage != EraseStage.Saving)
            return;
        _eraseStage = EraseStage.None;
        Context.Parent.Tell(new EraseRefused(_node, new Failure(FailureKind.Unavailable, ErrorReasons.StoreUnavailable,
            $"Node '{_node}' was forgotten, but the store did not delete what it held; forget it again.")));
    }

    // Not before the mesh's log has it that the node was forgotten: nobody would be there to tell it.
    private void ContinueErase()
    {
        if (_eraseStage == EraseStage.Forgotten && _untold.Newest is null && (_snapshotStage is SnapshotStage.None or SnapshotStage.Waiting))
            SaveErased();
    }

    // What is left of a forgotten node is a snapshot of nothing but its epoch, so that an old session never meets its number again.
    private void SaveErased()
    {
        _eraseStage = EraseStage.Saving;
        Save(deletes: true);
    }
}
