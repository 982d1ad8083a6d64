using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Akka.Remote.Transport.DotNetty;
using Hub.Actors.Store;
using Hub.Host.Settings;

namespace Hub.Host.Hosting;

/// <summary>What a member shows others, and whom it accepts.</summary>
/// <param name="Certificate">Its certificate with its key.</param>
/// <param name="Authority">Whose certificates it accepts; null to accept no other than its own.</param>
public sealed record MemberIdentity(X509Certificate2 Certificate, X509Certificate2Collection? Authority) : IDisposable
{
    /// <inheritdoc/>
    public void Dispose()
    {
        Certificate.Dispose();
        foreach (var authority in Authority ?? [])
            authority.Dispose();
    }
}

/// <summary>
/// What members know each other by. Akka.Remote takes messages for any actor from whoever gets through, so loopback alone would let every
/// local user past the tokens. A hub by itself has one self-signed certificate, owner-only in the data directory, and accepts no other; members of
/// a cluster have certificates of one authority, and accept all of it.
/// </summary>
internal static class MemberCertificate
{
    /// <summary>Name of the file: certificate and key as PKCS #12 without a password, mode 0600.</summary>
    public const string FileName = "member.pfx";

    private const string Subject = "CN=akkahub-member";
    private const int KeyBits = 2048;
    private const int ValidYears = 50;

    /// <summary>What this hub shows and accepts, by its settings.</summary>
    /// <exception cref="StoreRefusedException">The certificate in the data directory cannot be used.</exception>
    /// <exception cref="CertificateRefusedException">The certificates of the settings cannot be used.</exception>
    public static async Task<MemberIdentity> LoadAsync(HostSettings host, TimeProvider time) =>
        host.Cluster.IsMember ? await FromFilesAsync(host.Cluster, time).ConfigureAwait(false) : new MemberIdentity(LoadOrCreate(host.DataDir, time), null);

    /// <summary>Members present their certificate and accept those of the authority, whatever names they have; or only their own.</summary>
    public static DotNettySslSetup Setup(MemberIdentity member) =>
        new(member.Certificate, suppressValidation: false, requireMutualAuthentication: true, member.Authority is { } authority
            ? (certificate, _, _, _, _) => certificate is not null && IsOf(authority, certificate)
            : CertificateValidation.PinnedCertificate(member.Certificate.Thumbprint));

    private static async Task<MemberIdentity> FromFilesAsync(ClusterSettings cluster, TimeProvider time)
    {
        var authority = new X509Certificate2Collection();
        try
        {
            authority.ImportFromPem(await File.ReadAllTextAsync(cluster.Authority).ConfigureAwait(false));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or CryptographicException)
        {
            throw new CertificateRefusedException($"akkahub.remote.ca = '{cluster.Authority}': {e.Message}", e);
        }

        if (authority.Count == 0)
            throw new CertificateRefusedException($"akkahub.remote.ca = '{cluster.Authority}': there is no certificate in it");
        var files = new CertificateFiles("akkahub.remote.certificate", cluster.Certificate, "akkahub.remote.key", cluster.Key);
        // A member calls others and is called by them.
        var member = files.Open(await files.ReadAsync().ConfigureAwait(false), time.GetUtcNow(), CertificateUsage.Server, CertificateUsage.Client).Certificate;
        return IsOf(authority, member)
            ? new MemberIdentity(member, authority)
            : throw files.RefusedCertificate("it is not of the authority in akkahub.remote.ca");
    }

    private static bool IsOf(X509Certificate2Collection authority, X509Certificate2 certificate)
    {
        using var chain = new X509Chain();
        chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        chain.ChainPolicy.CustomTrustStore.AddRange(authority);
        // An authority of the cluster's own has no list to ask; a certificate is revoked by renewing the authority.
        chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
        // Else a stranger's certificate could name an address for the hub to fetch its issuer from.
        chain.ChainPolicy.DisableCertificateDownloads = true;
        // One that is only for listeners makes no member of who has it.
        return CertificateUsage.Allows(certificate, CertificateUsage.Server, CertificateUsage.Client) && chain.Build(certificate);
    }

    /// <summary>Reads the certificate, or makes it at the first start.</summary>
    /// <exception cref="StoreRefusedException">It cannot be read or written, or others can read it.</exception>
    public static X509Certificate2 LoadOrCreate(string dataDirectory, TimeProvider time)
    {
        var path = Path.Combine(dataDirectory, FileName);
        try
        {
            if (!File.Exists(path))
                Create(path, time);
            DataDirectory.RefuseSharedSecret(path);
            return X509CertificateLoader.LoadPkcs12FromFile(path, password: null);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or CryptographicException)
        {
            throw new StoreRefusedException($"{path} cannot be used: {e.Message} Remove it to have a new one made.", inner: e);
        }
    }

    private static void Create(string path, TimeProvider time)
    {
        using var key = RSA.Create(KeyBits);
        var request = new CertificateRequest(Subject, key, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1);
        request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension(
            [new Oid(CertificateUsage.Server), new Oid(CertificateUsage.Client)], critical: false));
        var now = time.GetUtcNow();
        using var certificate = request.CreateSelfSigned(now.AddDays(-1), now.AddYears(ValidYears));
        var temporary = path + ".new";
        using (var file = DataDirectory.OpenOwnerOnly(temporary, FileMode.Create))
        {
            file.Write(certificate.Export(X509ContentType.Pkcs12));
            file.Flush(flushToDisk: true);
        }

        File.Move(temporary, path);
    }
}
