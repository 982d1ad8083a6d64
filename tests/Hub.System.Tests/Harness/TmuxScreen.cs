using System.Diagnostics;
using System.Globalization;

namespace Hub.SystemTests.Harness;

/// <summary>
/// A program in a terminal that a person could look at: tmux draws its screen, takes keys for it and changes its size. The
/// server has a socket and a configuration of its own and is ended with the screen.
/// </summary>
public sealed class TmuxScreen : IAsyncDisposable
{
    private const string Configuration = """
        set -g status off
        set -g remain-on-exit on

        """;

    private readonly Workspace _workspace;
    private readonly string _socket;

    private TmuxScreen(Workspace workspace)
    {
        _workspace = workspace;
        _socket = workspace.PathOf("tmux.sock");
    }

    /// <summary>Starts a program in a screen of a size.</summary>
    /// <param name="workspace">Where the socket is.</param>
    /// <param name="rows">Lines.</param>
    /// <param name="columns">Columns.</param>
    /// <param name="environment">Variables to set beside this process's own; null removes one.</param>
    /// <param name="command">Program and arguments.</param>
    public static async Task<TmuxScreen> StartAsync(Workspace workspace, int rows, int columns, IReadOnlyDictionary<string, string?> environment,
        params string[] command)
    {
        var screen = new TmuxScreen(workspace);
        var file = workspace.PathOf("tmux.conf");
        await File.WriteAllTextAsync(file, Configuration);
        await screen.TmuxAsync(["-u", "-f", file, "new-session", "-d", "-x", Text(columns), "-y", Text(rows), .. command], environment);
        return screen;
    }

    /// <summary>Types a text and the return key.</summary>
    public async Task TypeAsync(string line)
    {
        await TmuxAsync(["send-keys", "-l", "--", line]);
        await PressAsync("Enter");
    }

    /// <summary>Presses a key by tmux's name for it, such as <c>C-c</c>.</summary>
    public Task PressAsync(string key) => TmuxAsync(["send-keys", key]);

    /// <summary>Gives the window another size.</summary>
    public Task ResizeAsync(int rows, int columns) => TmuxAsync(["resize-window", "-x", Text(columns), "-y", Text(rows)]);

    /// <summary>What the screen shows now; wrapped lines are joined, blanks at the end of a line are not told.</summary>
    public async Task<string> ReadAsync() =>
        string.Join('\n', (await TmuxAsync(["capture-pane", "-p", "-J"])).Split('\n').Select(l => l.TrimEnd()));

    /// <summary>Waits until the screen shows what is wanted, and gives all of it.</summary>
    /// <param name="what">For the message if it does not.</param>
    /// <param name="wanted">Looks at the text of the screen.</param>
    /// <param name="timeout">How long.</param>
    /// <exception cref="TimeoutException">It did not in time.</exception>
    public async Task<string> WaitForAsync(string what, Func<string, bool> wanted, TimeSpan timeout)
    {
        var began = TimeProvider.System.GetTimestamp();
        using var again = new PeriodicTimer(TimeSpan.FromMilliseconds(100));
        while (true)
        {
            var text = await ReadAsync();
            if (wanted(text))
                return text;
            if (TimeProvider.System.GetElapsedTime(began) > timeout)
                throw new TimeoutException($"no {what} after {timeout}; the screen shows:\n{text.TrimEnd()}");
            await again.WaitForNextTickAsync(CancellationToken.None);
        }
    }

    /// <summary>Ends the program and the server.</summary>
    public async ValueTask DisposeAsync()
    {
        _workspace.Say($"the screen at the end:\n{(await ReadAsync()).TrimEnd()}");
        await TmuxAsync(["kill-server"]);
    }

    private async Task<string> TmuxAsync(IEnumerable<string> arguments, IReadOnlyDictionary<string, string?>? environment = null)
    {
        var start = new ProcessStartInfo("tmux", ["-S", _socket, .. arguments]) { RedirectStandardOutput = true, RedirectStandardError = true };
        // Where the tests run in tmux themselves, that is another server.
        start.Environment.Remove("TMUX");
        foreach (var (name, value) in environment ?? new Dictionary<string, string?>())
        {
            if (value is null)
                start.Environment.Remove(name);
            else
                start.Environment[name] = value;
        }

        using var process = Process.Start(start) ?? throw new InvalidOperationException("tmux did not start");
        using var late = new CancellationTokenSource(TimeSpan.FromSeconds(30));
        var error = process.StandardError.ReadToEndAsync(late.Token);
        var output = await process.StandardOutput.ReadToEndAsync(late.Token);
        await process.WaitForExitAsync(late.Token);
        process.ExitCode.ShouldBe(0, await error);
        return output;
    }

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
}
