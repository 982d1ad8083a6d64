using System.Text;
using AkkaHub.Internal.V1;
using AkkaHub.V1;
using Google.Protobuf;
using Hub.Actors.History;
using Hub.Actors.Settings;

namespace Hub.Actors.Tests.History;

/// <summary>Writes a history by hand; each call is one event at the end of the newest life.</summary>
internal sealed class HistoryBuilder(HistorySettings? settings = null)
{
    public TerminalHistory History { get; } = new("main", StreamKind.Terminal, settings ?? new HistorySettings());

    public static ByteString Id(byte life)
    {
        var id = new byte[16];
        id[15] = life;
        return ByteString.CopyFrom(id);
    }

    public HistoryBuilder Open(byte life = 1, TerminalSize? size = null)
    {
        History.Apply(new StreamOpened { Name = "main", Incarnation = Id(life), Kind = StreamKind.Terminal, Size = size, CommandLine = "sh" });
        return this;
    }

    public HistoryBuilder Write(string text, long timeUs = 0, OutputChannel channel = OutputChannel.Stdout) =>
        Write(Encoding.UTF8.GetBytes(text), timeUs, channel);

    public HistoryBuilder Write(byte[] bytes, long timeUs = 0, OutputChannel channel = OutputChannel.Stdout)
    {
        History.Apply(new OutputAppended
        {
            Incarnation = History.Newest!.Id.ToByteString(),
            Offset = History.Newest.EndOffset,
            Data = ByteString.CopyFrom(bytes),
            TimeUnixUs = timeUs,
            Channel = channel,
        });
        return this;
    }

    public HistoryBuilder Resize(uint cols, uint rows)
    {
        var size = new TerminalSize { Cols = cols, Rows = rows };
        History.Apply(new StreamResized { Incarnation = History.Newest!.Id.ToByteString(), Offset = History.Newest.EndOffset, Size = size });
        return this;
    }

    public HistoryBuilder Lose(long length)
    {
        var end = History.Newest!.EndOffset;
        History.Apply(new StreamGap
        {
            Incarnation = History.Newest.Id.ToByteString(),
            FromOffset = end,
            ToOffset = end + length,
            Cause = GapCause.NodeOverflow,
        });
        return this;
    }

    public HistoryBuilder Close(bool loss = false)
    {
        var newest = History.Newest!;
        History.Apply(new StreamClosed { Incarnation = newest.Id.ToByteString(), FinalOffset = newest.EndOffset, UnknownLoss = loss });
        return this;
    }

    public HistoryCursor At(byte life, long offset) => new(IncarnationId.From(Id(life)), offset);

    /// <summary>All output from a cursor on, as text.</summary>
    public string Text(HistoryCursor from) =>
        Encoding.UTF8.GetString([.. Read(from).Where(r => r.Output is not null).SelectMany(r => r.Output.Data)]);

    public IReadOnlyList<HistoryRecord> Read(HistoryCursor from) => HistoryRun.ReadOn(History, from, int.MaxValue);

    public List<string> Items(HistoryCursor from) => HistoryItems.Of(Read(from));
}
