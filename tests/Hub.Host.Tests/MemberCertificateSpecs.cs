using System.Security.Cryptography;
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
        var (authority, foreign) = (Authority.Make("ours"), Authority.Make("theirs"));
        using var one = MemberCertificate.Load(authority.Issue(_one, "one"), TimeProvider.System);
        using var two = MemberCertificate.Load(authority.Issue(_one, "two"), TimeProvider.System);
        using var other = MemberCertificate.Load(foreign.Issue(_other, "one"), TimeProvider.System);
        using var hub = Start(MemberCertificate.Setup(one));
        using var member = Start(MemberCertificate.Setup(two));
        using var stranger = Start(new DotNettySslSetup(other.Certificate, suppressValidation: true));
        hub.ActorOf<Quiet>("quiet");
        var address = ((ExtendedActorSystem)hub).Provider.DefaultAddress;

        await member.ActorSelection($"{address}/user/quiet").ResolveOne(Patience);
        await Should.ThrowAsync<ActorNotFoundException>(() => stranger.ActorSelection($"{address}/user/quiet").ResolveOne(TimeSpan.FromSeconds(3)));
    }

    [Fact]
    public void Certificates_that_cannot_be_used_are_refused_by_the_settings_name()
    {
        var (authority, foreign) = (Authority.Make("ours"), Authority.Make("theirs"));
        var host = authority.Issue(_one, "one");
        Refused(host with { Cluster = host.Cluster with { Authority = foreign.WriteTo(_other) } }).ShouldContain("akkahub.remote.certificate = '" + host.Cluster.Certificate + "': it is not of the authority");
        Refused(authority.Issue(_one, "old", expired: true)).ShouldContain("it is valid from");
        Refused(host with { Cluster = host.Cluster with { Authority = _one["nowhere"] } }).ShouldContain("akkahub.remote.ca = '");
        File.WriteAllText(_one["empty"], "");
        Refused(host with { Cluster = host.Cluster with { Authority = _one["empty"] } }).ShouldContain("there is no certificate in it");
        File.SetUnixFileMode(host.Cluster.Key, UnixFileMode.UserRead | UnixFileMode.GroupRead);
        Refused(host).ShouldContain("akkahub.remote.key = '" + host.Cluster.Key);

        static string Refused(HostSettings host) => Should.Throw<CertificateRefusedException>(() => MemberCertificate.Load(host, TimeProvider.System)).Message;
    }

    /// <summary>An authority and the certificates it gives.</summary>
    private sealed class Authority(X509Certificate2 certificate)
    {
        public static Authority Make(string name)
        {
            var request = new CertificateRequest($"CN={name}", ECDsa.Create(ECCurve.NamedCurves.nistP256), HashAlgorithmName.SHA256);
            request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
            var now = TimeProvider.System.GetUtcNow();
            return new Authority(request.CreateSelfSigned(now.AddDays(-10), now.AddDays(1)));
        }

        public string WriteTo(TemporaryDirectory directory)
        {
            var file = directory[certificate.Thumbprint + ".pem"];
            File.WriteAllText(file, certificate.ExportCertificatePem());
            return file;
        }

        public HostSettings Issue(TemporaryDirectory directory, string name, bool expired = false)
        {
            using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
            var request = new CertificateRequest($"CN={name}", key, HashAlgorithmName.SHA256);
            var end = TimeProvider.System.GetUtcNow().AddDays(expired ? -1 : 0.5);
            using var issued = request.Create(certificate, end.AddDays(-2), end, RandomNumberGenerator.GetBytes(8));
            File.WriteAllText(directory[name + ".pem"], issued.ExportCertificatePem());
            File.WriteAllText(directory[name + ".key"], key.ExportPkcs8PrivateKeyPem());
            File.SetUnixFileMode(directory[name + ".key"], UnixFileMode.UserRead | UnixFileMode.UserWrite);
            return new HostSettings
            {
                Cluster = new ClusterSettings { Seeds = "a:1", Certificate = directory[name + ".pem"], Key = directory[name + ".key"], Authority = WriteTo(directory) },
            };
        }
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
