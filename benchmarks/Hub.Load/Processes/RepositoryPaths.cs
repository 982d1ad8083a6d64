namespace Hub.Load.Processes;

/// <summary>Where the built programs of this repository are.</summary>
public static class RepositoryPaths
{
    /// <summary>The repository's root: the directory above this program that holds the solution.</summary>
    public static string Root { get; } = FindRoot();

    /// <summary>The configuration this program was built in, which the others are expected in too.</summary>
    public static string Configuration { get; } =
        AppContext.BaseDirectory.Contains("/Debug/", StringComparison.OrdinalIgnoreCase) ? "Debug" : "Release";

    /// <summary>The built assembly of a project below <c>src</c>.</summary>
    /// <param name="project">The project's name.</param>
    /// <param name="assembly">The assembly's name without extension; the project's if null.</param>
    /// <exception cref="FileNotFoundException">It is not built.</exception>
    public static string Program(string project, string? assembly = null)
    {
        var path = Path.Combine(Root, "src", project, "bin", Configuration, "net10.0", (assembly ?? project) + ".dll");
        return File.Exists(path) ? path : throw new FileNotFoundException($"build {project} in {Configuration} first: {path} is not there", path);
    }

    private static string FindRoot()
    {
        for (var directory = new DirectoryInfo(AppContext.BaseDirectory); directory is not null; directory = directory.Parent)
        {
            if (File.Exists(Path.Combine(directory.FullName, "AkkaHub.sln")))
                return directory.FullName;
        }

        return Directory.GetCurrentDirectory();
    }
}
