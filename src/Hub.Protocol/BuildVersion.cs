using System.Reflection;

namespace Hub.Protocol;

/// <summary>The version of this build: release, and the commit it was built from.</summary>
public static class BuildVersion
{
    private const int CommitDigits = 9;

    /// <summary>Such as <c>0.1.0+9dd23ef4a</c>; without the commit if the build did not know it.</summary>
    public static string Text { get; } = Shorten(typeof(BuildVersion).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "0");

    /// <summary>Cuts a commit to as many digits as people compare.</summary>
    public static string Shorten(string version) =>
        version.IndexOf('+', StringComparison.Ordinal) is > 0 and var plus ? version[..Math.Min(version.Length, plus + 1 + CommitDigits)] : version;
}
