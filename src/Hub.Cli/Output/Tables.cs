using System.Text;
using Spectre.Console;
using Spectre.Console.Rendering;

namespace Hub.Cli.Output;

/// <summary>One cell: harmless text, and a style for a terminal with colour.</summary>
internal readonly record struct Cell(string Text, string? Style = null)
{
    /// <summary>A cell of text from anywhere: control characters are made harmless here.</summary>
    public static implicit operator Cell(string? text) => new(string.IsNullOrEmpty(text) ? "-" : TextSanitizer.Line(text));
}

/// <summary>Tables in the plain style of kubectl: a line of headings, columns three spaces apart, no borders, never wrapped.</summary>
internal static class Tables
{
    private const int Gap = 3;

    /// <summary>A table as text, with a line end after each row.</summary>
    public static string Render(IReadOnlyList<string> headings, IReadOnlyList<IReadOnlyList<Cell>> rows, bool color)
    {
        var table = new Table { Border = TableBorder.None, ShowHeaders = true, Expand = false };
        var width = 0;
        for (var i = 0; i < headings.Count; i++)
        {
            var last = i == headings.Count - 1;
            var column = new TableColumn(new Text(headings[i])) { NoWrap = true, Padding = new Padding(0, 0, last ? 0 : Gap, 0) };
            table.AddColumn(column);
            width += Gap + Math.Max(WidthOf(headings[i]), rows.Count == 0 ? 0 : rows.Max(r => WidthOf(r[i].Text)));
        }

        foreach (var row in rows)
            table.AddRow(row.Select(c => new Text(c.Text, c.Style is null ? Style.Plain : Style.Parse(c.Style))));
        return Draw(table, width + 1, color);
    }

    /// <summary>Rows of a name and a value, for <c>describe</c>.</summary>
    public static string Pairs(IReadOnlyList<(string Name, Cell Value)> pairs, bool color)
    {
        var grid = new Grid();
        grid.AddColumn(new GridColumn { NoWrap = true, Padding = new Padding(0, 0, Gap, 0) });
        grid.AddColumn(new GridColumn { NoWrap = true, Padding = new Padding(0, 0, 0, 0) });
        var width = 0;
        foreach (var (name, value) in pairs)
        {
            var title = name + ":";
            width = Math.Max(width, WidthOf(title) + Gap + WidthOf(value.Text));
            grid.AddRow(new Text(title), new Text(value.Text, value.Style is null ? Style.Plain : Style.Parse(value.Style)));
        }

        var names = pairs.Count == 0 ? 0 : pairs.Max(p => WidthOf(p.Name) + 1);
        return Draw(grid, width + names + Gap, color);
    }

    /// <summary>Widths of the columns of a table, for rows that come later.</summary>
    public static int[] Widths(IReadOnlyList<string> headings, IReadOnlyList<IReadOnlyList<Cell>> rows) =>
        [.. headings.Select((h, i) => Math.Max(WidthOf(h), rows.Count == 0 ? 0 : rows.Max(r => WidthOf(r[i].Text))))];

    /// <summary>One more row under a table whose columns are this wide.</summary>
    public static string Row(IReadOnlyList<Cell> row, int[] widths)
    {
        var line = new StringBuilder();
        for (var i = 0; i < row.Count; i++)
        {
            line.Append(row[i].Text);
            if (i < row.Count - 1)
                line.Append(' ', Math.Max(0, widths[i] - WidthOf(row[i].Text)) + Gap);
        }

        return line.Append('\n').ToString();
    }

    private static int WidthOf(string text) => new Segment(text).CellCount();

    private static string Draw(IRenderable renderable, int width, bool color)
    {
        var writer = new StringWriter { NewLine = "\n" };
        var console = AnsiConsole.Create(new AnsiConsoleSettings
        {
            Ansi = color ? AnsiSupport.Yes : AnsiSupport.No,
            ColorSystem = color ? ColorSystemSupport.Standard : ColorSystemSupport.NoColors,
            Interactive = InteractionSupport.No,
            Out = new AnsiConsoleOutput(writer),
        });
        console.Profile.Width = Math.Max(1, width);
        console.Write(renderable);
        // The widest cell of the last column pads the others; nobody wants those spaces in a pipe.
        var lines = writer.ToString().Split('\n');
        return string.Join('\n', lines.Select(l => l.TrimEnd(' ', '\r')));
    }
}
