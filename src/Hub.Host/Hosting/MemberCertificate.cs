using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Akka.Remote.Transport.DotNetty;
using Hub.Actors.Store;

namespace Hub.Host.Hosting;

/// <summary>
/// What the members of a cluster know each other by: one self-signed certificate, owner-only in the data directory. Akka.Remote takes
/// messages for any actor from whoever gets through, so loopback alone would let every local user past the tokens.
/// </summary>
internal static class MemberCertificate
{
    /// <summary>Name of the file: certificate and key as PKCS #12 without a password, mode 0600.</summary>
    public const string FileName = "member.pfx";

    private const string Subject = "CN=akkahub-member";
    private const int KeyBits = 2048;
    private const int ValidYears = 50;

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

    /// <summary>Members present this certificate and accept no other, whatever names or authorities another may have.</summary>
    public static DotNettySslSetup Setup(X509Certificate2 certificate) =>
        new(certificate, suppressValidation: false, requireMutualAuthentication: true,
            CertificateValidation.PinnedCertificate(certificate.Thumbprint));

    private static void Create(string path, TimeProvider time)
    {
        using var key = RSA.Create(KeyBits);
        var request = new CertificateRequest(Subject, key, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1);
        request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension(
            [new Oid("1.3.6.1.5.5.7.3.1"), new Oid("1.3.6.1.5.5.7.3.2")], critical: false));
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
