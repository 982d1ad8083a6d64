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
/// in random order, so that nodes that lost a member spread over the others; the one just lost comes last. What lies in files is read before
/// each dial, since a hub may come back elsewhere. A hub found by a data directory is the only one: its owner-only token is no other's.
/// </summary>
internal sealed class HubTargets(NodeOptions options, LearnedMembers learned, Random random)
{
    private readonly Queue<HubAddress?> _round = new();
    private bool _began;

    /// <summary>Whether another credential may be found later.</summary>
    public bool TokenMayChange => options.TokenFile is not null || (options.HubDataDirectory is not null && options.Token is null);

    /// <summary>Whether there are several to choose from.</summary>
    public bool AreSeveral => All().Length > 1;

    /// <summary>How many there are besides some.</summary>
    public int Others(IReadOnlyCollection<HubAddress> besides) => All().Count(a => !besides.Contains(a));

    /// <summary>Begins a round.</summary>
    /// <param name="lost">What the member is called that was just lost; empty for none.</param>
    public void BeginRound(IReadOnlyCollection<HubAddress> lost)
    {
        _round.Clear();
        if (options.HubDataDirectory is not null)
            _round.Enqueue(null);
        var all = All();
        random.Shuffle(all.AsSpan(_began ? 0 : options.Hubs.Count));
        _began = true;
        foreach (var address in all.Where(a => !lost.Contains(a)).Concat(all.Where(lost.Contains)))
            _round.Enqueue(address);
    }

    /// <summary>The next of the round; false at its end. The target is null if the data directory names no hub now.</summary>
    public bool TryNext(out HubTarget? target)
    {
        target = null;
        if (!_round.TryDequeue(out var address))
            return false;
        target = address is null ? Local() : new HubTarget(address, Token());
        return true;
    }

    /// <summary>Takes the members that a target told of.</summary>
    public void Learn(AkkaHub.V1.HubMembers members, HubTarget by)
    {
        if (options.HubDataDirectory is null)
            learned.Learn(members, by.Address, by.Token);
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
        ? [.. options.Hubs.Select(h => new HubAddress(h)).Concat(learned.For(Token())).Distinct()]
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
