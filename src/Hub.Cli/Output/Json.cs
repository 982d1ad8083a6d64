using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using Google.Protobuf.WellKnownTypes;

namespace Hub.Cli.Output;

/// <summary>How documents are written.</summary>
internal static class Json
{
    /// <summary>
    /// camelCase, properties without a value left out. Control characters are always escaped by the writer; what is not
    /// escaped is only what matters inside HTML.
    /// </summary>
    public static JsonSerializerOptions Options { get; } = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    private static readonly JsonSerializerOptions Indented = new(Options) { WriteIndented = true, NewLine = "\n" };

    /// <summary>A document over several lines.</summary>
    public static string Document<T>(T value) => JsonSerializer.Serialize(value, Indented) + "\n";

    /// <summary>A document on one line.</summary>
    public static string Line<T>(T value) => JsonSerializer.Serialize(value, Options) + "\n";

    /// <summary>The same as YAML.</summary>
    public static string Yaml<T>(T value) => YamlText.Write(JsonSerializer.SerializeToNode(value, Options));

    /// <summary>RFC 3339 in UTC with milliseconds; null if not set.</summary>
    public static string? Time(Timestamp? time) =>
        time?.Clamped().ToString("yyyy-MM-dd'T'HH:mm:ss.fff'Z'", System.Globalization.CultureInfo.InvariantCulture);

    /// <summary>The lower-case name of an enum value, words joined by '-'; 'unknown' for a value this program does not know.</summary>
    public static string Word<T>(T value) where T : struct, System.Enum
    {
        var name = System.Enum.GetName(value);
        if (name is null || name == "Unspecified")
            return "unknown";
        return string.Concat(name.Select((c, i) => char.IsUpper(c) ? (i == 0 ? "" : "-") + char.ToLowerInvariant(c) : c.ToString()));
    }

    /// <summary>Null for the empty string, so that it is left out.</summary>
    public static string? Set(string value) => value.Length == 0 ? null : value;

    /// <summary>Null for zero, so that it is left out.</summary>
    public static int? Set(int value) => value == 0 ? null : value;

    /// <summary>Null for an empty list, so that it is left out.</summary>
    public static IReadOnlyList<int>? Set(IReadOnlyCollection<int> values) => values.Count == 0 ? null : [.. values];

    /// <summary>Null for what is no number in JSON (infinite, or none at all), so that it is left out.</summary>
    public static double? Finite(double value) => double.IsFinite(value) ? value : null;
}
