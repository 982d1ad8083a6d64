using Hub.Actors.Store;
using Microsoft.Data.Sqlite;

namespace Hub.Actors.Tests.Store;

/// <summary>What the embedded store's writer promises, seen from the rows that are in the file afterwards.</summary>
public sealed class SqliteWriterSpecs : IAsyncLifetime
{
    private static readonly TimeSpan Bound = TimeSpan.FromSeconds(30);

    private readonly string _directory = Directory.CreateTempSubdirectory("akkahub-").FullName;
    private SqliteWriter _writer = null!;

    private string Stall => Path.Combine(_directory, "stall");

    private string ConnectionString => new SqliteConnectionStringBuilder { DataSource = SqliteStore.PathIn(_directory), Pooling = false }.ToString();

    public Task InitializeAsync()
    {
        StorePreflight.Run(_directory, partitions: 1, checkMaxBytes: 0);
        _writer = NewWriter();
        return Task.CompletedTask;
    }

    public async Task DisposeAsync()
    {
        File.Delete(Stall);
        _writer.Stop();
        await _writer.Stopped.WaitAsync(Bound);
        Directory.Delete(_directory, recursive: true);
    }

    [Fact]
    public async Task A_number_that_is_taken_fails_its_own_write_and_nobody_elses()
    {
        await AddAsync("a", 1, 2);
        var held = await HoldAsync();
        var single = AddAsync("a", 2, 1);
        var several = AddAsync("b", 1, 3);
        var overlapping = AddAsync("a", 3, 1);
        var none = _writer.ApplyAsync(new AddEvents("a", "w", [Row(4), Row(5), Row(1)]));
        var other = AddAsync("c", 1, 1);
        File.Delete(Stall);

        (await Should.ThrowAsync<SqliteException>(() => single.WaitAsync(Bound))).SqliteErrorCode.ShouldBe(19);
        (await Should.ThrowAsync<SqliteException>(() => none.WaitAsync(Bound))).SqliteErrorCode.ShouldBe(19);
        await Task.WhenAll(held.Write, several, overlapping, other).WaitAsync(Bound);
        Numbers("a").ShouldBe([1, 2, 3], "all of a write or nothing of it");
        Numbers("b").ShouldBe([1, 2, 3]);
        Numbers("c").ShouldBe([1]);
    }

    [Theory]
    [InlineData(10, 4)]
    [InlineData(1000, 999)]
    public async Task A_deletion_leaves_the_highest_number_marked_and_what_is_above(int events, int to)
    {
        await AddAsync("a", 1, events);
        await AddAsync("b", 1, 3);
        await _writer.ApplyAsync(new DeleteEvents("a", to)).WaitAsync(Bound);
        Numbers("a").ShouldBe(Enumerable.Range(to, events - to + 1).Select(n => (long)n));
        Numbers("a", marked: true).ShouldBe([to]);
        Numbers("b").ShouldBe([1, 2, 3]);

        // The mark goes when a higher number takes its place; a deletion of nothing changes nothing.
        await _writer.ApplyAsync(new DeleteEvents("a", long.MaxValue)).WaitAsync(Bound);
        await _writer.ApplyAsync(new DeleteEvents("a", 1)).WaitAsync(Bound);
        await _writer.ApplyAsync(new DeleteEvents("nobody", 7)).WaitAsync(Bound);
        Numbers("a").ShouldBe([events]);
        Numbers("a", marked: true).ShouldBe([events]);
    }

    [Fact]
    public async Task Writes_do_not_wait_for_the_whole_of_a_deletion()
    {
        // More than a hundred steps, each of them synchronised.
        const int Events = 20_000;
        await AddAsync("a", 1, Events);
        var deletion = _writer.ApplyAsync(new DeleteEvents("a", Events));
        await AddAsync("b", 1, 1).WaitAsync(Bound);
        deletion.IsCompleted.ShouldBeFalse("the write came after the whole of the deletion");
        await deletion.WaitAsync(Bound);
        Numbers("a").ShouldBe([Events]);
    }

    [Fact]
    public async Task A_snapshot_replaces_its_like_and_goes_by_number_and_time()
    {
        var noon = new DateTime(2026, 1, 1, 12, 0, 0, DateTimeKind.Utc);
        foreach (var number in new[] { 3, 3, 5, 8 })
            await _writer.ApplyAsync(new SaveSnapshot("a", noon.AddHours(number), Row(number))).WaitAsync(Bound);
        Snapshots().ShouldBe([3, 5, 8]);
        await _writer.ApplyAsync(new DeleteSnapshots("a", 0, 8, noon.AddHours(4))).WaitAsync(Bound);
        Snapshots().ShouldBe([5, 8], "the others are younger");
        await _writer.ApplyAsync(new DeleteSnapshots("a", 8, 8, DateTime.MaxValue)).WaitAsync(Bound);
        Snapshots().ShouldBe([5]);
    }

    [Fact]
    public async Task After_a_transaction_that_failed_the_next_one_succeeds()
    {
        await AddAsync("a", 1, 1);
        Execute("ALTER TABLE journal RENAME TO gone");
        var failed = AddAsync("a", 2, 1);
        await Should.ThrowAsync<SqliteException>(() => failed.WaitAsync(Bound));
        Execute("ALTER TABLE gone RENAME TO journal");
        await AddAsync("a", 2, 2);
        Numbers("a").ShouldBe([1, 2, 3]);
    }

    [Fact]
    public async Task A_deletion_that_fails_fails_alone()
    {
        await AddAsync("bad", 1, 3);
        await AddAsync("good", 1, 3);
        Execute("CREATE TRIGGER broken BEFORE DELETE ON journal WHEN OLD.persistence_id = 'bad' BEGIN SELECT RAISE(ABORT, 'broken page'); END");
        var held = await HoldAsync();
        var before = _writer.ApplyAsync(new DeleteEvents("good", 2));
        var bad = _writer.ApplyAsync(new DeleteEvents("bad", 3));
        var after = _writer.ApplyAsync(new DeleteEvents("good", 3));
        var write = AddAsync("good", 4, 1);
        File.Delete(Stall);

        (await Should.ThrowAsync<SqliteException>(() => bad.WaitAsync(Bound))).Message.ShouldContain("broken page");
        await Task.WhenAll(held.Write, before, after, write).WaitAsync(Bound);
        Numbers("good").ShouldBe([3, 4]);
        Numbers("bad").ShouldBe([1, 2, 3]);
    }

    [Fact]
    public async Task An_error_in_a_transaction_fails_all_of_it_and_leaves_nothing_of_it()
    {
        Execute("CREATE TRIGGER broken BEFORE INSERT ON journal WHEN NEW.persistence_id = 'bad' BEGIN SELECT RAISE(ROLLBACK, 'broken disk'); END");
        var held = await HoldAsync();
        var together = new[] { AddAsync("before", 1, 1), AddAsync("bad", 1, 1) };
        File.Delete(Stall);
        await held.Write.WaitAsync(Bound);
        foreach (var task in together)
            (await Should.ThrowAsync<SqliteException>(() => task.WaitAsync(Bound))).Message.ShouldContain("broken disk");
        await AddAsync("after", 1, 1).WaitAsync(Bound);
        (Numbers("held").Length, Numbers("before").Length, Numbers("bad").Length, Numbers("after").Length).ShouldBe((1, 0, 0, 1));
    }

    [Fact]
    public async Task A_lock_from_outside_fails_all_that_waited_it_out_and_then_all_goes_on()
    {
        _writer.Stop();
        _writer = new SqliteWriter(ConnectionString + ";Default Timeout=1", new SqliteStoreOptions { BusyTimeout = TimeSpan.FromSeconds(1) }, metrics: null, TimeProvider.System);
        await AddAsync("a", 1, 1);
        using (var outside = new SqliteConnection(ConnectionString))
        {
            outside.Open();
            using var locked = outside.BeginTransaction();
            // The first of them is tried alone, the others after it and together.
            var asked = Enumerable.Range(1, 20).Select(i => AddAsync($"b{i}", 1, 1)).ToArray();
            foreach (var task in asked)
                (await Should.ThrowAsync<SqliteException>(() => task.WaitAsync(Bound))).SqliteErrorCode.ShouldBe(5);
        }

        await AddAsync("a", 2, 1).WaitAsync(Bound);
        Numbers("a").ShouldBe([1, 2]);
        Numbers("b1").ShouldBeEmpty();
    }

    [Fact]
    public async Task What_is_larger_than_a_row_may_be_fails_alone()
    {
        var held = await HoldAsync();
        var large = _writer.ApplyAsync(new SaveSnapshot("a", DateTime.UnixEpoch, new StoredForm(1, new byte[1_000_000_001], "m", 1)));
        var other = AddAsync("b", 1, 1);
        File.Delete(Stall);
        (await Should.ThrowAsync<SqliteException>(() => large.WaitAsync(Bound))).SqliteErrorCode.ShouldBe(18);
        await Task.WhenAll(held.Write, other).WaitAsync(Bound);
        Numbers("b").ShouldBe([1]);
    }

    [Fact]
    public async Task A_store_that_cannot_be_opened_tells_everyone_who_asks()
    {
        var nowhere = new SqliteWriter(
            new SqliteConnectionStringBuilder { DataSource = Path.Combine(_directory, "none", "hub.db"), Mode = SqliteOpenMode.ReadWrite }.ToString(),
            new SqliteStoreOptions(), metrics: null, TimeProvider.System);
        var asked = Enumerable.Range(1, 5).Select(i => nowhere.ApplyAsync(new AddEvents("a", "w", [Row(i)])))
            .Append(nowhere.ApplyAsync(new DeleteEvents("a", 1))).ToArray();
        foreach (var task in asked)
            await Should.ThrowAsync<SqliteException>(() => task.WaitAsync(Bound));
        nowhere.Stop();
    }

    [Fact]
    public async Task What_waits_when_it_is_stopped_is_done_and_nothing_new_is_taken()
    {
        await AddAsync("a", 1, 500);
        File.WriteAllText(Stall, "");
        var asked = Enumerable.Range(501, 20).Select(i => AddAsync("a", i, 1)).Append(_writer.ApplyAsync(new DeleteEvents("a", 499))).ToArray();
        _writer.Stop();
        await Should.ThrowAsync<InvalidOperationException>(() => AddAsync("a", 521, 1));
        File.Delete(Stall);
        await Task.WhenAll(asked).WaitAsync(Bound);
        Numbers("a").ShouldBe(Enumerable.Range(499, 22).Select(n => (long)n));
        await _writer.Stopped.WaitAsync(Bound);
    }

    /// <summary>The log begins anew again and again, without any commit of SQLite's own accord.</summary>
    [Fact]
    public async Task The_log_stays_small_however_much_is_written()
    {
        await WriteMegabytesAsync("a", 128);
        LogBytes.ShouldBeLessThan(48 * 1024 * 1024);
        Numbers("a").Length.ShouldBe(128 * 16);
    }

    /// <summary>A back-up holds the log; when it is done the log shrinks again.</summary>
    [Fact]
    public async Task A_log_that_a_reader_held_begins_anew_when_the_reader_is_gone()
    {
        using (var outside = new SqliteConnection(ConnectionString))
        {
            outside.Open();
            using var reading = outside.BeginTransaction(deferred: true);
            using var command = outside.CreateCommand();
            command.CommandText = "SELECT count(*) FROM journal";
            command.ExecuteScalar();
            await WriteMegabytesAsync("a", 80);
            LogBytes.ShouldBeGreaterThan(64 * 1024 * 1024);
        }

        for (var i = 0; i < 100 && LogBytes > 48 * 1024 * 1024; i++)
            await WriteMegabytesAsync($"b{i}", 10);
        LogBytes.ShouldBeLessThan(48 * 1024 * 1024);
    }

    private long LogBytes => new FileInfo(SqliteStore.PathIn(_directory) + "-wal").Length;

    private async Task WriteMegabytesAsync(string id, int megabytes)
    {
        var message = new byte[64 * 1024];
        for (var i = 1; i <= megabytes; i++)
            await Task.WhenAll(Enumerable.Range(i * 16, 16).Select(n => _writer.ApplyAsync(new AddEvents(id, "w", [new StoredForm(n, message, "m", 1)])))).WaitAsync(Bound);
    }

    private SqliteWriter NewWriter() => new(ConnectionString, new SqliteStoreOptions { StallFile = Stall }, metrics: null, TimeProvider.System);

    /// <summary>A transaction that stays open until the stall file is gone; what is asked for meanwhile goes into the next one together.</summary>
    private async Task<Held> HoldAsync()
    {
        File.WriteAllText(Stall, "");
        var held = AddAsync("held", 1, 1);
        using var outside = new SqliteConnection(ConnectionString + ";Default Timeout=1");
        outside.Open();
        try
        {
            while (true)
            {
                outside.BeginTransaction().Dispose();
                await Task.Delay(5);
            }
        }
        catch (SqliteException e) when (e.SqliteErrorCode == 5)
        {
            return new Held(held);
        }
    }

    private static StoredForm Row(long number) => new(number, [1, 2, 3], "m", 1);

    private Task AddAsync(string id, int first, int count) =>
        _writer.ApplyAsync(new AddEvents(id, "w", [.. Enumerable.Range(first, count).Select(n => Row(n))]));

    private long[] Numbers(string id, bool marked = false) =>
        Read("SELECT sequence_number FROM journal WHERE persistence_id = $id" + (marked ? " AND deleted = 1" : "") + " ORDER BY sequence_number", id);

    private long[] Snapshots() => Read("SELECT sequence_number FROM snapshot WHERE persistence_id = $id ORDER BY sequence_number", "a");

    private long[] Read(string sql, string id)
    {
        using var connection = new SqliteConnection(ConnectionString);
        connection.Open();
        using var command = connection.CreateCommand();
        command.CommandText = sql;
        command.Parameters.AddWithValue("$id", id);
        using var reader = command.ExecuteReader();
        var numbers = new List<long>();
        while (reader.Read())
            numbers.Add(reader.GetInt64(0));
        return [.. numbers];
    }

    private void Execute(string sql)
    {
        using var connection = new SqliteConnection(ConnectionString);
        connection.Open();
        using var command = connection.CreateCommand();
        command.CommandText = sql;
        command.ExecuteNonQuery();
    }

    private sealed record Held(Task Write);
}
