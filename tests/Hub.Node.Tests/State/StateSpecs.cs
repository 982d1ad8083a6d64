using Hub.Node.Logging;
using Hub.Node.State;
using Hub.Node.Uplink;
using Hub.Protocol;
using Microsoft.Extensions.Logging.Abstractions;

namespace Hub.Node.Tests.State;

public sealed class StateSpecs : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("akkahub-state-").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public async Task The_claim_is_made_once_and_owner_only()
    {
        var path = Path.Combine(_directory, "a", "b");
        byte[] key;
        using (var first = await StateDirectory.OpenAsync(path, TimeProvider.System, CancellationToken.None))
            key = first.ClaimKey;
        using var second = await StateDirectory.OpenAsync(path, TimeProvider.System, CancellationToken.None);
        second.ClaimKey.ShouldBe(key);
        File.GetUnixFileMode(Path.Combine(path, "claim.key")).ShouldBe(UnixFileMode.UserRead | UnixFileMode.UserWrite);
        File.GetUnixFileMode(path).ShouldBe(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
    }

    [Fact]
    public async Task A_second_agent_is_refused_and_presence_names_the_first()
    {
        AgentPresence.Inspect(_directory).IsRunning.ShouldBeFalse();
        using (await StateDirectory.OpenAsync(_directory, TimeProvider.System, CancellationToken.None))
        {
            AgentPresence.Inspect(_directory).ShouldSatisfyAllConditions(p => p.IsRunning.ShouldBeTrue(), p => p.Pid.ShouldBe(Environment.ProcessId));
            var refused = await Should.ThrowAsync<StateDirectoryException>(() => StateDirectory.OpenAsync(_directory, TimeProvider.System, CancellationToken.None));
            refused.ExitCode.ShouldBe(ExitCodes.AlreadyRunning);
            refused.Message.ShouldContain($"process {Environment.ProcessId}");
            (await AgentPresence.Inspect(_directory).WaitUntilGoneAsync(TimeSpan.FromMilliseconds(60), TimeProvider.System)).ShouldBeFalse();
        }

        // A child of another test holds a copy of the lock between its fork and its exec, so the lock may outlast its owner by that moment.
        (await AgentPresence.Inspect(_directory).WaitUntilGoneAsync(TimeSpan.FromSeconds(10), TimeProvider.System)).ShouldBeTrue();
        var gone = AgentPresence.Inspect(_directory);
        gone.Terminate().ShouldBeFalse();
        gone.Pid.ShouldBeNull();
    }

    [Fact]
    public async Task A_number_used_again_is_not_mistaken_for_the_agent()
    {
        using var held = AgentLock.TryAcquire(_directory).ShouldNotBeNull();
        await File.WriteAllTextAsync(Path.Combine(_directory, AgentPresence.PidFileName), $"{Environment.ProcessId} 1\n");
        // Signal 0 would reach this process: only the start time stands in the way.
        AgentPresence.Inspect(_directory).ShouldSatisfyAllConditions(p => p.IsRunning.ShouldBeTrue(), p => p.Pid.ShouldBeNull(), p => p.Terminate(0).ShouldBeFalse());
        AgentPresence.WritePid(_directory);
        AgentPresence.Inspect(_directory).ShouldSatisfyAllConditions(p => p.Pid.ShouldBe(Environment.ProcessId), p => p.Terminate(0).ShouldBeTrue());
    }

    [Fact]
    public async Task A_broken_claim_is_refused_and_left_alone()
    {
        await File.WriteAllTextAsync(Path.Combine(_directory, "claim.key"), "short");
        (await Should.ThrowAsync<StateDirectoryException>(() => StateDirectory.OpenAsync(_directory, TimeProvider.System, CancellationToken.None)))
            .Message.ShouldContain("must hold 32 bytes and holds 5");
        (await File.ReadAllTextAsync(Path.Combine(_directory, "claim.key"))).ShouldBe("short");
    }

    [Fact]
    public void Every_wrong_option_is_named_at_once()
    {
        var errors = new List<string>();
        var raw = new RawNodeOptions
        {
            Hub = "a b,ftp://x",
            Name = "Not Good",
            Labels = ["novalue", "k=v"],
            Allow = ["exec,fly"],
            BufferBytes = "1",
            WhenOffline = "cry",
            LogLevel = "loud",
            Shell = "sh",
            Token = "a",
            TokenFile = "/no/such",
        };
        NodeOptionsReader.Read(raw, _ => null, errors).ShouldBeNull();
        foreach (var option in new[] { "--hub: 'a b'", "--hub: 'ftp://x'", "--name 'Not Good'", "--label 'novalue'", "--allow 'fly'", "--buffer-bytes '1'", "--when-offline 'cry'", "--log-level 'loud'", "--shell 'sh'", "--token-file '/no/such'" })
            errors.ShouldContain(e => e.StartsWith(option), option);
        errors.ShouldAllBe(e => e.Contains("must") || e.Contains("give "));
    }

    [Fact]
    public void Defaults_come_from_the_environment()
    {
        var variables = new Dictionary<string, string> { ["AKKAHUB_ADDR"] = "localhost:1,https://two:2", ["AKKAHUB_TOKEN"] = "t\n", ["XDG_STATE_HOME"] = "/state" };
        var options = NodeOptionsReader.Read(new RawNodeOptions { Name = "n", Allow = ["none"] }, n => variables.GetValueOrDefault(n), []).ShouldNotBeNull();
        options.ShouldSatisfyAllConditions(
            o => o.Hubs.ShouldBe([new Uri("http://localhost:1"), new Uri("https://two:2")]), o => o.Token.ShouldBe("t"),
            o => o.StateDirectory.ShouldBe("/state/akkahub/node-n"), o => o.AllowExec.ShouldBeFalse(), o => o.MainTerminal.ShouldBeFalse());
    }

    [Theory]
    [InlineData("hub.example", "http://hub.example:5100/")]
    [InlineData("http://hub.example", "http://hub.example:5100/")]
    [InlineData("https://hub.example", "https://hub.example:5100/")]
    [InlineData("hub.example:80", "http://hub.example:80/")]
    [InlineData("[::1]", "http://[::1]:5100/")]
    public void An_address_is_read_as_the_command_line_reads_it(string text, string address)
    {
        Read(new() { Hub = text }).Hubs.ShouldBe([new Uri(address)]);
        Read(new(), ("AKKAHUB_ADDR", text)).Hubs.ShouldBe([new Uri(address)]);
    }

    [Fact]
    public async Task A_token_does_not_travel_in_clear_text()
    {
        var file = Path.Combine(_directory, "token");
        await File.WriteAllTextAsync(file, "ahub_x");
        var given = new RawNodeOptions { Name = "n", StateDirectory = _directory, Hub = "127.0.0.1,https://a.example,b.example" };
        foreach (var raw in new[] { given with { Token = "ahub_x" }, given with { TokenFile = file } })
        {
            using var error = new StringWriter();
            (await NodeCommand.RunAsync(raw, error, CancellationToken.None)).ShouldBe(ExitCodes.Usage);
            error.ToString().ShouldBe("--hub: the token would travel to b.example:5100 in clear text; use https://, or a tunnel to a loopback address (ssh -L)\n");
        }

        List<string> errors = [];
        NodeOptionsReader.Read(new(), n => n switch { "AKKAHUB_ADDR" => "b.example", "AKKAHUB_TOKEN" => "ahub_x", _ => null }, errors).ShouldBeNull();
        errors.ShouldHaveSingleItem().ShouldStartWith("AKKAHUB_ADDR: the token would travel to b.example:5100");
        Read(given with { Hub = "127.0.0.1,[::1],localhost,https://a.example", Token = "ahub_x" }).Hubs.Count.ShouldBe(4);
        Read(given).Hubs.Count.ShouldBe(3, "there is no token that could be read on the way");
    }

    [Fact]
    public void Without_an_address_the_hub_of_the_data_directory_is_meant()
    {
        Read(new(), ("AKKAHUB_DATA_DIR", _directory)).ShouldSatisfyAllConditions(
            o => o.HubDataDirectory.ShouldBe(_directory), o => o.Hubs.ShouldBeEmpty(), o => o.MaxBackoff.ShouldBe(TimeSpan.FromSeconds(2)));
        Read(new(), ("XDG_DATA_HOME", "/data")).HubDataDirectory.ShouldBe("/data/akkahub");
        Read(new()).HubDataDirectory.ShouldBe(
            Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".local", "share", "akkahub"));
        Read(new() { HubDataDirectory = "/other" }, ("AKKAHUB_DATA_DIR", _directory), ("AKKAHUB_ADDR", "one:1")).ShouldSatisfyAllConditions(
            o => o.HubDataDirectory.ShouldBe("/other"), o => o.Hubs.ShouldBeEmpty());
        Read(new(), ("AKKAHUB_DATA_DIR", _directory), ("AKKAHUB_ADDR", "one:1")).HubDataDirectory.ShouldBeNull("an address was given");
        List<string> errors = [];
        NodeOptionsReader.Read(new() { Hub = "one:1", HubDataDirectory = _directory }, _ => null, errors).ShouldBeNull();
        errors.ShouldBe(["--hub and --hub-data-dir: give one of them"]);
    }

    [Fact]
    public async Task The_owners_token_goes_to_the_hub_of_the_data_directory_and_nowhere_else()
    {
        new LocalHub(1, "http://127.0.0.1:7", "", "1").Write(_directory);
        await File.WriteAllTextAsync(Path.Combine(_directory, LocalHub.TokenFileName), "owners\n");
        var learned = new LearnedMembers(_directory, NullLogger.Instance);
        var targets = new HubTargets(Read(new(), ("AKKAHUB_DATA_DIR", _directory)), learned, Random.Shared);
        var withToken = new HubTargets(Read(new(), ("AKKAHUB_DATA_DIR", _directory), ("AKKAHUB_TOKEN", "given")), learned, Random.Shared);
        Next(targets).ShouldBeNull("no hub holds the lock");
        Next(withToken).ShouldBeNull("whoever listens on the port meanwhile may not be the hub");
        using var held = new FileStream(Path.Combine(_directory, LocalHub.LockFileName), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        var local = new HubAddress(new Uri("http://127.0.0.1:7"));
        Next(targets).ShouldBe(new HubTarget(local, "owners", _directory));
        Next(withToken).ShouldBe(new HubTarget(local, "given", _directory));
        // Of its members it teaches this agent nobody: the owner's token is no other's.
        targets.Learn(new AkkaHub.V1.HubMembers { Addresses = { "127.0.0.1:8" } }, new HubTarget(local, "owners", _directory));
        targets.AreSeveral.ShouldBeFalse();
        new LocalHub(1, "http://hub.example:7", "", "1").Write(_directory);
        Next(targets).ShouldBeNull("that is another machine");
        new LocalHub(1, "https://192.0.2.7:7", "", "1").Write(_directory);
        Next(targets).ShouldBeNull("nobody knows who answers there");
        new LocalHub(1, "https://192.0.2.7:7", "", "1") { Certificates = ["ab"] }.Write(_directory);
        Next(targets).ShouldBe(new HubTarget(new HubAddress(new Uri("https://192.0.2.7:7")), "owners", _directory));
        await File.WriteAllTextAsync(Path.Combine(_directory, LocalHub.FileName), "{}");
        Next(targets).ShouldBeNull("it names no address");

        static HubTarget? Next(HubTargets targets)
        {
            targets.BeginRound([]);
            targets.TryNext(out var target).ShouldBeTrue();
            targets.TryNext(out _).ShouldBeFalse("there is no other");
            return target;
        }
    }

    [Fact]
    public void The_authority_is_a_file_of_certificates_and_for_given_addresses()
    {
        var file = Path.Combine(_directory, "ca.pem");
        File.WriteAllText(file, "nothing");
        List<string> errors = [];
        NodeOptionsReader.Read(new() { Hub = "https://one:1", Authority = file }, _ => null, errors).ShouldBeNull();
        NodeOptionsReader.Read(new() { Hub = "https://one:1" }, n => n == "AKKAHUB_CA" ? "/nowhere/ca.pem" : null, errors).ShouldBeNull();
        errors.Count.ShouldBe(2);
        errors[0].ShouldBe($"--ca '{file}': there is no certificate in it");
        errors[1].ShouldStartWith("AKKAHUB_CA '/nowhere/ca.pem': ");
        using var key = System.Security.Cryptography.ECDsa.Create();
        var request = new System.Security.Cryptography.X509Certificates.CertificateRequest("CN=ca", key, System.Security.Cryptography.HashAlgorithmName.SHA256);
        using var authority = request.CreateSelfSigned(TimeProvider.System.GetUtcNow(), TimeProvider.System.GetUtcNow().AddDays(1));
        File.WriteAllText(file, authority.ExportCertificatePem());
        Read(new() { Hub = "https://one:1", Authority = file }).AuthorityFile.ShouldBe(file);
        Read(new() { Hub = "https://one:1" }, ("AKKAHUB_CA", file)).AuthorityFile.ShouldBe(file);
        Read(new(), ("AKKAHUB_CA", "/nowhere/ca.pem")).AuthorityFile.ShouldBeNull("the hub of a data directory is known by its certificate");
    }

    [Theory]
    [InlineData("Box.Example.COM", "box.example.com")]
    [InlineData("-my host-", "my-host")]
    [InlineData("ü", "node")]
    public void A_host_name_is_made_a_node_name(string host, string name) => NodeOptionsReader.ToNodeName(host).ShouldBe(name);

    [Fact]
    public void Pauses_grow_to_the_most_and_never_undercut_a_hint()
    {
        var longest = new Backoff(TimeSpan.FromSeconds(30), () => 1);
        Enumerable.Range(0, 7).Select(_ => longest.Next(TimeSpan.Zero).TotalSeconds).ShouldBe([1, 2, 4, 8, 16, 30, 30]);
        longest.Reset();
        longest.Next(TimeSpan.Zero).TotalSeconds.ShouldBe(1);
        longest.Raise();
        longest.Next(TimeSpan.Zero).TotalSeconds.ShouldBe(30);
        new Backoff(TimeSpan.FromSeconds(30), () => 0).Next(TimeSpan.FromSeconds(5)).TotalSeconds.ShouldBe(5);
    }

    [Fact]
    public void The_log_file_is_bounded()
    {
        var path = Path.Combine(_directory, "agent.log");
        var file = new RotatingFile(path, 1000);
        for (var i = 0; i < 100; i++)
            file.Write(new string('x', 99) + "\n");
        new FileInfo(path).Length.ShouldBeLessThanOrEqualTo(1100);
        new FileInfo(path + ".1").Length.ShouldBeLessThanOrEqualTo(1100);
        Directory.GetFiles(_directory).Length.ShouldBe(2);
    }

    private static NodeOptions Read(RawNodeOptions raw, params (string Name, string Value)[] variables)
    {
        List<string> errors = [];
        var options = NodeOptionsReader.Read(raw, n => variables.FirstOrDefault(v => v.Name == n).Value, errors);
        errors.ShouldBeEmpty();
        return options.ShouldNotBeNull();
    }
}
