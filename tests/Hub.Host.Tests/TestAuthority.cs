using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Hub.Host.Hosting;

namespace Hub.Host.Tests;

/// <summary>What a certificate of a test says.</summary>
internal sealed record Issue
{
    /// <summary>The name of its subject; null for that of its file.</summary>
    public string? Subject { get; init; }
    /// <summary>DNS names and addresses it is for.</summary>
    public string[] Names { get; init; } = [];
    /// <summary>Its extended key usages; none for no such extension.</summary>
    public string[] Usages { get; init; } = [];
    /// <summary>Extensions of another kind, or such as nobody should write.</summary>
    public X509Extension[] Extensions { get; init; } = [];
    /// <summary>From when it is valid; null for since yesterday.</summary>
    public DateTimeOffset? From { get; init; }
    /// <summary>Until when; null for half a day from now.</summary>
    public DateTimeOffset? Until { get; init; }
}

/// <summary>An authority, and the certificates it gives.</summary>
internal sealed class TestAuthority
{
    private readonly X509Certificate2 _certificate;

    private TestAuthority(X509Certificate2 certificate) => _certificate = certificate;

    /// <summary>Makes one.</summary>
    public static TestAuthority Make(string name)
    {
        var request = new CertificateRequest($"CN={name}", ECDsa.Create(ECCurve.NamedCurves.nistP256), HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        var now = TimeProvider.System.GetUtcNow();
        return new TestAuthority(request.CreateSelfSigned(now.AddDays(-500), now.AddDays(500)));
    }

    /// <summary>Writes its certificate into a directory and gives the file.</summary>
    public string WriteTo(TemporaryDirectory directory)
    {
        var file = directory[_certificate.Thumbprint + ".pem"];
        File.WriteAllText(file, _certificate.ExportCertificatePem());
        return file;
    }

    /// <summary>Writes a certificate <c>NAME.pem</c> and its key <c>NAME.key</c> into a directory, over those that are there.</summary>
    public (string Certificate, string Key) Give(TemporaryDirectory directory, string name, Issue? what = null)
    {
        what ??= new Issue();
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest($"CN={what.Subject ?? name}", key, HashAlgorithmName.SHA256);
        var names = new SubjectAlternativeNameBuilder();
        foreach (var one in what.Names)
        {
            if (IPAddress.TryParse(one, out var address))
                names.AddIpAddress(address);
            else
                names.AddDnsName(one);
        }

        if (what.Names.Length > 0)
            request.CertificateExtensions.Add(names.Build());
        if (what.Usages.Length > 0)
            request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([.. what.Usages.Select(u => new Oid(u))], critical: false));
        foreach (var extension in what.Extensions)
            request.CertificateExtensions.Add(extension);
        var now = TimeProvider.System.GetUtcNow();
        using var issued = request.Create(_certificate, what.From ?? now.AddDays(-1), what.Until ?? now.AddDays(0.5), RandomNumberGenerator.GetBytes(8));
        var files = (Certificate: directory[name + ".pem"], Key: directory[name + ".key"]);
        File.WriteAllText(files.Certificate, issued.ExportCertificatePem());
        File.WriteAllText(files.Key, key.ExportPkcs8PrivateKeyPem());
        File.SetUnixFileMode(files.Key, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        return files;
    }

    /// <summary>Usages that a member's certificate must have, if it has any.</summary>
    public static string[] MemberUsages => [CertificateUsage.Server, CertificateUsage.Client];
}
