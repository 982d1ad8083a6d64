using System.Text;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace Hub.Cli.Output;

/// <summary>Writes a JSON document as YAML 1.2: the same names and values in block style.</summary>
internal static partial class YamlText
{
    /// <summary>The document, ending in a line end.</summary>
    public static string Write(JsonNode? node)
    {
        var text = new StringBuilder();
        Write(node, 0, text, inSequence: false);
        return text.ToString();
    }

    private static void Write(JsonNode? node, int indent, StringBuilder text, bool inSequence)
    {
        switch (node)
        {
            case JsonObject { Count: > 0 } map:
                var first = inSequence;
                foreach (var (name, value) in map)
                {
                    if (!first)
                        text.Append(' ', indent);
                    first = false;
                    text.Append(Scalar(name)).Append(':');
                    Value(value, indent, text);
                }

                break;
            case JsonArray { Count: > 0 } list:
                foreach (var item in list)
                {
                    text.Append(' ', indent).Append("- ");
                    if (item is JsonArray { Count: > 0 })
                    {
                        text.Append('\n');
                        Write(item, indent + 2, text, inSequence: false);
                    }
                    else
                    {
                        Write(item, indent + 2, text, inSequence: true);
                    }
                }

                break;
            default:
                text.Append(Leaf(node)).Append('\n');
                break;
        }
    }

    private static void Value(JsonNode? value, int indent, StringBuilder text)
    {
        switch (value)
        {
            case JsonObject { Count: > 0 }:
                text.Append('\n');
                Write(value, indent + 2, text, inSequence: false);
                break;
            case JsonArray { Count: > 0 }:
                text.Append('\n');
                Write(value, indent, text, inSequence: false);
                break;
            default:
                text.Append(' ').Append(Leaf(value)).Append('\n');
                break;
        }
    }

    private static string Leaf(JsonNode? node) => node switch
    {
        null => "null",
        JsonObject => "{}",
        JsonArray => "[]",
        JsonValue value when value.TryGetValue<string>(out var s) => Scalar(s),
        _ => node.ToJsonString(Json.Options),
    };

    /// <summary>Plain where no reader can take it for anything but this string; else quoted as in JSON, which YAML reads alike.</summary>
    private static string Scalar(string value) =>
        Plain().IsMatch(value) && !Special().IsMatch(value) ? value : JsonValue.Create(value).ToJsonString(Json.Options);

    [GeneratedRegex("^[A-Za-z_][A-Za-z0-9_./-]*\\z")]
    private static partial Regex Plain();

    [GeneratedRegex("^(true|false|yes|no|on|off|y|n|null|nan|inf)\\z", RegexOptions.IgnoreCase)]
    private static partial Regex Special();
}
