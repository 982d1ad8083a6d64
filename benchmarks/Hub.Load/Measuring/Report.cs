using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Hub.Load.Measuring;

/// <summary>One measured figure.</summary>
/// <param name="Scenario">What was run.</param>
/// <param name="Name">What was measured.</param>
/// <param name="Value">The figure.</param>
/// <param name="Unit">Its unit.</param>
/// <param name="AtLeast">Least value wanted; null if more is not better or nothing is asked.</param>
/// <param name="AtMost">Largest value wanted; null if less is not better or nothing is asked.</param>
public sealed record Figure(string Scenario, string Name, double Value, string Unit, double? AtLeast = null, double? AtMost = null)
{
    /// <summary>Whether the figure is as wanted; null if nothing is asked of it.</summary>
    public bool? Met => AtLeast is null && AtMost is null ? null : !(Value < AtLeast) && !(Value > AtMost);
}

/// <summary>Collects figures, says each as it comes, and writes table and JSON at the end.</summary>
public sealed class Report
{
    private static readonly JsonSerializerOptions Json = new()
    {
        WriteIndented = true,
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
        NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals,
    };

    private readonly List<Figure> _figures = [];
    private readonly List<string> _notes = [];

    /// <summary>What was measured so far.</summary>
    public IReadOnlyList<Figure> Figures => _figures;

    /// <summary>Circumstances: machine, versions, options.</summary>
    public Dictionary<string, string> Circumstances { get; } = [];

    /// <summary>Adds a figure.</summary>
    public void Add(string scenario, string name, double value, string unit, double? atLeast = null, double? atMost = null)
    {
        var figure = new Figure(scenario, name, Math.Round(value, value >= 1000 ? 0 : 3), unit, atLeast, atMost);
        _figures.Add(figure);
        Console.Error.WriteLine($"  {Describe(figure)}");
    }

    /// <summary>Adds a remark, such as why a figure is missing.</summary>
    public void Note(string scenario, string text)
    {
        _notes.Add($"{scenario}: {text}");
        Console.Error.WriteLine($"  note: {text}");
    }

    /// <summary>A figure measured earlier in this run.</summary>
    public double? Find(string scenario, string name) =>
        _figures.FirstOrDefault(f => f.Scenario == scenario && f.Name == name)?.Value;

    /// <summary>Prints the table to standard output.</summary>
    public void Print()
    {
        foreach (var line in Lines())
            Console.WriteLine(line);
    }

    /// <summary>The table and the remarks.</summary>
    public IEnumerable<string> Lines()
    {
        var rows = _figures.Select(f => (f.Scenario, f.Name, Value: Format(f.Value), f.Unit, Wanted: Wanted(f), Met: f.Met switch
        {
            true => "yes",
            false => "NO",
            null => "",
        })).Prepend(("scenario", "figure", "value", "unit", "wanted", "met")).ToList();
        int Width(Func<(string Scenario, string Name, string Value, string Unit, string Wanted, string Met), string> of) => rows.Max(r => of(r).Length);
        var (w1, w2, w3, w4, w5) = (Width(r => r.Scenario), Width(r => r.Name), Width(r => r.Value), Width(r => r.Unit), Width(r => r.Wanted));
        foreach (var (scenario, name, value, unit, wanted, met) in rows)
            yield return $"{scenario.PadRight(w1)}  {name.PadRight(w2)}  {value.PadLeft(w3)}  {unit.PadRight(w4)}  {wanted.PadRight(w5)}  {met}".TrimEnd();
        foreach (var note in _notes)
            yield return $"note: {note}";
    }

    /// <summary>Writes everything as one JSON document.</summary>
    public void Write(string file) => File.WriteAllText(file, JsonSerializer.Serialize(
        new { circumstances = Circumstances, figures = _figures, notes = _notes }, Json) + "\n");

    private static string Describe(Figure f) =>
        $"{f.Name}: {Format(f.Value)} {f.Unit}{(f.Met is { } met ? $" (wanted {Wanted(f)}: {(met ? "met" : "NOT met")})" : "")}";

    private static string Wanted(Figure f) =>
        f.AtLeast is { } least ? $"≥ {Format(least)}" : f.AtMost is { } most ? $"≤ {Format(most)}" : "";

    private static string Format(double value) =>
        value.ToString(Math.Abs(value) >= 1000 ? "#,0" : "0.###", CultureInfo.InvariantCulture);
}
