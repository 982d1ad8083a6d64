using System.Globalization;

namespace Hub.Actors.Members;

/// <summary>
/// Versions of the forms that builds read and write (<see cref="HubVersion.Wire"/>), and what came with which. A member bears its version
/// as a role, so that every other one knows it before it can be told anything. A form is written only to who reads it: to one member
/// when that one does, to all or into the store when the lowest of them does (<see cref="MemberDirectory.AllRead"/>).
/// </summary>
public static class WireForms
{
    /// <summary>That of builds that bear no such role.</summary>
    public const int First = 1;

    /// <summary>The first version with <see cref="MembersActor"/> and its messages.</summary>
    public const int Members = 2;

    /// <summary>The first version whose partitions answer an attach with <see cref="Nodes.AttachTaken"/>.</summary>
    public const int AttachTaken = 2;

    /// <summary>The first version whose partitions answer <see cref="Events.FollowEvents"/>.</summary>
    public const int Events = 2;

    private const string RolePrefix = "wire-";

    /// <summary>The role of a member of this version.</summary>
    public static string RoleOf(int version) => RolePrefix + version.ToString(CultureInfo.InvariantCulture);

    /// <summary>The version of a member with these roles.</summary>
    public static int VersionOf(IEnumerable<string> roles)
    {
        foreach (var role in roles)
        {
            if (role.StartsWith(RolePrefix, StringComparison.Ordinal)
                && int.TryParse(role.AsSpan(RolePrefix.Length), NumberStyles.None, CultureInfo.InvariantCulture, out var version))
                return version;
        }

        return First;
    }
}
