using Akka.Actor;
using Akka.Actor.Setup;
using Akka.Configuration;
using Akka.Remote.Transport.DotNetty;
using Hub.Actors.Store;
using Hub.Host.Hosting;
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
        using var hub = Start(MemberCertificate.Setup(ours));
        using var member = Start(MemberCertificate.Setup(ours));
        using var stranger = Start(new DotNettySslSetup(foreign, suppressValidation: true));
        hub.ActorOf<Quiet>("quiet");
        var address = ((ExtendedActorSystem)hub).Provider.DefaultAddress;

        await member.ActorSelection($"{address}/user/quiet").ResolveOne(Patience);
        await Should.ThrowAsync<ActorNotFoundException>(() => stranger.ActorSelection($"{address}/user/quiet").ResolveOne(TimeSpan.FromSeconds(3)));
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
