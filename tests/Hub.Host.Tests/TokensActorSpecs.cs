using System.Security.Cryptography;
using System.Text;
using Akka.Actor;
using Akka.TestKit.Xunit2;
using AkkaHub.V1;
using Google.Protobuf;
using Hub.Actors;
using Hub.Actors.Tokens;
using Hub.Host.Auth;
using Microsoft.Extensions.Time.Testing;

namespace Hub.Host.Tests;

public sealed class TokensActorSpecs : TestKit
{
    private readonly FakeTimeProvider _time = new(new DateTimeOffset(2030, 1, 1, 0, 0, 0, TimeSpan.Zero));
    private readonly TokenDirectory _directory;

    public TokensActorSpecs()
        : base("akka { loglevel = ERROR, persistence { journal.plugin = akka.persistence.journal.inmem, snapshot-store.plugin = akka.persistence.snapshot-store.inmem } }") =>
        _directory = new TokenDirectory(_time);

    [Fact]
    public async Task A_token_is_valid_as_soon_as_it_is_answered_and_lists_without_a_secret()
    {
        var tokens = Start();
        var secret = AdminToken.NewSecret();
        var created = await CreateAsync(tokens, secret, TokenType.Node, description: "for a node");
        created.Id.Length.ShouldBe(12);
        _directory.Find(secret).ShouldNotBeNull().ShouldSatisfyAllConditions(t => t.Id.ShouldBe(created.Id), t => t.Type.ShouldBe(TokenType.Node));
        _directory.Find(AdminToken.NewSecret()).ShouldBeNull();
        var list = await tokens.Ask<TokenList>(ListTokens.Instance, RemainingOrDefault);
        list.Tokens.ShouldHaveSingleItem().ShouldBe(new Token { Id = created.Id, Type = TokenType.Node, CreateTime = created.CreateTime, Description = "for a node" });
    }

    [Fact]
    public async Task Tokens_are_there_again_after_a_restart_also_from_a_snapshot()
    {
        var readiness = new Readiness((Readiness.Tokens, "not read"));
        var tokens = Start();
        var secrets = Enumerable.Range(0, 250).Select(_ => AdminToken.NewSecret()).ToArray();
        foreach (var secret in secrets)
            await CreateAsync(tokens, secret, TokenType.Client);
        var revoked = _directory.Find(secrets[7])!;
        (await tokens.Ask<TokenRevoked>(new RevokeToken(revoked.Id), RemainingOrDefault)).Found.ShouldBeTrue();
        await tokens.GracefulStop(RemainingOrDefault);

        var later = new TokenDirectory(_time);
        later.IsLoaded.ShouldBeFalse();
        Sys.ActorOf(Props.Create(() => new TokensActor(later, 1000, _time, readiness, null)));
        await readiness.WhenReadyAsync(CancellationToken.None).WaitAsync(TestSupport.Patience);
        later.IsLoaded.ShouldBeTrue();
        secrets.Count(s => later.Find(s) is not null).ShouldBe(249);
        later.Find(secrets[7]).ShouldBeNull();
    }

    [Fact]
    public async Task A_revoked_token_ends_at_once()
    {
        var tokens = Start();
        var secret = AdminToken.NewSecret();
        var created = await CreateAsync(tokens, secret, TokenType.Client);
        var valid = _directory.Find(secret)!;
        var ended = Cancelled(valid.Revoked);
        (await tokens.Ask<TokenRevoked>(new RevokeToken(created.Id), RemainingOrDefault)).Found.ShouldBeTrue();
        await ended.WaitAsync(TestSupport.Patience);
        _directory.Find(secret).ShouldBeNull();
        (await tokens.Ask<TokenRevoked>(new RevokeToken(created.Id), RemainingOrDefault)).Found.ShouldBeFalse();
    }

    [Fact]
    public async Task A_token_that_is_over_is_refused_by_the_clock_alone()
    {
        var tokens = Start();
        var secret = AdminToken.NewSecret();
        await CreateAsync(tokens, secret, TokenType.Node, TimeSpan.FromHours(1));
        _directory.Find(secret).ShouldNotBeNull();
        _time.Advance(TimeSpan.FromHours(1));
        _directory.Find(secret).ShouldBeNull();
    }

    [Fact]
    public async Task The_streams_of_a_token_that_is_over_end_and_it_is_forgotten()
    {
        var directory = new TokenDirectory(TimeProvider.System);
        var tokens = Sys.ActorOf(Props.Create(() => new TokensActor(directory, 10, TimeProvider.System, null, null)));
        var secret = AdminToken.NewSecret();
        await CreateAsync(tokens, secret, TokenType.Node, TimeSpan.FromSeconds(5));
        var valid = directory.Find(secret)!;
        await Cancelled(valid.Revoked).WaitAsync(TestSupport.Patience);
        (await tokens.Ask<TokenList>(ListTokens.Instance, RemainingOrDefault)).Tokens.ShouldBeEmpty();
    }

    [Fact]
    public async Task There_are_never_more_than_allowed()
    {
        var tokens = Start(maxCount: 1);
        var first = await CreateAsync(tokens, AdminToken.NewSecret(), TokenType.Node);
        var refused = await tokens.Ask<TokenRefused>(Create(AdminToken.NewSecret(), TokenType.Node, null, ""), RemainingOrDefault);
        refused.MaxCount.ShouldBe(1);
        await tokens.Ask<TokenRevoked>(new RevokeToken(first.Id), RemainingOrDefault);
        await CreateAsync(tokens, AdminToken.NewSecret(), TokenType.Node);
    }

    private IActorRef Start(int maxCount = 1000) => Sys.ActorOf(Props.Create(() => new TokensActor(_directory, maxCount, _time, null, null)));

    private async Task<Token> CreateAsync(IActorRef tokens, string secret, TokenType type, TimeSpan? ttl = null, string description = "") =>
        (await tokens.Ask<TokenCreated>(Create(secret, type, ttl, description), RemainingOrDefault)).Token;

    private static CreateToken Create(string secret, TokenType type, TimeSpan? ttl, string description) =>
        new(type, ByteString.CopyFrom(SHA256.HashData(Encoding.UTF8.GetBytes(secret))), ttl, description);

    private static Task Cancelled(CancellationToken token)
    {
        var signal = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        token.Register(signal.SetResult);
        return signal.Task;
    }
}
