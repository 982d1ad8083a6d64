using Hub.Protocol;

namespace Hub.Node.Uplink;

/// <summary>Where to dial, and with which credential.</summary>
/// <param name="Address">A member of the hub.</param>
/// <param name="Token">The credential; null for none.</param>
internal sealed record HubTarget(Uri Address, string? Token);

/// <summary>The hub's members in turn. What lies in files is read before each dial, since a hub may come back elsewhere.</summary>
internal sealed class HubTargets(NodeOptions options)
{
    private int _next;

    /// <summary>Addresses of one round; after a round without success the agent pauses.</summary>
    public int Count => options.HubDataDirectory is null ? options.Hubs.Count : 1;

    /// <summary>Whether another credential may be found later.</summary>
    public bool TokenMayChange => options.HubDataDirectory is not null || options.TokenFile is not null;

    /// <summary>What to call the place while no hub is there.</summary>
    public string Place => options.HubDataDirectory ?? string.Join(", ", options.Hubs.Select(h => h.Authority));

    /// <summary>The next member; null if the data directory names no hub now.</summary>
    public HubTarget? Next()
    {
        if (options.HubDataDirectory is { } directory)
        {
            return LocalHub.TryRead(directory) is { } hub && Uri.TryCreate(hub.Grpc, UriKind.Absolute, out var local)
                ? new HubTarget(local, options.Token ?? LocalHub.TryReadToken(directory))
                : null;
        }

        var address = options.Hubs[_next];
        _next = (_next + 1) % options.Hubs.Count;
        return new HubTarget(address, options.TokenFile is { } file ? ReadToken(file) : options.Token);
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
