using Akka.Configuration;
using Akka.Configuration.Hocon;
using Hub.Protocol;

namespace Hub.Host.Settings;

/// <summary>
/// Reads the settings: defaults, over them the file of <c>--config</c> (or <c>AKKAHUB_CONFIG</c>), over it the environment, over it
/// the command line. Nothing is bound unless everything is right; every error is reported at once.
/// </summary>
public static class HubSettingsBinder
{
    /// <summary>Names the configuration file like <c>--config</c> does.</summary>
    public const string ConfigFileVariable = "AKKAHUB_CONFIG";

    private const string Prefix = "AKKAHUB_";

    // Read by other programs that share this environment: the command line and the node agent.
    private static readonly string[] ForeignVariables = ["AKKAHUB_ADDR", "AKKAHUB_TOKEN", "AKKAHUB_CA"];
    private static readonly string[] ForeignPrefixes = ["AKKAHUB_NODE_", "AKKAHUB_CLI_", "AKKAHUB_TEST_", "AKKAHUB_BENCH_"];

    /// <summary>Binds.</summary>
    /// <param name="commandLine">The command line.</param>
    /// <param name="environment">Environment variables.</param>
    public static BoundSettings Bind(CommandLine commandLine, IReadOnlyDictionary<string, string> environment)
    {
        var errors = new List<string>(commandLine.Errors);
        var given = new Dictionary<string, GivenValue>(StringComparer.Ordinal);
        var akka = ReadFile(commandLine.ConfigFile ?? environment.GetValueOrDefault(ConfigFileVariable), given, errors);
        ReadEnvironment(environment, given, errors);
        foreach (var (path, text, option) in commandLine.Values)
        {
            if (Find(path) is null)
                errors.Add($"{option} {path}: no such setting{Nearest.Hint(path, Paths())}");
            else
                given[path] = new GivenValue(text, $"command line {option}");
        }

        var settings = new AllSettings();
        foreach (var (path, value) in given)
        {
            var setting = Find(path)!;
            if (setting.Kind.TryParse(value.Text.Trim(), out var parsed))
                settings = setting.With(settings, parsed);
            else
                errors.Add(Wrong(setting, value, $"must be {setting.Kind.Allowed}"));
        }

        if (settings.Host.DataDir.Length == 0)
            settings = settings with { Host = settings.Host with { DataDir = LocalHub.DefaultDataDirectory() } };
        if (settings.Host.Cluster.IsMember && !given.ContainsKey("akkahub.local-node"))
            settings = settings with { Host = settings.Host with { LocalNode = false } };
        foreach (var (path, rule) in SettingRules.Broken(settings))
        {
            var setting = Find(path)!;
            var value = given.GetValueOrDefault(path) ?? new GivenValue(setting.Kind.Format(setting.Read(settings)), "default");
            errors.Add(Wrong(setting, value, rule));
        }

        return new BoundSettings(settings, akka, given.ToDictionary(g => g.Key, g => g.Value.Source, StringComparer.Ordinal), errors);
    }

    /// <summary>The process's environment variables.</summary>
    public static IReadOnlyDictionary<string, string> ProcessEnvironment() =>
        Environment.GetEnvironmentVariables().Cast<System.Collections.DictionaryEntry>()
            .ToDictionary(e => (string)e.Key, e => (string?)e.Value ?? "", StringComparer.Ordinal);

    private static Config ReadFile(string? file, Dictionary<string, GivenValue> given, List<string> errors)
    {
        if (string.IsNullOrEmpty(file))
            return Config.Empty;
        try
        {
            var config = ConfigurationFactory.ParseString(File.ReadAllText(file));
            var root = config.Root?.GetObject();
            foreach (var (key, value) in root?.Items ?? [])
            {
                if (key == "akkahub")
                    Walk("akkahub", value);
                else if (key != "akka")
                    errors.Add($"{file}: {key}: no such section, did you mean akkahub or akka?");
            }

            return root is not null && root.Items.ContainsKey("akka") ? config : Config.Empty;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            errors.Add($"{file}: cannot be read: {e.Message}");
        }
        catch (Exception e)
        {
            // The parser has no exception type of its own.
            errors.Add($"{file}: is not HOCON: {e.Message}");
        }

        return Config.Empty;

        void Walk(string path, HoconValue value)
        {
            if (value.IsObject())
            {
                foreach (var (key, child) in value.GetObject().Items)
                    Walk($"{path}.{key}", child);
            }
            else if (Find(path) is null)
            {
                errors.Add($"{file}: {path}: no such setting{Nearest.Hint(path, Paths())}");
            }
            else
            {
                given[path] = new GivenValue(value.IsArray() ? value.ToString() : value.GetString(), $"file {file}");
            }
        }
    }

    private static void ReadEnvironment(IReadOnlyDictionary<string, string> environment, Dictionary<string, GivenValue> given, List<string> errors)
    {
        foreach (var (name, text) in environment)
        {
            if (!name.StartsWith(Prefix, StringComparison.Ordinal) || name == ConfigFileVariable || ForeignVariables.Contains(name)
                || ForeignPrefixes.Any(p => name.StartsWith(p, StringComparison.Ordinal)))
                continue;
            var setting = SettingTable.All.FirstOrDefault(s => s.EnvironmentVariable == name);
            if (setting is null)
                errors.Add($"{name}: no such environment variable{Nearest.Hint(name, SettingTable.All.Select(s => s.EnvironmentVariable))}");
            else
                given[setting.Path] = new GivenValue(text, $"environment {name}");
        }
    }

    private static string Wrong(Setting setting, GivenValue value, string rule) =>
        $"{setting.Path} = '{setting.Show(value.Text)}' ({value.Source}): {rule} [{setting.EnvironmentVariable}]";

    private static Setting? Find(string path) => SettingTable.All.FirstOrDefault(s => s.Path == path);

    private static IEnumerable<string> Paths() => SettingTable.All.Select(s => s.Path);

    private sealed record GivenValue(string Text, string Source);
}

/// <summary>The outcome of binding.</summary>
/// <param name="Settings">The settings; not to be used if there are errors.</param>
/// <param name="AkkaOverrides">The configuration file if it says something under <c>akka</c>, which goes to Akka.NET as it is; otherwise empty.</param>
/// <param name="Sources">For each setting that was given: where. A setting not in it has its default.</param>
/// <param name="Errors">Everything that is wrong; empty if all is right.</param>
public sealed record BoundSettings(
    AllSettings Settings, Config AkkaOverrides, IReadOnlyDictionary<string, string> Sources, IReadOnlyList<string> Errors);
