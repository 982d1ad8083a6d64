using System.Runtime.Versioning;
using System.Security.Cryptography;
using Hub.Protocol;

namespace Hub.Node.State;

/// <summary>The agent cannot start on this state directory; the message says why.</summary>
internal sealed class StateDirectoryException(string message, int exitCode) : Exception(message)
{
    /// <summary>What the agent exits with.</summary>
    public int ExitCode { get; } = exitCode;
}

/// <summary>
/// The agent's state directory, owner-only and locked for the agent's life: the claim key that makes the node's name ours, the
/// lock and the process id.
/// </summary>
[SupportedOSPlatform("linux")]
internal sealed class StateDirectory : IDisposable
{
    private const string ClaimKeyFile = "claim.key";
    private const int ClaimKeyBytes = 32;
    private const int LockAttempts = 10;
    private static readonly TimeSpan LockRetry = TimeSpan.FromMilliseconds(100);
    private readonly AgentLock _lock;

    private StateDirectory(string path, AgentLock held, byte[] claimKey)
    {
        Location = path;
        _lock = held;
        ClaimKey = claimKey;
    }

    /// <summary>Where it is.</summary>
    public string Location { get; }
    /// <summary>32 random bytes, made at the first start.</summary>
    public byte[] ClaimKey { get; }

    /// <summary>Makes, locks and reads the directory.</summary>
    /// <exception cref="StateDirectoryException">Another agent runs on it, or it cannot be used.</exception>
    public static async Task<StateDirectory> OpenAsync(string path, TimeProvider time, CancellationToken cancellationToken)
    {
        try
        {
            Directory.CreateDirectory(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
            var held = await LockAsync(path, time, cancellationToken).ConfigureAwait(false);
            try
            {
                var key = ReadOrMakeKey(Path.Combine(path, ClaimKeyFile));
                AgentPresence.WritePid(path);
                return new StateDirectory(path, held, key);
            }
            catch
            {
                held.Dispose();
                throw;
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new StateDirectoryException($"cannot use the state directory '{path}': {e.Message}", ExitCodes.Failure);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        try
        {
            File.Delete(Path.Combine(Location, AgentPresence.PidFileName));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // The start time in it tells that it is stale.
        }

        _lock.Dispose();
    }

    private static async Task<AgentLock> LockAsync(string path, TimeProvider time, CancellationToken cancellationToken)
    {
        // Somebody who only asks whether an agent runs holds the lock for a moment.
        for (var attempt = 1; ; attempt++)
        {
            if (AgentLock.TryAcquire(path) is { } held)
                return held;
            if (attempt == LockAttempts)
                break;
            await Task.Delay(LockRetry, time, cancellationToken).ConfigureAwait(false);
        }

        var pid = AgentPresence.Inspect(path).Pid;
        throw new StateDirectoryException(
            $"another agent{(pid is null ? "" : $" (process {pid})")} runs on the state directory '{path}'; give this one another --name or --state-dir",
            ExitCodes.AlreadyRunning);
    }

    private static byte[] ReadOrMakeKey(string path)
    {
        if (File.Exists(path))
        {
            var key = File.ReadAllBytes(path);
            return key.Length == ClaimKeyBytes
                ? key
                : throw new StateDirectoryException(
                    $"'{path}' must hold {ClaimKeyBytes} bytes and holds {key.Length}: put the right file back, or delete it to claim the name anew",
                    ExitCodes.Failure);
        }

        // Written aside and renamed, so that a crash leaves no half key: a lost key is a lost name.
        var made = RandomNumberGenerator.GetBytes(ClaimKeyBytes);
        var temporary = path + ".new";
        File.Delete(temporary);
        using (var file = new FileStream(temporary, new FileStreamOptions
        {
            Mode = FileMode.CreateNew,
            Access = FileAccess.Write,
            UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
        }))
        {
            file.Write(made);
            file.Flush(flushToDisk: true);
        }

        File.Move(temporary, path);
        return made;
    }
}
