using System.Text.Json;
using System.Text.Json.Serialization;

namespace Hub.Protocol;

/// <summary>
/// What a running hub writes to <c>hub.json</c> in its data directory, so that the command line and the local node find it
/// on the same machine. Holds no secret; the owner-only token stands beside it in <c>admin.token</c>.
/// </summary>
/// <param name="Pid">The hub's process id.</param>
/// <param name="Grpc">Address of its gRPC listener, such as <c>http://127.0.0.1:5100</c>.</param>
/// <param name="Http">Address of its HTTP listener, such as <c>http://127.0.0.1:5180</c>.</param>
/// <param name="Version">The hub's version.</param>
public sealed record LocalHub(
    [property: JsonPropertyName("pid")] int Pid,
    [property: JsonPropertyName("grpc")] string Grpc,
    [property: JsonPropertyName("http")] string Http,
    [property: JsonPropertyName("version")] string Version)
{
    /// <summary>
    /// SHA-256 of the certificates that its listeners show, in hexadecimal, by which the owner's programs know the hub; empty if it speaks clear
    /// text. Two for a moment while it changes from one to another.
    /// </summary>
    [JsonPropertyName("certificates")]
    public IReadOnlyList<string>? Certificates { get; init; } = [];

    /// <summary>
    /// Where the owner-only token may be sent: the gRPC listener, if only the hub itself can be there. That is on a loopback address, whose port
    /// it holds, or wherever it shows a certificate that is named here. Null otherwise.
    /// </summary>
    [JsonIgnore]
    public HubAddress? OwnersAddress =>
        HubAddress.TryParse(Grpc, out var address) && (address.IsEncrypted ? Certificates is { Count: > 0 } : address.IsLoopback) ? address : null;

    /// <summary>Name of the file a running hub writes.</summary>
    public const string FileName = "hub.json";
    /// <summary>Name of the file that holds the owner-only token.</summary>
    public const string TokenFileName = "admin.token";
    /// <summary>Name of the file that a hub holds locked for its whole life: the lock is the kernel's, so a crash releases it.</summary>
    public const string LockFileName = "hub.lock";

    // EWOULDBLOCK of Linux, EWOULDBLOCK of macOS, ERROR_SHARING_VIOLATION of Windows.
    private static readonly int[] LockedElsewhere = [11, 35, unchecked((int)0x80070020)];

    /// <summary>
    /// The data directory when none is given: <c>AKKAHUB_DATA_DIR</c>, or <c>akkahub</c> below <c>XDG_DATA_HOME</c>, or
    /// <c>~/.local/share/akkahub</c>.
    /// </summary>
    /// <param name="variable">Reads an environment variable; null for this process's own.</param>
    public static string DefaultDataDirectory(Func<string, string?>? variable = null)
    {
        variable ??= Environment.GetEnvironmentVariable;
        var set = variable("AKKAHUB_DATA_DIR");
        if (!string.IsNullOrWhiteSpace(set))
            return Path.GetFullPath(set);
        var xdg = variable("XDG_DATA_HOME");
        var root = !string.IsNullOrEmpty(xdg) && Path.IsPathRooted(xdg)
            ? xdg
            : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".local", "share");
        return Path.Combine(root, "akkahub");
    }

    /// <summary>
    /// Reads <c>hub.json</c> of a data directory; null if there is none, it cannot be read, or no hub runs there: what a hub
    /// left that crashed may name a port on which somebody else listens by now.
    /// </summary>
    public static LocalHub? TryRead(string dataDirectory)
    {
        try
        {
            return IsRunning(dataDirectory)
                ? JsonSerializer.Deserialize<LocalHub>(File.ReadAllBytes(Path.Combine(dataDirectory, FileName)))
                : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException)
        {
            return null;
        }
    }

    /// <summary>
    /// Whether a hub holds the lock of a data directory. Asking takes it shared for a moment, which a hub that starts just then
    /// may meet; so hubs try more than once.
    /// </summary>
    public static bool IsRunning(string dataDirectory)
    {
        try
        {
            // Opening a file for reading asks for the shared lock, which a hub's exclusive one refuses.
            using var probe = new FileStream(Path.Combine(dataDirectory, LockFileName), FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
            return false;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return e is IOException && LockedElsewhere.Contains(e.HResult);
        }
    }

    /// <summary>Reads the owner-only token of a data directory; null if there is none or it cannot be read.</summary>
    public static string? TryReadToken(string dataDirectory)
    {
        try
        {
            var token = File.ReadAllText(Path.Combine(dataDirectory, TokenFileName)).Trim();
            return token.Length == 0 ? null : token;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <summary>Writes <c>hub.json</c>, replacing it in one step.</summary>
    public void Write(string dataDirectory)
    {
        var target = Path.Combine(dataDirectory, FileName);
        var temporary = target + ".new";
        File.WriteAllBytes(temporary, JsonSerializer.SerializeToUtf8Bytes(this));
        File.Move(temporary, target, overwrite: true);
    }
}
