using System.Net.Security;
using Hub.Protocol;

namespace Hub.Cli.Connection;

/// <summary>Which members to speak to, and with which credential.</summary>
/// <param name="Endpoints">The members, in the order they are tried; at least one.</param>
/// <param name="Token">The credential; null if none was given or found.</param>
/// <param name="Owners">The running hub whose owner-only token it is: it goes to this one alone; null if the token was given or there is none.</param>
/// <param name="Local">The running hub that the addresses were found by; null if they were given.</param>
/// <param name="DataDirectory">Where a local hub was looked for.</param>
internal sealed record ConnectionSettings(IReadOnlyList<HubAddress> Endpoints, string? Token, LocalHub? Owners, LocalHub? Local, string DataDirectory)
{
    /// <summary>File of the authority that a hub's certificate must be of, and the option or variable that names it; null for the system's.</summary>
    public (string File, string Source)? Authority { get; init; }

    /// <summary>Where the hub of the data directory shows a certificate that is named there; null if it runs not, or in clear text.</summary>
    public HubAddress? Known { get; init; }

    /// <summary>
    /// Flags before variables before the local hub of the data directory before 127.0.0.1:5100. An empty variable counts as
    /// not set.
    /// </summary>
    /// <exception cref="CliException">
    /// An address cannot be read (usage), or is one of this machine that the data directory's hub does not listen on, and no
    /// token was given.
    /// </exception>
    public static ConnectionSettings Resolve(string? hub, string? token, string? dataDirectory, Func<string, string?> variable, string? authority = null)
    {
        (string, string)? trusted = Given(authority) is { } option ? (option, "--ca")
            : Given(variable(HubTrust.AuthorityVariable)) is { } value ? (value, HubTrust.AuthorityVariable) : null;
        hub = Given(hub) ?? Given(variable("AKKAHUB_ADDR"));
        token = Given(token) ?? Given(variable("AKKAHUB_TOKEN"));
        var directory = Given(dataDirectory) is { } given ? Path.GetFullPath(given) : LocalHub.DefaultDataDirectory(variable);

        var running = LocalHub.TryRead(directory);
        ConnectionSettings With(IReadOnlyList<HubAddress> to, string? secret, LocalHub? ofOwner, LocalHub? found) =>
            new(to, secret, ofOwner, found, directory) { Authority = trusted, Known = running?.OwnersAddress is { IsEncrypted: true } known ? known : null };

        var local = hub is null ? running : null;
        var errors = new List<string>();
        var endpoints = (hub ?? running?.Grpc) is { } text ? HubAddress.ParseList(text, errors) : [HubAddress.Default];
        if (errors.Count > 0)
            throw CliException.Usage(errors[0]);
        if (token is not null)
            return With(endpoints, token.Trim(), null, local);
        // Anybody can listen on a port of this machine, or answer at an address. Only of the one in hub.json is it known that the owner's hub does.
        var owners = LocalHub.TryReadToken(directory);
        if (running is not null && owners is not null && running.OwnersAddress is { } own)
        {
            endpoints = [.. endpoints.Select(e => IsSame(e, own) ? own : e).Distinct()];
            if (endpoints.Contains(own))
                return With(endpoints, owners, running, local);
        }

        if (hub is not null && owners is not null && endpoints.FirstOrDefault(static e => e.IsLoopback) is { } other)
        {
            throw new CliException(running is null
                ? $"no hub runs on {directory}, so its owner-only token is not sent to {other}\ngive a token with --token or AKKAHUB_TOKEN, or start the hub"
                : $"the hub of {directory} listens on {running.Grpc}, so its owner-only token is not sent to {other}\ngive a token with --token or AKKAHUB_TOKEN, or leave the address out");
        }

        return With(endpoints, null, null, local);
    }

    /// <summary>The credential for one member; null where it must not be sent.</summary>
    public string? TokenFor(HubAddress endpoint) => Owners is null || endpoint == Owners.OwnersAddress ? Token : null;

    /// <summary>By what a member is known; for one in clear text the file of the authority, which may be for others, is not looked at.</summary>
    /// <exception cref="CliException">The file of the authority cannot be used.</exception>
    public SslClientAuthenticationOptions TrustFor(HubAddress endpoint)
    {
        try
        {
            return endpoint == Known ? HubTrust.OfLocalHub(DataDirectory) : HubTrust.OfAuthority(endpoint.IsEncrypted ? Authority?.File : null);
        }
        catch (AuthorityFileException e)
        {
            throw CliException.Usage($"{Authority?.Source} {e.Message}");
        }
    }

    /// <summary>Whether the hub that the addresses or the token were found by still runs there: who listens there after it may be somebody else.</summary>
    public bool IsStillThere => (Owners ?? Local) is not { } hub || LocalHub.TryRead(DataDirectory)?.Grpc == hub.Grpc;

    /// <summary>'localhost' may lead to another listener than the hub's own address of the same port, so the hub's own is dialled then.</summary>
    private static bool IsSame(HubAddress given, HubAddress own) =>
        given == own || (given.Uri.Host == "localhost" && given.Uri.Scheme == own.Uri.Scheme && given.Uri.Port == own.Uri.Port);

    private static string? Given(string? value) => string.IsNullOrWhiteSpace(value) ? null : value;
}
