using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Akka.Actor;
using Akka.Hosting;
using AkkaHub.V1;
using Google.Protobuf;
using Grpc.Core;
using Hub.Actors.Tokens;
using Hub.Host.Auth;
using Hub.Protocol;

namespace Hub.Host.Services;

/// <summary>The token calls of <c>HubService</c>. A secret exists here, in the answer, and nowhere else.</summary>
public sealed class TokenOperations(IRequiredActor<TokensActor> tokens, ILogger<TokenOperations> log)
{
    private const int MaxDescription = 255;
    private static readonly TimeSpan LongestTtl = TimeSpan.FromDays(3650);
    private static readonly TimeSpan AskTimeout = TimeSpan.FromSeconds(15);
    private static readonly TimeSpan RetryHint = TimeSpan.FromSeconds(2);

    /// <summary>Makes a token. INVALID_FIELD, LIMIT_REACHED or STORE_UNAVAILABLE if it cannot.</summary>
    public async Task<CreateTokenResponse> CreateAsync(CreateTokenRequest request, CancellationToken cancellationToken)
    {
        if (request.Type is not (TokenType.Node or TokenType.Client))
            throw HubErrors.InvalidField("type", "must be NODE or CLIENT");
        if (request.Description.Length > MaxDescription || request.Description.Any(char.IsControl))
            throw HubErrors.InvalidField("description", $"must be at most {MaxDescription} characters, none of them a control character");
        var ttl = TimeToLive(request);
        var secret = AdminToken.NewSecret();
        var hash = ByteString.CopyFrom(SHA256.HashData(Encoding.UTF8.GetBytes(secret)));
        switch (await AskAsync(new CreateToken(request.Type, hash, ttl, request.Description), cancellationToken).ConfigureAwait(false))
        {
            case TokenCreated created:
                log.TokenCreated(created.Token.Id, created.Token.Type,
                    created.Token.ExpireTime?.ToDateTimeOffset().ToString("u", CultureInfo.InvariantCulture) ?? "revoked");
                return new CreateTokenResponse { Token = created.Token, Secret = secret };
            case TokenRefused refused:
                throw HubErrors.LimitReached("akkahub.tokens.max-count", $"there are {refused.MaxCount} tokens already");
            case var other:
                throw new InvalidOperationException($"unexpected answer {other.GetType()}");
        }
    }

    /// <summary>Lists tokens without secrets, oldest first.</summary>
    public async Task<ListTokensResponse> ListAsync(CancellationToken cancellationToken)
    {
        var list = (TokenList)await AskAsync(Actors.Tokens.ListTokens.Instance, cancellationToken).ConfigureAwait(false);
        return new ListTokensResponse { Tokens = { list.Tokens } };
    }

    /// <summary>Revokes a token; its streams end. TOKEN_UNKNOWN if there is none of this id.</summary>
    public async Task<RevokeTokenResponse> RevokeAsync(RevokeTokenRequest request, CancellationToken cancellationToken)
    {
        if (request.Id.Length is 0 or > 64)
            throw HubErrors.InvalidField("id", "must be the id of a token");
        var outcome = (TokenRevoked)await AskAsync(new RevokeToken(request.Id), cancellationToken).ConfigureAwait(false);
        if (!outcome.Found)
            throw HubErrors.Create(StatusCode.NotFound, ErrorReasons.TokenUnknown, "no token has this id");
        log.TokenRevoked(request.Id);
        return new RevokeTokenResponse();
    }

    private static TimeSpan? TimeToLive(CreateTokenRequest request)
    {
        if (request.Ttl is null)
            return null;
        // Compared as seconds: a Duration reaches further than a TimeSpan.
        if (request.Ttl.Seconds < 1 || request.Ttl.Seconds > (long)LongestTtl.TotalSeconds || request.Ttl.Nanos is < 0 or > 999_999_999)
            throw HubErrors.InvalidField("ttl", $"must be 1 s to {LongestTtl.TotalDays:0} days");
        return request.Ttl.ToTimeSpan();
    }

    private async Task<object> AskAsync(object message, CancellationToken cancellationToken)
    {
        try
        {
            var actor = await tokens.GetAsync(cancellationToken).ConfigureAwait(false);
            return await actor.Ask<object>(message, AskTimeout, cancellationToken).ConfigureAwait(false);
        }
        catch (AskTimeoutException)
        {
            throw HubErrors.StoreUnavailable("the tokens' store does not answer; whether the change was made is not known", RetryHint);
        }
    }
}
