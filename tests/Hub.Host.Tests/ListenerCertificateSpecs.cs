using System.Security.Cryptography.X509Certificates;
using Hub.Host.Hosting;
using Hub.Host.Settings;
using Microsoft.Extensions.Time.Testing;
using static Hub.Host.Tests.TestSupport;

namespace Hub.Host.Tests;

/// <summary>Which certificates the listeners take, when they take another, and what is said of one that ends.</summary>
public sealed class ListenerCertificateSpecs : IDisposable
{
    private static readonly TestAuthority Ours = TestAuthority.Make("ours");
    private readonly TemporaryDirectory _files = new();
    private readonly FakeTimeProvider _time = new(TimeProvider.System.GetUtcNow());

    public void Dispose() => _files.Dispose();

    [Fact]
    public async Task Without_a_certificate_there_is_none() =>
        (await ListenerCertificate.LoadAsync(new HostSettings(), _time)).ShouldBeNull();

    /// <summary>A hub with such a pair does not start, and says which setting is wrong and why.</summary>
    [Fact]
    public async Task One_that_cannot_be_used_is_refused_by_the_settings_name()
    {
        var now = _time.GetUtcNow();
        var good = Ours.Give(_files, "good");
        var other = Ours.Give(_files, "other");
        await RefusedAsync(Ours.Give(_files, "old", new Issue { From = now.AddDays(-3), Until = now.AddDays(-1) }), "akkahub.tls.certificate = '", "old.pem': it is valid from");
        await RefusedAsync(Ours.Give(_files, "early", new Issue { From = now.AddDays(1), Until = now.AddDays(2) }), "early.pem': it is valid from");
        await RefusedAsync(Ours.Give(_files, "client", new Issue { Usages = [CertificateUsage.Client] }), "client.pem': its extended key usage does not allow what it is for here: serverAuth");
        await RefusedAsync((good.Certificate, other.Key), "akkahub.tls.key = '", "it is not the key of the certificate in akkahub.tls.certificate");
        await RefusedAsync((good.Certificate, _files["nowhere"]), $"akkahub.tls.key = '{_files["nowhere"]}'");
        await RefusedAsync((_files["nowhere"], good.Key), $"akkahub.tls.certificate = '{_files["nowhere"]}'");
        await RefusedAsync((good.Key, good.Key), "akkahub.tls.certificate = '", "there is no certificate in it");
        await RefusedAsync((good.Certificate, good.Certificate), "akkahub.tls.key = '");
        File.SetUnixFileMode(good.Key, UnixFileMode.UserRead | UnixFileMode.GroupRead);
        await RefusedAsync(good, $"akkahub.tls.key = '{good.Key}': others can read or write it; 'chmod 600' it");
    }

    /// <summary>Whatever such a file does to its reader, it must not stop a hub that runs.</summary>
    [Theory]
    [InlineData("2.5.29.37", "its extended key usage cannot be read: ")]
    [InlineData("2.5.29.17", "akkahub.tls.certificate = '")]
    public async Task One_whose_extensions_cannot_be_read_is_refused(string extension, string why)
    {
        var odd = new Issue { Extensions = [new X509Extension(extension, [0x30, 0x7f, 1], critical: false)] };
        await RefusedAsync(Ours.Give(_files, "odd", odd), "akkahub.tls.certificate = '", why);
        var certificate = await LoadAsync(Ours.Give(_files, "hub"));
        Ours.Give(_files, "hub", odd);
        (await certificate.LookAsync(default)).ShouldBe((false, null));
        (await certificate.LookAsync(default)).Problem.ShouldNotBeNull().ShouldContain(why);
    }

    [Fact]
    public async Task A_hub_with_one_that_cannot_be_used_exits_with_2()
    {
        using var data = new TemporaryDirectory();
        var files = Ours.Give(_files, "client", new Issue { Usages = [CertificateUsage.Client] });
        var (code, _, error) = await RunAsync(Isolated(data.Path, "--set", $"tls.certificate={files.Certificate}", "--set", $"tls.key={files.Key}"));
        code.ShouldBe(ExitCodes.Usage);
        error.Split('\n', StringSplitOptions.RemoveEmptyEntries).ShouldHaveSingleItem().ShouldContain("serverAuth");
    }

    /// <summary>Half a pair is met at one look and whole at the next; what stays wrong is said once.</summary>
    [Fact]
    public async Task Another_pair_is_taken_when_it_is_whole_and_one_that_is_not_is_said_once()
    {
        var certificate = await LoadAsync(Ours.Give(_files, "hub"));
        var first = certificate.Current;
        List<string[]> shown = [];
        certificate.Changed += () => shown.Add([.. certificate.Hashes]);
        (await certificate.LookAsync(default)).ShouldBe((false, null), "nothing has changed");

        var next = Ours.Give(_files, "next");
        File.Copy(next.Certificate, _files["hub.pem"], overwrite: true);
        (await certificate.LookAsync(default)).ShouldBe((false, null), "it may be half written");
        (certificate.Current, shown.Count).ShouldBe((first, 0));
        (await certificate.LookAsync(default)).Problem.ShouldNotBeNull().ShouldContain("it is not the key of the certificate in akkahub.tls.certificate");
        (await certificate.LookAsync(default)).ShouldBe((false, null), "it was said");
        File.Copy(next.Key, _files["hub.key"], overwrite: true);
        (await certificate.LookAsync(default)).ShouldBe((true, null));
        certificate.Current.Subject.ShouldBe("CN=next");
        // Known to the owner's programs before anybody is shown it, and the one before no longer after that.
        var (before, after) = (Hash(first), Hash(certificate.Current));
        shown.ShouldBe([[after, before], [after]]);

        File.Delete(_files["hub.pem"]);
        (await certificate.LookAsync(default)).Problem.ShouldBeNull();
        (await certificate.LookAsync(default)).Problem.ShouldNotBeNull().ShouldContain("akkahub.tls.certificate");
        Ours.Give(_files, "hub", new Issue { From = _time.GetUtcNow().AddDays(-2), Until = _time.GetUtcNow().AddDays(-1) });
        (await certificate.LookAsync(default)).Problem.ShouldBeNull();
        (await certificate.LookAsync(default)).Problem.ShouldNotBeNull("another fault").ShouldContain("it is valid from");
        certificate.Current.Subject.ShouldBe("CN=next");
    }

    [Fact]
    public async Task One_that_the_owner_could_not_know_is_not_shown()
    {
        var certificate = await LoadAsync(Ours.Give(_files, "hub"));
        var first = certificate.Current;
        var full = true;
        certificate.Changed += () =>
        {
            if (full)
                throw new IOException("the disk is full");
        };
        Ours.Give(_files, "hub");
        (await certificate.LookAsync(default)).Renewed.ShouldBeFalse();
        (certificate.Current, certificate.Shown.Count).ShouldBe((first, 1));
        (await certificate.LookAsync(default)).ShouldBe((false, "the disk is full"));
        full = false;
        (await certificate.LookAsync(default)).ShouldBe((true, null));
        certificate.Current.ShouldNotBe(first);
    }

    [Fact]
    public async Task Another_fault_of_the_same_files_is_said_too_and_no_fault_of_who_is_told_gets_out()
    {
        var certificate = await LoadAsync(Ours.Give(_files, "hub"));
        var fault = "one";
        certificate.Changed += () => throw new AggregateException(new InvalidOperationException(fault));
        Ours.Give(_files, "hub");
        (await certificate.LookAsync(default)).ShouldBe((false, null));
        (await certificate.LookAsync(default)).Problem.ShouldNotBeNull().ShouldContain("(one)");
        fault = "two";
        (await certificate.LookAsync(default)).ShouldBe((false, null));
        (await certificate.LookAsync(default)).Problem.ShouldNotBeNull().ShouldContain("(two)");
        (await certificate.LookAsync(default)).ShouldBe((false, null));
    }

    [Fact]
    public async Task Who_could_not_be_told_that_the_one_before_is_gone_is_told_later()
    {
        var certificate = await LoadAsync(Ours.Give(_files, "hub"));
        var first = certificate.Current;
        var (full, known) = (true, certificate.Hashes);
        certificate.Changed += () =>
        {
            if (full && certificate.Shown.Count == 1)
                throw new IOException("the disk is full");
            known = certificate.Hashes;
        };
        using var data = new TemporaryDirectory();
        using var own = new MemberIdentity(MemberCertificate.LoadOrCreate(data.Path, _time), null);
        var log = new Lines();
        using var watch = new CertificateWatch(certificate, own, _time, log);
        Ours.Give(_files, "hub", new Issue { Until = _time.GetUtcNow().AddDays(99) });
        await watch.LookAsync(default);
        var lines = log.Take();
        lines.Count.ShouldBe(2);
        lines[0].ShouldContain("was read again: CN=hub");
        lines[1].ShouldContain("is shown, but the one before may still be named: the disk is full");
        certificate.Current.ShouldNotBe(first);
        known.Count.ShouldBe(2);
        await watch.LookAsync(default);
        full = false;
        await watch.LookAsync(default);
        known.ShouldBe([Hash(certificate.Current)]);
        log.Take().ShouldBeEmpty();
    }

    [Fact]
    public async Task The_end_is_foretold_at_start_and_daily_of_both_certificates_until_there_is_another()
    {
        var now = _time.GetUtcNow();
        var certificate = await LoadAsync(Ours.Give(_files, "hub", new Issue { Until = now.AddDays(12.5) }));
        var (member, key) = Ours.Give(_files, "member", new Issue { Until = now.AddDays(29.5), Usages = TestAuthority.MemberUsages });
        using var identity = await MemberCertificate.LoadAsync(
            new HostSettings { Cluster = new ClusterSettings { Seeds = "a:1", Certificate = member, Key = key, Authority = Ours.WriteTo(_files) } }, _time);
        var log = new Lines();
        using var watch = new CertificateWatch(certificate, identity, _time, log);
        await watch.LookAsync(default);
        var atStart = log.Take();
        atStart.Count.ShouldBe(2);
        atStart[0].ShouldContain("akkahub.tls.certificate) ends at");
        atStart[0].ShouldContain(", 12 days from now");
        atStart[1].ShouldContain("akkahub.remote.certificate) ends at");
        atStart[1].ShouldContain(", 29 days from now");
        atStart[1].ShouldContain("restart the members one after the other");

        (await AfterAsync(TimeSpan.FromHours(23))).ShouldBeEmpty();
        (await AfterAsync(TimeSpan.FromHours(1)))[0].ShouldContain(", 11 days from now");
        Ours.Give(_files, "hub", new Issue { Until = now.AddDays(400) });
        var renewed = await AfterAsync(CertificateWatch.LookEvery);
        renewed.Count.ShouldBe(2);
        renewed[0].ShouldContain("was read again: CN=hub, valid until");
        renewed[1].ShouldContain("akkahub.remote.certificate");
        File.WriteAllText(_files["hub.key"], "");
        (await AfterAsync(CertificateWatch.LookEvery)).ShouldBeEmpty();
        (await AfterAsync(CertificateWatch.LookEvery)).ShouldHaveSingleItem().ShouldContain("has changed and cannot be used: akkahub.tls.key");

        async Task<IReadOnlyList<string>> AfterAsync(TimeSpan time)
        {
            _time.Advance(time);
            await watch.LookAsync(default);
            return log.Take();
        }
    }

    [Fact]
    public async Task It_is_looked_at_every_few_seconds()
    {
        var certificate = await LoadAsync(Ours.Give(_files, "hub", new Issue { Until = _time.GetUtcNow().AddDays(99) }));
        var renewed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        certificate.Changed += () => renewed.TrySetResult();
        using var data = new TemporaryDirectory();
        using var own = new MemberIdentity(MemberCertificate.LoadOrCreate(data.Path, _time), null);
        using var watch = new CertificateWatch(certificate, own, _time, new Lines());
        await watch.StartAsync(default);
        Ours.Give(_files, "hub");
        // The first look may see the old one or the new one, and its timer may not be armed yet.
        using var over = new CancellationTokenSource(Patience);
        while (!renewed.Task.IsCompleted)
        {
            over.Token.ThrowIfCancellationRequested();
            _time.Advance(CertificateWatch.LookEvery);
            await Task.WhenAny(renewed.Task, Task.Delay(TimeSpan.FromMilliseconds(20)));
        }

        await watch.StopAsync(default);
    }

    private static string Hash(X509Certificate2 certificate) => certificate.GetCertHashString(System.Security.Cryptography.HashAlgorithmName.SHA256);

    private static HostSettings Host((string Certificate, string Key) files) => new() { Tls = new TlsSettings { Certificate = files.Certificate, Key = files.Key } };

    private async Task<ListenerCertificate> LoadAsync((string Certificate, string Key) files) => (await ListenerCertificate.LoadAsync(Host(files), _time)).ShouldNotBeNull();

    private async Task RefusedAsync((string Certificate, string Key) files, params string[] parts)
    {
        var message = (await Should.ThrowAsync<CertificateRefusedException>(() => ListenerCertificate.LoadAsync(Host(files), _time))).Message;
        foreach (var part in parts)
            message.ShouldContain(part);
    }

    /// <summary>What was logged, since the last look at it.</summary>
    private sealed class Lines : ILogger<CertificateWatch>
    {
        private readonly List<string> _lines = [];

        public IReadOnlyList<string> Take()
        {
            lock (_lines)
            {
                string[] lines = [.. _lines];
                _lines.Clear();
                return lines;
            }
        }

        public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            lock (_lines)
                _lines.Add(formatter(state, exception));
        }
    }
}
