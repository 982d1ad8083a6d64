using System.Collections.Concurrent;
using System.Collections.Immutable;
using Akka.Actor;
using Akka.Configuration;
using Akka.Persistence;
using Akka.Persistence.Journal;
using Akka.Persistence.Sql.Journal;

namespace Hub.Actors.Store;

/// <summary>
/// The journal of the embedded store: the tables of Akka.Persistence.Sql, read with the <see cref="SqliteReader"/> and
/// written by the <see cref="SqliteWriter"/>. The plugin's own writes take a connection and a transaction for every deletion, and
/// make the text of a statement for every group of rows, with the bytes as hexadecimal digits.
/// </summary>
internal sealed class SqliteJournal : SqlWriteJournal
{
    private readonly SqliteWriter _writer;
    private readonly SqliteReader _reader;
    private readonly Akka.Serialization.Serialization _serialization;
    private readonly ConcurrentDictionary<string, Task> _underWay = new(StringComparer.Ordinal);
    private readonly string _writerId = Guid.NewGuid().ToString("N");

    public SqliteJournal(Config config)
        : base(config)
    {
        _writer = SqliteStoreSetup.WriterOf(Context.System);
        _reader = SqliteStoreSetup.ReaderOf(Context.System);
        _serialization = Context.System.Serialization;
    }

    /// <summary>A node that restarts may ask before its last write is done: it must not take the same sequence number twice.</summary>
    public override async Task<long> ReadHighestSequenceNrAsync(string persistenceId, long fromSequenceNr, CancellationToken cancellationToken)
    {
        if (_underWay.TryGetValue(persistenceId, out var write))
            await write.WaitAsync(cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        return await _reader.HighestSequenceNumberAsync(persistenceId, fromSequenceNr, cancellationToken).ConfigureAwait(false);
    }

    public override Task ReplayMessagesAsync(IActorContext context, string persistenceId, long fromSequenceNr, long toSequenceNr, long max,
        Action<IPersistentRepresentation> recoveryCallback) => _reader.ReadEventsAsync(
            persistenceId, fromSequenceNr, toSequenceNr, max, stored => recoveryCallback(Representation(persistenceId, stored)), CancellationToken.None);

    // The token is the circuit breaker's. A write is not taken back: its outcome would be unknown.
    protected override async Task<IImmutableList<Exception>> WriteMessagesAsync(IEnumerable<AtomicWrite> messages, CancellationToken cancellationToken)
    {
        var rows = new List<StoredForm>(1);
        List<Exception?>? rejections = null;
        string? id = null;
        var writes = 0;
        foreach (var message in messages)
        {
            id = message.PersistenceId;
            var first = rows.Count;
            Exception? rejection = null;
            try
            {
                foreach (var representation in (IImmutableList<IPersistentRepresentation>)message.Payload)
                    rows.Add(Form(representation));
            }
            catch (Exception e)
            {
                // All of an atomic write or nothing; what else came with it is written.
                rows.RemoveRange(first, rows.Count - first);
                rejection = e;
                rejections ??= [.. Enumerable.Repeat<Exception?>(null, writes)];
            }

            rejections?.Add(rejection);
            writes++;
        }

        if (id is not null && rows.Count > 0)
            await WriteAsync(id, rows).ConfigureAwait(false);
        // Null for an atomic write that was not rejected, and for the list if none was, as the journal's contract has it.
        return rejections?.ToImmutableList()!;
    }

    protected override Task DeleteMessagesToAsync(string persistenceId, long toSequenceNr, CancellationToken cancellationToken) =>
        _writer.ApplyAsync(new DeleteEvents(persistenceId, toSequenceNr));

    private async Task WriteAsync(string id, List<StoredForm> rows)
    {
        var write = _writer.ApplyAsync(new AddEvents(id, _writerId, rows));
        _underWay[id] = write;
        try
        {
            await write.ConfigureAwait(false);
        }
        finally
        {
            _underWay.TryRemove(new KeyValuePair<string, Task>(id, write));
        }
    }

    private Persistent Representation(string id, in StoredEvent stored)
    {
        var form = stored.Form;
        var payload = _serialization.Deserialize(form.Message, form.Serializer, form.Manifest);
        return new Persistent(payload, form.SequenceNumber, id, form.Manifest, false, ActorRefs.NoSender, stored.WriterId, stored.Created);
    }

    private StoredForm Form(IPersistentRepresentation representation)
    {
        var payload = representation.Payload;
        if (payload is Tagged)
            throw new NotSupportedException("The embedded store keeps no tags.");
        var serializer = _serialization.FindSerializerFor(payload);
        return new StoredForm(
            representation.SequenceNr,
            serializer.ToBinary(payload),
            Akka.Serialization.Serialization.ManifestFor(serializer, payload),
            serializer.Identifier);
    }
}
