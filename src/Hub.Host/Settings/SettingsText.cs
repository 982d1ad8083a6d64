using System.Text;

namespace Hub.Host.Settings;

/// <summary>Everything about settings that people read, written from <see cref="SettingTable"/>.</summary>
public static class SettingsText
{
    /// <summary>The reference, <c>docs/settings.md</c>.</summary>
    public static string Markdown()
    {
        var defaults = new AllSettings();
        var text = new StringBuilder("""
            # Settings

            Written by `dotnet run --project src/Hub.Host -- --print-settings-doc > docs/settings.md`; a test compares.

            Each setting has a default; a file given with `--config FILE` (or `AKKAHUB_CONFIG`) overrides it, the environment overrides
            the file, and the command line (`--set PATH=VALUE`, or the option named here) overrides the environment. The file is HOCON;
            `hocon/hub.hocon` holds every default. What it says under `akka` goes to Akka.NET as it is. Wrong values and unknown names
            are all reported at once, and the hub does not start. `--check-config` reports them and starts nothing: exit code 0 or 2.

            Exit codes of the hub: 0 stopped in order, 1 failure, 2 wrong settings or usage, 3 another hub has the data directory or the
            store, 4 the data directory or the store cannot be used, 5 a port is taken, 6 downed by its cluster,
            130 ended at once by a second Ctrl+C, 134 aborted because the disk failed to synchronise the store.

            | setting | default | value | environment, option | meaning |
            | --- | --- | --- | --- | --- |

            """);
        foreach (var setting in SettingTable.All)
        {
            var shown = setting.Kind.Format(setting.Read(defaults));
            var option = setting.Option is null ? "" : $", `{setting.Option}`";
            text.Append("| `").Append(setting.Path).Append("` | ").Append(shown.Length == 0 ? "(empty)" : shown).Append(" | ")
                .Append(setting.Kind.Allowed).Append(" | `").Append(setting.EnvironmentVariable).Append('`').Append(option).Append(" | ")
                .Append(setting.Description).Append(" |\n");
        }

        return text.ToString();
    }

    /// <summary>The default configuration, <c>hocon/hub.hocon</c>.</summary>
    public static string Hocon()
    {
        var defaults = new AllSettings();
        var text = new StringBuilder("""
            # The hub's settings with their defaults. Copy what you change into a file of your own and give it with --config.
            # Each line says what the value may be and which environment variable overrides it. The same table is docs/settings.md.

            akkahub {

            """);
        var section = "";
        foreach (var setting in SettingTable.All)
        {
            var path = setting.Path["akkahub.".Length..];
            var at = path.IndexOf('.', StringComparison.Ordinal);
            var (inSection, name) = at < 0 ? ("", path) : (path[..at], path[(at + 1)..]);
            if (inSection != section)
            {
                if (section.Length > 0)
                    text.Append("  }\n");
                text.Append(inSection.Length > 0 ? $"\n  {inSection} {{\n" : "\n");
                section = inSection;
            }

            var indent = inSection.Length > 0 ? "    " : "  ";
            var value = setting.Kind.Format(setting.Read(defaults));
            text.Append(indent).Append("# ").Append(setting.Description).Append('\n')
                .Append(indent).Append("# ").Append(setting.Kind.Allowed).Append(". ").Append(setting.EnvironmentVariable).Append('\n')
                .Append(indent).Append(name).Append(" = ").Append(setting.Kind is TextKind ? $"\"{value}\"" : value).Append('\n');
        }

        return text.Append(section.Length > 0 ? "  }\n}\n" : "}\n").ToString();
    }

    /// <summary>The settings in force, one a line, with where each came from.</summary>
    public static string Effective(BoundSettings bound)
    {
        var text = new StringBuilder();
        foreach (var setting in SettingTable.All)
        {
            text.Append(setting.Path).Append(" = ").Append(setting.Show(setting.Kind.Format(setting.Read(bound.Settings))))
                .Append("  # ").Append(bound.Sources.GetValueOrDefault(setting.Path, "default")).Append('\n');
        }

        return text.ToString();
    }

    /// <summary>The usage.</summary>
    public static string Usage()
    {
        var text = new StringBuilder("""
            Usage: Hub.Host [options]

            Runs the AkkaHub server.

              --config FILE             read settings from a HOCON file
              --set PATH=VALUE          set any setting, such as --set history.max-chunks=500

            """);
        foreach (var setting in SettingTable.All.Where(s => s.Option is not null))
            text.Append("  ").Append($"{setting.Option} VALUE".PadRight(26)).Append(setting.Description).Append('\n');
        return text.Append("""
              --check-config            validate the settings, print those in force, start nothing
              --print-default-config    print every setting with its default as HOCON
              --print-settings-doc      print the reference of the settings as Markdown
              --version                 print the version
              --help                    print this

            Every setting can also be given in the environment; see docs/settings.md.

            """).ToString();
    }
}
