using Grpc.Core;

namespace Hub.Host.Auth;

/// <summary>Kinds of callers; a set of them in <see cref="AccessPolicy"/>.</summary>
[Flags]
public enum PrincipalKinds
{
    /// <summary>Nobody.</summary>
    None = 0,
    /// <summary>Who can read the data directory.</summary>
    Admin = 1,
    /// <summary>A node.</summary>
    Node = 2,
    /// <summary>A client.</summary>
    Client = 4,
}

/// <summary>Who calls.</summary>
/// <param name="Kind">Exactly one kind.</param>
/// <param name="TokenId">Id of the token, or <c>admin</c>; may be logged.</param>
/// <param name="Revoked">Cancelled when the credential ends.</param>
public sealed record Principal(PrincipalKinds Kind, string TokenId, CancellationToken Revoked)
{
    internal const string StateKey = "akkahub.principal";
}

/// <summary>The caller in a call's context.</summary>
public static class PrincipalContext
{
    /// <summary>Who calls; set by <see cref="AuthInterceptor"/> before the handler runs.</summary>
    /// <exception cref="InvalidOperationException">The call did not pass the interceptor.</exception>
    public static Principal GetPrincipal(this ServerCallContext context) =>
        context.UserState.TryGetValue(Principal.StateKey, out var principal)
            ? (Principal)principal
            : throw new InvalidOperationException("the call did not pass the AuthInterceptor");
}
