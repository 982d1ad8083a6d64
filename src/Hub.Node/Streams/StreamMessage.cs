using AkkaHub.V1;

namespace Hub.Node.Streams;

/// <summary>What a <see cref="StreamMessage"/> says.</summary>
internal enum StreamMessageKind
{
    /// <summary>The stream was opened; only for a stream the hub has not been told of.</summary>
    Opened,
    /// <summary>Bytes at <see cref="StreamMessage.Offset"/>.</summary>
    Output,
    /// <summary>Bytes from <see cref="StreamMessage.Offset"/> to <see cref="StreamMessage.To"/> are lost.</summary>
    Gap,
    /// <summary>A new size at <see cref="StreamMessage.Offset"/>.</summary>
    Resized,
    /// <summary>The stream ended at <see cref="StreamMessage.Offset"/>; all before was sent.</summary>
    Ended,
}

/// <summary>The next thing to send of a stream.</summary>
/// <param name="Kind">Which of the parts count.</param>
/// <param name="Offset">Where in the stream.</param>
/// <param name="To">End of a gap.</param>
/// <param name="Data">Bytes; never changed after.</param>
/// <param name="Channel">Where the bytes came from.</param>
/// <param name="TimeUs">The node's clock, microseconds since the Unix epoch.</param>
/// <param name="Columns">Columns of a new size.</param>
/// <param name="Rows">Rows of a new size.</param>
/// <param name="Rewind">Number of the last rewind obeyed in this session.</param>
internal readonly record struct StreamMessage(
    StreamMessageKind Kind,
    long Offset,
    long To = 0,
    ReadOnlyMemory<byte> Data = default,
    OutputChannel Channel = OutputChannel.Unspecified,
    long TimeUs = 0,
    int Columns = 0,
    int Rows = 0,
    uint Rewind = 0);
