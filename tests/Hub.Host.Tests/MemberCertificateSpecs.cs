using System.Security.Cryptography.X509Certificates;
using Akka.Actor;
using Akka.Actor.Setup;
using Akka.Configuration;
using Akka.Remote.Transport.DotNetty;
using Hub.Actors.Store;
using Hub.Host.Hosting;
using Hub.Host.Settings;
using static Hub.Host.Tests.TestSupport;

namespace Hub.Host.Tests;

/// <summary>Who may talk to actors over Akka.Remote.</summary>
public sealed class MemberCertificateSpecs : IDisposable
{
    private readonly TemporaryDirectory _one = new();
    private readonly TemporaryDirectory _other = new();

    public void Dispose()
    {
        _one.Dispose();
        _other.Dispose();
    }

    [Fact]
    public void It_is_made_once_for_its_owner_alone()
    {
        using var first = MemberCertificate.LoadOrCreate(_one.Path, TimeProvider.System);
        using var second = MemberCertificate.LoadOrCreate(_one.Path, TimeProvider.System);
        second.Thumbprint.ShouldBe(first.Thumbprint);
        File.GetUnixFileMode(_one[MemberCertificate.FileName]).ShouldBe(UnixFileMode.UserRead | UnixFileMode.UserWrite);
    }

    [Fact]
    public void One_that_others_can_read_is_refused()
    {
        MemberCertificate.LoadOrCreate(_one.Path, TimeProvider.System).Dispose();
        File.SetUnixFileMode(_one[MemberCertificate.FileName], UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead);
        Should.Throw<StoreRefusedException>(() => MemberCertificate.LoadOrCreate(_one.Path, TimeProvider.System)).Message.ShouldContain("chmod 600");
    }

    [Fact]
    public async Task Only_holders_of_the_same_certificate_get_through()
    {
        using var ours = MemberCertificate.LoadOrCreate(_one.Path, TimeProvider.System);
        using var foreign = MemberCertificate.LoadOrCreate(_other.Path, TimeProvider.System);
        using var hub = Start(MemberCertificate.Setup(new MemberIdentity(ours, null)));
        using var member = Start(MemberCertificate.Setup(new MemberIdentity(ours, null)));
        using var stranger = Start(new DotNettySslSetup(foreign, suppressValidation: true));
        hub.ActorOf<Quiet>("quiet");
        var address = ((ExtendedActorSystem)hub).Provider.DefaultAddress;

        await member.ActorSelection($"{address}/user/quiet").ResolveOne(Patience);
        await Should.ThrowAsync<ActorNotFoundException>(() => stranger.ActorSelection($"{address}/user/quiet").ResolveOne(TimeSpan.FromSeconds(3)));
    }

    [Fact]
    public async Task Members_of_a_cluster_accept_every_certificate_of_their_authority_and_no_other()
    {
        var (authority, foreign) = (TestAuthority.Make("ours"), TestAuthority.Make("theirs"));
        using var one = await LoadAsync(Member(authority, _one, "one"));
        using var two = await LoadAsync(Member(authority, _one, "two", new Issue { Usages = TestAuthority.MemberUsages }));
        using var other = await LoadAsync(Member(foreign, _other, "one"));
        // Of the authority, but for listeners only.
        var (certificate, key) = authority.Give(_one, "listener", new Issue { Usages = [CertificateUsage.Server] });
        using var pem = X509Certificate2.CreateFromPemFile(certificate, key);
        using var listener = X509CertificateLoader.LoadPkcs12(pem.Export(X509ContentType.Pkcs12), password: null);
        using var hub = Start(MemberCertificate.Setup(one));
        using var member = Start(MemberCertificate.Setup(two));
        using var stranger = Start(new DotNettySslSetup(other.Certificate, suppressValidation: true));
        using var half = Start(new DotNettySslSetup(listener, suppressValidation: true));
        hub.ActorOf<Quiet>("quiet");
        var address = ((ExtendedActorSystem)hub).Provider.DefaultAddress;

        await member.ActorSelection($"{address}/user/quiet").ResolveOne(Patience);
        var refused = new[] { stranger, half }.Select(s => s.ActorSelection($"{address}/user/quiet").ResolveOne(TimeSpan.FromSeconds(3))).ToArray();
        foreach (var connection in refused)
            await Should.ThrowAsync<ActorNotFoundException>(() => connection);
    }

    [Fact]
    public async Task Certificates_that_cannot_be_used_are_refused_by_the_settings_name()
    {
        var (authority, foreign) = (TestAuthority.Make("ours"), TestAuthority.Make("theirs"));
        var now = TimeProvider.System.GetUtcNow();
        var host = Member(authority, _one, "one");
        (await RefusedAsync(host with { Cluster = host.Cluster with { Authority = foreign.WriteTo(_other) } })).ShouldContain("akkahub.remote.certificate = '" + host.Cluster.Certificate + "': it is not of the authority");
        (await RefusedAsync(Member(authority, _one, "old", new Issue { From = now.AddDays(-2), Until = now.AddDays(-1) }))).ShouldContain("it is valid from");
        foreach (var usage in TestAuthority.MemberUsages)
            (await RefusedAsync(Member(authority, _one, "half", new Issue { Usages = [usage] }))).ShouldContain("half.pem': its extended key usage does not allow what it is for here: serverAuth and clientAuth");
        (await RefusedAsync(host with { Cluster = host.Cluster with { Authority = _one["nowhere"] } })).ShouldContain("akkahub.remote.ca = '");
        File.WriteAllText(_one["empty"], "");
        (await RefusedAsync(host with { Cluster = host.Cluster with { Authority = _one["empty"] } })).ShouldContain("there is no certificate in it");
        File.SetUnixFileMode(host.Cluster.Key, UnixFileMode.UserRead | UnixFileMode.GroupRead);
        (await RefusedAsync(host)).ShouldContain("akkahub.remote.key = '" + host.Cluster.Key);

        static async Task<string> RefusedAsync(HostSettings host) => (await Should.ThrowAsync<CertificateRefusedException>(() => LoadAsync(host))).Message;
    }

    private static Task<MemberIdentity> LoadAsync(HostSettings host) => MemberCertificate.LoadAsync(host, TimeProvider.System);

    private static HostSettings Member(TestAuthority authority, TemporaryDirectory directory, string name, Issue? what = null)
    {
        var (certificate, key) = authority.Give(directory, name, what);
        return new HostSettings
        {
            Cluster = new ClusterSettings { Seeds = "a:1", Certificate = certificate, Key = key, Authority = authority.WriteTo(directory) },
        };
    }

    private sealed class Quiet : ReceiveActor;

    private static ActorSystem Start(DotNettySslSetup ssl) => ActorSystem.Create("members", ActorSystemSetup.Create(
        BootstrapSetup.Create().WithConfig(ConfigurationFactory.ParseString("""
            akka {
              loglevel = OFF
              stdout-loglevel = OFF
              actor.provider = remote
              remote.dot-netty.tcp { hostname = "127.0.0.1", port = 0, enable-ssl = true }
            }
            """)), ssl));
}
