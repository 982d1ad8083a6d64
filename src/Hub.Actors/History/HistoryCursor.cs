using System.Buffers;
using System.Buffers.Binary;
using System.Buffers.Text;
using System.Diagnostics.CodeAnalysis;
using System.Numerics;
using AkkaHub.V1;

namespace Hub.Actors.History;

/// <summary>
/// A place in a terminal's history. <see cref="Encode"/> makes the opaque text that clients hold; it stays valid across
/// restarts of hub and client. Two cursors at one place may differ in <see cref="Step"/>, so "has this reader seen all?" is
/// asked of <see cref="HistorySlice.AtEnd"/>, not by comparing cursors.
/// </summary>
/// <param name="Incarnation">The life of the terminal.</param>
/// <param name="Offset">Offset in bytes within that life: every byte before it has been seen.</param>
public readonly record struct HistoryCursor(IncarnationId Incarnation, long Offset)
{
    // version, incarnation, offset, step, checksum; 33 bytes are 44 characters of base64 without padding.
    private const int EncodedBytes = 1 + IncarnationId.Length + 8 + 4 + 4;
    private const int EncodedChars = EncodedBytes / 3 * 4;
    private const byte Version = 1;

    /// <summary>
    /// How far the records of no width at this offset (restart, size, loss, end) have been seen; 0 is none of them. A size
    /// that was seen is itself part of the value: a later size at the same offset replaces the earlier one in the history,
    /// and a reader that saw the earlier one must still get the later.
    /// </summary>
    public uint Step { get; init; }

    /// <summary>The text form: 44 characters of base64url.</summary>
    public string Encode()
    {
        Span<byte> bytes = stackalloc byte[EncodedBytes];
        bytes[0] = Version;
        Incarnation.Write(bytes[1..]);
        BinaryPrimitives.WriteInt64BigEndian(bytes[17..], Offset);
        BinaryPrimitives.WriteUInt32BigEndian(bytes[25..], Step);
        BinaryPrimitives.WriteUInt32BigEndian(bytes[29..], Checksum(bytes[..29]));
        return Base64Url.EncodeToString(bytes);
    }

    /// <summary>Reads the text form; false, never an exception, for any text that <see cref="Encode"/> did not make.</summary>
    public static bool TryDecode([NotNullWhen(true)] string? text, out HistoryCursor cursor)
    {
        cursor = default;
        Span<byte> bytes = stackalloc byte[EncodedBytes];
        if (text is null || text.Length != EncodedChars
            || Base64Url.DecodeFromChars(text, bytes, out _, out var written) != OperationStatus.Done
            || written != EncodedBytes
            || bytes[0] != Version
            || BinaryPrimitives.ReadUInt32BigEndian(bytes[29..]) != Checksum(bytes[..29])
            || !IncarnationId.TryRead(bytes[1..17], out var incarnation))
        {
            return false;
        }

        var offset = BinaryPrimitives.ReadInt64BigEndian(bytes[17..]);
        if (offset < 0)
            return false;
        cursor = new HistoryCursor(incarnation, offset) { Step = BinaryPrimitives.ReadUInt32BigEndian(bytes[25..]) };
        return true;
    }

    // Against mangled copies (a truncated paste, a changed letter), not against forgery: a cursor grants nothing.
    private static uint Checksum(ReadOnlySpan<byte> bytes)
    {
        var crc = uint.MaxValue;
        foreach (var b in bytes)
            crc = BitOperations.Crc32C(crc, b);
        return ~crc;
    }
}

/// <summary>Values of <see cref="HistoryCursor.Step"/>, in the order in which records stand at one offset.</summary>
internal static class CursorStep
{
    /// <summary>Nothing at this offset was seen.</summary>
    public const uint Place = 0;
    /// <summary>The restart mark was seen (offset 0).</summary>
    public const uint AfterRestart = 1;
    /// <summary>A reader begins here, or came over a hole in which the size changed: the size in force is due.</summary>
    public const uint SizeDue = 2;
    /// <summary>The loss of unknown length before the end was seen.</summary>
    public const uint AfterLoss = 3;
    /// <summary>The end was seen.</summary>
    public const uint AfterClosed = 4;

    private const uint SizeFlag = 0x8000_0000;

    /// <summary>This size was seen. Columns and rows are at most 2000, so 15 and 16 bits hold them.</summary>
    public static uint AfterSize(TerminalSize size) => SizeFlag | ((size.Cols & 0x7FFF) << 16) | (size.Rows & 0xFFFF);

    /// <summary>Order of steps at one offset.</summary>
    public static int Rank(uint step) => step switch
    {
        AfterRestart or SizeDue => 1,
        AfterLoss => 3,
        AfterClosed => 4,
        >= SizeFlag => 2,
        _ => 0,
    };
}
