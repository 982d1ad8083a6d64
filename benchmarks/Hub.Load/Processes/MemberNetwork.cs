using System.Globalization;
using System.Net.NetworkInformation;

namespace Hub.Load.Processes;

/// <summary>
/// Network namespaces, one for each member, behind a router in one of its own. Everybody reaches everybody, this process included, until what
/// one member sends another is cut: then the router drops it in silence, as a broken link does. Needs Linux, root and <c>ip</c>.
/// </summary>
public sealed class MemberNetwork : IAsyncDisposable
{
    // A /24 for each run of the range that is set apart for measurements (RFC 2544), a /30 for each link in it.
    private const string Range = "198.18";
    private readonly string _prefix = $"akh{Environment.ProcessId.ToString(CultureInfo.InvariantCulture)}";
    private readonly int _block;
    private readonly int _members;

    private MemberNetwork(int members, int block)
    {
        _members = members;
        _block = block;
    }

    private string Router => $"{_prefix}r";

    /// <summary>Whether this process may make one; if not, why.</summary>
    public static async Task<string?> WhyNotAsync()
    {
        var name = $"akh{Environment.ProcessId.ToString(CultureInfo.InvariantCulture)}t";
        try
        {
            await Programs.RunAsync("ip", "netns", "add", name).ConfigureAwait(false);
            await Programs.RunAsync("ip", "netns", "del", name).ConfigureAwait(false);
            return null;
        }
        catch (InvalidOperationException e)
        {
            return $"network namespaces cannot be made here, which needs root and iproute2: {e.Message}";
        }
    }

    /// <summary>Makes the namespaces and their links.</summary>
    /// <exception cref="InvalidOperationException">It is not permitted here.</exception>
    public static async Task<MemberNetwork> CreateAsync(int members)
    {
        if (await WhyNotAsync().ConfigureAwait(false) is { } reason)
            throw new InvalidOperationException(reason);
        var network = new MemberNetwork(members, FreeBlock());
        try
        {
            await network.BuildAsync().ConfigureAwait(false);
            return network;
        }
        catch
        {
            await network.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>By what others reach a member; the first is 0.</summary>
    public string AddressOf(int member) => Host(4 * (member + 1) + 2);

    /// <summary>What a program is started under to be in a member's namespace; its process id stays the same.</summary>
    public IReadOnlyList<string> LauncherOf(int member) => ["ip", "netns", "exec", NameOf(member)];

    /// <summary>Drops what one member sends another.</summary>
    public Task CutAsync(int from, int to) => RuleAsync("add", from, to);

    /// <summary>Lets it through again.</summary>
    public Task MendAsync(int from, int to) => RuleAsync("del", from, to);

    /// <summary>Removes all of it.</summary>
    public async ValueTask DisposeAsync()
    {
        // The links go with the namespaces, and this machine's route with its link.
        foreach (var name in Enumerable.Range(0, _members).Select(NameOf).Append(Router))
            await Programs.TryRunAsync(new System.Diagnostics.ProcessStartInfo("ip", ["netns", "del", name])).ConfigureAwait(false);
    }

    private Task RuleAsync(string change, int from, int to) =>
        Programs.RunAsync("ip", "-n", Router, "rule", change, "from", AddressOf(from), "to", AddressOf(to), "blackhole");

    private string NameOf(int member) => $"{_prefix}m{member.ToString(CultureInfo.InvariantCulture)}";

    private string Host(int number) => $"{Range}.{_block.ToString(CultureInfo.InvariantCulture)}.{number.ToString(CultureInfo.InvariantCulture)}";

    private async Task BuildAsync()
    {
        await IpAsync($"netns add {Router}").ConfigureAwait(false);
        await IpAsync($"-n {Router} link set lo up").ConfigureAwait(false);
        await Programs.RunAsync("ip", "netns", "exec", Router, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward").ConfigureAwait(false);
        await IpAsync($"link add {_prefix}u type veth peer name uplink netns {Router}").ConfigureAwait(false);
        await IpAsync($"addr add {Host(1)}/30 dev {_prefix}u").ConfigureAwait(false);
        await IpAsync($"link set {_prefix}u up").ConfigureAwait(false);
        await IpAsync($"-n {Router} addr add {Host(2)}/30 dev uplink").ConfigureAwait(false);
        await IpAsync($"-n {Router} link set uplink up").ConfigureAwait(false);
        await IpAsync($"-n {Router} route add default via {Host(1)}").ConfigureAwait(false);
        await IpAsync($"route add {Host(0)}/24 via {Host(2)}").ConfigureAwait(false);
        for (var member = 0; member < _members; member++)
        {
            var (name, gateway) = (NameOf(member), Host(4 * (member + 1) + 1));
            await IpAsync($"netns add {name}").ConfigureAwait(false);
            await IpAsync($"link add eth0 netns {name} type veth peer name m{member} netns {Router}").ConfigureAwait(false);
            await IpAsync($"-n {Router} addr add {gateway}/30 dev m{member}").ConfigureAwait(false);
            await IpAsync($"-n {Router} link set m{member} up").ConfigureAwait(false);
            await IpAsync($"-n {name} addr add {AddressOf(member)}/30 dev eth0").ConfigureAwait(false);
            await IpAsync($"-n {name} link set lo up").ConfigureAwait(false);
            await IpAsync($"-n {name} link set eth0 up").ConfigureAwait(false);
            await IpAsync($"-n {name} route add default via {gateway}").ConfigureAwait(false);
        }
    }

    private static Task<string> IpAsync(string arguments) => Programs.RunAsync("ip", arguments.Split(' '));

    private static int FreeBlock()
    {
        var taken = NetworkInterface.GetAllNetworkInterfaces().SelectMany(i => i.GetIPProperties().UnicastAddresses)
            .Select(a => a.Address.ToString()).ToList();
        return Enumerable.Range(0, 256).First(b => !taken.Any(a => a.StartsWith($"{Range}.{b.ToString(CultureInfo.InvariantCulture)}.", StringComparison.Ordinal)));
    }
}
