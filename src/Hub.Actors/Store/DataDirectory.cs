using System.Runtime.InteropServices;
using Hub.Protocol;

namespace Hub.Actors.Store;

/// <summary>
/// The hub's data directory, held exclusively from <see cref="AcquireAsync"/> until it is disposed or the process is gone: the lock
/// is the kernel's, so a crash releases it.
/// </summary>
public sealed class DataDirectory : IDisposable
{
    private const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite;
    private const UnixFileMode Others =
        UnixFileMode.GroupRead | UnixFileMode.GroupWrite | UnixFileMode.GroupExecute
        | UnixFileMode.OtherRead | UnixFileMode.OtherWrite | UnixFileMode.OtherExecute;
    private const int LockAttempts = 10;
    private static readonly TimeSpan LockRetry = TimeSpan.FromMilliseconds(100);
    private readonly FileStream _lock;

    private DataDirectory(string path, FileStream held)
    {
        Path = path;
        _lock = held;
    }

    /// <summary>Its absolute path.</summary>
    public string Path { get; }

    /// <summary>
    /// Makes the directory (mode 0700) if it is not there, checks that it is this user's alone, takes its lock, and removes the
    /// <c>hub.json</c> that a hub left which crashed: with the lock held again it would be believed.
    /// </summary>
    /// <exception cref="StoreRefusedException">It cannot be used, or another hub holds it.</exception>
    public static async Task<DataDirectory> AcquireAsync(string path, TimeProvider time, CancellationToken cancellationToken = default)
    {
        try
        {
            if (!Directory.Exists(path))
                Create(path);
            RefuseForeignOwner(path);
            if (OthersMay(path))
            {
                throw new StoreRefusedException(
                    $"data directory {path} is open to others. 'chmod 700' it, or give another one with --data-dir or AKKAHUB_DATA_DIR.");
            }

            var held = new DataDirectory(path, await OpenLockAsync(path, time, cancellationToken).ConfigureAwait(false));
            try
            {
                File.Delete(System.IO.Path.Combine(path, LocalHub.FileName));
                return held;
            }
            catch
            {
                held.Dispose();
                throw;
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new StoreRefusedException(
                $"data directory {path} cannot be used: {e.Message} Give another one with --data-dir or AKKAHUB_DATA_DIR.", inner: e);
        }
    }

    /// <summary>Makes a file that only this user can read, or opens the one that is there.</summary>
    public static FileStream OpenOwnerOnly(string path, FileMode mode, FileShare share = FileShare.None)
    {
        var options = new FileStreamOptions { Mode = mode, Access = FileAccess.ReadWrite, Share = share, BufferSize = 0 };
        if (!OperatingSystem.IsWindows())
            options.UnixCreateMode = OwnerOnly;
        return new FileStream(path, options);
    }

    /// <summary>Refuses a secret that others can read or write.</summary>
    /// <exception cref="StoreRefusedException">They can.</exception>
    public static void RefuseSharedSecret(string path)
    {
        if (OthersMay(path))
        {
            throw new StoreRefusedException(
                $"{path} can be read by others, so it may be known to them. Remove it to have a new one made, or 'chmod 600' it if you know better.");
        }
    }

    /// <summary>Gives the lock up.</summary>
    public void Dispose() => _lock.Dispose();

    /// <summary>Whether others than its owner can read or write a file.</summary>
    public static bool OthersMay(string path) => !OperatingSystem.IsWindows() && (File.GetUnixFileMode(path) & Others) != 0;

    private static void Create(string path)
    {
        if (OperatingSystem.IsWindows())
            Directory.CreateDirectory(path);
        else
            Directory.CreateDirectory(path, OwnerOnly | UnixFileMode.UserExecute);
    }

    private static async Task<FileStream> OpenLockAsync(string path, TimeProvider time, CancellationToken cancellationToken)
    {
        var file = System.IO.Path.Combine(path, LocalHub.LockFileName);
        // Somebody who only asks whether a hub runs holds the lock for a moment.
        for (var attempt = 1; ; attempt++)
        {
            try
            {
                return OpenOwnerOnly(file, FileMode.OpenOrCreate);
            }
            catch (IOException e) when (e.GetType() == typeof(IOException) && File.Exists(file))
            {
                if (attempt == LockAttempts)
                {
                    var holder = LocalHub.TryRead(path) is { } hub ? $" (pid {hub.Pid})" : "";
                    throw new StoreRefusedException(
                        $"another hub{holder} runs on data directory {path}. Stop it with 'hub stop', or give another one with --data-dir or AKKAHUB_DATA_DIR.",
                        inUse: true, e);
                }
            }

            await Task.Delay(LockRetry, time, cancellationToken).ConfigureAwait(false);
        }
    }

    private static void RefuseForeignOwner(string path)
    {
        if (OperatingSystem.IsLinux() && NativeOwner.Of(path) is { } owner && owner != NativeOwner.Self)
        {
            throw new StoreRefusedException(
                $"data directory {path} belongs to user {owner}, not to the user of this process ({NativeOwner.Self}). " +
                "Give another one with --data-dir or AKKAHUB_DATA_DIR.");
        }
    }
}

/// <summary>Who owns a file: .NET does not say.</summary>
internal static partial class NativeOwner
{
    private const int CurrentDirectory = -100;
    private const uint WantOwner = 0x8;

    /// <summary>The user this process acts as.</summary>
    public static uint Self => GetEffectiveUser();

    /// <summary>The owner of a file; null if the system does not tell.</summary>
    public static uint? Of(string path) => Statx(CurrentDirectory, path, 0, WantOwner, out var answer) == 0 ? answer.Owner : null;

    [LibraryImport("libc", EntryPoint = "geteuid")]
    private static partial uint GetEffectiveUser();

    [LibraryImport("libc", EntryPoint = "statx", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Statx(int directory, string path, int flags, uint mask, out StatxAnswer answer);

    // struct statx of linux/stat.h, the same on every architecture; only the owner is read.
    [StructLayout(LayoutKind.Explicit, Size = 256)]
    private struct StatxAnswer
    {
        [FieldOffset(20)]
        public uint Owner;
    }
}
