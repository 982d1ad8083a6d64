using Hub.Protocol;

namespace Hub.Cli.Connection;

/// <summary>Which members to speak to, and with which credential.</summary>
/// <param name="Endpoints">The members, in the order they are tried; at least one.</param>
/// <param name="Token">The credential; null if none was given or found.</param>
/// <param name="Owners">The running hub whose owner-only token it is: it goes to this one alone; null if the token was given or there is none.</param>
/// <param name="Local">The running hub that the addresses were found by; null if they were given.</param>
/// <param name="DataDirectory">Where a local hub was looked for.</param>
internal sealed record ConnectionSettings(IReadOnlyList<HubEndpoint> Endpoints, string? Token, LocalHub? Owners, LocalHub? Local, string DataDirectory)
{
    /// <summary>
    /// Flags before variables before the local hub of the data directory before 127.0.0.1:5100. An empty variable counts as
    /// not set.
    /// </summary>
    /// <exception cref="CliException">
    /// An address cannot be read (usage), or is one of this machine that the data directory's hub does not listen on, and no
    /// token was given.
    /// </exception>
    public static ConnectionSettings Resolve(string? hub, string? token, string? dataDirectory, Func<string, string?> variable)
    {
        hub = Given(hub) ?? Given(variable("AKKAHUB_ADDR"));
        token = Given(token) ?? Given(variable("AKKAHUB_TOKEN"));
        var directory = Given(dataDirectory) ?? Given(variable("AKKAHUB_DATA_DIR"));
        directory = directory is null ? LocalHub.DefaultDataDirectory() : Path.GetFullPath(directory);

        var running = LocalHub.TryRead(directory);
        var local = hub is null ? running : null;
        var endpoints = HubEndpoint.ParseList(hub ?? running?.Grpc ?? $"127.0.0.1:{HubEndpoint.DefaultPort}");
        if (token is not null)
            return new ConnectionSettings(endpoints, token.Trim(), null, local, directory);
        // Anybody on this machine can listen on a port. Only of the address in hub.json is it known that the owner's hub does.
        var owners = LocalHub.TryReadToken(directory);
        if (running is not null && owners is not null && HubEndpoint.ParseList(running.Grpc)[0] is { IsLoopback: true } own)
        {
            endpoints = [.. endpoints.Select(e => IsSame(e, own) ? own : e).Distinct()];
            if (endpoints.Contains(own))
                return new ConnectionSettings(endpoints, owners, running, local, directory);
        }

        if (hub is not null && owners is not null && endpoints.FirstOrDefault(e => e.IsLoopback) is { } other)
        {
            throw new CliException(running is null
                ? $"no hub runs on {directory}, so its owner-only token is not sent to {other}\ngive a token with --token or AKKAHUB_TOKEN, or start the hub"
                : $"the hub of {directory} listens on {running.Grpc}, so its owner-only token is not sent to {other}\ngive a token with --token or AKKAHUB_TOKEN, or leave the address out");
        }

        return new ConnectionSettings(endpoints, null, null, local, directory);
    }

    /// <summary>The credential for one member; null where it must not be sent.</summary>
    public string? TokenFor(HubEndpoint endpoint) => Owners is null || endpoint == HubEndpoint.ParseList(Owners.Grpc)[0] ? Token : null;

    /// <summary>Whether the hub that the addresses or the token were found by still runs there: who listens there after it may be somebody else.</summary>
    public bool IsStillThere => (Owners ?? Local) is not { } hub || LocalHub.TryRead(DataDirectory)?.Grpc == hub.Grpc;

    /// <summary>'localhost' may lead to another listener than the hub's own address of the same port, so the hub's own is dialled then.</summary>
    private static bool IsSame(HubEndpoint given, HubEndpoint own) =>
        given == own || (given.Address.Host == "localhost" && given.Address.Scheme == own.Address.Scheme && given.Address.Port == own.Address.Port);

    private static string? Given(string? value) => string.IsNullOrWhiteSpace(value) ? null : value;
}
