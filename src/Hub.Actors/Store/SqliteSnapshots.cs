using Akka.Actor;
using Akka.Configuration;
using Akka.Persistence;
using Akka.Persistence.Sql.Snapshot;

namespace Hub.Actors.Store;

/// <summary>
/// The snapshots of the embedded store: the table of Akka.Persistence.Sql, read with the <see cref="SqliteReader"/> and
/// written by the <see cref="SqliteWriter"/>.
/// </summary>
internal sealed class SqliteSnapshots : SqlSnapshotStore
{
    private readonly SqliteWriter _writer;
    private readonly SqliteReader _reader;
    private readonly Akka.Serialization.Serialization _serialization;

    public SqliteSnapshots(Config config)
        : base(config)
    {
        _writer = SqliteStoreSetup.WriterOf(Context.System);
        _reader = SqliteStoreSetup.ReaderOf(Context.System);
        _serialization = Context.System.Serialization;
    }

    protected override async Task<SelectedSnapshot?> LoadAsync(string persistenceId, SnapshotSelectionCriteria criteria, CancellationToken cancellationToken)
    {
        if (await _reader.LatestSnapshotAsync(
            persistenceId, criteria.MinSequenceNr, criteria.MaxSequenceNr, criteria.MinTimestamp?.Ticks ?? 0, criteria.MaxTimeStamp.Ticks, cancellationToken)
            .ConfigureAwait(false) is not { } stored)
            return null;
        var form = stored.Form;
        return new SelectedSnapshot(
            new SnapshotMetadata(persistenceId, form.SequenceNumber, new DateTime(stored.Created)),
            _serialization.Deserialize(form.Message, form.Serializer, form.Manifest));
    }

    protected override Task SaveAsync(SnapshotMetadata metadata, object snapshot, CancellationToken cancellationToken)
    {
        var serializer = _serialization.FindSerializerFor(snapshot);
        var manifest = Akka.Serialization.Serialization.ManifestFor(serializer, snapshot);
        return _writer.ApplyAsync(new SaveSnapshot(
            metadata.PersistenceId, metadata.Timestamp, new StoredForm(metadata.SequenceNr, serializer.ToBinary(snapshot), manifest, serializer.Identifier)));
    }

    // A snapshot named without its time has the earliest one there is; the number says which.
    protected override Task DeleteAsync(SnapshotMetadata metadata, CancellationToken cancellationToken) =>
        _writer.ApplyAsync(new DeleteSnapshots(
            metadata.PersistenceId, metadata.SequenceNr, metadata.SequenceNr, metadata.Timestamp == DateTime.MinValue ? DateTime.MaxValue : metadata.Timestamp));

    protected override Task DeleteAsync(string persistenceId, SnapshotSelectionCriteria criteria, CancellationToken cancellationToken) =>
        _writer.ApplyAsync(new DeleteSnapshots(persistenceId, criteria.MinSequenceNr, criteria.MaxSequenceNr, criteria.MaxTimeStamp));
}
