using Hub.Actors.Store;
using Hub.Protocol;
using Microsoft.Data.Sqlite;
using Microsoft.Extensions.Time.Testing;

namespace Hub.Host.Tests;

public sealed class StorePreflightSpecs : IDisposable
{
    private const long Everything = long.MaxValue;
    private readonly TemporaryDirectory _data = new();

    private string Store => SqliteStore.PathIn(_data.Path);

    public void Dispose() => _data.Dispose();

    [Fact]
    public void A_new_store_is_made_and_found_again()
    {
        StorePreflight.Run(_data.Path, 64, Everything).Created.ShouldBeTrue();
        File.GetUnixFileMode(Store).ShouldBe(UnixFileMode.UserRead | UnixFileMode.UserWrite);
        (Scalar("PRAGMA journal_mode"), Scalar("PRAGMA application_id"), Scalar("PRAGMA user_version"))
            .ShouldBe(("wal", $"{SqliteStore.ApplicationId}", $"{SqliteStore.SchemaVersion}"));

        var before = _data.Hashes();
        StorePreflight.Run(_data.Path, 64, Everything).ShouldBe(new StoreReport(Created: false, Checked: true, new FileInfo(Store).Length));
        _data.Hashes().ShouldBe(before);
    }

    [Fact]
    public void A_store_whose_making_was_interrupted_is_made_again()
    {
        File.WriteAllBytes(Store, []);
        StorePreflight.Run(_data.Path, 64, Everything).Created.ShouldBeTrue();
        SqliteConnection.ClearAllPools();
        File.Delete(Store);
        Execute("PRAGMA journal_mode=WAL;");
        StorePreflight.Run(_data.Path, 64, Everything).Created.ShouldBeTrue();
    }

    [Fact]
    public void A_log_left_by_a_crash_belongs_to_the_data()
    {
        StorePreflight.Run(_data.Path, 64, Everything);
        using var crashed = new SqliteConnection($"Data Source={Store};Pooling=False");
        crashed.Open();
        Execute(crashed, "CREATE TABLE t (x); INSERT INTO t VALUES (randomblob(100000));");
        new FileInfo(Store + "-wal").Length.ShouldBeGreaterThan(0);
        var before = _data.Hashes();
        StorePreflight.Run(_data.Path, 64, Everything).Checked.ShouldBeTrue();
        _data.Hashes().ShouldBe(before);
    }

    [Fact]
    public void A_store_that_is_still_in_its_log_is_a_store()
    {
        using var crashed = new SqliteConnection($"Data Source={Store};Pooling=False");
        crashed.Open();
        Execute(crashed, $"""
            PRAGMA journal_mode=WAL;
            BEGIN;
            CREATE TABLE akkahub_meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
            INSERT INTO akkahub_meta VALUES ('partitions', '64');
            CREATE TABLE journal (ordering INTEGER PRIMARY KEY);
            PRAGMA application_id={SqliteStore.ApplicationId};
            PRAGMA user_version={SqliteStore.SchemaVersion};
            COMMIT;
            """);
        StorePreflight.Run(_data.Path, 64, Everything).Created.ShouldBeFalse();
        Execute(crashed, $"PRAGMA user_version={SqliteStore.SchemaVersion + 1}");
        Refused(partitions: 64, checkMaxBytes: Everything).ShouldContain("made by a newer hub");
    }

    [Fact]
    public void A_large_store_is_not_searched_but_its_schema_is_read()
    {
        StorePreflight.Run(_data.Path, 64, Everything);
        StorePreflight.Run(_data.Path, 64, checkMaxBytes: 1).Checked.ShouldBeFalse();
        Refused(partitions: 65, checkMaxBytes: 1).ShouldContain("64 partitions");
    }

    [Fact]
    public void Another_number_of_partitions_is_refused()
    {
        StorePreflight.Run(_data.Path, 64, Everything);
        var message = Refused(partitions: 32);
        message.ShouldContain("made with 64 partitions");
        message.ShouldContain("AKKAHUB_REGISTRY_PARTITIONS");
    }

    [Fact]
    public void A_newer_schema_is_refused()
    {
        StorePreflight.Run(_data.Path, 64, Everything);
        Execute($"PRAGMA user_version={SqliteStore.SchemaVersion + 1}; PRAGMA wal_checkpoint(TRUNCATE);");
        Refused().ShouldContain("newer hub");
    }

    [Fact]
    public void Another_programs_database_is_refused()
    {
        Execute("CREATE TABLE t (x);");
        Refused().ShouldContain("another program");
    }

    [Fact]
    public void What_is_no_database_is_refused()
    {
        File.WriteAllText(Store, "hello");
        Refused().ShouldContain("corrupt");
    }

    [Fact]
    public void A_damaged_store_is_refused()
    {
        StorePreflight.Run(_data.Path, 64, Everything);
        Execute("CREATE TABLE t (x); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) INSERT INTO t SELECT randomblob(200) FROM n; PRAGMA wal_checkpoint(TRUNCATE);");
        using (var file = new FileStream(Store, FileMode.Open))
        {
            // The b-tree header of pages in the middle.
            for (var page = 20; page < 40; page++)
            {
                file.Position = page * 4096;
                file.Write([0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]);
            }
        }

        Refused().ShouldContain("corrupt");
    }

    [Fact]
    public void A_directory_in_its_place_is_refused()
    {
        Directory.CreateDirectory(Store);
        Refused().ShouldContain("is a directory");
    }

    [Fact]
    public async Task The_data_directory_is_made_for_its_owner_alone_and_held_once()
    {
        var path = _data["deep/er"];
        using (await AcquireAsync(path))
        {
            File.GetUnixFileMode(path).ShouldBe(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
            (await RefusedAsync(path)).InUse.ShouldBeTrue();
        }

        (await AcquireAsync(path)).Dispose();
    }

    [Fact]
    public async Task Who_only_asks_whether_a_hub_runs_keeps_none_from_starting()
    {
        (await AcquireAsync(_data.Path)).Dispose();
        var time = new FakeTimeProvider();
        Task<DataDirectory> acquiring;
        using (new FileStream(_data[LocalHub.LockFileName], FileMode.Open, FileAccess.Read, FileShare.ReadWrite))
        {
            acquiring = DataDirectory.AcquireAsync(_data.Path, time);
            acquiring.IsCompleted.ShouldBeFalse();
        }

        time.Advance(TimeSpan.FromSeconds(1));
        (await acquiring.WaitAsync(TestSupport.Patience)).Dispose();
    }

    [Fact]
    public async Task What_a_crashed_hub_left_is_not_believed()
    {
        using (await AcquireAsync(_data.Path))
        {
            new LocalHub(4711, "http://127.0.0.1:5100", "", "").Write(_data.Path);
            LocalHub.TryRead(_data.Path)!.Pid.ShouldBe(4711);
        }

        LocalHub.TryRead(_data.Path).ShouldBeNull("nobody holds the lock: it crashed, and who listens there now may be anybody");
        using var next = await AcquireAsync(_data.Path);
        LocalHub.TryRead(_data.Path).ShouldBeNull("the next hub holds the lock and does not listen yet");
    }

    [Fact]
    public async Task A_data_directory_that_cannot_be_made_or_written_is_refused()
    {
        File.WriteAllText(_data["file"], "");
        (await RefusedAsync(_data["file/x"])).Message.ShouldContain("AKKAHUB_DATA_DIR");
        (await RefusedAsync("/proc/akkahub")).InUse.ShouldBeFalse();
    }

    [SkippableFact]
    public async Task Somebody_elses_data_directory_is_refused()
    {
        Prerequisite.Require(Environment.UserName == "root", "only root can give a directory away");
        var path = _data["theirs"];
        Directory.CreateDirectory(path);
        using (var chown = System.Diagnostics.Process.Start("chown", ["65534", path]))
            await chown.WaitForExitAsync();
        (await RefusedAsync(path)).Message.ShouldContain("belongs to user 65534");
    }

    [Theory]
    [InlineData(UnixFileMode.GroupExecute)]
    [InlineData(UnixFileMode.OtherRead | UnixFileMode.OtherExecute)]
    public async Task A_data_directory_that_is_open_to_others_is_refused(UnixFileMode others)
    {
        File.SetUnixFileMode(_data.Path, File.GetUnixFileMode(_data.Path) | others);
        (await RefusedAsync(_data.Path)).Message.ShouldContain("chmod 700");
        Directory.EnumerateFiles(_data.Path).ShouldBeEmpty();
    }

    private static Task<DataDirectory> AcquireAsync(string path) => DataDirectory.AcquireAsync(path, TimeProvider.System);

    private static Task<StoreRefusedException> RefusedAsync(string path) => Should.ThrowAsync<StoreRefusedException>(() => AcquireAsync(path));

    // Refused, and nothing of the data changed.
    private string Refused(int partitions = 64, long checkMaxBytes = Everything)
    {
        SqliteConnection.ClearAllPools();
        var before = _data.Hashes();
        var message = Should.Throw<StoreRefusedException>(() => StorePreflight.Run(_data.Path, partitions, checkMaxBytes)).Message;
        _data.Hashes().ShouldBe(before);
        message.ShouldContain(Store);
        return message;
    }

    private void Execute(string sql)
    {
        using var connection = new SqliteConnection($"Data Source={Store};Pooling=False");
        connection.Open();
        Execute(connection, sql);
    }

    private static void Execute(SqliteConnection connection, string sql)
    {
        using var command = connection.CreateCommand();
        command.CommandText = sql;
        command.ExecuteNonQuery();
    }

    private string? Scalar(string sql)
    {
        using var connection = new SqliteConnection($"Data Source={Store};Mode=ReadOnly;Pooling=False");
        connection.Open();
        using var command = connection.CreateCommand();
        command.CommandText = sql;
        return command.ExecuteScalar()?.ToString();
    }
}
