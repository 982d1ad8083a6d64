using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using Akka.Actor;
using Akka.Hosting;
using Akka.Persistence;
using Akka.Persistence.Journal;
using Hub.Actors.Store;
using Hub.Actors.Telemetry;
using Microsoft.Data.Sqlite;
using static Hub.Host.Tests.TestSupport;

namespace Hub.Host.Tests;

/// <summary>The store as production wires it, under a plain actor system.</summary>
public sealed class SqliteStoreSpecs : IAsyncLifetime
{
    private readonly TemporaryDirectory _data = new();
    private readonly HubMetrics _metrics;
    private readonly ConcurrentBag<int> _batches = [];
    private readonly MeterListener _listener = new();
    private IHost? _host;

    public SqliteStoreSpecs() => _metrics = new HubMetrics(new OwnMeters(this));

    public Task InitializeAsync()
    {
        StorePreflight.Run(_data.Path, 64, long.MaxValue);
        _listener.InstrumentPublished = (instrument, listener) =>
        {
            if (instrument.Name == "akkahub.store.batch.rows" && ReferenceEquals(instrument.Meter.Scope, this))
                listener.EnableMeasurementEvents(instrument);
        };
        _listener.SetMeasurementEventCallback<int>((_, rows, _, _) => _batches.Add(rows));
        _listener.Start();
        return Task.CompletedTask;
    }

    public async Task DisposeAsync()
    {
        if (_host is not null)
            await _host.StopAsync();
        _host?.Dispose();
        _listener.Dispose();
        _metrics.Dispose();
        _data.Dispose();
    }

    [Fact]
    public async Task Concurrent_writes_are_committed_in_groups_and_snapshots_and_deletions_go_along()
    {
        const int Actors = 60, Each = 40;
        var system = await StartAsync(new SqliteStoreOptions());
        var writers = Enumerable.Range(0, Actors).Select(i => system.ActorOf(Props.Create(() => new Writer($"w{i}")))).ToArray();
        var answers = await Task.WhenAll(writers.Select(w => w.Ask<Written>(new Write(Each), Patience)));

        answers.ShouldAllBe(a => a.Count == Each);
        _batches.Sum().ShouldBe(Actors * Each);
        _batches.Max().ShouldBeGreaterThan(1);
        _batches.Count.ShouldBeLessThan(Actors * Each / 2, "rows were hardly ever committed together");

        // The same again from the store: snapshot and what came after it.
        var again = system.ActorOf(Props.Create(() => new Writer("w0")));
        (await again.Ask<Written>(new Write(0), Patience)).Count.ShouldBe(Each);
    }

    /// <summary>Each index costs every row; the plugin's own on time and on sequence number alone would be used by nothing.</summary>
    [Fact]
    public async Task The_store_has_no_index_but_its_keys()
    {
        await StartAsync(new SqliteStoreOptions());
        using var connection = new SqliteConnection($"Data Source={SqliteStore.PathIn(_data.Path)};Mode=ReadOnly;Pooling=False");
        connection.Open();
        using var command = connection.CreateCommand();
        command.CommandText = "SELECT name FROM sqlite_schema WHERE type = 'index' ORDER BY name";
        using var rows = command.ExecuteReader();
        var indexes = new List<string>();
        while (rows.Read())
            indexes.Add(rows.GetString(0));
        indexes.ShouldBe(["journal_uq", "sqlite_autoindex_snapshot_1"]);
    }

    [Fact]
    public async Task A_number_that_is_taken_stops_its_actor_and_nobody_else()
    {
        var system = await StartAsync(new SqliteStoreOptions());
        var first = system.ActorOf(Props.Create(() => new Writer("same")));
        (await first.Ask<Written>(new Write(1), Patience)).Count.ShouldBe(1);
        // A second writer of the same id, which has not seen the first one's next event: its own is a duplicate.
        var second = system.ActorOf(Props.Create(() => new Writer("same")));
        (await second.Ask<Written>(new Write(0), Patience)).Count.ShouldBe(1);
        (await first.Ask<Written>(new Write(1), Patience)).Count.ShouldBe(2);
        var gone = second.WatchAsync().WaitAsync(Patience);
        second.Tell(new Write(1));
        (await gone).ShouldBeTrue("a failed persist stops the actor");

        var other = system.ActorOf(Props.Create(() => new Writer("other")));
        (await other.Ask<Written>(new Write(3), Patience)).Count.ShouldBe(3);
    }

    [Fact]
    public async Task An_event_that_cannot_be_stored_is_rejected_and_those_beside_it_are_written()
    {
        var system = await StartAsync(new SqliteStoreOptions());
        var rejecting = system.ActorOf(Props.Create(() => new Rejecting()));
        (await rejecting.Ask<string>("go", Patience)).ShouldBe("first, last; rejected: The embedded store keeps no tags.");
        await rejecting.GracefulStop(Patience);
        (await system.ActorOf(Props.Create(() => new Rejecting())).Ask<string>("tell", Patience)).ShouldBe("first, last; rejected: ");
    }

    [Fact]
    public async Task A_stalled_store_holds_commits_back_and_goes_on()
    {
        var stall = _data["stall"];
        var system = await StartAsync(new SqliteStoreOptions { StallFile = stall, CommitDelay = TimeSpan.FromMilliseconds(5) });
        var writer = system.ActorOf(Props.Create(() => new Writer("w")));
        (await writer.Ask<Written>(new Write(1), Patience)).Count.ShouldBe(1);

        await File.WriteAllTextAsync(stall, "");
        var held = writer.Ask<Written>(new Write(1), Patience);
        await Should.ThrowAsync<TimeoutException>(() => held.WaitAsync(TimeSpan.FromMilliseconds(300)));
        // Readers are not held back.
        (await system.ActorOf(Props.Create(() => new Writer("reader"))).Ask<Written>(new Write(0), Patience)).Count.ShouldBe(0);
        File.Delete(stall);
        (await held).Count.ShouldBe(2);
    }

    /// <summary>The tables are the plugin's: it reads what the hub's own writer wrote, and the hub's own reader what the plugin wrote.</summary>
    [Fact]
    public async Task Plugin_and_own_reader_and_writer_read_each_other()
    {
        const string Plugin = """
            akka.persistence.journal.sql.class = "Akka.Persistence.Sql.Journal.SqlWriteJournal, Akka.Persistence.Sql"
            akka.persistence.snapshot-store.sql.class = "Akka.Persistence.Sql.Snapshot.SqlSnapshotStore, Akka.Persistence.Sql"
            """;
        var expected = 0;
        foreach (var (plugin, events) in ((string, int)[])[("", 14), (Plugin, 23), ("", 7), (Plugin, 1)])
        {
            var system = await StartAsync(new SqliteStoreOptions(), plugin);
            expected += events;
            (await system.ActorOf(Props.Create(() => new Writer("w"))).Ask<Written>(new Write(events), Patience)).Count.ShouldBe(expected);
            await _host!.StopAsync();
        }
    }

    private async Task<ActorSystem> StartAsync(SqliteStoreOptions options, string hocon = "")
    {
        var builder = Microsoft.Extensions.Hosting.Host.CreateEmptyApplicationBuilder(null);
        builder.Services.AddAkka("store", akka => akka.AddHocon("akka.loglevel = OFF\nakka.stdout-loglevel = OFF", HoconAddMode.Append)
            .WithSqliteStore(_data.Path, options, _metrics).AddHocon(hocon, HoconAddMode.Prepend));
        _host = builder.Build();
        await _host.StartAsync();
        return _host.Services.GetRequiredService<ActorSystem>();
    }

    /// <summary>Meters that are told apart from those of hubs that other tests run beside this one.</summary>
    private sealed class OwnMeters(object scope) : IMeterFactory
    {
        public Meter Create(MeterOptions options)
        {
            options.Scope = scope;
            return new Meter(options);
        }

        public void Dispose()
        {
        }
    }

    internal sealed record Write(int Events);

    internal sealed record Written(int Count);

    /// <summary>Persists one event after another, a snapshot and a deletion every ten, and tells how many it holds when all is done.</summary>
    private sealed class Rejecting : ReceivePersistentActor
    {
        private readonly List<string> _events = [];
        private string _rejected = "";

        public Rejecting()
        {
            Recover<string>(_events.Add);
            Command<string>(said =>
            {
                if (said == "go")
                {
                    PersistAsync("first", _events.Add);
                    PersistAsync(new Tagged("second", ["tag"]), _ => _events.Add("second"));
                    PersistAsync("last", _events.Add);
                }

                var asker = Sender;
                DeferAsync("", _ => asker.Tell($"{string.Join(", ", _events)}; rejected: {_rejected}"));
            });
        }

        public override string PersistenceId => "rejecting";

        protected override void OnPersistRejected(Exception cause, object @event, long sequenceNr) => _rejected = cause.Message;
    }

    internal sealed class Writer : ReceivePersistentActor
    {
        private int _count;
        private int _tidying;
        private IActorRef? _asker;

        public Writer(string id)
        {
            PersistenceId = id;
            Recover<string>(_ => _count++);
            Recover<SnapshotOffer>(offer => _count = int.Parse((string)offer.Snapshot, System.Globalization.CultureInfo.InvariantCulture));
            Command<Write>(write => Next(write.Events, Sender));
            Command<SaveSnapshotSuccess>(saved => DeleteMessages(saved.Metadata.SequenceNr));
            Command<DeleteMessagesSuccess>(_ =>
            {
                _tidying--;
                Answer();
            });
            CommandAny(_ => { });
        }

        public override string PersistenceId { get; }

        private void Next(int left, IActorRef asker)
        {
            if (left == 0)
            {
                _asker = asker;
                Answer();
                return;
            }

            Persist("event", _ =>
            {
                _count++;
                if (_count % 10 == 0)
                {
                    _tidying++;
                    SaveSnapshot($"{_count}");
                }

                Next(left - 1, asker);
            });
        }

        // Not while a snapshot or deletion is under way: a second actor of the same id would read between the two.
        private void Answer()
        {
            if (_tidying > 0)
                return;
            _asker?.Tell(new Written(_count));
            _asker = null;
        }
    }
}
