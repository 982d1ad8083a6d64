using Hub.Host.Hosting;
using Hub.Host.Settings;
using Microsoft.AspNetCore.HostFiltering;
using static Hub.Host.Tests.TestSupport;

namespace Hub.Host.Tests;

/// <summary>By which names the hub may be called.</summary>
public sealed class AllowedHostsSpecs : IDisposable
{
    private static readonly TestAuthority Ours = TestAuthority.Make("ours");
    private readonly TemporaryDirectory _files = new();

    public void Dispose() => _files.Dispose();

    [Fact]
    public async Task The_hub_may_be_called_by_what_stands_in_its_certificate_and_in_its_settings()
    {
        var certificate = await LoadAsync("hub", new Issue { Names = ["hub.example", "*.mesh.example", "192.0.2.9", "2001:db8::9"] });
        string[] always = ["localhost", "127.0.0.1", "[::1]"];
        string[] named = ["hub.example", "*.mesh.example", "192.0.2.9", "[2001:db8::9]"];
        Names(new HostSettings(), null).ShouldBe(always);
        Names(new HostSettings { Bind = "192.0.2.7" }, certificate).ShouldBe([.. always, "192.0.2.7", .. named]);
        Names(new HostSettings { Cluster = new ClusterSettings { PublicHost = "2001:db8::5" } }, certificate).ShouldBe([.. always, "[2001:db8::5]", .. named]);
        var any = Names(new HostSettings { Bind = "0.0.0.0", Cluster = new ClusterSettings { PublicHost = "one.example" } }, certificate);
        any.ShouldContain(System.Net.Dns.GetHostName(), StringComparer.OrdinalIgnoreCase);
        any.ShouldContain("one.example");
        any.ShouldNotContain("0.0.0.0");
    }

    /// <summary>The filter takes some names for all names.</summary>
    [Fact]
    public async Task No_certificate_lets_the_hub_be_called_by_any_name()
    {
        string[] always = ["localhost", "127.0.0.1", "[::1]"];
        var certificate = await LoadAsync("hub", new Issue { Names = ["0.0.0.0", "::", "*", "*.*", "hub.example"] });
        Names(new HostSettings(), certificate).ShouldBe([.. always, "hub.example"]);
        // As the name of its subject, too; the filter folds letters.
        foreach (var any in (string[])["*", "0.0.0.0", "[::]", "::", "0", "\uff10.\uff10.\uff10.\uff10", "My Company"])
            Names(new HostSettings(), await LoadAsync("named", new Issue { Subject = any })).ShouldBe(always, any);
        Names(new HostSettings { Cluster = new ClusterSettings { PublicHost = "*" } }, null).ShouldBe(always);
    }

    private static IList<string> Names(HostSettings host, ListenerCertificate? certificate)
    {
        var options = new HostFilteringOptions();
        new AllowedHosts(host, certificate).Configure(options);
        return options.AllowedHosts;
    }

    private async Task<ListenerCertificate> LoadAsync(string name, Issue what)
    {
        var (certificate, key) = Ours.Give(_files, name, what);
        var settings = new HostSettings { Tls = new TlsSettings { Certificate = certificate, Key = key } };
        return (await ListenerCertificate.LoadAsync(settings, TimeProvider.System)).ShouldNotBeNull();
    }
}
