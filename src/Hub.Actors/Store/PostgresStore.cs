using Akka.Hosting;
using Akka.Persistence.Sql;
using Akka.Persistence.Sql.Config;
using Hub.Actors.Settings;
using LinqToDB;
using Npgsql;

namespace Hub.Actors.Store;

/// <summary>The store that several members share: Akka.Persistence.Sql on PostgreSQL.</summary>
public static class PostgresStore
{
    /// <summary>Version of the tables that this hub makes and reads.</summary>
    public const int SchemaVersion = 1;

    // Of the server's 100 (its default) three members and an operator have to share; recoveries wait for one another.
    private const int MaxConnections = 24;
    private const int PoolTimeoutSeconds = 60;
    private const int CommandTimeoutSeconds = 60;
    private const int KeepAliveSeconds = 10;

    /// <summary>Checks a connection string and completes it with what the hub needs and the operator has not said.</summary>
    /// <returns>The string; null if it is none, or names no host or no database.</returns>
    public static string? Complete(string text)
    {
        try
        {
            var given = new NpgsqlConnectionStringBuilder(text);
            if (string.IsNullOrEmpty(given.Host) || string.IsNullOrEmpty(given.Database))
                return null;
            Default("Maximum Pool Size", MaxConnections);
            Default("Timeout", PoolTimeoutSeconds);
            Default("Command Timeout", CommandTimeoutSeconds);
            // A server that was cut off must be noticed although nobody says so.
            Default("Keepalive", KeepAliveSeconds);
            Default("Application Name", "akkahub");
            // Acknowledged means durable, whatever the server's own default is.
            given.Options = $"{given.Options} -c synchronous_commit=on".Trim();
            return given.ConnectionString;

            void Default(string key, object value)
            {
                if (!given.ShouldSerialize(key))
                    given[key] = value;
            }
        }
        catch (Exception e) when (e is ArgumentException or FormatException or KeyNotFoundException or InvalidCastException)
        {
            return null;
        }
    }

    /// <summary>Host, port and database of a connection string: what may be shown.</summary>
    public static string Describe(string connectionString)
    {
        var parts = new NpgsqlConnectionStringBuilder(connectionString);
        return $"PostgreSQL {parts.Host}:{parts.Port}/{parts.Database}";
    }

    /// <summary>Journal and snapshots of an actor system are in PostgreSQL.</summary>
    /// <param name="builder">The actor system.</param>
    /// <param name="connectionString">A string that <see cref="Complete"/> gave.</param>
    public static AkkaConfigurationBuilder WithPostgresStore(this AkkaConfigurationBuilder builder, string connectionString) => builder
        .AddSetup(new DataOptionsSetup(new DataOptions().UseConnectionString(ProviderName.PostgreSQL15, connectionString)))
        .AddHocon(HubConfiguration.Postgresql, HoconAddMode.Prepend)
        .AddHocon(SqlPersistence.DefaultConfiguration, HoconAddMode.Append);
}
