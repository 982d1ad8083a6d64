using AkkaHub.V1;
using Google.Protobuf;
using Hub.Actors.Nodes;

namespace Hub.Actors.Tokens;

// Asked of TokensActor by the gRPC services of any member.

/// <summary>Make a token. Answered with <see cref="TokenCreated"/> once it is durable, or <see cref="TokenRefused"/>.</summary>
/// <param name="Type">For whom.</param>
/// <param name="SecretHash">SHA-256 of the secret; the secret itself never reaches the actor.</param>
/// <param name="TimeToLive">How long it is valid; null for ever.</param>
/// <param name="Description">What it is for, at most 255 characters.</param>
public sealed record CreateToken(TokenType Type, ByteString SecretHash, TimeSpan? TimeToLive, string Description) : ICrossesMembers;

/// <summary>Ask for all tokens. Answered with <see cref="TokenList"/>.</summary>
public sealed record ListTokens : ICrossesMembers
{
    /// <summary>The only one.</summary>
    public static ListTokens Instance { get; } = new();
}

/// <summary>
/// Be told all tokens, hashes included: at once and after each change, until the asker stops. Answered with <c>TokensSnapshot</c>. Asked again
/// now and then, for what got lost on the way between members.
/// </summary>
public sealed record WatchTokens : ICrossesMembers
{
    /// <summary>The only one.</summary>
    public static WatchTokens Instance { get; } = new();
}

/// <summary>The tokens move to another member: finish the write under way and stop. Never leaves the member.</summary>
internal sealed record StopTokens
{
    /// <summary>The only one.</summary>
    public static StopTokens Instance { get; } = new();
}

/// <summary>Revoke a token. Answered with <see cref="TokenRevoked"/> once that is durable.</summary>
/// <param name="Id">Its id.</param>
public sealed record RevokeToken(string Id) : ICrossesMembers;

/// <summary>The token is durable and valid.</summary>
/// <param name="Token">A copy for the asker alone.</param>
public sealed record TokenCreated(Token Token) : ICrossesMembers;

/// <summary>No token was made: there are as many as the setting allows.</summary>
/// <param name="MaxCount">How many that is.</param>
public sealed record TokenRefused(int MaxCount) : ICrossesMembers;

/// <summary>All tokens.</summary>
/// <param name="Tokens">Oldest first; copies for the asker alone.</param>
public sealed record TokenList(IReadOnlyList<Token> Tokens) : ICrossesMembers;

/// <summary>The outcome of a revocation.</summary>
/// <param name="Found">There was such a token.</param>
public sealed record TokenRevoked(bool Found) : ICrossesMembers;
