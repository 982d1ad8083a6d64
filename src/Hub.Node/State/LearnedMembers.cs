using System.Security.Cryptography;
using System.Text;
using AkkaHub.V1;
using Hub.Node.Logging;
using Hub.Protocol;
using Microsoft.Extensions.Logging;

namespace Hub.Node.State;

/// <summary>
/// Members that the hub told of, kept in the state directory for the next start. They are used with the token they were learned with and
/// no other, and never so that a token would travel in clear text to another machine. A loopback address is learned only of a hub that runs on
/// this machine, which it shows by <see cref="ThisMachine"/>: one that was dialled at a loopback address may be at the far end of a
/// tunnel, and whoever listens here is not it. Not thread-safe; only the uplink uses it.
/// </summary>
internal sealed class LearnedMembers
{
    /// <summary>Name of the file: a hash of the token and the machine, then an address a line.</summary>
    public const string FileName = "members";

    private const int Max = 64;
    private const int MaxAddress = 300;
    private const int MaxFile = 64 * 1024;
    private const string NoToken = "-";

    private readonly string _path;
    private readonly ILogger _log;
    private readonly string _machine;
    private string _with = NoToken;
    private HubAddress[] _members = [];

    /// <summary>Reads what an earlier start learned; a file that cannot be read has learned nothing.</summary>
    /// <param name="directory">The agent's state directory.</param>
    /// <param name="log">The agent's log.</param>
    /// <param name="machine">Which machine this is; null to find out.</param>
    public LearnedMembers(string directory, ILogger log, string? machine = null)
    {
        _machine = machine ?? ThisMachine.Id;
        _path = Path.Combine(directory, FileName);
        _log = log;
        try
        {
            if (new FileInfo(_path) is not { Exists: true, Length: <= MaxFile })
                return;
            var lines = File.ReadAllLines(_path);
            var header = lines.FirstOrDefault(NoToken).Split(' ', 2);
            // The state may have been carried to another machine, or into a container.
            _members = Read(lines.Skip(1), header.ElementAtOrDefault(1));
            _with = header[0];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            log.MembersNotKept(e.Message);
        }
    }

    /// <summary>Those that may be dialled with this credential.</summary>
    public IEnumerable<HubAddress> For(string? token) =>
        _with == Fingerprint(token) ? _members.Where(m => token is null || m.WhyNoToken is null) : [];

    /// <summary>Takes what a member said; what is no address, or must not be used, is left out.</summary>
    /// <param name="said">The members.</param>
    /// <param name="token">The credential that was used.</param>
    public void Learn(HubMembers said, string? token)
    {
        // A member that is starting may know nobody yet.
        if (said.Addresses.Count == 0)
            return;
        var members = Read(said.Addresses, said.Machine);
        if (members.FirstOrDefault(m => token is not null && m.WhyNoToken is not null) is { } exposed && !_members.Contains(exposed))
            _log.MemberNotUsed(exposed.WhyNoToken!);
        Keep(members, Fingerprint(token));
    }

    /// <summary>The hub is one by itself now: whoever was learned earlier is another.</summary>
    public void Forget() => Keep([], NoToken);

    private void Keep(HubAddress[] members, string with)
    {
        if (members.AsSpan().SequenceEqual(_members) && (with == _with || members.Length == 0))
            return;
        (_members, _with) = (members, with);
        try
        {
            var temporary = _path + ".new";
            File.WriteAllLines(temporary, [$"{with} {_machine}", .. members.Select(m => m.ToString())]);
            File.Move(temporary, _path, overwrite: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            _log.MembersNotKept(e.Message);
        }
    }

    private HubAddress[] Read(IEnumerable<string> addresses, string? machine)
    {
        var here = _machine.Length > 0 && machine == _machine;
        return [.. addresses.Take(Max).Where(a => a.Length <= MaxAddress).Select(a => HubAddress.TryParse(a, out var address) ? address : null)
            .OfType<HubAddress>().Where(a => here || !a.IsLoopback).Distinct()];
    }

    private static string Fingerprint(string? token) =>
        token is null ? NoToken : Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes("akkahub members " + token)));
}
