using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Hub.Actors.Store;

namespace Hub.Host.Hosting;

/// <summary>A certificate of the settings cannot be used; the message names the setting and the file.</summary>
public sealed class CertificateRefusedException(string message, Exception? inner = null) : Exception(message, inner);

/// <summary>What a certificate is used for.</summary>
internal static class CertificateUsage
{
    /// <summary>Shown to who connects (serverAuth).</summary>
    public const string Server = "1.3.6.1.5.5.7.3.1";
    /// <summary>Shown to whom one connects (clientAuth).</summary>
    public const string Client = "1.3.6.1.5.5.7.3.2";

    private const string Any = "2.5.29.37.0";

    /// <summary>Whether a certificate may be used so: it says nothing of its use, or names all of these.</summary>
    public static bool Allows(X509Certificate2 certificate, params ReadOnlySpan<string> usages)
    {
        foreach (var extension in certificate.Extensions.OfType<X509EnhancedKeyUsageExtension>())
        {
            foreach (var usage in usages)
            {
                if (extension.EnhancedKeyUsages[usage] is null && extension.EnhancedKeyUsages[Any] is null)
                    return false;
            }
        }

        return true;
    }
}

/// <summary>A certificate with its key, and what stands between it and its authority.</summary>
/// <param name="Certificate">With its key.</param>
/// <param name="Intermediates">In the order of the file.</param>
internal sealed record LoadedCertificate(X509Certificate2 Certificate, X509Certificate2Collection Intermediates);

/// <summary>A certificate and its key in PEM files, and the settings that name them.</summary>
/// <param name="CertificateSetting">The setting that names the certificate.</param>
/// <param name="Certificate">Its file.</param>
/// <param name="KeySetting">The setting that names the key.</param>
/// <param name="Key">Its file.</param>
internal sealed record CertificateFiles(string CertificateSetting, string Certificate, string KeySetting, string Key)
{
    /// <summary>Both files as they are.</summary>
    /// <exception cref="CertificateRefusedException">One cannot be read, or others can read the key.</exception>
    public async Task<(byte[] Certificate, byte[] Key)> ReadAsync(CancellationToken cancellationToken = default)
    {
        try
        {
            var certificate = await File.ReadAllBytesAsync(Certificate, cancellationToken).ConfigureAwait(false);
            try
            {
                if (DataDirectory.OthersMay(Key))
                    throw Refused(KeySetting, Key, "others can read or write it; 'chmod 600' it");
                return (certificate, await File.ReadAllBytesAsync(Key, cancellationToken).ConfigureAwait(false));
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                throw Refused(KeySetting, Key, e.Message, e);
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Refused(CertificateSetting, Certificate, e.Message, e);
        }
    }

    /// <summary>Makes a certificate of what was read, and judges it.</summary>
    /// <exception cref="CertificateRefusedException">
    /// It is none, the key is not its own, it is not valid now, or it says that it is for another use.
    /// </exception>
    public LoadedCertificate Open((byte[] Certificate, byte[] Key) read, DateTimeOffset now, params ReadOnlySpan<string> usages)
    {
        var chain = new X509Certificate2Collection();
        X509Certificate2 certificate;
        var (setting, file) = (CertificateSetting, Certificate);
        try
        {
            var text = Encoding.UTF8.GetString(read.Certificate);
            chain.ImportFromPem(text);
            if (chain.Count == 0)
                throw new CryptographicException("there is no certificate in it");
            chain[0].Dispose();
            chain.RemoveAt(0);
            (setting, file) = (KeySetting, Key);
            using var pem = X509Certificate2.CreateFromPem(text, Encoding.UTF8.GetString(read.Key));
            // A key of a PEM file lives in memory only, which not every user of the certificate can take.
            certificate = X509CertificateLoader.LoadPkcs12(pem.Export(X509ContentType.Pkcs12), password: null);
        }
        catch (Exception e)
        {
            // What a file can do to its reader is not known in full. The only wrong argument is a key of another certificate.
            throw Refused(setting, file, e is ArgumentException ? $"it is not the key of the certificate in {CertificateSetting}" : e.Message, e);
        }

        if (now < certificate.NotBefore || now > certificate.NotAfter)
            throw RefusedCertificate($"it is valid from {certificate.NotBefore.ToUniversalTime():u} to {certificate.NotAfter.ToUniversalTime():u}");
        bool isAllowed;
        try
        {
            isAllowed = CertificateUsage.Allows(certificate, usages);
        }
        catch (Exception e)
        {
            throw RefusedCertificate($"its extended key usage cannot be read: {e.Message}", e);
        }

        if (!isAllowed)
        {
            var names = string.Join(" and ", usages.ToArray().Select(static u => u == CertificateUsage.Server ? "serverAuth" : "clientAuth"));
            throw RefusedCertificate($"its extended key usage does not allow what it is for here: {names}");
        }

        return new LoadedCertificate(certificate, chain);
    }

    /// <summary>A certificate that cannot be used, for a reason its user found.</summary>
    public CertificateRefusedException RefusedCertificate(string why, Exception? inner = null) => Refused(CertificateSetting, Certificate, why, inner);

    private static CertificateRefusedException Refused(string setting, string file, string why, Exception? inner = null) =>
        new($"{setting} = '{file}': {why}", inner);
}
