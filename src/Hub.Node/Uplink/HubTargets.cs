using Hub.Protocol;

namespace Hub.Node.Uplink;

/// <summary>Where to dial, and with which credential.</summary>
/// <param name="Address">A member of the hub.</param>
/// <param name="Token">The credential; null for none.</param>
/// <param name="DataDirectory">Where the certificate that the member shows is named; null if an authority has to vouch for it.</param>
internal sealed record HubTarget(Uri Address, string? Token, string? DataDirectory = null);

/// <summary>The hub's members in turn. What lies in files is read before each dial, since a hub may come back elsewhere.</summary>
internal sealed class HubTargets(NodeOptions options)
{
    private int _next;

    /// <summary>Addresses of one round; after a round without success the agent pauses.</summary>
    public int Count => Math.Max(1, options.Hubs.Count);

    /// <summary>Whether another credential may be found later.</summary>
    public bool TokenMayChange => options.TokenFile is not null || (options.HubDataDirectory is not null && options.Token is null);

    /// <summary>The next member; null if the data directory names no hub now, and there is no other address.</summary>
    public HubTarget? Next()
    {
        var token = options.TokenFile is { } file ? ReadToken(file) : options.Token;
        // The hub that a data directory names is on this machine: no token goes elsewhere for it.
        if (options.HubDataDirectory is { } directory && LocalHub.TryRead(directory)?.OwnersAddress is { } local)
        {
            return new HubTarget(local.Uri, options.TokenFile is null ? token ?? LocalHub.TryReadToken(directory) : token, directory);
        }

        if (options.Hubs.Count == 0)
            return null;
        var address = options.Hubs[_next];
        _next = (_next + 1) % options.Hubs.Count;
        return new HubTarget(address, token);
    }

    private static string? ReadToken(string file)
    {
        try
        {
            var token = File.ReadAllText(file).Trim();
            return token.Length == 0 ? null : token;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }
}
