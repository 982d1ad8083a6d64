using System.Security.Cryptography;
using System.Text;
using AkkaHub.V1;
using Google.Protobuf;
using Hub.Node.Logging;
using Hub.Node.Pty;
using Microsoft.Extensions.Logging;

namespace Hub.Node.Streams;

/// <summary>What to start as a stream.</summary>
internal sealed record StartRequest
{
    /// <summary>Terminal's name, or 'cmd/' and the command's id.</summary>
    public required string Name { get; init; }
    /// <summary>Terminal or command.</summary>
    public required StreamKind Kind { get; init; }
    /// <summary>Program and arguments; the login shell if empty.</summary>
    public required IReadOnlyList<string> Arguments { get; init; }
    /// <summary>Directory; home if empty.</summary>
    public string Directory { get; init; } = "";
    /// <summary>Variables beside the agent's own.</summary>
    public IReadOnlyDictionary<string, string> Environment { get; init; } = new Dictionary<string, string>();
    /// <summary>Size of the PTY; null for pipes.</summary>
    public (int Columns, int Rows)? Size { get; init; }
    /// <summary>Whether standard input is open (pipes only).</summary>
    public bool Input { get; init; }
    /// <summary>Ends the process after this time; null for never.</summary>
    public long? TimeoutMs { get; init; }
}

/// <summary>Starts processes as streams, and ends all of them when the agent stops.</summary>
internal sealed class StreamStarter(Reactor reactor, StreamTable table, StreamSettings settings, Action changed, ILogger log)
{
    private const int MaxCommandLineBytes = 4096;

    /// <summary>Starts a process; its output flows from now on.</summary>
    /// <exception cref="SpawnException">It could not be started; the message says why.</exception>
    public NodeStream Start(StartRequest request)
    {
        if (table.All.Length >= StreamTable.MaxStreams)
            throw new SpawnException($"the agent holds {StreamTable.MaxStreams} streams, its most");
        var user = settings.User;
        var environment = ChildEnvironment.Build(user, settings.Shell, request.Size is not null, request.Environment);
        var directory = request.Directory.Length == 0 ? user.Home : request.Directory;
        ChildEnvironment.Check(request.Arguments, request.Environment, directory);
        var login = request.Arguments.Count == 0;
        var program = ChildEnvironment.Find(login ? settings.Shell : request.Arguments[0], environment);
        // A login shell is told so by a dash before its name.
        var arguments = login ? ["-" + Path.GetFileName(program)] : request.Arguments;
        var spawn = new SpawnRequest(program, arguments, ChildEnvironment.Render(environment), directory);

        var started = request.Size is { } size
            ? Spawner.WithPty(spawn, size.Columns, size.Rows)
            : Spawner.WithPipes(spawn, request.Input);
        var identity = new StreamIdentity(
            request.Name,
            ByteString.CopyFrom(RandomNumberGenerator.GetBytes(16)),
            request.Kind,
            reactor.NowUnixUs,
            CommandLine(login ? [program] : request.Arguments),
            started.Pid);
        var buffer = new StreamBuffer(settings.BufferBytes, settings.DropWhenOffline);
        var stream = new NodeStream(identity, buffer, request.Size?.Columns ?? 0, request.Size?.Rows ?? 0, changed, reactor.Wake);
        stream.Io = new ProcessIo(reactor, stream, started, request.TimeoutMs, Ended);
        table.Add(stream);
        log.StreamStarted(identity.Name, started.Pid);
        reactor.Add(stream.Io);
        changed();
        return stream;
    }

    /// <summary>Ends every live process: a first signal, SIGKILL after the grace.</summary>
    public void EndAll(long graceMs)
    {
        foreach (var stream in table.Live)
            stream.Io?.BeginEnd(stream.Identity.Kind == StreamKind.Terminal ? CommandEnd.Exited : CommandEnd.Cancelled, graceMs);
    }

    /// <summary>Kills what is still there and takes no more of its output.</summary>
    public void AbandonAll()
    {
        foreach (var stream in table.Live)
            stream.Io?.Abandon();
    }

    private void Ended(NodeStream stream)
    {
        var exit = stream.Exit!;
        log.StreamEnded(stream.Identity.Name, stream.Identity.Pid, exit.Code, exit.End);
        if (stream.DroppedBytes is > 0 and var dropped)
            log.StreamLost(stream.Identity.Name, dropped);
        if (stream.IsRefused)
        {
            log.StreamRefused(stream.Identity.Name);
            table.Remove(stream);
        }

        table.TrimEnded();
    }

    /// <summary>Arguments as a shell would need them, cut to what the wire bears.</summary>
    internal static string CommandLine(IEnumerable<string> arguments)
    {
        var text = string.Join(' ', arguments.Select(Quote));
        if (Encoding.UTF8.GetByteCount(text) <= MaxCommandLineBytes)
            return text;
        var bytes = Encoding.UTF8.GetBytes(text);
        var end = MaxCommandLineBytes - 3;
        while ((bytes[end] & 0xC0) == 0x80)
            end--;
        return Encoding.UTF8.GetString(bytes, 0, end) + "…";
    }

    private static string Quote(string argument) =>
        argument.Length > 0 && argument.All(c => char.IsLetterOrDigit(c) || c is '-' or '_' or '.' or '/' or '=' or ':' or ',' or '+' or '@' or '%')
            ? argument
            : "'" + argument.Replace("'", "'\\''") + "'";
}

/// <summary>How streams are started and kept.</summary>
/// <param name="User">Whose home and login shell count.</param>
/// <param name="Shell">Shell for terminals, absolute path.</param>
/// <param name="BufferBytes">Capacity of each stream's buffer, bytes.</param>
/// <param name="DropWhenOffline">Without a session a full buffer loses its oldest bytes; otherwise programs wait.</param>
internal sealed record StreamSettings(UserAccount User, string Shell, int BufferBytes, bool DropWhenOffline);
