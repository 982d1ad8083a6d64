using System.Collections.Frozen;
using AkkaHub.V1;

namespace Hub.Host.Auth;

/// <summary>
/// Who may call what: the one place where that is written. What does not stand here nobody may call. A test compares it with the
/// services' methods.
/// </summary>
public static class AccessPolicy
{
    private const PrincipalKinds AdminOnly = PrincipalKinds.Admin;
    private const PrincipalKinds Clients = PrincipalKinds.Admin | PrincipalKinds.Client;
    private const PrincipalKinds Nodes = PrincipalKinds.Admin | PrincipalKinds.Node;

    private static readonly FrozenDictionary<string, PrincipalKinds> Table = new Dictionary<string, PrincipalKinds>
    {
        // The hub's own local node comes with the owner-only token.
        [Bridge("Connect")] = Nodes,

        [Hub("StopHub")] = AdminOnly,
        [Hub("CreateToken")] = AdminOnly,
        [Hub("ListTokens")] = AdminOnly,
        [Hub("RevokeToken")] = AdminOnly,
        [Hub("ListMembers")] = AdminOnly,
        [Hub("ChangeMember")] = AdminOnly,

        [Hub("GetHub")] = Clients,
        [Hub("ListNodes")] = Clients,
        [Hub("GetNode")] = Clients,
        [Hub("WatchNodes")] = Clients,
        [Hub("ForgetNode")] = Clients,
        [Hub("DrainNode")] = Clients,
        [Hub("ListTerminals")] = Clients,
        [Hub("OpenTerminal")] = Clients,
        [Hub("CloseTerminal")] = Clients,
        [Hub("PurgeTerminal")] = Clients,
        [Hub("ReadHistory")] = Clients,
        [Hub("FollowHistory")] = Clients,
        [Hub("SendInput")] = Clients,
        [Hub("SendKeys")] = Clients,
        [Hub("ResizeTerminal")] = Clients,
        [Hub("SignalTerminal")] = Clients,
        [Hub("AttachTerminal")] = Clients,
        [Hub("RunCommand")] = Clients,
        [Hub("GetCommand")] = Clients,
        [Hub("ListCommands")] = Clients,
        [Hub("CancelCommand")] = Clients,
        [Hub("WatchEvents")] = Clients,
    }.ToFrozenDictionary(StringComparer.Ordinal);

    /// <summary>Every method that stands in the table, such as <c>/akkahub.v1.HubService/GetHub</c>.</summary>
    public static IEnumerable<string> Methods => Table.Keys;

    /// <summary>Who may call a method.</summary>
    public static PrincipalKinds AllowedFor(string method) => Table.GetValueOrDefault(method, PrincipalKinds.None);

    /// <summary>Whether a caller of this kind may call a method.</summary>
    public static bool Allows(PrincipalKinds kind, string method) => (AllowedFor(method) & kind) != 0;

    private static string Hub(string method) => $"/{HubService.Descriptor.FullName}/{method}";

    private static string Bridge(string method) => $"/{NodeBridgeService.Descriptor.FullName}/{method}";
}
