namespace Hub.Host.Settings;

/// <summary>What the command line asks the program to do.</summary>
public enum HostAction
{
    /// <summary>Run the hub.</summary>
    Run,
    /// <summary>Validate the settings, print the ones in force and exit.</summary>
    CheckConfig,
    /// <summary>Print the reference of all settings as Markdown and exit.</summary>
    PrintSettingsDoc,
    /// <summary>Print the default configuration file and exit.</summary>
    PrintDefaultConfig,
    /// <summary>Print the usage and exit.</summary>
    Help,
    /// <summary>Print the version and exit.</summary>
    Version,
}

/// <summary>The command line, taken apart but not yet judged: values are checked with those of the other sources.</summary>
/// <param name="Action">What to do.</param>
/// <param name="ConfigFile">Value of <c>--config</c>.</param>
/// <param name="Values">Settings given, in order: path, text, and the option as typed.</param>
/// <param name="Errors">What could not be understood.</param>
public sealed record CommandLine(
    HostAction Action, string? ConfigFile, IReadOnlyList<(string Path, string Text, string Option)> Values, IReadOnlyList<string> Errors)
{
    /// <summary>Takes the arguments apart.</summary>
    public static CommandLine Parse(IReadOnlyList<string> arguments)
    {
        var action = HostAction.Run;
        string? config = null;
        var values = new List<(string, string, string)>();
        var errors = new List<string>();
        for (var i = 0; i < arguments.Count; i++)
        {
            var (name, text) = Split(arguments[i]);
            HostAction? asked = name switch
            {
                "--check-config" => HostAction.CheckConfig,
                "--print-settings-doc" => HostAction.PrintSettingsDoc,
                "--print-default-config" => HostAction.PrintDefaultConfig,
                "--help" or "-h" => HostAction.Help,
                "--version" => HostAction.Version,
                _ => null,
            };
            if (asked is not null)
            {
                action = asked.Value;
                continue;
            }

            var setting = SettingTable.All.FirstOrDefault(s => s.Option == name);
            if (setting is null && name is not ("--config" or "--set"))
            {
                errors.Add($"{arguments[i]}: no such option{Nearest.Hint(name, Options())} (see --help)");
                continue;
            }

            if (text is null && ++i < arguments.Count)
                text = arguments[i];
            if (text is null)
                errors.Add($"{name}: a value must follow");
            else if (name == "--config")
                config = text;
            else if (setting is not null)
                values.Add((setting.Path, text, name));
            else if (Split(text) is (var path, { } value))
                values.Add((path.StartsWith("akkahub.", StringComparison.Ordinal) ? path : "akkahub." + path, value, "--set"));
            else
                errors.Add($"--set {text}: must be PATH=VALUE");
        }

        return new CommandLine(action, config, values, errors);
    }

    private static (string Name, string? Text) Split(string argument)
    {
        var at = argument.IndexOf('=', StringComparison.Ordinal);
        return at < 0 ? (argument, null) : (argument[..at], argument[(at + 1)..]);
    }

    private static IEnumerable<string> Options() => SettingTable.All.Where(s => s.Option is not null).Select(s => s.Option!)
        .Concat(["--config", "--set", "--check-config", "--print-settings-doc", "--print-default-config", "--help", "--version"]);
}
