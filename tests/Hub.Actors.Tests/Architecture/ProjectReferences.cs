using System.Xml.Linq;

namespace Hub.Actors.Tests.Architecture;

/// <summary>
/// Who may link whom, read from the project files: an arrow is seen there before any code makes use of it, also between
/// projects whose assemblies these tests do not load.
/// </summary>
internal static class ProjectReferences
{
    private static readonly Dictionary<string, string[]> Allowed = new(StringComparer.Ordinal)
    {
        ["Hub.Protocol"] = [],
        ["Hub.Actors"] = ["Hub.Protocol"],
        ["Hub.Node"] = ["Hub.Protocol"],
        ["Hub.Cli"] = ["Hub.Protocol", "Hub.Node"],
        ["Hub.Host"] = ["Hub.Protocol", "Hub.Actors"],
    };

    /// <summary>The projects there is a rule for.</summary>
    public static IEnumerable<string> Known => Allowed.Keys;

    /// <summary>Projects it links and must not; what is only built beside it is not linked.</summary>
    public static IReadOnlyList<string> Wrong(string project, XDocument file) =>
    [
        .. file.Descendants("ProjectReference")
            .Where(r => !string.Equals((string?)r.Attribute("ReferenceOutputAssembly"), "false", StringComparison.OrdinalIgnoreCase))
            .Select(r => Path.GetFileNameWithoutExtension(((string?)r.Attribute("Include"))!.Replace('\\', '/')))
            .Except(Allowed[project]),
    ];

    /// <summary>Project files of what is shipped, by project.</summary>
    public static IReadOnlyDictionary<string, string> Files()
    {
        var at = new DirectoryInfo(AppContext.BaseDirectory);
        while (!File.Exists(Path.Combine(at!.FullName, "AkkaHub.sln")))
            at = at.Parent;
        return Directory.EnumerateFiles(Path.Combine(at.FullName, "src"), "*.csproj", SearchOption.AllDirectories)
            .ToDictionary(f => Path.GetFileNameWithoutExtension(f)!, StringComparer.Ordinal);
    }
}
