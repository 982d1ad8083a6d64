using Hub.Protocol;

namespace Hub.Cli.Connection;

/// <summary>Which members to speak to, and with which credential.</summary>
/// <param name="Endpoints">The members, in the order they are tried; at least one.</param>
/// <param name="Token">The credential; null if none was given or found.</param>
/// <param name="TokenIsOwners">It is the owner-only token of a data directory: it never leaves this machine.</param>
/// <param name="Local">The running hub that the addresses were found by; null if they were given.</param>
/// <param name="DataDirectory">Where a local hub was looked for.</param>
internal sealed record ConnectionSettings(IReadOnlyList<HubAddress> Endpoints, string? Token, bool TokenIsOwners, LocalHub? Local, string DataDirectory)
{
    /// <summary>
    /// Flags before variables before the local hub of the data directory before 127.0.0.1:5100. An empty variable counts as
    /// not set.
    /// </summary>
    /// <exception cref="CliException">An address cannot be read; usage.</exception>
    public static ConnectionSettings Resolve(string? hub, string? token, string? dataDirectory, Func<string, string?> variable)
    {
        hub = Given(hub) ?? Given(variable("AKKAHUB_ADDR"));
        token = Given(token) ?? Given(variable("AKKAHUB_TOKEN"));
        var directory = Given(dataDirectory) is { } given ? Path.GetFullPath(given) : LocalHub.DefaultDataDirectory(variable);

        var local = hub is null ? LocalHub.TryRead(directory) : null;
        var errors = new List<string>();
        var endpoints = (hub ?? local?.Grpc) is { } text ? HubAddress.ParseList(text, errors) : [HubAddress.Default];
        if (errors.Count > 0)
            throw CliException.Usage(errors[0]);

        if (token is not null)
            return new ConnectionSettings(endpoints, token.Trim(), false, local, directory);
        // Where no hub wrote that it runs and none was named, whoever listens on the default port may be somebody else.
        var owners = hub is not null || local is not null ? LocalHub.TryReadToken(directory) : null;
        return new ConnectionSettings(endpoints, owners, true, local, directory);
    }

    /// <summary>The credential for one member; null where it must not be sent.</summary>
    public string? TokenFor(HubAddress endpoint) => !TokenIsOwners || endpoint.IsLoopback ? Token : null;

    /// <summary>Whether the hub that the addresses were found by still runs there: who listens there after it may be somebody else.</summary>
    public bool IsStillThere => Local is null || LocalHub.TryRead(DataDirectory)?.Grpc == Local.Grpc;

    private static string? Given(string? value) => string.IsNullOrWhiteSpace(value) ? null : value;
}
