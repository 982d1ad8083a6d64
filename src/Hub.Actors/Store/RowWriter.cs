namespace Hub.Actors.Store;

/// <summary>
/// What a persistent actor writes into each of its rows, so that the journal itself shows that it had one writer at a time: what Akka.Persistence.Sql notes is the
/// process (ADR 0009).
/// </summary>
internal static class RowWriter
{
    /// <summary>A number for one actor: not 0, which rows of older builds have.</summary>
    public static uint New() => (uint)Random.Shared.NextInt64(1, 1L << 32);
}
