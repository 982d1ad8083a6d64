using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Hub.Host.Settings;

namespace Hub.Host.Hosting;

/// <summary>
/// The certificate of the gRPC and the HTTP listener. It is read again when its files change (<see cref="LookAsync"/>): new connections are
/// shown the new one, those that are there go on. A pair that cannot be used, or is only half written, leaves the old one in place.
/// </summary>
internal sealed class ListenerCertificate
{
    private readonly CertificateFiles _files;
    private readonly TimeProvider _time;
    private byte[] _fingerprint;
    private (byte[] Seen, string Why)? _refused;
    private bool _said;
    private bool _isTold = true;
    private volatile Pair _current;
    private volatile IReadOnlyList<X509Certificate2> _shown;

    private ListenerCertificate(CertificateFiles files, TimeProvider time, (byte[] Certificate, byte[] Key) read)
    {
        (_files, _time) = (files, time);
        _fingerprint = FingerprintOf(read);
        _current = Open(read);
        _shown = [_current.Certificate];
    }

    /// <summary>
    /// After what <see cref="Shown"/> gives has changed: once before a new certificate is shown to anybody, and once after it is to everybody.
    /// Who must know a certificate before it is shown throws to prevent it.
    /// </summary>
    public event Action? Changed;

    /// <summary>Reads the certificate of the settings; null if there is none.</summary>
    /// <exception cref="CertificateRefusedException">It cannot be used.</exception>
    public static async Task<ListenerCertificate?> LoadAsync(HostSettings host, TimeProvider time)
    {
        if (!host.Tls.IsOn)
            return null;
        var files = new CertificateFiles("akkahub.tls.certificate", host.Tls.Certificate, "akkahub.tls.key", host.Tls.Key);
        return new ListenerCertificate(files, time, await files.ReadAsync().ConfigureAwait(false));
    }

    /// <summary>The certificate that new connections are shown.</summary>
    public X509Certificate2 Current => _current.Certificate;

    /// <summary>Those that a connection may be shown just now; the newest first.</summary>
    public IReadOnlyList<X509Certificate2> Shown => _shown;

    /// <summary>SHA-256 of each of <see cref="Shown"/>, in hexadecimal, by which the owner of the hub knows it.</summary>
    public IReadOnlyList<string> Hashes => [.. _shown.Select(static c => c.GetCertHashString(HashAlgorithmName.SHA256))];

    /// <summary>What a handshake needs.</summary>
    public SslServerAuthenticationOptions ForHandshake() => new()
    {
        ServerCertificateContext = _current.Context,
        EnabledSslProtocols = SslProtocols.Tls12 | SslProtocols.Tls13,
    };

    /// <summary>Looks at the files once. One call at a time.</summary>
    /// <returns>
    /// Whether there is a new certificate, and what is wrong: without a new one why what is there now cannot be used, with one who could not be told that
    /// the one before is gone (that is tried again at each look). Each fault of each state of the files is told of once.
    /// </returns>
    public async Task<(bool Renewed, string? Problem)> LookAsync(CancellationToken cancellationToken)
    {
        byte[] seen = [];
        if (!_isTold)
            Tell();
        try
        {
            var read = await _files.ReadAsync(cancellationToken).ConfigureAwait(false);
            seen = FingerprintOf(read);
            if (seen.AsSpan().SequenceEqual(_fingerprint))
            {
                _refused = null;
                return (false, null);
            }

            Take(Open(read));
            _fingerprint = seen;
            _refused = null;
            return (true, Tell());
        }
        catch (Exception e) when (e is not OperationCanceledException || !cancellationToken.IsCancellationRequested)
        {
            // Whatever it is, the hub runs on with the one it has. Two files do not change at once: what is wrong at one look only is not told of.
            if (_refused is not { } before || before.Why != e.Message || !seen.AsSpan().SequenceEqual(before.Seen))
            {
                (_refused, _said) = ((seen, e.Message), false);
                return (false, null);
            }

            if (_said)
                return (false, null);
            _said = true;
            return (false, e.Message);
        }
    }

    private void Take(Pair next)
    {
        var before = _current;
        _shown = [next.Certificate, before.Certificate];
        try
        {
            Changed?.Invoke();
        }
        catch
        {
            _shown = [before.Certificate];
            throw;
        }

        // The one before is left to the collector: a handshake may be using it.
        _current = next;
        _shown = [next.Certificate];
    }

    // The new one is shown whatever becomes of this; who is not told takes the one before for shown, too.
    private string? Tell()
    {
        try
        {
            Changed?.Invoke();
            _isTold = true;
            return null;
        }
        catch (Exception e)
        {
            _isTold = false;
            return e.Message;
        }
    }

    private Pair Open((byte[] Certificate, byte[] Key) read)
    {
        var loaded = _files.Open(read, _time.GetUtcNow(), CertificateUsage.Server);
        try
        {
            // Names that cannot be read would be met later, by who does not know what to do about it.
            _ = AllowedHosts.NamesOf(loaded.Certificate);
            // Offline: the hub asks nobody for what the file does not have.
            return new Pair(loaded.Certificate, SslStreamCertificateContext.Create(loaded.Certificate, loaded.Intermediates, offline: true));
        }
        catch (Exception e)
        {
            throw _files.RefusedCertificate(e.Message, e);
        }
    }

    private static byte[] FingerprintOf((byte[] Certificate, byte[] Key) read)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(SHA256.HashData(read.Certificate));
        hash.AppendData(SHA256.HashData(read.Key));
        return hash.GetHashAndReset();
    }

    private sealed record Pair(X509Certificate2 Certificate, SslStreamCertificateContext Context);
}
