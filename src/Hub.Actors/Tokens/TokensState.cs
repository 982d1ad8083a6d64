using AkkaHub.Internal.V1;
using AkkaHub.V1;

namespace Hub.Actors.Tokens;

/// <summary>The tokens that are valid. Pure: no clock, no log.</summary>
internal sealed class TokensState
{
    private readonly Dictionary<string, StoredToken> _tokens = new(StringComparer.Ordinal);

    /// <summary>How many there are.</summary>
    public int Count => _tokens.Count;

    /// <summary>All of them, oldest first.</summary>
    public IReadOnlyList<StoredToken> All =>
        [.. _tokens.Values.OrderBy(t => t.Token.CreateTime.Seconds).ThenBy(t => t.Token.CreateTime.Nanos).ThenBy(t => t.Token.Id, StringComparer.Ordinal)];

    /// <summary>Copies without secrets' hashes.</summary>
    public IReadOnlyList<Token> Public => [.. All.Select(t => t.Token.Clone())];

    /// <summary>Whether there is such a token.</summary>
    public bool Contains(string id) => _tokens.ContainsKey(id);

    /// <summary>Ids of the tokens that are over at this time.</summary>
    public IReadOnlyList<string> ExpiredAt(DateTimeOffset now) =>
        [.. _tokens.Values.Where(t => t.Token.ExpireTime is not null && t.Token.ExpireTime.ToDateTimeOffset() <= now).Select(t => t.Token.Id)];

    /// <summary>When the next token is over; null if none ever is.</summary>
    public DateTimeOffset? NextExpiry =>
        _tokens.Values.Where(t => t.Token.ExpireTime is not null).Select(t => (DateTimeOffset?)t.Token.ExpireTime.ToDateTimeOffset()).Min();

    /// <summary>Takes a stored change in.</summary>
    public void Apply(TokensChanged change)
    {
        if (change.Created is not null)
            _tokens[change.Created.Token.Id] = change.Created;
        foreach (var id in change.Removed)
            _tokens.Remove(id);
    }

    /// <summary>Begins from a snapshot.</summary>
    public void Restore(TokensSnapshot snapshot)
    {
        _tokens.Clear();
        foreach (var token in snapshot.Tokens)
            _tokens[token.Token.Id] = token;
    }

    /// <summary>The whole state for a snapshot. Stored tokens are never changed, so they may be shared with the writer's thread.</summary>
    public TokensSnapshot ToSnapshot()
    {
        var snapshot = new TokensSnapshot();
        snapshot.Tokens.AddRange(All);
        return snapshot;
    }
}
