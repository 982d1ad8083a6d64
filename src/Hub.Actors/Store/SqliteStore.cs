using Akka.Actor;
using Akka.Actor.Setup;
using Akka.Configuration;
using Akka.Event;
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
        this AkkaConfigurationBuilder builder, string dataDirectory, SqliteStoreOptions? options = null, HubMetrics? metrics = null)
    {
        var store = new SqliteStoreSetup(dataDirectory, options ?? new(), metrics);
        return builder
            .AddSetup(store)
            .AddSetup(store.Plugin)
            .AddHocon(HubConfiguration.Sqlite, HoconAddMode.Prepend)
            .AddHocon(SqlPersistence.DefaultConfiguration, HoconAddMode.Append);
    }
}

/// <summary>How journal and snapshots of an actor system reach the store: a few connections that read, one that writes.</summary>
public sealed class SqliteStoreSetup : Setup
{
    private readonly Func<ActorSystem, SqliteWriter> _createWriter;
    private readonly Func<SqliteReader> _createReader;
    private readonly Lock _gate = new();
    private SqliteWriter? _writer;
    private SqliteReader? _reader;

    /// <summary>The store of a data directory.</summary>
    /// <param name="dataDirectory">The data directory.</param>
    /// <param name="options">How it behaves.</param>
    /// <param name="metrics">Where transactions are counted; null for nowhere.</param>
    public SqliteStoreSetup(string dataDirectory, SqliteStoreOptions options, HubMetrics? metrics = null)
    {
        var connectionString = new SqliteConnectionStringBuilder
        {
            DataSource = SqliteStore.PathIn(dataDirectory),
            Mode = SqliteOpenMode.ReadWrite,
            Pooling = true,
            DefaultTimeout = (int)options.BusyTimeout.TotalSeconds,
        }.ToString();
        Plugin = new DataOptionsSetup(
            new DataOptions().UseConnectionString(ProviderName.SQLiteMS, connectionString));
        _createReader = () => new SqliteReader(connectionString, options.BusyTimeout, metrics);
        _createWriter = system => new SqliteWriter(connectionString, options, metrics, TimeProvider.System, Logging.GetLogger(system, typeof(SqliteWriter)));
    }

    /// <summary>What Akka.Persistence.Sql takes; an actor system needs both setups.</summary>
    public DataOptionsSetup Plugin { get; }

    /// <summary>
    /// Ends when an actor system that has ended has let go of the store; at once if it has no such store. Until then
    /// the data directory is not another's to take.
    /// </summary>
    public static Task StoppedAsync(ActorSystem system)
    {
        var store = system.Settings.Setup.Get<SqliteStoreSetup>();
        return store.HasValue
            ? Task.WhenAll(store.Value._writer?.Stopped ?? Task.CompletedTask, store.Value._reader?.StoppedAsync() ?? Task.CompletedTask)
            : Task.CompletedTask;
    }

    /// <summary>The writer of an actor system, which lives as long as the system does.</summary>
    internal static SqliteWriter WriterOf(ActorSystem system)
    {
        var store = Of(system);
        lock (store._gate)
        {
            if (store._writer is { } known)
                return known;
            var writer = store._writer = store._createWriter(system);
            system.RegisterOnTermination(writer.Stop);
            return writer;
        }
    }

    /// <summary>The reader of an actor system, which lives as long as the system does.</summary>
    internal static SqliteReader ReaderOf(ActorSystem system)
    {
        var store = Of(system);
        lock (store._gate)
        {
            if (store._reader is { } known)
                return known;
            var reader = store._reader = store._createReader();
            system.RegisterOnTermination(reader.Dispose);
            return reader;
        }
    }

    private static SqliteStoreSetup Of(ActorSystem system)
    {
        var setup = system.Settings.Setup.Get<SqliteStoreSetup>();
        return setup.HasValue
            ? setup.Value
            : throw new ConfigurationException($"The embedded store needs a {nameof(SqliteStoreSetup)} in the actor system's setup.");
    }
}
