using Akka.Hosting;
using Akka.Persistence.Sql;
using Akka.Persistence.Sql.Config;
using Hub.Actors.Settings;
using Hub.Actors.Telemetry;
using LinqToDB;
using Microsoft.Data.Sqlite;

namespace Hub.Actors.Store;

/// <summary>How the embedded store behaves.</summary>
public sealed record SqliteStoreOptions
{
    /// <summary>How long SQLite waits for a lock somebody outside this process holds (a backup, an operator's shell).</summary>
    public TimeSpan BusyTimeout { get; init; } = TimeSpan.FromSeconds(30);
    /// <summary>Diagnostic: every commit takes this much longer.</summary>
    public TimeSpan CommitDelay { get; init; }
    /// <summary>Diagnostic: while this file exists commits wait; null or empty for none.</summary>
    public string? StallFile { get; init; }
}

/// <summary>The journal and snapshots in one SQLite file of the data directory.</summary>
public static class SqliteStore
{
    /// <summary>Name of the database file.</summary>
    public const string FileName = "hub.db";
    /// <summary>SQLite's application id of the file: 'AHub'.</summary>
    public const int ApplicationId = 0x41487562;
    /// <summary>Version of the file's schema that this hub writes; it reads no newer one.</summary>
    public const int SchemaVersion = 1;

    /// <summary>Path of the database file.</summary>
    public static string PathIn(string dataDirectory) => Path.Combine(dataDirectory, FileName);

    /// <summary>Journal and snapshots go to the store of this data directory, which <see cref="StorePreflight"/> has prepared.</summary>
    /// <param name="builder">Akka's builder.</param>
    /// <param name="dataDirectory">The data directory.</param>
    /// <param name="options">How it behaves; null for the defaults.</param>
    /// <param name="metrics">Where batches and commits are counted; null for nowhere.</param>
    public static AkkaConfigurationBuilder WithSqliteStore(
        this AkkaConfigurationBuilder builder, string dataDirectory, SqliteStoreOptions? options = null, HubMetrics? metrics = null) =>
        builder
            .AddSetup(new DataOptionsSetup(DataOptions(dataDirectory, options ?? new(), metrics)))
            .AddHocon(HubConfiguration.Sqlite, HoconAddMode.Prepend)
            .AddHocon(SqlPersistence.DefaultConfiguration, HoconAddMode.Append);

    /// <summary>How the plugin connects; for tests that make an actor system by hand.</summary>
    public static DataOptions DataOptions(string dataDirectory, SqliteStoreOptions options, HubMetrics? metrics = null)
    {
        var connection = new SqliteConnectionStringBuilder
        {
            DataSource = PathIn(dataDirectory),
            Mode = SqliteOpenMode.ReadWrite,
            Pooling = true,
            DefaultTimeout = (int)options.BusyTimeout.TotalSeconds,
        };
        return new DataOptions()
            .UseConnectionString(ProviderName.SQLiteMS, connection.ToString())
            .UseInterceptors(new SqliteWriteGate(options, metrics, TimeProvider.System).Interceptors);
    }
}
