using System.Net;
using System.Net.NetworkInformation;
using System.Net.Sockets;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Hub.Host.Settings;
using Microsoft.AspNetCore.HostFiltering;
using Microsoft.Extensions.Options;
using Microsoft.Extensions.Primitives;

namespace Hub.Host.Hosting;

/// <summary>
/// By which names the hub may be called: a page of another site must not talk to it under a name of its own that points here. These are the
/// names of this machine's loopback, the address it binds to, the names in its certificate, and by what other members reach it; when it binds to
/// all addresses, those of this machine at the time too, since a probe or a load balancer asks by them. Anew with each new certificate. What stands
/// for any name at all, wherever it comes from, is none of them.
/// </summary>
internal sealed class AllowedHosts : IConfigureOptions<HostFilteringOptions>, IOptionsChangeTokenSource<HostFilteringOptions>
{
    private readonly HostSettings _host;
    private readonly ListenerCertificate? _tls;
    private CancellationTokenSource _changed = new();

    /// <summary>Makes the list; with a certificate it follows it.</summary>
    public AllowedHosts(HostSettings host, ListenerCertificate? tls)
    {
        (_host, _tls) = (host, tls);
        if (tls is not null)
            tls.Changed += () => Interlocked.Exchange(ref _changed, new CancellationTokenSource()).Cancel();
    }

    /// <inheritdoc/>
    public string Name => Options.DefaultName;

    /// <inheritdoc/>
    public IChangeToken GetChangeToken() => new CancellationChangeToken(Volatile.Read(ref _changed).Token);

    /// <inheritdoc/>
    public void Configure(HostFilteringOptions options)
    {
        var bind = _host.BindAddress;
        var isWildcard = bind.Equals(IPAddress.Any) || bind.Equals(IPAddress.IPv6Any);
        IEnumerable<string> names = ["localhost", "127.0.0.1", "[::1]"];
        names = names.Concat(isWildcard ? OfThisMachine() : [InUrl(bind)]);
        if (_host.Cluster.PublicHost is { Length: > 0 } name)
            names = names.Append(IPAddress.TryParse(name, out var address) ? InUrl(address) : name);
        options.AllowedHosts = [.. names.Concat((_tls?.Shown ?? []).SelectMany(NamesOf)).Where(IsName).Distinct(StringComparer.OrdinalIgnoreCase)];
    }

    /// <summary>The names and addresses a certificate is for, as they stand in a URL.</summary>
    internal static IReadOnlyList<string> NamesOf(X509Certificate2 certificate)
    {
        var names = certificate.Extensions.OfType<X509SubjectAlternativeNameExtension>()
            .SelectMany(static e => e.EnumerateDnsNames().Concat(e.EnumerateIPAddresses().Select(InUrl))).ToList();
        // One without them is for the name of its subject.
        return names.Count > 0 ? names : [certificate.GetNameInfo(X509NameType.SimpleName, forIssuer: false)];
    }

    // The filter takes '*', 0.0.0.0 and [::] for any name, and letters that are not of ASCII for those they are folded to.
    private static bool IsName(string name)
    {
        var rest = name.StartsWith("*.", StringComparison.Ordinal) ? name[2..] : name;
        return Ascii.IsValid(rest) && Uri.CheckHostName(rest) != UriHostNameType.Unknown
            && !(IPAddress.TryParse(rest, out var address) && (address.Equals(IPAddress.Any) || address.Equals(IPAddress.IPv6Any)));
    }

    private static IEnumerable<string> OfThisMachine() =>
        NetworkInterface.GetAllNetworkInterfaces().SelectMany(static i => i.GetIPProperties().UnicastAddresses).Select(static a => InUrl(a.Address))
            .Append(Dns.GetHostName());

    private static string InUrl(IPAddress address) =>
        address.AddressFamily == AddressFamily.InterNetworkV6 ? $"[{new IPAddress(address.GetAddressBytes())}]" : address.ToString();
}
