namespace Hub.Host;

/// <summary>What the hub exits with.</summary>
public static class ExitCodes
{
    /// <summary>Stopped in order, or printed what was asked for.</summary>
    public const int Ok = 0;
    /// <summary>Something failed; the log says what.</summary>
    public const int Failure = 1;
    /// <summary>Wrong settings or usage; every error was named.</summary>
    public const int Usage = 2;
    /// <summary>Another hub runs on the data directory or on the shared store, or has taken the store meanwhile.</summary>
    public const int AlreadyRunning = 3;
    /// <summary>The data directory or the store cannot be used.</summary>
    public const int StoreRefused = 4;
    /// <summary>A port is taken.</summary>
    public const int AddressInUse = 5;
    /// <summary>The other members took this one for dead, or it saw that it is on the smaller side of a split; start it again.</summary>
    public const int Downed = 6;
    /// <summary>A second Ctrl+C ended the hub at once.</summary>
    public const int Interrupted = 130;
}
