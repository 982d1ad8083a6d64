namespace Hub.Node;

/// <summary>What the agent exits with.</summary>
public static class ExitCodes
{
    /// <summary>It was told to stop and left in order.</summary>
    public const int Ok = 0;
    /// <summary>Something it cannot go on with; the message says what.</summary>
    public const int Failure = 1;
    /// <summary>Options that cannot be used; each is named.</summary>
    public const int Usage = 2;
    /// <summary>Another agent runs on the same state directory.</summary>
    public const int AlreadyRunning = 3;
    /// <summary>The hub sent it away for good: a newer session took over, an operator forgot the node, or its credential was revoked.</summary>
    public const int SentAway = 4;
    /// <summary>Another machine claimed this node's name.</summary>
    public const int NameClaimed = 5;
}
