using Google.Protobuf;

namespace Hub.Load.Nodes;

/// <summary>
/// What simulated terminals show: a fixed text in which every byte follows from its offset, so that nothing has to be kept
/// for sending it again and every reader can check what it got.
/// </summary>
public static class Pattern
{
    // Not a multiple of any chunk size in use: a piece delivered at the wrong offset does not look right by chance.
    private const int Length = 65_521;
    private const int MaxChunk = 64 * 1024;

    private static readonly byte[] Text = Build();

    /// <summary>The bytes of a range, at most 64 KiB long; shares memory, copies nothing.</summary>
    public static ByteString Slice(long offset, int length)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(length, MaxChunk);
        return UnsafeByteOperations.UnsafeWrap(Text.AsMemory((int)(offset % Length), length));
    }

    /// <summary>Whether data is what a simulated terminal shows from an offset on.</summary>
    public static bool Matches(long offset, ReadOnlySpan<byte> data)
    {
        while (data.Length > 0)
        {
            var part = Math.Min(data.Length, MaxChunk);
            if (!data[..part].SequenceEqual(Text.AsSpan((int)(offset % Length), part)))
                return false;
            offset += part;
            data = data[part..];
        }

        return true;
    }

    private static byte[] Build()
    {
        // Lines of numbers and letters, as logs have them: compressible, but not a single repeated letter.
        var text = new byte[Length + MaxChunk];
        var state = 2_463_534_242u;
        for (var i = 0; i < Length; i++)
        {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            text[i] = i % 80 == 79 ? (byte)'\n' : (byte)(' ' + 1 + state % 94);
        }

        for (var i = Length; i < text.Length; i++)
            text[i] = text[i - Length];
        return text;
    }
}
