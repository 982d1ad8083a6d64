using System.Reflection;
using Hub.Host.Settings;
using static Hub.Host.Tests.TestSupport;

namespace Hub.Host.Tests;

public sealed class SettingsSpecs
{
    public static TheoryData<string> Paths => [.. SettingTable.All.Select(s => s.Path)];

    [Fact]
    public void Shipped_configuration_is_written_from_the_table() =>
        File.ReadAllText(Path.Combine(RepositoryRoot, "hocon", "hub.hocon")).ShouldBe(SettingsText.Hocon());

    [Fact]
    public void Reference_is_written_from_the_table() =>
        File.ReadAllText(Path.Combine(RepositoryRoot, "docs", "settings.md")).ShouldBe(SettingsText.Markdown());

    [Fact]
    public void Shipped_configuration_binds_to_the_records_own_defaults()
    {
        var bound = Bind(["--config", Path.Combine(RepositoryRoot, "hocon", "hub.hocon")]);
        bound.Errors.ShouldBeEmpty();
        bound.Settings.ShouldBe(Bind([]).Settings);
        bound.Sources.Count.ShouldBe(SettingTable.All.Count);
    }

    [Fact]
    public void Every_property_of_the_records_is_a_setting()
    {
        var marked = SettingTable.All.Aggregate(new AllSettings(), (all, s) => s.With(all, s.Read(all)));
        marked.ShouldBe(new AllSettings());
        Leaves(typeof(AllSettings)).ShouldBe(SettingTable.All.Count, "a property of a settings record has no line in SettingTable, or two lines fill one");
        SettingTable.All.Select(s => s.Path).ShouldBeUnique();
        SettingTable.All.Select(s => s.EnvironmentVariable).ShouldBeUnique();

        static int Leaves(Type type) => type.GetProperties(BindingFlags.Public | BindingFlags.Instance).Where(p => p.CanWrite)
            .Sum(p => p.PropertyType.Namespace!.StartsWith("Hub.", StringComparison.Ordinal) && p.PropertyType.IsClass ? Leaves(p.PropertyType) : 1);
    }

    [Theory]
    [MemberData(nameof(Paths))]
    public void Each_setting_reaches_its_record_from_file_environment_and_command_line(string path)
    {
        var setting = SettingTable.All.Single(s => s.Path == path);
        var (text, value) = Other(setting);
        using var directory = new TemporaryDirectory();
        File.WriteAllText(directory["hub.conf"], $"{path} = \"{text}\"");
        var partners = PartnersOf(setting);
        foreach (var bound in (BoundSettings[])
            [Bind(["--config", directory["hub.conf"]], partners), Bind([], [(setting.EnvironmentVariable, text), .. partners]), Bind(["--set", $"{path}={text}"], partners)])
        {
            bound.Errors.ShouldBeEmpty();
            setting.Read(bound.Settings).ShouldBe(value);
            setting.Read(new AllSettings()).ShouldNotBe(value, "the test would prove nothing");
        }
    }

    [Fact]
    public void Nearer_sources_win()
    {
        using var directory = new TemporaryDirectory();
        File.WriteAllText(directory["hub.conf"], "akkahub { history { max-chunks = 11, max-bytes = 12 KiB, max-marks = 13 }\nhistory.merge-bytes = 0 }\nakka.loglevel = DEBUG");
        var bound = Bind(["--config", directory["hub.conf"], "--set", "history.max-marks=33", "--set", "history.max-chunk-bytes=4KiB"],
            ("AKKAHUB_HISTORY_MAX_BYTES", "22KiB"), ("AKKAHUB_HISTORY_MAX_MARKS", "23"), ("PATH", "/bin"), ("AKKAHUB_ADDR", "elsewhere"));
        bound.Errors.ShouldBeEmpty();
        var history = bound.Settings.Hub.History;
        (history.MaxChunks, history.MaxBytes, history.MaxMarks).ShouldBe((11, 22 * 1024, 33));
        bound.Sources["akkahub.history.max-marks"].ShouldContain("command line");
        bound.AkkaOverrides.GetString("akka.loglevel").ShouldBe("DEBUG");
    }

    [Fact]
    public void A_member_of_a_cluster_has_a_shared_store_certificates_and_an_address()
    {
        var errors = string.Join('\n', Bind([], ("AKKAHUB_SEEDS", "a:1, b:2")).Errors);
        errors.ShouldContain("akkahub.cluster.seeds = 'a:1, b:2' (environment AKKAHUB_SEEDS): needs a store that members share");
        foreach (var setting in (string[])["akkahub.remote.certificate", "akkahub.remote.key", "akkahub.remote.ca"])
            errors.ShouldContain($"{setting} = '' (default): must be given with akkahub.cluster.seeds");
        string.Join('\n', Bind(["--set", "grpc.max-message=4MiB"], ("AKKAHUB_SEEDS", "a:1, b:2")).Errors).ShouldContain("must be at most 3 MiB with akkahub.cluster.seeds");
        Bind(["--set", "grpc.max-message=4MiB"]).Errors.ShouldBeEmpty();
        foreach (var (name, value) in ((string, string)[])[("AKKAHUB_SEEDS", "a"), ("AKKAHUB_SEEDS", "a:0"), ("AKKAHUB_SEEDS", "0.0.0.0:5110"), ("AKKAHUB_PUBLIC_HOST", "0.0.0.0"), ("AKKAHUB_PUBLIC_HOST", "::"),
            ("AKKAHUB_CLIENT_ADDRESS", "0.0.0.0:5100"), ("AKKAHUB_CLIENT_ADDRESS", "https://[::]:5100"), ("AKKAHUB_CLIENT_ADDRESS", "ftp://a"), ("AKKAHUB_CLIENT_ADDRESS", "a/b")])
            Bind([], (name, value)).Errors.ShouldContain(e => e.Contains($"'{value}'", StringComparison.Ordinal) && e.Contains("must be", StringComparison.Ordinal), $"{name}={value}");
        Bind([], ("AKKAHUB_CLIENT_ADDRESS", "a:1")).Errors.ShouldHaveSingleItem().ShouldContain("needs akkahub.cluster.seeds");
        Bind([], ("AKKAHUB_ROLE", "gateway")).Errors.ShouldHaveSingleItem().ShouldContain("needs akkahub.cluster.seeds");

        var member = SettingTable.All.Single(s => s.Path == "akkahub.cluster.seeds");
        (string, string)[] all = [("AKKAHUB_SEEDS", "a:1, [::1]:2"), .. PartnersOf(member)];
        var bound = Bind([], all);
        bound.Errors.ShouldBeEmpty();
        bound.Settings.Host.Cluster.SeedList.ShouldBe([("a", 1), ("[::1]", 2)]);
        bound.Settings.Host.LocalNode.ShouldBeFalse("a member has no node of its own unless it is asked to");
        Bind(["--local-node", "on"], all).Settings.Host.LocalNode.ShouldBeTrue();
    }

    [Fact]
    public void Beyond_loopback_is_listened_only_with_tls_and_tokens_and_what_is_missing_is_named()
    {
        (string, string)[] tls = [("AKKAHUB_TLS_CERTIFICATE", "/c"), ("AKKAHUB_TLS_KEY", "/k")];
        foreach (var address in (string[])["0.0.0.0", "::", "192.0.2.7", "2001:db8::7"])
        {
            (string, string) bind = ("AKKAHUB_BIND", address);
            foreach (var without in ((string, string)[][])[[bind], [bind, ("AKKAHUB_AUTH", "off")], [bind, ("AKKAHUB_AUTH", "off"), .. tls]])
            {
                Bind([], without).Errors.ShouldHaveSingleItem().ShouldBe(
                    $"akkahub.bind = '{address}' (environment AKKAHUB_BIND): must be a loopback address, unless there is TLS and callers need tokens: " +
                    "akkahub.tls.certificate (AKKAHUB_TLS_CERTIFICATE), akkahub.tls.key (AKKAHUB_TLS_KEY) and akkahub.auth = on (AKKAHUB_AUTH=on) [AKKAHUB_BIND]");
            }

            Bind([], [bind, .. tls]).Errors.ShouldBeEmpty();
        }

        Bind([], tls[0]).Errors.ShouldHaveSingleItem().ShouldContain("akkahub.tls.key = '' (default): must be given with akkahub.tls.certificate");
        Bind([], tls[1]).Errors.ShouldHaveSingleItem().ShouldContain("akkahub.tls.certificate = '' (default): must be given with akkahub.tls.key");
        Bind([], ("AKKAHUB_BIND", "somewhere")).Errors.ShouldHaveSingleItem().ShouldContain("must be an address of this machine");
        Bind([], ("AKKAHUB_AUTH", "off"), ("AKKAHUB_BIND", "::1")).Errors.ShouldBeEmpty();
        Bind([], ("AKKAHUB_CA", "/ca")).Errors.ShouldBeEmpty("it is the command line's");
    }

    [Fact]
    public void The_members_port_goes_beyond_loopback_only_in_a_cluster_where_others_can_dial_it()
    {
        var member = SettingTable.All.Single(s => s.Path == "akkahub.cluster.seeds");
        (string, string)[] alone = [("AKKAHUB_TLS_CERTIFICATE", "/c"), ("AKKAHUB_TLS_KEY", "/k"), ("AKKAHUB_BIND", "0.0.0.0")];
        (string, string)[] several = [.. alone, ("AKKAHUB_SEEDS", "a:1"), .. PartnersOf(member)];
        Bind([], alone).Settings.Host.RemoteAddress.ShouldBe(System.Net.IPAddress.Loopback);
        Bind([], several).Errors.ShouldHaveSingleItem().ShouldContain("akkahub.cluster.public-host = '' (default): must be given with an akkahub.bind that stands for all addresses");
        var bound = Bind([], [.. several, ("AKKAHUB_PUBLIC_HOST", "a.example")]);
        bound.Errors.ShouldBeEmpty();
        bound.Settings.Host.RemoteAddress.ShouldBe(System.Net.IPAddress.Any);
    }

    [Theory]
    [InlineData(false, "Box", "local")]
    [InlineData(true, "Box-1.example.org", "local-box-1")]
    [InlineData(true, "my_machine", "local-my-machine")]
    [InlineData(true, "a-very-long-name-of-a-machine-that-does-not-fit-into-the-name-of-a-node", "local-a-very-long-name-of-a-machine-that-does-not-fit-into-the")]
    public void The_local_node_of_a_member_has_its_machines_name(bool isMember, string machine, string name) =>
        Hub.Host.LocalAgent.LocalNodeName.Of(isMember, machine).ShouldBe(name);

    [Fact]
    public void Every_error_is_reported_at_once()
    {
        using var directory = new TemporaryDirectory();
        File.WriteAllText(directory["hub.conf"], "akkahub.history.max-chunk = 5\nakkahub.flow.max-window = 1 KiB\nhub.x = 1");
        var errors = Bind(
            ["--config", directory["hub.conf"], "--grpc-port", "70000", "--grpcport", "1", "--set", "history.max-chunks", "--set", "liveness.start-grace=59s"],
            ("AKKAHUB_HISTORY_MAX_CHUNKS", "0"), ("AKKAHUB_HISTORY_MAXBYTES", "1"), ("AKKAHUB_BIND", "0.0.0.0"),
            ("AKKAHUB_LIVENESS_FORGET_AFTER", "soon"), ("AKKAHUB_LIVENESS_STALE_AFTER_MISSED", "9")).Errors;

        string[] expected =
        [
            "--grpcport: no such option, did you mean --grpc-port?",
            "--set history.max-chunks: must be PATH=VALUE",
            "akkahub.history.max-chunk: no such setting, did you mean akkahub.history.max-chunks?",
            "hub: no such section",
            "AKKAHUB_HISTORY_MAXBYTES: no such environment variable, did you mean AKKAHUB_HISTORY_MAX_BYTES?",
            "akkahub.grpc.port = '70000' (command line --grpc-port): must be port, 0 to 65535 [AKKAHUB_GRPC_PORT]",
            "akkahub.history.max-chunks = '0' (environment AKKAHUB_HISTORY_MAX_CHUNKS): must be chunks, 1 to 1000000",
            "akkahub.flow.max-window = '1 KiB'",
            "akkahub.bind = '0.0.0.0' (environment AKKAHUB_BIND): must be a loopback address",
            "akkahub.liveness.forget-after = 'soon'",
            "akkahub.liveness.start-grace = '59s' (command line --set): must be duration (ms, s, m, h, d), 60 s to 24 h",
            "akkahub.liveness.timeout-after-missed = '6' (default): must be more than akkahub.liveness.stale-after-missed",
        ];
        foreach (var part in expected)
            errors.ShouldContain(e => e.Contains(part), string.Join('\n', errors));
    }

    [Theory]
    [InlineData("akkahub.diagnostics.commit-delay=1s")]
    [InlineData("akkahub.diagnostics.stall-file=/tmp/x")]
    public void Diagnostics_must_be_allowed(string setting)
    {
        Bind(["--set", setting]).Errors.ShouldHaveSingleItem().ShouldContain("AKKAHUB_DIAGNOSTICS=on");
        Bind(["--set", setting], ("AKKAHUB_DIAGNOSTICS", "on")).Errors.ShouldBeEmpty();
    }

    [Fact]
    public void A_file_that_cannot_be_read_is_an_error()
    {
        using var directory = new TemporaryDirectory();
        Bind(["--config", directory["none"]]).Errors.ShouldHaveSingleItem().ShouldContain("cannot be read");
        File.WriteAllText(directory["bad"], "akkahub { history { max-chunks = 1 }, x");
        Bind(["--config", directory["bad"]]).Errors.ShouldHaveSingleItem().ShouldContain("is not HOCON");
    }

    // Another allowed value than the default, as text and as it is bound.
    // What a setting is refused without.
    private static (string Name, string Value)[] PartnersOf(Setting setting)
    {
        (string Name, string Value)[] diagnostics = [("AKKAHUB_DIAGNOSTICS", "on")];
        (string Name, string Value)[] store = [("AKKAHUB_STORE", "postgresql"), ("AKKAHUB_CONNECTION_STRING", "Host=a;Database=b")];
        (string Name, string Value)[] cluster =
            [.. store, ("AKKAHUB_SEEDS", "a:1"), ("AKKAHUB_REMOTE_CERTIFICATE", "/c"), ("AKKAHUB_REMOTE_KEY", "/k"), ("AKKAHUB_REMOTE_CA", "/a")];
        (string Name, string Value)[] tls = [("AKKAHUB_TLS_CERTIFICATE", "/c"), ("AKKAHUB_TLS_KEY", "/k")];
        var needed = setting.Path switch
        {
            "akkahub.tls.certificate" or "akkahub.tls.key" => tls,
            "akkahub.store.kind" or "akkahub.store.connection-string" => store,
            "akkahub.remote.certificate" or "akkahub.remote.key" or "akkahub.remote.ca" => cluster,
            _ when setting.Path.StartsWith("akkahub.cluster.", StringComparison.Ordinal) => cluster,
            _ => diagnostics,
        };
        return [.. needed.Where(n => n.Name != setting.EnvironmentVariable)];
    }

    private static (string Text, object? Value) Other(Setting setting)
    {
        var value = setting.Read(new AllSettings());
        string[] candidates = value switch
        {
            int number => [$"{number - 1}", $"{number + 1}"],
            long number => [$"{number - 1}", $"{number + 1}"],
            TimeSpan duration => [$"{(long)duration.TotalMilliseconds - 1} ms", $"{(long)duration.TotalMilliseconds + 1} ms"],
            null => ["5 h"],
            bool on => [on ? "off" : "on"],
            HubLogLevel => ["warning"],
            HubLogFormat => ["json"],
            StoreKind => ["postgresql"],
            MemberRole => ["gateway"],
            _ => ["::1", "Host=a;Database=b", "/tmp/elsewhere", "b:2,c:3", "b:2"],
        };
        foreach (var text in candidates)
        {
            if (setting.Kind.TryParse(text, out var parsed)
                && Bind(["--set", $"{setting.Path}={text}"], PartnersOf(setting)).Errors.Count == 0)
                return (text, parsed);
        }

        throw new InvalidOperationException($"no other value for {setting.Path} is known to the test");
    }
}
