using Akka.Configuration;

namespace Hub.Actors.Settings;

/// <summary>The HOCON that is part of the program. The files stand in <c>hocon/</c>.</summary>
public static class HubConfiguration
{
    /// <summary>How Akka.NET runs inside the hub: remoting, cluster, sharding, stopping.</summary>
    public static Config Akka { get; } = Load("akka.hocon");

    /// <summary>What a member of a cluster has beside it: connections, failure detector, split-brain resolver, how partitions move.</summary>
    public static Config Cluster { get; } = Load("cluster.hocon");

    /// <summary>Akka.Persistence.Sql on the embedded store.</summary>
    public static Config Sqlite { get; } = Load("sqlite.hocon");

    /// <summary>Akka.Persistence.Sql on PostgreSQL.</summary>
    public static Config Postgresql { get; } = Load("postgresql.hocon");

    private static Config Load(string name)
    {
        using var stream = typeof(HubConfiguration).Assembly.GetManifestResourceStream(name)
            ?? throw new InvalidOperationException($"{name} is not part of the assembly");
        using var reader = new StreamReader(stream);
        return ConfigurationFactory.ParseString(reader.ReadToEnd());
    }
}
