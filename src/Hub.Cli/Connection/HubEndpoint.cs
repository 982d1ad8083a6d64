using System.Globalization;
using System.Net;

namespace Hub.Cli.Connection;

/// <summary>Where a member of the hub listens.</summary>
/// <param name="Address">Scheme, host and port.</param>
internal sealed record HubEndpoint(Uri Address)
{
    /// <summary>The port when none is given.</summary>
    public const int DefaultPort = 5100;

    /// <summary>Whether the address can only be this machine's own.</summary>
    public bool IsLoopback => Address.IsLoopback || (IPAddress.TryParse(Address.Host.Trim('[', ']'), out var ip) && IPAddress.IsLoopback(ip));

    /// <summary>Whether what is sent is encrypted on the way.</summary>
    public bool IsEncrypted => Address.Scheme == Uri.UriSchemeHttps;

    /// <summary>As people write it.</summary>
    public override string ToString() => IsEncrypted ? $"https://{Address.Authority}" : $"{Address.Host}:{Address.Port.ToString(CultureInfo.InvariantCulture)}";

    /// <summary>Reads 'host', 'host:port', '[v6]:port' or a URL, several joined by commas.</summary>
    /// <exception cref="CliException">An address cannot be read; usage.</exception>
    public static IReadOnlyList<HubEndpoint> ParseList(string text)
    {
        var parts = text.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries);
        if (parts.Length == 0)
            throw CliException.Usage("the hub's address is empty; give host:port");
        return [.. parts.Select(Parse).Distinct()];
    }

    private static HubEndpoint Parse(string text)
    {
        var hasScheme = text.Contains("://", StringComparison.Ordinal);
        if (!Uri.TryCreate(hasScheme ? text : "http://" + text, UriKind.Absolute, out var uri)
            || uri.Scheme is not ("http" or "https")
            || uri.Host.Length == 0
            || uri.PathAndQuery != "/"
            || uri.UserInfo.Length > 0)
        {
            throw CliException.Usage($"'{text}' is not the address of a hub; give host:port, or a URL beginning with http:// or https://");
        }

        // A URL's own default (80, 443) is no hub's port unless it was written down.
        var hostAndPort = hasScheme ? text[(text.IndexOf("://", StringComparison.Ordinal) + 3)..].TrimEnd('/') : text;
        var hasPort = hostAndPort.LastIndexOf(':') > hostAndPort.LastIndexOf(']');
        return new HubEndpoint(hasPort ? new Uri($"{uri.Scheme}://{uri.Host}:{uri.Port}") : new Uri($"{uri.Scheme}://{uri.Host}:{DefaultPort}"));
    }
}
