using Akka.Actor;
using AkkaHub.V1;
using Hub.Actors.History;
using Hub.Actors.Telemetry;
using Hub.Protocol;

namespace Hub.Actors.Nodes;

// Readers: answered at once, or when there is something to read.
public sealed partial class NodeActor
{
    private const int DefaultReadBytes = 256 * 1024;

    /// <summary>A caller of RunCommand asks for what comes after here: it has read all before.</summary>
    private void HoldFor(long caller, ReadHistoryRequest m)
    {
        Names.TryParseTerminal(m.Name, out _, out var stream);
        if (_session?.FindByName(stream!) is not { ClosedDurably: false })
            return;
        var position = m.Start is { StartCase: HistoryStart.StartOneofCase.Cursor } start && HistoryCursor.TryDecode(start.Cursor, out var cursor) ? cursor.Offset : 0;
        _holds.Set(stream!, caller, Math.Max(0, position), _hub.ElapsedUs());
        ArmTick();
        OnHoldChanged(stream!);
    }

    private void OnHoldChanged(string stream)
    {
        if (_session is not { } session || session.FindByName(stream) is not { } link)
            return;
        session.Touch(link);
        if (!_writing)
            ReportProgress();
    }

    private void AnswerRead(IActorRef asker, ReadHistoryRequest m, bool mayWait, long? deadline = null)
    {
        Names.TryParseTerminal(m.Name, out _, out var stream);
        if (!_state.Histories.TryGetValue(stream!, out var history) || history.Newest is null)
        {
            ReadUnopened(asker, m, stream!, mayWait, deadline);
            return;
        }

        var from = Resolve(history, m.Start);
        HistoryCursor? until = m.EndCursor.Length > 0 && HistoryCursor.TryDecode(m.EndCursor, out var end) ? end : null;
        var slice = history.Read(from, m.MaxBytes > 0 ? m.MaxBytes : DefaultReadBytes, until);
        if (slice.Records.Count == 0 && mayWait && m.Wait is not null && slice.AtEnd && until is null)
        {
            var waiting = m.Clone();
            waiting.Start = new HistoryStart { Cursor = slice.Next.Encode() };
            Wait(asker, stream!, waiting, deadline);
            return;
        }

        var response = new ReadHistoryResponse
        {
            NextCursor = slice.Next.Encode(),
            AtEnd = slice.AtEnd,
            FirstAvailableCursor = history.First.Encode(),
            TerminalState = history.IsLive ? TerminalState.Live : TerminalState.Closed,
            NodeState = Status,
            LastOutputTime = history.Newest.LastOutputUnixUs.ToTimestamp(),
        };
        response.Records.Add(slice.Records);
        foreach (var record in slice.Records)
        {
            if (record.RecordCase == HistoryRecord.RecordOneofCase.Output)
                _hub.Metrics.TerminalIo(IoDirection.ToReader, record.Output.Data.Length);
        }

        asker.Tell(new NodeReply(response));
    }

    /// <summary>A command that is known but has put out nothing yet can be read: there is nothing, and the reader may wait.</summary>
    private void ReadUnopened(IActorRef asker, ReadHistoryRequest m, string stream, bool mayWait, long? deadline)
    {
        var command = stream.StartsWith(Names.CommandStreamPrefix, StringComparison.Ordinal)
            ? _state.Commands.GetValueOrDefault(stream[Names.CommandStreamPrefix.Length..])
            : null;
        if (command is null)
        {
            Fail(asker, FailureKind.NotFound, ErrorReasons.TerminalUnknown, $"Node '{_node}' has no terminal '{stream}'.");
            return;
        }

        if (mayWait && m.Wait is not null && command.Finished is null)
        {
            Wait(asker, stream, m.Clone(), deadline);
            return;
        }

        asker.Tell(new NodeReply(new ReadHistoryResponse
        {
            AtEnd = true,
            TerminalState = command.Finished is null ? TerminalState.Live : TerminalState.Closed,
            NodeState = Status,
        }));
    }

    private void Wait(IActorRef asker, string stream, ReadHistoryRequest m, long? until)
    {
        var deadline = until ?? _hub.ElapsedUs() + (long)(m.Wait.ToTimeSpan().TotalMilliseconds * 1000);
        if (!_readers.TryAdd(stream, new NodeReaders.Waiting(asker, m, deadline)))
        {
            _hub.Metrics.QueueRejected(HubQueue.Readers);
            FailAtLimit(asker, "akkahub.terminals.max-waiting-readers",
                $"Node '{_node}' has as many waiting readers as the hub allows (akkahub.terminals.max-waiting-readers).");
            return;
        }

        ArmTick();
    }

    private void WakeReaders()
    {
        if (_readers.Count > 0)
        {
            foreach (var stream in _touched)
            {
                foreach (var reader in _readers.Take(stream))
                    AnswerRead(reader.Asker, reader.Request, mayWait: true, reader.DeadlineUs);
            }
        }

        _touched.Clear();
    }

    private static HistoryCursor Resolve(TerminalHistory history, HistoryStart? start) => start?.StartCase switch
    {
        HistoryStart.StartOneofCase.Cursor when HistoryCursor.TryDecode(start.Cursor, out var cursor) => cursor,
        HistoryStart.StartOneofCase.TailBytes => history.TailBytes(start.TailBytes),
        HistoryStart.StartOneofCase.TailLines => history.TailLines(start.TailLines),
        HistoryStart.StartOneofCase.Since => history.Since(start.Since.ToDateTimeOffset().ToUnixUs()),
        HistoryStart.StartOneofCase.Now => history.End,
        _ => history.First,
    };
}
