using System.Linq.Expressions;
using System.Reflection;

namespace Hub.Host.Settings;

/// <summary>
/// One declared setting: its path in HOCON, its environment variable, its kind with range and unit, its meaning, and the property
/// of <see cref="AllSettings"/> it fills. Documentation, binding, help and tests all read this one declaration.
/// </summary>
public sealed class Setting
{
    private readonly PropertyInfo[] _route;

    private Setting(string path, SettingKind kind, string description, LambdaExpression property, string? option, string? environment, bool secret)
    {
        Path = path;
        Kind = kind;
        Description = description;
        Option = option;
        IsSecret = secret;
        EnvironmentVariable = environment ?? "AKKAHUB_" + path["akkahub.".Length..].Replace('.', '_').Replace('-', '_').ToUpperInvariant();
        _route = RouteOf(property);
    }

    /// <summary>Path in HOCON, beginning with <c>akkahub.</c>.</summary>
    public string Path { get; }
    /// <summary>Name of the environment variable that overrides it.</summary>
    public string EnvironmentVariable { get; }
    /// <summary>Command-line option of its own, such as <c>--grpc-port</c>; null where only <c>--set</c> reaches it.</summary>
    public string? Option { get; }
    /// <summary>Whether its value must not be shown.</summary>
    public bool IsSecret { get; }
    /// <summary>Type, unit and range.</summary>
    public SettingKind Kind { get; }
    /// <summary>What it means, for people.</summary>
    public string Description { get; }

    /// <summary>Declares a setting.</summary>
    /// <param name="path">Path in HOCON.</param>
    /// <param name="kind">Type, unit and range.</param>
    /// <param name="description">What it means.</param>
    /// <param name="property">The property it fills.</param>
    /// <param name="option">Command-line option of its own.</param>
    /// <param name="environment">Environment variable, where it is not the path's.</param>
    /// <param name="secret">Whether its value must not be shown.</param>
    public static Setting Of<T>(string path, SettingKind kind, string description, Expression<Func<AllSettings, T>> property,
        string? option = null, string? environment = null, bool secret = false) => new(path, kind, description, property, option, environment, secret);

    /// <summary>The value in force.</summary>
    public object? Read(AllSettings settings)
    {
        object? at = settings;
        foreach (var property in _route)
            at = property.GetValue(at);
        return at;
    }

    /// <summary>A value as text that may be shown.</summary>
    public string Show(string text) => IsSecret && text.Length > 0 ? "(not shown)" : text;

    /// <summary>The same settings with another value here; the given ones stay as they are.</summary>
    public AllSettings With(AllSettings settings, object? value) => (AllSettings)Copy(settings, 0, value);

    // The compiler's own copy of a record, then the init-only property: what a `with` expression does, for a path that is data.
    private object Copy(object owner, int depth, object? value)
    {
        var property = _route[depth];
        var copy = owner.GetType().GetMethod("<Clone>$")!.Invoke(owner, null)!;
        property.SetValue(copy, depth == _route.Length - 1 ? value : Copy(property.GetValue(owner)!, depth + 1, value));
        return copy;
    }

    private static PropertyInfo[] RouteOf(LambdaExpression property)
    {
        var route = new Stack<PropertyInfo>();
        for (var at = property.Body; at is MemberExpression member; at = member.Expression!)
            route.Push((PropertyInfo)member.Member);
        return [.. route];
    }
}
