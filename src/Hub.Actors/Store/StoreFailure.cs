using Npgsql;

namespace Hub.Actors.Store;

/// <summary>What a failed write says, however deep its cause is wrapped.</summary>
internal static class StoreFailure
{
    /// <summary>Another writer was there: the sequence number is taken.</summary>
    public static bool IsConflict(Exception? cause) => Has(cause, static e => e is PostgresException { SqlState: PostgresErrorCodes.UniqueViolation });

    /// <summary>The store takes nothing more from this member.</summary>
    public static bool IsFenced(Exception? cause) => Has(cause, static e => e is PostgresException { SqlState: PostgresRegistry.FencedState });

    private static bool Has(Exception? cause, Func<Exception, bool> wanted) => cause switch
    {
        null => false,
        AggregateException many => many.InnerExceptions.Any(e => Has(e, wanted)),
        _ => wanted(cause) || Has(cause.InnerException, wanted),
    };
}
