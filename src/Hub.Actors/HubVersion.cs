using System.Reflection;

namespace Hub.Actors;

/// <summary>The hub's version.</summary>
public static class HubVersion
{
    /// <summary>Version of the forms this build reads and writes between members and into the store; see <see cref="Members.WireForms"/>.</summary>
    public const int Wire = 2;

    /// <summary>Such as <c>0.1.0</c>.</summary>
    public static string Text { get; } = typeof(HubVersion).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion.Split('+')[0] ?? "0";
}
