using Hub.Actors.Store;
using Microsoft.Data.Sqlite;

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
    public void The_data_directory_is_made_for_its_owner_alone_and_held_once()
    {
        var path = _data["deep/er"];
        using (DataDirectory.Acquire(path))
        {
            File.GetUnixFileMode(path).ShouldBe(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
            Should.Throw<StoreRefusedException>(() => DataDirectory.Acquire(path)).InUse.ShouldBeTrue();
        }

        DataDirectory.Acquire(path).Dispose();
    }

    [Fact]
    public void A_data_directory_that_cannot_be_made_or_written_is_refused()
    {
        File.WriteAllText(_data["file"], "");
        Should.Throw<StoreRefusedException>(() => DataDirectory.Acquire(_data["file/x"])).Message.ShouldContain("AKKAHUB_DATA_DIR");
        Should.Throw<StoreRefusedException>(() => DataDirectory.Acquire("/proc/akkahub")).InUse.ShouldBeFalse();
    }

    [SkippableFact]
    public void Somebody_elses_data_directory_is_refused()
    {
        Prerequisite.Require(Environment.UserName == "root", "only root can give a directory away");
        var path = _data["theirs"];
        Directory.CreateDirectory(path);
        using (var chown = System.Diagnostics.Process.Start("chown", ["65534", path]))
            chown.WaitForExit();
        Should.Throw<StoreRefusedException>(() => DataDirectory.Acquire(path)).Message.ShouldContain("belongs to user 65534");
    }

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
