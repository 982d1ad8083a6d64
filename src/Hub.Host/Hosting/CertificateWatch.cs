using System.Security.Cryptography.X509Certificates;

namespace Hub.Host.Hosting;

/// <summary>
/// Looks every few seconds whether the listeners' certificate has changed, and says at start and once a day which certificates end within 30
/// days: the listeners', and in a cluster the members', which is read at start only.
/// </summary>
internal sealed class CertificateWatch(ListenerCertificate? listeners, MemberIdentity member, TimeProvider time, ILogger<CertificateWatch> log) : BackgroundService
{
    /// <summary>How often the files are looked at.</summary>
    internal static readonly TimeSpan LookEvery = TimeSpan.FromSeconds(5);

    private static readonly TimeSpan WarnEvery = TimeSpan.FromDays(1);
    private static readonly TimeSpan Soon = TimeSpan.FromDays(30);

    private DateTimeOffset _warned = DateTimeOffset.MinValue;

    /// <summary>Looks once.</summary>
    internal async Task LookAsync(CancellationToken cancellationToken)
    {
        if (listeners is not null && await RenewedAsync(listeners, cancellationToken).ConfigureAwait(false))
            _warned = DateTimeOffset.MinValue;
        var now = time.GetUtcNow();
        if (now - _warned < WarnEvery)
            return;
        _warned = now;
        Warn();
    }

    /// <inheritdoc/>
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var next = new PeriodicTimer(LookEvery, time);
        try
        {
            do
                await LookAsync(stoppingToken).ConfigureAwait(false);
            while (await next.WaitForNextTickAsync(stoppingToken).ConfigureAwait(false));
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            // That is how it ends.
        }
    }

    private async Task<bool> RenewedAsync(ListenerCertificate certificate, CancellationToken cancellationToken)
    {
        var (renewed, problem) = await certificate.LookAsync(cancellationToken).ConfigureAwait(false);
        if (renewed)
            log.CertificateRenewed(certificate.Current.Subject, certificate.Current.NotAfter.ToUniversalTime());
        if (problem is not null && renewed)
            log.CertificateNotTold(problem);
        else if (problem is not null)
            log.CertificateKept(problem, certificate.Current.NotAfter.ToUniversalTime());
        return renewed;
    }

    private void Warn()
    {
        if (listeners is not null && LeftOf(listeners.Current) is { } left)
            log.ListenerCertificateEnds(listeners.Current.NotAfter.ToUniversalTime(), left);
        // A hub by itself made its own, for longer than it lives.
        if (member.Authority is not null && LeftOf(member.Certificate) is { } leftOfMember)
            log.MemberCertificateEnds(member.Certificate.NotAfter.ToUniversalTime(), leftOfMember);
    }

    // Whole days left, if there are few; none or less when it has ended.
    private int? LeftOf(X509Certificate2 certificate)
    {
        var left = certificate.NotAfter.ToUniversalTime() - time.GetUtcNow();
        return left < Soon ? (int)Math.Floor(left.TotalDays) : null;
    }
}
