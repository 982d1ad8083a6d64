using System.Globalization;

namespace Hub.Host.Settings;

/// <summary>How a setting's text is read, written and bounded.</summary>
public abstract class SettingKind
{
    /// <summary>What a person may write, in words: type, unit and range.</summary>
    public abstract string Allowed { get; }

    /// <summary>Reads a value; null and a reason if it cannot be one.</summary>
    public abstract bool TryParse(string text, out object? value);

    /// <summary>Writes a value the way <see cref="TryParse"/> reads it.</summary>
    public abstract string Format(object? value);
}

/// <summary>A whole number.</summary>
public sealed class IntegerKind(long min, long max, string unit, Type type) : SettingKind
{
    /// <inheritdoc/>
    public override string Allowed => $"{unit}, {min.ToString(CultureInfo.InvariantCulture)} to {max.ToString(CultureInfo.InvariantCulture)}";

    /// <inheritdoc/>
    public override bool TryParse(string text, out object? value)
    {
        value = null;
        if (!long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number) || number < min || number > max)
            return false;
        value = Convert.ChangeType(number, type, CultureInfo.InvariantCulture);
        return true;
    }

    /// <inheritdoc/>
    public override string Format(object? value) => Convert.ToString(value, CultureInfo.InvariantCulture)!;
}

/// <summary>A number of bytes, with or without a binary unit.</summary>
public sealed class SizeKind(long min, long max, Type type) : SettingKind
{
    private static readonly (string Suffix, long Factor)[] Units =
        [("KiB", 1024), ("MiB", 1024 * 1024), ("GiB", 1024L * 1024 * 1024), ("B", 1)];

    /// <inheritdoc/>
    public override string Allowed => $"bytes (B, KiB, MiB, GiB), {Text(min)} to {Text(max)}";

    /// <inheritdoc/>
    public override bool TryParse(string text, out object? value)
    {
        value = null;
        var factor = 1L;
        foreach (var (suffix, unit) in Units)
        {
            if (text.EndsWith(suffix, StringComparison.OrdinalIgnoreCase))
            {
                text = text[..^suffix.Length].TrimEnd();
                factor = unit;
                break;
            }
        }

        if (!long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number)
            || number > max / factor || number * factor < min)
            return false;
        value = Convert.ChangeType(number * factor, type, CultureInfo.InvariantCulture);
        return true;
    }

    /// <inheritdoc/>
    public override string Format(object? value) => Text(Convert.ToInt64(value, CultureInfo.InvariantCulture));

    private static string Text(long bytes)
    {
        for (var i = 2; i >= 0; i--)
        {
            if (bytes >= Units[i].Factor && bytes % Units[i].Factor == 0)
                return $"{(bytes / Units[i].Factor).ToString(CultureInfo.InvariantCulture)} {Units[i].Suffix}";
        }

        return bytes.ToString(CultureInfo.InvariantCulture);
    }
}

/// <summary>A length of time; where <paramref name="orNever"/> is set, 'never' is null.</summary>
public sealed class DurationKind(TimeSpan min, TimeSpan max, bool orNever) : SettingKind
{
    private static readonly (string Suffix, TimeSpan Unit)[] Units =
    [
        ("ms", TimeSpan.FromMilliseconds(1)), ("s", TimeSpan.FromSeconds(1)), ("m", TimeSpan.FromMinutes(1)),
        ("h", TimeSpan.FromHours(1)), ("d", TimeSpan.FromDays(1)),
    ];

    /// <inheritdoc/>
    public override string Allowed => $"duration (ms, s, m, h, d), {Text(min)} to {Text(max)}{(orNever ? ", or never" : "")}";

    /// <inheritdoc/>
    public override bool TryParse(string text, out object? value)
    {
        value = null;
        if (orNever && text.Equals("never", StringComparison.OrdinalIgnoreCase))
            return true;
        foreach (var (suffix, unit) in Units)
        {
            if (!text.EndsWith(suffix, StringComparison.OrdinalIgnoreCase))
                continue;
            if (!long.TryParse(text[..^suffix.Length].TrimEnd(), NumberStyles.None, CultureInfo.InvariantCulture, out var number)
                || number > max.Ticks / unit.Ticks)
                return false;
            var duration = unit * number;
            value = duration;
            return duration >= min;
        }

        return false;
    }

    /// <inheritdoc/>
    public override string Format(object? value) => value is TimeSpan duration ? Text(duration) : "never";

    private static string Text(TimeSpan duration)
    {
        if (duration == TimeSpan.Zero)
            return "0 s";
        // The largest unit that is exact, days only from two on: '24 h' reads better than '1 d'.
        for (var i = Units.Length - 1; i >= 0; i--)
        {
            var (suffix, unit) = Units[i];
            if (duration.Ticks % unit.Ticks == 0 && duration >= unit * (suffix is "d" or "m" ? 2 : 1))
                return $"{(duration.Ticks / unit.Ticks).ToString(CultureInfo.InvariantCulture)} {suffix}";
        }

        return $"{((long)duration.TotalMilliseconds).ToString(CultureInfo.InvariantCulture)} ms";
    }
}

/// <summary>On or off.</summary>
public sealed class SwitchKind : SettingKind
{
    /// <inheritdoc/>
    public override string Allowed => "on or off";

    /// <inheritdoc/>
    public override bool TryParse(string text, out object? value)
    {
        bool? parsed = text.ToLowerInvariant() switch
        {
            "on" or "true" or "yes" => true,
            "off" or "false" or "no" => false,
            _ => null,
        };
        value = parsed;
        return parsed is not null;
    }

    /// <inheritdoc/>
    public override string Format(object? value) => value is true ? "on" : "off";
}

/// <summary>One of a few words.</summary>
public sealed class ChoiceKind(Type type) : SettingKind
{
    /// <inheritdoc/>
    public override string Allowed => $"one of {string.Join(", ", Enum.GetNames(type).Select(n => n.ToLowerInvariant()))}";

    /// <inheritdoc/>
    public override bool TryParse(string text, out object? value) =>
        Enum.TryParse(type, text, ignoreCase: true, out value) && !char.IsAsciiDigit(text[0]) && Enum.IsDefined(type, value!);

    /// <inheritdoc/>
    public override string Format(object? value) => value!.ToString()!.ToLowerInvariant();
}

/// <summary>Text with a rule of its own.</summary>
/// <param name="allowed">The rule in words.</param>
/// <param name="normalize">Gives the value, or null if the text breaks the rule.</param>
public sealed class TextKind(string allowed, Func<string, string?> normalize) : SettingKind
{
    /// <inheritdoc/>
    public override string Allowed => allowed;

    /// <inheritdoc/>
    public override bool TryParse(string text, out object? value)
    {
        value = normalize(text);
        return value is not null;
    }

    /// <inheritdoc/>
    public override string Format(object? value) => (string)value!;
}
