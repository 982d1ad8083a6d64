using Hub.Node.State;
using Hub.Protocol;

namespace Hub.Node.Uplink;

/// <summary>Where to dial, and with which credential.</summary>
/// <param name="Address">A member of the hub.</param>
/// <param name="Token">The credential; null for none.</param>
/// <param name="DataDirectory">Where the certificate that the member shows is named; null if an authority has to vouch for it.</param>
internal sealed record HubTarget(HubAddress Address, string? Token, string? DataDirectory = null);

/// <summary>
/// The hub's members, a round at a time: those that were given, in their order at the first contact, and those that were learned. Later rounds are
/// in random order, so that nodes that lost a member spread over the others; the one just lost comes last. After a round that nobody took, those
/// that were given come first: what was learned may be long gone. What lies in files is read before
/// each dial, since a hub may come back elsewhere. A hub found by a data directory is the only one: its owner-only token is no other's.
/// </summary>
internal sealed class HubTargets(NodeOptions options, LearnedMembers learned, Random random)
{
    private readonly Queue<HubAddress?> _round = new();
    private readonly HubAddress[] _given = [.. options.Hubs.Select(h => new HubAddress(h)).Distinct()];
    private bool _began;

    /// <summary>Whether another credential may be found later.</summary>
    public bool TokenMayChange => options.TokenFile is not null || (options.HubDataDirectory is not null && options.Token is null);

    /// <summary>Whether there are several to choose from.</summary>
    public bool AreSeveral => All().Length > 1;

    /// <summary>How many there are besides some.</summary>
    public int Others(IReadOnlyCollection<HubAddress> besides) => All().Count(a => !besides.Contains(a));

    /// <summary>Begins a round.</summary>
    /// <param name="lost">What the member is called that was just lost; empty for none.</param>
    /// <param name="afterFailure">The round before was in vain.</param>
    public void BeginRound(IReadOnlyCollection<HubAddress> lost, bool afterFailure = false)
    {
        _round.Clear();
        if (options.HubDataDirectory is not null)
            _round.Enqueue(null);
        var all = All();
        var given = Math.Min(_given.Length, all.Length);
        if (!_began || afterFailure)
        {
            if (_began)
                random.Shuffle(all.AsSpan(0, given));
            random.Shuffle(all.AsSpan(given));
        }
        else
            random.Shuffle(all);
        _began = true;
        // Who was lost a round ago may be back.
        foreach (var address in afterFailure ? all : all.Where(a => !lost.Contains(a)).Concat(all.Where(lost.Contains)))
            _round.Enqueue(address);
    }

    /// <summary>The next of the round; false at its end. The target is null if the data directory names no hub now.</summary>
    public bool TryNext(out HubTarget? target)
    {
        target = null;
        while (_round.TryDequeue(out var address))
        {
            if (address is null)
            {
                target = Local();
                return true;
            }

            // The token may be another than when the round began, and that one goes only where it was told of.
            var token = Token();
            if (!_given.Contains(address) && !learned.For(token).Contains(address))
                continue;
            target = new HubTarget(address, token);
            return true;
        }

        return false;
    }

    /// <summary>Takes the members that a target told of.</summary>
    public void Learn(AkkaHub.V1.HubMembers members, HubTarget by)
    {
        if (options.HubDataDirectory is null)
            learned.Learn(members, by.Token);
    }

    /// <summary>A target told of none in its welcome: it is the only one.</summary>
    public void IsAlone()
    {
        if (options.HubDataDirectory is null)
            learned.Forget();
    }

    private HubTarget? Local()
    {
        // The hub that a data directory names is on this machine: no token goes elsewhere for it.
        var directory = options.HubDataDirectory!;
        return LocalHub.TryRead(directory)?.OwnersAddress is { } local
            ? new HubTarget(local, options.TokenFile is null ? options.Token ?? LocalHub.TryReadToken(directory) : Token(), directory)
            : null;
    }

    private HubAddress[] All() => options.HubDataDirectory is null
        ? [.. _given.Concat(learned.For(Token())).Distinct()]
        : [];

    private string? Token() => options.TokenFile is { } file ? ReadToken(file) : options.Token;

    private static string? ReadToken(string file)
    {
        try
        {
            var token = File.ReadAllText(file).Trim();
            return token.Length == 0 ? null : token;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }
}
