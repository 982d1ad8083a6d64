namespace Hub.Actors.Store;

/// <summary>The data directory or the store in it cannot be used; the message is meant for the operator.</summary>
/// <param name="message">What is wrong and what to do.</param>
/// <param name="inUse">Another hub holds the data directory.</param>
/// <param name="inner">What the system said.</param>
public sealed class StoreRefusedException(string message, bool inUse = false, Exception? inner = null) : Exception(message, inner)
{
    /// <summary>Another hub holds the data directory.</summary>
    public bool InUse { get; } = inUse;
}
