using AkkaHub.Internal.V1;
using AkkaHub.V1;

namespace Hub.Actors.History;

/// <summary>One life of a terminal or command, as far as its history knows. Changed only by <see cref="TerminalHistory"/>.</summary>
public sealed class Incarnation
{
    internal Incarnation(IncarnationId id, StreamOpened opened, long ordinal, long headEnd)
    {
        Id = id;
        Opened = opened;
        Ordinal = ordinal;
        HeadEnd = headEnd;
        Size = opened.Size;
        StoredSize = opened.CalculateSize() + 32;
    }

    /// <summary>Its id.</summary>
    public IncarnationId Id { get; }

    /// <summary>How it began. Not to be changed.</summary>
    public StreamOpened Opened { get; }

    /// <summary>One past its newest byte.</summary>
    public long EndOffset { get; internal set; }

    /// <summary>The size now; null without PTY. Of an ended incarnation: its last one as far as it is kept.</summary>
    public TerminalSize? Size { get; internal set; }

    /// <summary>How it ended; null while it lives. Not to be changed.</summary>
    public StreamClosed? Closed { get; internal set; }

    /// <summary>When output last came, the node's clock in microseconds since the Unix epoch; 0 before the first.</summary>
    public long LastOutputUnixUs { get; internal set; }

    /// <summary>Bytes before this offset were purged; 0 for none.</summary>
    public long PurgedTo { get; internal set; }

    /// <summary>Grows from one incarnation of a history to the next; the first part of every order in it.</summary>
    internal long Ordinal { get; }

    /// <summary>Chunks that begin before this offset are its head and never evicted.</summary>
    internal long HeadEnd { get; set; }

    /// <summary>Chunks in its head.</summary>
    internal int HeadChunks { get; set; }

    /// <summary>Bytes that its own facts take in a snapshot, without chunks and annotations; an estimate.</summary>
    internal long StoredSize { get; set; }
}
