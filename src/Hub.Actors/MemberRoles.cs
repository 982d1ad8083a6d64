namespace Hub.Actors;

/// <summary>Roles of cluster members; permanent, since members of several versions meet.</summary>
public static class MemberRoles
{
    /// <summary>Holds partitions and carries streams.</summary>
    public const string Full = "full";

    /// <summary>Only carries streams.</summary>
    public const string Gateway = "gateway";
}
