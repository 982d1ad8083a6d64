using System.Diagnostics;

namespace Hub.Load.Processes;

/// <summary>Runs small programs of the system to their end.</summary>
internal static class Programs
{
    /// <summary>Runs a program and gives what it wrote to standard output.</summary>
    /// <exception cref="InvalidOperationException">It is not there, or ended with another code than 0; the message has what it said.</exception>
    public static async Task<string> RunAsync(string file, params IEnumerable<string> arguments)
    {
        var (code, output, error) = await TryRunAsync(new ProcessStartInfo(file, arguments)).ConfigureAwait(false);
        return code == 0 ? output : throw new InvalidOperationException($"{file} {string.Join(' ', arguments)} ended with {code}: {error.Trim()}");
    }

    /// <summary>Runs a program and gives its exit code and what it wrote; −1 if it is not there.</summary>
    public static async Task<(int Code, string Output, string Error)> TryRunAsync(ProcessStartInfo start)
    {
        start.RedirectStandardOutput = start.RedirectStandardError = true;
        try
        {
            using var process = Process.Start(start)!;
            var error = process.StandardError.ReadToEndAsync();
            var output = await process.StandardOutput.ReadToEndAsync().ConfigureAwait(false);
            await process.WaitForExitAsync().ConfigureAwait(false);
            return (process.ExitCode, output, await error.ConfigureAwait(false));
        }
        catch (System.ComponentModel.Win32Exception e)
        {
            return (-1, "", e.Message);
        }
    }
}
