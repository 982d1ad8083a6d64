namespace Hub.Actors;

/// <summary>The version of what the hub writes.</summary>
public static class HubVersion
{
    /// <summary>Version of the forms this build reads and writes between members and into the store; see <see cref="Members.WireForms"/>.</summary>
    public const int Wire = 2;
}
