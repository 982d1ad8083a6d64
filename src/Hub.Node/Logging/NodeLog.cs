using AkkaHub.V1;
using Microsoft.Extensions.Logging;

namespace Hub.Node.Logging;

/// <summary>
/// Everything the agent logs. Transitions are logged once; nothing is logged per heartbeat, message or byte, and never what a
/// terminal shows, what is typed, or a secret.
/// </summary>
internal static partial class NodeLog
{
    [LoggerMessage(1, LogLevel.Information, "Node agent {Version} starts as '{Node}', process {Pid}, state in {StateDirectory}")]
    public static partial void Starting(this ILogger log, string version, string node, int pid, string stateDirectory);

    [LoggerMessage(2, LogLevel.Information, "Connected to {Member} at {Address}: session {Epoch}, hub {HubVersion}, a beat each {IntervalMs} ms")]
    public static partial void Connected(this ILogger log, string member, string address, long epoch, string hubVersion, uint intervalMs);

    [LoggerMessage(3, LogLevel.Warning, "Disconnected from {Address}: {Cause}. Programs go on; dialling again")]
    public static partial void Disconnected(this ILogger log, string address, string cause);

    [LoggerMessage(4, LogLevel.Warning, "No hub yet: {Cause} ({Address}). Trying again with growing pauses up to {MaxSeconds} s")]
    public static partial void Unreachable(this ILogger log, string cause, string address, double maxSeconds);

    [LoggerMessage(5, LogLevel.Warning, "The name '{Node}' is held by another live agent; trying again. Start with --take-over to end that one")]
    public static partial void NodeLive(this ILogger log, string node);

    [LoggerMessage(6, LogLevel.Warning, "The hub does not accept the token ({Cause}); trying again, since it may be made anew")]
    public static partial void TokenRefused(this ILogger log, string cause);

    [LoggerMessage(7, LogLevel.Error, "Another machine claimed the name '{Node}': choose another with --name, or let an operator forget that node")]
    public static partial void NameClaimed(this ILogger log, string node);

    [LoggerMessage(8, LogLevel.Error, "The hub sent this agent away ({Reason}): {Message}. It ends, and its shells with it")]
    public static partial void SentAway(this ILogger log, DisconnectReason reason, string message);

    [LoggerMessage(9, LogLevel.Information, "Stopping ({Reason}): hanging up {Count} terminals and commands")]
    public static partial void Stopping(this ILogger log, string reason, int count);

    [LoggerMessage(10, LogLevel.Information, "Stopped")]
    public static partial void Stopped(this ILogger log);

    [LoggerMessage(11, LogLevel.Information, "Started '{Stream}', process {Pid}")]
    public static partial void StreamStarted(this ILogger log, string stream, int pid);

    [LoggerMessage(12, LogLevel.Information, "Ended '{Stream}', process {Pid}, exit code {Code} ({End})")]
    public static partial void StreamEnded(this ILogger log, string stream, int pid, int code, CommandEnd end);

    [LoggerMessage(13, LogLevel.Warning, "'{Stream}' lost {Bytes} bytes of output while no hub took them")]
    public static partial void StreamLost(this ILogger log, string stream, long bytes);

    [LoggerMessage(14, LogLevel.Warning, "Terminal '{Terminal}' could not be opened: {Message}")]
    public static partial void TerminalNotOpened(this ILogger log, string terminal, string message);

    [LoggerMessage(15, LogLevel.Error, "A stream broke and was ended")]
    public static partial void SourceFailed(this ILogger log, Exception exception);

    [LoggerMessage(16, LogLevel.Error, "The session failed in a way that was not expected")]
    public static partial void SessionFailed(this ILogger log, Exception exception);

    [LoggerMessage(17, LogLevel.Information, "Draining is now {On}: asked by the hub")]
    public static partial void Draining(this ILogger log, bool on);

    [LoggerMessage(18, LogLevel.Information, "Terminal '{Terminal}' is closed by the hub: {Reason}")]
    public static partial void TerminalClosing(this ILogger log, string terminal, string reason);

    [LoggerMessage(19, LogLevel.Debug, "Dialling {Address}")]
    public static partial void Dialling(this ILogger log, string address);

    [LoggerMessage(20, LogLevel.Warning, "The agent did not end all programs in time; they were killed")]
    public static partial void Abandoned(this ILogger log);

    [LoggerMessage(21, LogLevel.Warning, "'{Stream}' was ended because the hub does not take it: it has as many terminals as it allows, or no record of the command")]
    public static partial void StreamRefused(this ILogger log, string stream);

    [LoggerMessage(22, LogLevel.Warning, "The members the hub told of cannot be kept for the next start: {Problem}")]
    public static partial void MembersNotKept(this ILogger log, string problem);

    [LoggerMessage(23, LogLevel.Warning, "A member the hub told of is not used: {Reason}")]
    public static partial void MemberNotUsed(this ILogger log, string reason);
}
