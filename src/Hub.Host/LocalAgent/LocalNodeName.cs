using Hub.Protocol;

namespace Hub.Host.LocalAgent;

/// <summary>What a hub's own node is called.</summary>
internal static class LocalNodeName
{
    private const string Alone = "local";

    /// <summary>'local' for a hub by itself; in a cluster there are several, so each has its machine's name in it.</summary>
    public static string Of(bool isMember, string machine)
    {
        if (!isMember)
            return Alone;
        var name = $"{Alone}-{machine.Split('.')[0].ToLowerInvariant()}";
        name = string.Concat(name.Select(static c => char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c) ? c : '-')).TrimEnd('-');
        return name.Length <= Names.MaxNodeName ? name : name[..Names.MaxNodeName].TrimEnd('-');
    }
}
