using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Net;

namespace Hub.Protocol;

/// <summary>Where a member of the hub listens, as the command line and the node agent are told.</summary>
/// <param name="Uri">Scheme, host and port.</param>
public sealed record HubAddress(Uri Uri)
{
    /// <summary>The port when none is given.</summary>
    public const int DefaultPort = 5100;

    /// <summary>Where a hub of this machine listens unless told otherwise.</summary>
    public static HubAddress Default { get; } = new(new Uri($"http://127.0.0.1:{DefaultPort}"));

    /// <summary>Whether the address can only be this machine's own.</summary>
    public bool IsLoopback => Uri.IsLoopback || (IPAddress.TryParse(Uri.Host.Trim('[', ']'), out var ip) && IPAddress.IsLoopback(ip));

    /// <summary>Whether what is sent is encrypted on the way.</summary>
    public bool IsEncrypted => Uri.Scheme == Uri.UriSchemeHttps;

    /// <summary>Why no token may be sent there; null if one may: a token does not travel to another machine in clear text.</summary>
    public string? WhyNoToken => IsEncrypted || IsLoopback
        ? null
        : $"the token would travel to {this} in clear text; use https://, or a tunnel to a loopback address (ssh -L)";

    /// <summary>As people write it.</summary>
    public override string ToString() => IsEncrypted ? $"https://{Uri.Authority}" : $"{Uri.Host}:{Uri.Port.ToString(CultureInfo.InvariantCulture)}";

    /// <summary>Reads 'host', 'host:port', '[v6]:port' or a URL, several joined by commas; repeated ones count once.</summary>
    /// <param name="text">What was given.</param>
    /// <param name="errors">Gets a sentence for each that cannot be read, or if there is none at all.</param>
    public static IReadOnlyList<HubAddress> ParseList(string text, ICollection<string> errors)
    {
        var parts = text.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        if (parts.Length == 0)
            errors.Add("the hub's address is empty; give host:port");
        var addresses = new List<HubAddress>();
        foreach (var part in parts)
        {
            if (!TryParse(part, out var address))
                errors.Add($"'{part}' is not the address of a hub; give host:port, or a URL beginning with http:// or https://");
            else if (!addresses.Contains(address))
                addresses.Add(address);
        }

        return addresses;
    }

    /// <summary>Reads 'host', 'host:port', '[v6]:port' or a URL.</summary>
    public static bool TryParse([NotNullWhen(true)] string? text, [NotNullWhen(true)] out HubAddress? address)
    {
        address = null;
        if (text is null)
            return false;
        var hasScheme = text.Contains("://", StringComparison.Ordinal);
        if (!Uri.TryCreate(hasScheme ? text : "http://" + text, UriKind.Absolute, out var uri)
            || uri.Scheme is not ("http" or "https")
            || uri.Host.Length == 0
            || uri.PathAndQuery != "/"
            || uri.UserInfo.Length > 0)
        {
            return false;
        }

        // A URL's own default (80, 443) is no hub's port unless it was written down.
        var hostAndPort = hasScheme ? text[(text.IndexOf("://", StringComparison.Ordinal) + 3)..].TrimEnd('/') : text;
        var hasPort = hostAndPort.LastIndexOf(':') > hostAndPort.LastIndexOf(']');
        address = new HubAddress(new Uri($"{uri.Scheme}://{uri.Host}:{(hasPort ? uri.Port : DefaultPort)}"));
        return true;
    }
}
