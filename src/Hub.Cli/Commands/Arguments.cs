using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using System.Text.RegularExpressions;
using AkkaHub.V1;
using Hub.Protocol;

namespace Hub.Cli.Commands;

/// <summary>Arguments and options that several commands share, checked before anything is sent.</summary>
internal static partial class Arguments
{
    /// <summary>The terminal a node has by default.</summary>
    public const string DefaultTerminal = "main";

    /// <summary>NODE.</summary>
    public static Argument<string> Node()
    {
        var argument = new Argument<string>("NODE") { Description = "Name of a node" };
        argument.Validators.Add(result => Check(result, Names.IsNodeName, "is not the name of a node (1 to 63 of a-z, 0-9, '.', '_', '-')"));
        return argument;
    }

    /// <summary>COMMAND_ID.</summary>
    public static Argument<string> CommandId()
    {
        var argument = new Argument<string>("COMMAND_ID") { Description = "Id of a command, see 'hub get commands'" };
        argument.Validators.Add(result => Check(result, Names.IsTerminalName, "is not the id of a command (1 to 64 of letters, digits, '.', '_', '-')"));
        return argument;
    }

    /// <summary>--signal SIGNAL.</summary>
    public static Option<Signal?> Signal()
    {
        var signals = Enum.GetValues<Signal>().Where(s => s != AkkaHub.V1.Signal.Unspecified).ToDictionary(s => s.ToString(), StringComparer.OrdinalIgnoreCase);
        var known = string.Join(", ", signals.Keys.Select(k => k.ToUpperInvariant()));
        var option = new Option<Signal?>("--signal") { Description = $"Only send it this signal: {known}", HelpName = "SIGNAL" };
        option.CustomParser = result =>
        {
            var text = result.Tokens[^1].Value;
            if (signals.TryGetValue(text.StartsWith("SIG", StringComparison.OrdinalIgnoreCase) ? text[3..] : text, out var signal))
                return signal;
            result.AddError($"'{text}' is not a signal; give one of {known}");
            return null;
        };
        return option;
    }

    /// <summary>-t TERMINAL.</summary>
    /// <param name="required">Without a default.</param>
    /// <param name="commands">'cmd/ID' is meant too.</param>
    public static Option<string> Terminal(bool required = false, bool commands = true)
    {
        var option = new Option<string>("--terminal", "-t")
        {
            Description = commands ? "Terminal, or cmd/ID for a command's output" : "Name of the terminal",
            HelpName = "TERMINAL",
            Required = required,
        };
        if (!required)
            option.DefaultValueFactory = _ => DefaultTerminal;
        option.Validators.Add(result => Check(result, commands ? Names.IsStreamName : Names.IsTerminalName,
            "is not the name of a terminal (1 to 64 of letters, digits, '.', '_', '-')"));
        return option;
    }

    /// <summary>-o FORMAT.</summary>
    public static Option<string> Output(params string[] formats)
    {
        var option = new Option<string>("--output", "-o")
        {
            Description = $"Form of the output: {string.Join(", ", formats)}",
            HelpName = "FORMAT",
            DefaultValueFactory = _ => formats[0],
        };
        return option.AcceptOnlyFromAmong(formats);
    }

    /// <summary>-l SELECTOR.</summary>
    public static Option<string> Selector()
    {
        var option = new Option<string>("--selector", "-l")
        {
            Description = "Labels a node must have: key=value, key!=value, key, !key; joined by commas",
            HelpName = "SELECTOR",
        };
        option.Validators.Add(result =>
        {
            if (Last(result) is { } text && SelectorFault(text) is { } fault)
                result.AddError(fault);
        });
        return option;
    }

    /// <summary>--cwd DIR.</summary>
    public static Option<string> Directory() => new("--cwd") { Description = "Directory to start in [default: the user's home]", HelpName = "DIR" };

    /// <summary>--env K=V.</summary>
    public static Option<string[]> Variables()
    {
        var option = new Option<string[]>("--env")
        {
            Description = "Environment variable; K alone passes this shell's own value on",
            HelpName = "K=V",
            Arity = ArgumentArity.OneOrMore,
            AllowMultipleArgumentsPerToken = false,
        };
        option.Validators.Add(result =>
        {
            foreach (var token in result.Tokens)
            {
                if (token.Value.Length == 0 || token.Value[0] == '=')
                    result.AddError($"'{token.Value}' is not a variable; give K=V");
            }
        });
        return option;
    }

    /// <summary>The variables of <see cref="Variables"/>; later ones win.</summary>
    public static IEnumerable<KeyValuePair<string, string>> ReadVariables(string[]? given, Func<string, string?> variable)
    {
        var result = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var text in given ?? [])
        {
            var at = text.IndexOf('=');
            if (at > 0)
                result[text[..at]] = text[(at + 1)..];
            else if (variable(text) is { } value)
                result[text] = value;
        }

        return result;
    }

    /// <summary>An option that takes a span of time.</summary>
    public static Option<TimeSpan?> Duration(string name, string description)
    {
        var option = new Option<TimeSpan?>(name) { Description = description, HelpName = "DURATION" };
        option.CustomParser = result =>
        {
            if (TryDuration(result.Tokens[^1].Value, out var span))
                return span;
            result.AddError($"'{result.Tokens[^1].Value}' is not a time such as 30s, 10m, 2h, 7d or 1h30m");
            return null;
        };
        return option;
    }

    /// <summary>--size COLSxROWS.</summary>
    public static Option<TerminalSize?> Size()
    {
        var option = new Option<TerminalSize?>("--size") { Description = "Columns and rows, such as 80x24", HelpName = "COLSxROWS" };
        option.CustomParser = result =>
        {
            var parts = result.Tokens[^1].Value.Split('x');
            if (parts.Length == 2
                && uint.TryParse(parts[0], NumberStyles.None, CultureInfo.InvariantCulture, out var cols) && cols is >= 1 and <= 2000
                && uint.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out var rows) && rows is >= 1 and <= 2000)
            {
                return new TerminalSize { Cols = cols, Rows = rows };
            }

            result.AddError($"'{result.Tokens[^1].Value}' is not a size; give columns x rows, each 1 to 2000, such as 80x24");
            return null;
        };
        return option;
    }

    /// <summary>Reads '30s', '10m', '2h', '7d', '2w', '500ms' or several of them in one; greater than zero.</summary>
    public static bool TryDuration(string text, out TimeSpan span)
    {
        span = TimeSpan.Zero;
        if (!DurationForm().IsMatch(text))
            return false;
        var seconds = 0.0;
        foreach (Match part in DurationPart().Matches(text))
        {
            var value = double.Parse(part.Groups[1].ValueSpan, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture);
            seconds += value * part.Groups[2].Value switch { "ms" => 0.001, "s" => 1, "m" => 60, "h" => 3600, "d" => 86400, _ => 604800 };
        }

        if (seconds is <= 0 or > 3e9)
            return false;
        span = TimeSpan.FromSeconds(seconds);
        return true;
    }

    /// <summary>Reads a span before now, or a point in time of RFC 3339.</summary>
    public static bool TrySince(string text, TimeProvider clock, out DateTimeOffset time)
    {
        if (TryDuration(text, out var span))
        {
            var now = clock.GetUtcNow();
            time = span > now - DateTimeOffset.UnixEpoch ? DateTimeOffset.UnixEpoch : now - span;
            return true;
        }

        time = default;
        return TimeForm().IsMatch(text)
            && DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out time);
    }

    /// <summary>What is wrong with a label selector; null if nothing is.</summary>
    public static string? SelectorFault(string text)
    {
        if (text.Length > 1024)
            return "the selector is longer than 1024 characters";
        foreach (var raw in text.Split(','))
        {
            var term = raw.Trim();
            var at = term.IndexOf('=');
            var key = at switch
            {
                < 0 => term.TrimStart('!'),
                > 0 when term[at - 1] == '!' => term[..(at - 1)],
                _ => term[..at],
            };
            if (!Names.IsLabelKey(key.Trim()) || (at < 0 && term.StartsWith("!!", StringComparison.Ordinal)))
                return $"'{term}' is no part of a selector; give key=value, key!=value, key or !key";
            if (at >= 0 && !Names.IsLabelValue(term[(at + 1)..]))
                return $"'{term}': a label's value has at most 255 characters";
        }

        return null;
    }

    /// <summary>Adds an error when a value does not pass.</summary>
    public static void Check(SymbolResult result, Func<string?, bool> valid, string fault)
    {
        if (Last(result) is { } value && !valid(value))
            result.AddError($"'{value}' {fault}");
    }

    private static string? Last(SymbolResult result) => result.Tokens.Count == 0 ? null : result.Tokens[^1].Value;

    [GeneratedRegex(@"^([0-9]+(\.[0-9]+)?(ms|s|m|h|d|w))+$")]
    private static partial Regex DurationForm();

    [GeneratedRegex(@"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d|w)")]
    private static partial Regex DurationPart();

    [GeneratedRegex(@"^[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?([Zz]|[+-][0-9]{2}:[0-9]{2})?)?$")]
    private static partial Regex TimeForm();
}
