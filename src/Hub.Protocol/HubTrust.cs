using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Hub.Protocol;

/// <summary>The file of an authority cannot be used; the message names it.</summary>
public sealed class AuthorityFileException(string message, Exception? inner = null) : IOException(message, inner);

/// <summary>A hub showed a certificate that is not trusted; the message says why.</summary>
public sealed class UntrustedHubException(string message) : AuthenticationException(message);

/// <summary>
/// By what a hub that is dialled over TLS is known: a certificate for its name, of an authority that the system trusts or that was given; or,
/// for the hub of a data directory on this machine, exactly the certificate that its <c>hub.json</c> names, whatever names are in it.
/// </summary>
public static class HubTrust
{
    /// <summary>The environment variable that names the authority's file as <c>--ca</c> does.</summary>
    public const string AuthorityVariable = "AKKAHUB_CA";

    /// <summary>Trusts the authorities in a file and no others, or those of the system.</summary>
    /// <param name="authorityFile">PEM, one or more certificates; null for the system's.</param>
    /// <exception cref="AuthorityFileException">The file cannot be read, or there is no certificate in it.</exception>
    public static SslClientAuthenticationOptions OfAuthority(string? authorityFile)
    {
        var options = new SslClientAuthenticationOptions { RemoteCertificateValidationCallback = Judge };
        if (authorityFile is null)
            return options;
        options.CertificateChainPolicy = new X509ChainPolicy
        {
            TrustMode = X509ChainTrustMode.CustomRootTrust,
            RevocationMode = X509RevocationMode.NoCheck,
            DisableCertificateDownloads = true,
        };
        options.CertificateChainPolicy.CustomTrustStore.AddRange(Read(authorityFile));
        return options;
    }

    /// <summary>
    /// Trusts the certificates that <c>hub.json</c> of a data directory names while its hub runs. The file is read at each handshake, since the
    /// hub may have been given another certificate.
    /// </summary>
    public static SslClientAuthenticationOptions OfLocalHub(string dataDirectory) => new()
    {
        RemoteCertificateValidationCallback = (_, certificate, _, _) =>
        {
            if (certificate is not null && LocalHub.TryRead(dataDirectory) is { Certificates: { } known }
                && known.Contains(certificate.GetCertHashString(HashAlgorithmName.SHA256), StringComparer.OrdinalIgnoreCase))
            {
                return true;
            }

            throw new UntrustedHubException($"its certificate is not the one that {Path.Combine(dataDirectory, LocalHub.FileName)} names");
        },
    };

    private static X509Certificate2Collection Read(string file)
    {
        var authorities = new X509Certificate2Collection();
        try
        {
            authorities.ImportFromPemFile(file);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or CryptographicException)
        {
            throw new AuthorityFileException($"'{file}': {e.Message}", e);
        }

        return authorities.Count > 0 ? authorities : throw new AuthorityFileException($"'{file}': there is no certificate in it");
    }

    private static bool Judge(object sender, X509Certificate? certificate, X509Chain? chain, SslPolicyErrors errors)
    {
        if (errors == SslPolicyErrors.None)
            return true;
        if (certificate is null)
            throw new UntrustedHubException("it showed no certificate");
        if (errors.HasFlag(SslPolicyErrors.RemoteCertificateNameMismatch))
            throw new UntrustedHubException($"its certificate ({certificate.Subject}) is not for this name or address");
        var problems = (chain?.ChainStatus ?? []).Select(static s => s.Status).Distinct().ToList();
        throw new UntrustedHubException(problems switch
        {
            _ when problems.Contains(X509ChainStatusFlags.NotTimeValid) => $"its certificate ({certificate.Subject}) or its authority's is not valid now",
            _ when problems.Any(static p => p is X509ChainStatusFlags.UntrustedRoot or X509ChainStatusFlags.PartialChain or X509ChainStatusFlags.NotSignatureValid) =>
                $"its certificate ({certificate.Subject}) is of no authority that is trusted here; give its authority's certificate with --ca or {AuthorityVariable}",
            _ => $"its certificate ({certificate.Subject}) is not accepted: {string.Join(", ", problems)}",
        });
    }
}
