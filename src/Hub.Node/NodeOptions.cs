using Hub.Protocol;
using Microsoft.Extensions.Logging;

namespace Hub.Node;

/// <summary>How an agent runs. Made and checked by <see cref="NodeOptionsReader"/>.</summary>
internal sealed record NodeOptions
{
    /// <summary>Smallest buffer of a stream, bytes.</summary>
    public const int MinBufferBytes = 68 * 1024;
    /// <summary>Buffer of a stream, bytes.</summary>
    public const int DefaultBufferBytes = 4 * 1024 * 1024;
    /// <summary>Largest buffer of a stream, bytes.</summary>
    public const int MaxBufferBytes = 1024 * 1024 * 1024;

    /// <summary>The hub's members, tried in turn; http or https. With a data directory: tried while no hub runs there, may be none.</summary>
    public required IReadOnlyList<Uri> Hubs { get; init; }
    /// <summary>The node's name.</summary>
    public required string Name { get; init; }
    /// <summary>Its labels.</summary>
    public IReadOnlyDictionary<string, string> Labels { get; init; } = new Dictionary<string, string>();
    /// <summary>Whether commands may be run.</summary>
    public bool AllowExec { get; init; } = true;
    /// <summary>Whether terminals may be opened and typed into.</summary>
    public bool AllowTerminal { get; init; } = true;
    /// <summary>Where claim, lock and log are kept.</summary>
    public required string StateDirectory { get; init; }
    /// <summary>The credential; null to read it elsewhere, or for none.</summary>
    public string? Token { get; init; }
    /// <summary>File the credential is read from before each dial.</summary>
    public string? TokenFile { get; init; }
    /// <summary>Data directory of a hub on this machine: the address, and the token if none was given, are read from it before each dial.</summary>
    public string? HubDataDirectory { get; init; }
    /// <summary>File of the authority that a hub's certificate must be of, read before each dial; null for the system's. Not for the hub of a data directory.</summary>
    public string? AuthorityFile { get; init; }
    /// <summary>Take the name over from another live agent at the first contact.</summary>
    public bool TakeOver { get; init; }
    /// <summary>Buffer of each stream, bytes.</summary>
    public int BufferBytes { get; init; } = DefaultBufferBytes;
    /// <summary>Without a session a full buffer loses its oldest bytes; otherwise programs wait.</summary>
    public bool DropWhenOffline { get; init; } = true;
    /// <summary>Shell for terminals; null for the user's.</summary>
    public string? Shell { get; init; }
    /// <summary>Open the terminal 'main' at the start.</summary>
    public bool MainTerminal { get; init; } = true;
    /// <summary>Leave the terminal and the session the agent was started in.</summary>
    public bool Detach { get; init; }
    /// <summary>Least severe level that is logged.</summary>
    public LogLevel LogLevel { get; init; } = LogLevel.Information;
    /// <summary>Longest pause between two rounds of dialling.</summary>
    public TimeSpan MaxBackoff { get; init; } = TimeSpan.FromSeconds(30);
}

/// <summary>What was given on the command line, as text.</summary>
internal sealed record RawNodeOptions
{
    public string? Hub { get; init; }
    public string? Name { get; init; }
    public IReadOnlyList<string> Labels { get; init; } = [];
    public IReadOnlyList<string> Allow { get; init; } = [];
    public string? StateDirectory { get; init; }
    public string? Token { get; init; }
    public string? TokenFile { get; init; }
    public string? HubDataDirectory { get; init; }
    public string? Authority { get; init; }
    public bool TakeOver { get; init; }
    public string? BufferBytes { get; init; }
    public string? WhenOffline { get; init; }
    public string? Shell { get; init; }
    public bool NoMainTerminal { get; init; }
    public bool Detach { get; init; }
    public string? LogLevel { get; init; }
}

/// <summary>
/// Turns text into options, or into every error at once, each naming option, value and what is allowed. With the options in one file, though that
/// is long: whoever adds one sees all three places.
/// </summary>
internal static class NodeOptionsReader
{
    private const int MaxLabels = 64;
    private const int MaxHubs = 32;
    // A hub on the same machine is looked for often: there is one agent, and its person waits.
    private static readonly TimeSpan LocalMaxBackoff = TimeSpan.FromSeconds(2);

    /// <summary>Reads options; null if there are errors.</summary>
    public static NodeOptions? Read(RawNodeOptions raw, Func<string, string?> environment, List<string> errors)
    {
        var name = raw.Name ?? DefaultName();
        if (!Names.IsNodeName(name))
            errors.Add($"--name '{name}': must be 1 to 63 of a-z, 0-9, '.', '_', '-', beginning and ending with a letter or digit");
        var token = raw.Token ?? (raw.TokenFile is null ? NonEmpty(environment("AKKAHUB_TOKEN")?.Trim()) : null);
        var (hubs, directory) = ReadHubs(raw, token is not null || raw.TokenFile is not null, environment, errors);
        var authority = ReadAuthority(raw, hubs, environment, errors);
        var labels = ReadLabels(raw.Labels, errors);
        var (exec, terminal) = ReadAllow(raw.Allow, errors);
        var buffer = ReadBuffer(raw.BufferBytes, errors);
        var drop = Choice("--when-offline", raw.WhenOffline ?? "drop", ["drop", "wait"], errors) != "wait";
        var level = Choice("--log-level", raw.LogLevel ?? "information", ["trace", "debug", "information", "warning", "error"], errors);
        if (raw.Token is not null && raw.TokenFile is not null)
            errors.Add("--token and --token-file: give one of them");
        if (raw.TokenFile is not null && !File.Exists(raw.TokenFile))
            errors.Add($"--token-file '{raw.TokenFile}': must be a file that exists");
        if (raw.Token is not null && (raw.Token.Length == 0 || raw.Token.Any(c => c is <= ' ' or > '~')))
            errors.Add("--token: must be printable characters without spaces (its value is not shown)");
        if (raw.Shell is not null && (!Path.IsPathRooted(raw.Shell) || !Pty.UserAccount.IsExecutable(raw.Shell)))
            errors.Add($"--shell '{raw.Shell}': must be the absolute path of a program");
        if (raw.StateDirectory?.Length == 0)
            errors.Add("--state-dir '': must be a path");
        if (errors.Count > 0)
            return null;

        return new NodeOptions
        {
            Hubs = hubs,
            Name = name,
            Labels = labels,
            AllowExec = exec,
            AllowTerminal = terminal,
            StateDirectory = Path.GetFullPath(raw.StateDirectory ?? DefaultStateDirectory(name, environment)),
            Token = token,
            TokenFile = raw.TokenFile is null ? null : Path.GetFullPath(raw.TokenFile),
            HubDataDirectory = directory,
            AuthorityFile = authority,
            TakeOver = raw.TakeOver,
            BufferBytes = buffer,
            DropWhenOffline = drop,
            Shell = raw.Shell,
            MainTerminal = !raw.NoMainTerminal && terminal,
            Detach = raw.Detach,
            LogLevel = Enum.Parse<LogLevel>(level, ignoreCase: true),
            MaxBackoff = directory is null ? TimeSpan.FromSeconds(30) : LocalMaxBackoff,
        };
    }

    /// <summary>The host's name in lower case, with everything a node's name cannot hold made a '-'.</summary>
    internal static string ToNodeName(string host)
    {
        var name = string.Concat(host.ToLowerInvariant().Select(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '_' or '-' ? c : '-'));
        name = name[..Math.Min(name.Length, Names.MaxNodeName)].Trim('.', '_', '-');
        return name.Length == 0 ? "node" : name;
    }

    private static string DefaultName() => ToNodeName(Environment.MachineName);

    private static string DefaultStateDirectory(string name, Func<string, string?> environment)
    {
        var state = environment("XDG_STATE_HOME");
        var root = !string.IsNullOrEmpty(state) && Path.IsPathRooted(state)
            ? state
            : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".local", "state");
        return Path.Combine(root, "akkahub", "node-" + name);
    }

    // As the command line does: addresses that are given, else the hub of the data directory; and the default address only with
    // a token that was given, since the owner's goes to nobody but the hub that made it.
    private static (IReadOnlyList<Uri> Hubs, string? DataDirectory) ReadHubs(
        RawNodeOptions raw, bool hasToken, Func<string, string?> environment, List<string> errors)
    {
        if (raw.HubDataDirectory is { } directory)
        {
            if (raw.Hub is not null)
                errors.Add("--hub and --hub-data-dir: give one of them");
            if (directory.Length > 0)
                return ([], Path.GetFullPath(directory));
            errors.Add("--hub-data-dir '': must be a path");
            return ([], null);
        }

        if ((raw.Hub ?? NonEmpty(environment("AKKAHUB_ADDR")?.Trim())) is not { } text)
            return ([], LocalHub.DefaultDataDirectory(environment));

        var source = raw.Hub is null ? "AKKAHUB_ADDR" : "--hub";
        var wrong = new List<string>();
        var hubs = HubAddress.ParseList(text, wrong);
        if (hubs.Count > MaxHubs)
            wrong.Add($"{hubs.Count} addresses were given, at most {MaxHubs} are allowed");
        if (hasToken)
            wrong.AddRange(hubs.Select(h => h.WhyNoToken).OfType<string>());
        errors.AddRange(wrong.Select(w => $"{source}: {w}"));
        return ([.. hubs.Select(h => h.Uri)], null);
    }

    private static string? ReadAuthority(RawNodeOptions raw, IReadOnlyList<Uri> hubs, Func<string, string?> environment, List<string> errors)
    {
        // The hub of a data directory is known by its certificate: what the environment says is for another.
        if ((raw.Authority ?? (hubs.Count == 0 ? null : NonEmpty(environment(HubTrust.AuthorityVariable)?.Trim()))) is not { } file)
            return null;
        try
        {
            var path = Path.GetFullPath(file);
            HubTrust.OfAuthority(path);
            return path;
        }
        catch (Exception e) when (e is AuthorityFileException or ArgumentException)
        {
            errors.Add($"{(raw.Authority is null ? HubTrust.AuthorityVariable : "--ca")} {e.Message}");
            return null;
        }
    }

    private static Dictionary<string, string> ReadLabels(IReadOnlyList<string> given, List<string> errors)
    {
        var labels = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var text in given)
        {
            var at = text.IndexOf('=', StringComparison.Ordinal);
            var (key, value) = at < 0 ? (text, "") : (text[..at], text[(at + 1)..]);
            if (at < 0 || !Names.IsLabelKey(key) || !Names.IsLabelValue(value))
            {
                errors.Add($"--label '{text}': must be KEY=VALUE; a key has 1 to 63 of letters, digits, '.', '_', '-', '/', a value at most 255 "
                    + "characters and no control character");
            }
            else
            {
                labels[key] = value;
            }
        }

        if (labels.Count > MaxLabels)
            errors.Add($"--label: {labels.Count} were given, at most {MaxLabels} are allowed");
        return labels;
    }

    private static (bool Exec, bool Terminal) ReadAllow(IReadOnlyList<string> given, List<string> errors)
    {
        if (given.Count == 0)
            return (true, true);
        bool exec = false, terminal = false;
        foreach (var word in given.SelectMany(g => g.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries)))
        {
            switch (word)
            {
                case "exec":
                    exec = true;
                    break;
                case "terminal":
                    terminal = true;
                    break;
                case "none":
                    break;
                default:
                    errors.Add($"--allow '{word}': must be of exec, terminal, none");
                    break;
            }
        }

        return (exec, terminal);
    }

    private static int ReadBuffer(string? text, List<string> errors)
    {
        if (text is null)
            return NodeOptions.DefaultBufferBytes;
        // The documented least of 64 KiB is taken as the least that holds two full reads.
        if (long.TryParse(text, System.Globalization.CultureInfo.InvariantCulture, out var bytes) && bytes is >= 64 * 1024 and <= NodeOptions.MaxBufferBytes)
            return (int)Math.Max(bytes, NodeOptions.MinBufferBytes);
        errors.Add($"--buffer-bytes '{text}': must be a number of bytes from {64 * 1024} to {NodeOptions.MaxBufferBytes}");
        return 0;
    }

    private static string Choice(string option, string value, string[] allowed, List<string> errors)
    {
        if (allowed.Contains(value))
            return value;
        errors.Add($"{option} '{value}': must be one of {string.Join(", ", allowed)}");
        return allowed[0];
    }

    private static string? NonEmpty(string? text) => string.IsNullOrEmpty(text) ? null : text;
}
