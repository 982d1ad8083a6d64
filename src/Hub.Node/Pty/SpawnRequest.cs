namespace Hub.Node.Pty;

/// <summary>What to start, and how.</summary>
/// <param name="Program">Absolute path, or a path relative to the directory if it has a slash.</param>
/// <param name="Arguments">argv, the program's own name first.</param>
/// <param name="Environment">The whole environment, NAME=value.</param>
/// <param name="Directory">Directory to start in.</param>
internal sealed record SpawnRequest(string Program, IReadOnlyList<string> Arguments, IReadOnlyList<string> Environment, string Directory);

/// <summary>A started process. The caller owns the descriptors, all of them non-blocking and closed on exec.</summary>
/// <param name="Pid">Process id, also of its session and process group.</param>
/// <param name="PidFd">Readable when the process has ended.</param>
/// <param name="Output">Master of the PTY, or the reading end of standard output.</param>
/// <param name="Error">Reading end of standard error; -1 with a PTY.</param>
/// <param name="Input">Master of the PTY (the same as output), or the writing end of standard input; -1 if that is empty.</param>
internal readonly record struct SpawnedProcess(int Pid, int PidFd, int Output, int Error, int Input);

/// <summary>A process could not be started; the message says why.</summary>
internal sealed class SpawnException(string message) : Exception(message);
