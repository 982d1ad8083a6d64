using System.Security.Cryptography;
using System.Text;
using AkkaHub.V1;
using Hub.Actors.Tokens;

namespace Hub.Host.Auth;

/// <summary>
/// Turns the secret of a call into a caller. Everybody needs one, callers on the same machine too: another local user is somebody
/// else. Unless the hub is told to ask for none (<c>akkahub.auth</c>): then everybody counts as its owner.
/// </summary>
public sealed class Credentials
{
    private readonly byte[] _adminHash;
    private readonly Principal _admin = new(PrincipalKinds.Admin, "admin", CancellationToken.None);
    private readonly TokenDirectory _directory;
    private readonly bool _needed;

    /// <summary>Makes the judge.</summary>
    /// <param name="adminToken">The owner-only token; only its hash is kept.</param>
    /// <param name="directory">The other tokens.</param>
    /// <param name="needed">Whether callers need one at all.</param>
    public Credentials(string adminToken, TokenDirectory directory, bool needed = true)
    {
        _adminHash = Hash(adminToken);
        _directory = directory;
        _needed = needed;
    }

    /// <summary>False while only the owner-only token can be judged, because the others have not been read yet.</summary>
    public bool IsComplete => _directory.IsLoaded;

    /// <summary>The caller with this secret; null if it is not valid.</summary>
    public Principal? Authenticate(string? bearer)
    {
        if (!_needed)
            return _admin;
        if (string.IsNullOrEmpty(bearer))
            return null;
        if (CryptographicOperations.FixedTimeEquals(Hash(bearer), _adminHash))
            return _admin;
        return _directory.Find(bearer) is { } token
            ? new Principal(token.Type == TokenType.Node ? PrincipalKinds.Node : PrincipalKinds.Client, token.Id, token.Revoked)
            : null;
    }

    private static byte[] Hash(string secret) => SHA256.HashData(Encoding.UTF8.GetBytes(secret));
}
