using System.Buffers.Binary;
using System.Collections.Frozen;
using System.Security.Cryptography;
using System.Text;
using AkkaHub.Internal.V1;
using AkkaHub.V1;

namespace Hub.Actors.Tokens;

/// <summary>
/// What gRPC threads look tokens up in: an immutable map from the hash of a secret to its token, replaced as a whole by
/// <see cref="TokensActor"/>. A look-up takes no lock and asks no actor. While the actor is being made again after a failure
/// the last map stays.
/// </summary>
public sealed class TokenDirectory(TimeProvider time)
{
    private FrozenDictionary<SecretHash, ValidToken>? _tokens;

    /// <summary>False until the stored tokens have been read: nobody can be told that his token is unknown before.</summary>
    public bool IsLoaded => Volatile.Read(ref _tokens) is not null;

    /// <summary>The valid token with this secret; null if there is none.</summary>
    public ValidToken? Find(string secret)
    {
        var tokens = Volatile.Read(ref _tokens);
        if (tokens is null)
            return null;
        Span<byte> hash = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(Encoding.UTF8.GetBytes(secret), hash);
        // Equal hashes mean equal secrets, and how long the look-up takes tells nothing about a secret of 256 random bits.
        return tokens.TryGetValue(SecretHash.Of(hash), out var token) && !(token.ExpireTime <= time.GetUtcNow()) ? token : null;
    }

    /// <summary>Replaces the map. The streams of tokens that are no longer in it are ended, on other threads.</summary>
    internal void Publish(IEnumerable<StoredToken> tokens)
    {
        var before = Volatile.Read(ref _tokens) ?? FrozenDictionary<SecretHash, ValidToken>.Empty;
        var after = tokens.ToFrozenDictionary(
            t => SecretHash.Of(t.SecretHash.Span),
            t => before.GetValueOrDefault(SecretHash.Of(t.SecretHash.Span)) ?? new ValidToken(t.Token.Id, t.Token.Type, t.Token.ExpireTime?.ToDateTimeOffset()));
        Volatile.Write(ref _tokens, after);
        foreach (var (hash, token) in before)
        {
            if (!after.ContainsKey(hash))
                token.Revoke();
        }
    }

    private readonly record struct SecretHash(UInt128 High, UInt128 Low)
    {
        public static SecretHash Of(ReadOnlySpan<byte> hash) =>
            new(BinaryPrimitives.ReadUInt128BigEndian(hash), BinaryPrimitives.ReadUInt128BigEndian(hash[16..]));
    }
}

/// <summary>A token that is valid, as long as it is.</summary>
public sealed class ValidToken
{
    // Never disposed: streams hold its token for as long as they live, and it owns no timer or handle.
    private readonly CancellationTokenSource _revoked = new();

    internal ValidToken(string id, TokenType type, DateTimeOffset? expireTime)
    {
        Id = id;
        Type = type;
        ExpireTime = expireTime;
        Revoked = _revoked.Token;
    }

    /// <summary>Its id; not the secret.</summary>
    public string Id { get; }
    /// <summary>For whom it is.</summary>
    public TokenType Type { get; }
    /// <summary>Valid until; null for ever.</summary>
    public DateTimeOffset? ExpireTime { get; }
    /// <summary>Cancelled when it is revoked or over.</summary>
    public CancellationToken Revoked { get; }

    // Asynchronously: what listens ends streams, which the actor's thread must not wait for.
    internal void Revoke() => _ = _revoked.CancelAsync();
}
