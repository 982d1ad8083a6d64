using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;
using Hub.Actors.Store;
using Hub.Protocol;

namespace Hub.Host.Auth;

/// <summary>The owner-only token in the data directory. Never printed, never logged.</summary>
public static class AdminToken
{
    /// <summary>What every secret begins with.</summary>
    public const string Prefix = "ahub_";

    private const int SecretBytes = 32;

    /// <summary>A new secret: the prefix and 256 random bits, 48 characters in all.</summary>
    public static string NewSecret() => Prefix + Base64Url.EncodeToString(RandomNumberGenerator.GetBytes(SecretBytes));

    /// <summary>Reads the token, or makes it (mode 0600) at the first start.</summary>
    /// <exception cref="StoreRefusedException">It cannot be read or written, others can read it, or it holds no token.</exception>
    public static string LoadOrCreate(string dataDirectory)
    {
        var path = Path.Combine(dataDirectory, LocalHub.TokenFileName);
        try
        {
            if (!File.Exists(path))
                Create(path);
            DataDirectory.RefuseSharedSecret(path);
            var token = File.ReadAllText(path).Trim();
            return token.StartsWith(Prefix, StringComparison.Ordinal) && token.Length == Prefix.Length + Base64Url.GetEncodedLength(SecretBytes)
                ? token
                : throw new StoreRefusedException($"{path} holds no token. Remove it to have a new one made.");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new StoreRefusedException($"{path} cannot be used: {e.Message}", inner: e);
        }
    }

    // Written aside and renamed, so that nobody ever reads half a token.
    private static void Create(string path)
    {
        var temporary = path + ".new";
        using (var file = DataDirectory.OpenOwnerOnly(temporary, FileMode.Create))
        {
            file.Write(Encoding.ASCII.GetBytes(NewSecret() + "\n"));
            file.Flush(flushToDisk: true);
        }

        File.Move(temporary, path);
    }
}
