using System.Buffers.Text;

namespace Hub.Actors.Events;

/// <summary>
/// The opaque form of a place in the mesh's events: for each partition the number of the last event seen of it, or 0 for from the
/// oldest kept on, or <see cref="Empty"/> for a log that never had one. Numbers of
/// different partitions lie near each other (a log's first is the time of its making), so what is written is their distance
/// from the smallest, as base-128 varints: about 4 bytes a partition.
/// </summary>
internal static class EventCursor
{
    /// <summary>Most characters of a cursor.</summary>
    public const int MaxLength = 32_768;

    /// <summary>The place in a log that never had an event.</summary>
    public const long Empty = 1;

    private const byte Version = 3;

    /// <summary>The cursor of these places.</summary>
    public static string Encode(ReadOnlySpan<long> places)
    {
        var least = long.MaxValue;
        foreach (var place in places)
        {
            if (place > Empty)
                least = Math.Min(least, place);
        }

        if (least == long.MaxValue)
            least = 1;
        var bytes = new byte[1 + (10 * (places.Length + 2))];
        bytes[0] = Version;
        var at = 1;
        Write(bytes, ref at, (ulong)places.Length);
        Write(bytes, ref at, (ulong)least);
        foreach (var place in places)
            Write(bytes, ref at, (ulong)(place <= Empty ? place : place - least + Empty + 1));
        return Base64Url.EncodeToString(bytes.AsSpan(0, at));
    }

    /// <summary>The places of a cursor; false if it is none, or one of another number of partitions.</summary>
    public static bool TryDecode(string cursor, Span<long> places)
    {
        if (cursor.Length > MaxLength || !Base64Url.IsValid(cursor))
            return false;
        ReadOnlySpan<byte> bytes = Base64Url.DecodeFromChars(cursor);
        var at = 1;
        if (bytes.Length == 0 || bytes[0] != Version
            || !TryRead(bytes, ref at, out var count) || count != (ulong)places.Length
            || !TryRead(bytes, ref at, out var least) || least is 0 or > long.MaxValue)
            return false;
        foreach (ref var place in places)
        {
            if (!TryRead(bytes, ref at, out var distance) || distance > long.MaxValue - least + 2)
                return false;
            place = distance <= Empty ? (long)distance : (long)(least + distance - Empty - 1);
        }

        return at == bytes.Length;
    }

    private static void Write(Span<byte> bytes, ref int at, ulong value)
    {
        for (; value >= 0x80; value >>= 7)
            bytes[at++] = (byte)(value | 0x80);
        bytes[at++] = (byte)value;
    }

    private static bool TryRead(ReadOnlySpan<byte> bytes, ref int at, out ulong value)
    {
        value = 0;
        for (var shift = 0; shift < 63 && at < bytes.Length; shift += 7)
        {
            var b = bytes[at++];
            value |= (ulong)(b & 0x7f) << shift;
            if (b < 0x80)
                return true;
        }

        return false;
    }
}
