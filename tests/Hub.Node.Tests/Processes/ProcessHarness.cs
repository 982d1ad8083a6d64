using System.Text;
using System.Threading.Channels;
using AkkaHub.V1;
using Hub.Node.Commands;
using Hub.Node.Pty;
using Hub.Node.Streams;
using Hub.Node.Terminals;
using Microsoft.Extensions.Logging.Abstractions;

namespace Hub.Node.Tests.Processes;

/// <summary>A reactor, a table and the services on it, with a hub that takes everything at once.</summary>
internal sealed class ProcessHarness : IAsyncDisposable
{
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly Channel<bool> _signal = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });
    private readonly CancellationTokenSource _limit = new(Patience);
    private readonly Reactor _reactor = new(TimeProvider.System, NullLogger.Instance);
    private readonly StreamStarter _starter;
    private long _requests;

    public ProcessHarness(bool connected = true, bool drop = true, int bufferBytes = NodeOptions.DefaultBufferBytes)
    {
        Native.KeepInheritedDescriptors();
        Table = new StreamTable(TimeProvider.System, drop);
        var user = UserAccount.Current();
        _starter = new StreamStarter(_reactor, Table, new StreamSettings(user, "/bin/bash", bufferBytes, drop), () => _signal.Writer.TryWrite(true),
            NullLogger.Instance);
        Terminals = new TerminalService(Table, _starter);
        Commands = new CommandService(Table, _starter, TimeProvider.System);
        if (connected)
            Table.BeginSession([]);
    }

    public StreamTable Table { get; }
    public TerminalService Terminals { get; }
    public CommandService Commands { get; }

    public Probe Shell(params string[] arguments)
    {
        var request = new TerminalOpen { Request = ++_requests, Name = "t" + _requests };
        request.Argv.AddRange(arguments.Length == 0 ? ["/bin/bash", "--norc", "--noprofile"] : arguments);
        request.Env["PS1"] = "$ ";
        var outcome = default((RequestOutcome, string));
        Terminals.Open(request, (o, m) => outcome = (o, m));
        outcome.ShouldBe((RequestOutcome.Done, ""));
        return Find(request.Name);
    }

    public Probe Command(string script, Action<CommandRun>? change = null)
    {
        var run = new CommandRun { CommandId = "c" + ++_requests, Argv = { "/bin/sh", "-c", script } };
        change?.Invoke(run);
        Commands.Run(run, null).ShouldBeNull();
        return Find("cmd/" + run.CommandId);
    }

    public Probe Find(string name) => new(this, Table.FindNewest(name).ShouldNotBeNull());

    public void Connect() => Table.BeginSession([]);

    public async ValueTask DisposeAsync()
    {
        _starter.AbandonAll();
        _reactor.Dispose();
        await _reactor.Stopped.WaitAsync(Patience);
        _limit.Dispose();
    }

    /// <summary>What a hub sees of one stream.</summary>
    public sealed class Probe(ProcessHarness harness, NodeStream stream)
    {
        public NodeStream Stream { get; } = stream;
        public StringBuilder Shown { get; } = new();
        public StringBuilder Errors { get; } = new();
        public List<ConnectRequest> Messages { get; } = [];
        public long Bytes { get; private set; }

        public Task<string> UntilAsync(string text) => UntilAsync(() => Shown.ToString().Contains(text), text);

        public async Task<string> UntilAsync(Func<bool> condition, string what = "condition")
        {
            while (true)
            {
                Drain();
                if (condition())
                    return Shown.ToString();
                try
                {
                    await harness._signal.Reader.ReadAsync(harness._limit.Token);
                }
                catch (OperationCanceledException)
                {
                    Assert.Fail($"'{what}' did not come; shown was: {Shown} errors: {Errors}");
                }
            }
        }

        public async Task<StreamExit> EndAsync()
        {
            await UntilAsync(() => Messages.Any(m => m.TerminalClosed is not null || m.CommandExited is not null), "end");
            return Stream.Exit.ShouldNotBeNull();
        }

        public async Task TypeAsync(string text, bool end = false) =>
            (await AskAsync(done => Stream.Io!.Write(Encoding.UTF8.GetBytes(text), end, done))).ShouldBe(RequestOutcome.Done);

        public async Task<RequestOutcome> AskAsync(Action<RequestDone> ask)
        {
            var answer = new TaskCompletionSource<RequestOutcome>(TaskCreationOptions.RunContinuationsAsynchronously);
            ask((outcome, _) => answer.SetResult(outcome));
            return await answer.Task.WaitAsync(Patience);
        }

        private void Drain()
        {
            Stream.Flow(new StreamFlow { LimitOffset = long.MaxValue, LimitMessages = long.MaxValue });
            while (Stream.Next(StreamBuffer.MaxMessageBytes) is { } message)
            {
                if (message.TerminalOutput is { } output)
                {
                    Bytes += output.Data.Length;
                    (output.Channel == OutputChannel.Stderr ? Errors : Shown).Append(output.Data.ToStringUtf8());
                    Stream.Flow(new StreamFlow { AckOffset = output.Offset + output.Data.Length, LimitOffset = long.MaxValue, LimitMessages = long.MaxValue });
                }
                else
                {
                    Messages.Add(message);
                }
            }
        }
    }
}
