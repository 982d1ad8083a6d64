using Hub.Actors.Store;
using Microsoft.Data.Sqlite;

namespace Hub.Actors.Tests.Store;

/// <summary>What the embedded store's reader gives back of what its writer wrote.</summary>
public sealed class SqliteReaderSpecs : IAsyncLifetime
{
    private static readonly TimeSpan Bound = TimeSpan.FromSeconds(30);

    private readonly string _directory = Directory.CreateTempSubdirectory("akkahub-").FullName;
    private SqliteWriter _writer = null!;
    private SqliteReader _reader = null!;

    private string ConnectionString => new SqliteConnectionStringBuilder { DataSource = SqliteStore.PathIn(_directory) }.ToString();

    public Task InitializeAsync()
    {
        StorePreflight.Run(_directory, partitions: 1, checkMaxBytes: 0);
        _writer = new SqliteWriter(ConnectionString, new SqliteStoreOptions(), metrics: null, TimeProvider.System);
        _reader = new SqliteReader(ConnectionString, TimeSpan.FromSeconds(5));
        return Task.CompletedTask;
    }

    public async Task DisposeAsync()
    {
        _reader.Dispose();
        _writer.Stop();
        await _writer.Stopped.WaitAsync(Bound);
        Directory.Delete(_directory, recursive: true);
    }

    [Fact]
    public async Task Events_come_in_order_within_their_bounds_with_all_that_was_stored_of_them()
    {
        await AddAsync("a", 1, 9);
        await AddAsync("b", 1, 2);

        (await EventsAsync("a", 1, long.MaxValue)).Select(e => e.Form.SequenceNumber).ShouldBe([1, 2, 3, 4, 5, 6, 7, 8, 9]);
        (await EventsAsync("a", 3, 5)).Select(e => e.Form.SequenceNumber).ShouldBe([3, 4, 5]);
        (await EventsAsync("a", 3, long.MaxValue, most: 2)).Select(e => e.Form.SequenceNumber).ShouldBe([3, 4]);
        (await EventsAsync("a", 1, long.MaxValue, most: 0)).ShouldBeEmpty();
        (await EventsAsync("nobody", 1, long.MaxValue)).ShouldBeEmpty();
        var last = (await EventsAsync("a", 9, 9)).ShouldHaveSingleItem();
        last.Form.Message.ShouldBe([9, 0]);
        last.Form.Manifest.ShouldBe("m9");
        last.Form.Serializer.ShouldBe(77);
        last.WriterId.ShouldBe("w");
        new DateTime(last.Created).ShouldBe(TimeProvider.System.GetUtcNow().UtcDateTime, TimeSpan.FromHours(1));
    }

    [Fact]
    public async Task It_has_stopped_when_it_was_disposed_of_and_what_was_being_read_is_read()
    {
        await AddAsync("a", 1, 2);
        var stopped = _reader.StoppedAsync();
        var atFirst = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        using var goOn = new ManualResetEventSlim();
        var reading = _reader.ReadEventsAsync("a", 1, long.MaxValue, 10, _ =>
        {
            atFirst.TrySetResult();
            goOn.Wait(Bound);
        }, CancellationToken.None);
        await atFirst.Task.WaitAsync(Bound);
        _reader.Dispose();
        stopped.IsCompleted.ShouldBeFalse();
        goOn.Set();
        await reading.WaitAsync(Bound);
        await stopped.WaitAsync(Bound);
        await _reader.StoppedAsync().WaitAsync(Bound);
        await Should.ThrowAsync<ObjectDisposedException>(() => HighestAsync("a").WaitAsync(Bound));
    }

    [Fact]
    public async Task What_is_deleted_is_not_read_but_its_highest_number_stays_known()
    {
        (await HighestAsync("a")).ShouldBe(0);
        await AddAsync("a", 1, 5);
        await _writer.ApplyAsync(new DeleteEvents("a", 3)).WaitAsync(Bound);
        (await EventsAsync("a", 1, long.MaxValue)).Select(e => e.Form.SequenceNumber).ShouldBe([4, 5]);
        await _writer.ApplyAsync(new DeleteEvents("a", 5)).WaitAsync(Bound);
        (await EventsAsync("a", 1, long.MaxValue)).ShouldBeEmpty();
        (await HighestAsync("a")).ShouldBe(5);
        (await HighestAsync("a", lowest: 5)).ShouldBe(5);
        (await HighestAsync("a", lowest: 6)).ShouldBe(0);
    }

    [Fact]
    public async Task The_latest_snapshot_within_the_bounds_is_the_one()
    {
        (await LatestAsync("a")).ShouldBeNull();
        foreach (var number in (int[])[3, 7, 11])
            await _writer.ApplyAsync(new SaveSnapshot("a", new DateTime(1000 + number), new StoredForm(number, [(byte)number], "s", 5))).WaitAsync(Bound);
        await _writer.ApplyAsync(new SaveSnapshot("b", new DateTime(5), new StoredForm(99, [], "s", 5))).WaitAsync(Bound);

        var latest = (await LatestAsync("a")).ShouldNotBeNull();
        latest.Form.SequenceNumber.ShouldBe(11);
        latest.Form.Message.ShouldBe([11]);
        latest.Form.Manifest.ShouldBe("s");
        latest.Form.Serializer.ShouldBe(5);
        latest.Created.ShouldBe(1011);
        (await LatestAsync("a", highest: 10))!.Value.Form.SequenceNumber.ShouldBe(7);
        (await LatestAsync("a", notAfter: 1003))!.Value.Form.SequenceNumber.ShouldBe(3);
        (await LatestAsync("a", lowest: 12)).ShouldBeNull();
        (await LatestAsync("a", notBefore: 1012)).ShouldBeNull();
    }

    [Fact]
    public async Task Many_read_at_once_while_others_write_and_a_failed_reader_fails_alone()
    {
        await AddAsync("a", 1, 50);
        var failing = _reader.ReadEventsAsync("a", 1, 50, 50, _ => throw new InvalidDataException("not readable"), default);
        var readers = Enumerable.Range(0, 50).Select(_ => EventsAsync("a", 1, 50)).ToArray();
        await AddAsync("b", 1, 50);
        foreach (var events in await Task.WhenAll(readers).WaitAsync(Bound))
            events.Count.ShouldBe(50);
        await Should.ThrowAsync<InvalidDataException>(() => failing.WaitAsync(Bound));
        (await EventsAsync("b", 1, 50)).Count.ShouldBe(50);
    }

    [Fact]
    public async Task Nothing_is_read_after_its_end()
    {
        await AddAsync("a", 1, 1);
        (await EventsAsync("a", 1, 1)).Count.ShouldBe(1);
        _reader.Dispose();
        await Should.ThrowAsync<ObjectDisposedException>(() => HighestAsync("a"));
    }

    private Task AddAsync(string id, int from, int count) =>
        _writer.ApplyAsync(new AddEvents(id, "w", [.. Enumerable.Range(from, count).Select(n => new StoredForm(n, [(byte)n, 0], $"m{n}", 77))])).WaitAsync(Bound);

    private async Task<List<StoredEvent>> EventsAsync(string id, long from, long to, long most = long.MaxValue)
    {
        var events = new List<StoredEvent>();
        await _reader.ReadEventsAsync(id, from, to, most, events.Add, default).WaitAsync(Bound);
        return events;
    }

    private Task<long> HighestAsync(string id, long lowest = 0) => _reader.HighestSequenceNumberAsync(id, lowest, default).WaitAsync(Bound);

    private Task<StoredSnapshot?> LatestAsync(string id, long lowest = 0, long highest = long.MaxValue, long notBefore = 0, long notAfter = long.MaxValue) =>
        _reader.LatestSnapshotAsync(id, lowest, highest, notBefore, notAfter, default).WaitAsync(Bound);
}
