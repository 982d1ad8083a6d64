using System.Globalization;
using System.Text.RegularExpressions;

namespace Hub.SystemTests.CrashProof;

/// <summary>A system call of a traced process, from its start to its end.</summary>
/// <param name="Name">The call.</param>
/// <param name="Text">Arguments and result as the tracer wrote them.</param>
/// <param name="Started">Place of its start in the trace.</param>
/// <param name="Ended">Place of its end in the trace.</param>
/// <param name="Time">When it started, seconds since the epoch.</param>
internal sealed record SystemCall(string Name, string Text, int Started, int Ended, double Time);

/// <summary>Reads what <c>strace -f -ttt</c> wrote. The order of lines is the order in which the kernel reported starts and ends.</summary>
internal static partial class SystemCallTrace
{
    public static List<SystemCall> Read(string file)
    {
        var calls = new List<SystemCall>();
        var open = new Dictionary<string, (string Name, string Text, int Started, double Time)>();
        var place = 0;
        foreach (var line in File.ReadLines(file))
        {
            place++;
            var match = Line().Match(line);
            if (!match.Success)
                continue;
            var thread = match.Groups["thread"].Value;
            var time = double.Parse(match.Groups["time"].ValueSpan, CultureInfo.InvariantCulture);
            var rest = match.Groups["rest"].Value;
            if (Resumed().Match(rest) is { Success: true } resumed)
            {
                if (open.Remove(thread, out var begun))
                    calls.Add(new SystemCall(begun.Name, begun.Text + resumed.Groups["text"].Value, begun.Started, place, begun.Time));
                continue;
            }

            if (Call().Match(rest) is not { Success: true } call)
                continue;
            var (name, text) = (call.Groups["name"].Value, call.Groups["text"].Value);
            const string unfinished = "<unfinished ...>";
            if (text.EndsWith(unfinished, StringComparison.Ordinal))
                open[thread] = (name, text[..^unfinished.Length], place, time);
            else
                calls.Add(new SystemCall(name, text, place, place, time));
        }

        calls.Sort((a, b) => a.Started.CompareTo(b.Started));
        return calls;
    }

    [GeneratedRegex(@"^(?<thread>\d+)\s+(?<time>\d+\.\d+)\s+(?<rest>.*)$")]
    private static partial Regex Line();

    [GeneratedRegex(@"^<\.\.\. \w+ resumed>(?<text>.*)$")]
    private static partial Regex Resumed();

    [GeneratedRegex(@"^(?<name>\w+)\((?<text>.*)$")]
    private static partial Regex Call();
}
