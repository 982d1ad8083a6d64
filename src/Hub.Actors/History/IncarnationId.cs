using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using Google.Protobuf;

namespace Hub.Actors.History;

/// <summary>
/// 16 random bytes that name one life of a terminal or command. All bytes zero name none: they are refused, so that a
/// default value never matches a real incarnation.
/// </summary>
public readonly record struct IncarnationId
{
    /// <summary>Length in bytes.</summary>
    public const int Length = 16;

    private readonly UInt128 _value;

    private IncarnationId(UInt128 value) => _value = value;

    /// <summary>Reads the 16 bytes of a message; false if there are more or fewer, or all are zero.</summary>
    public static bool TryFrom(ByteString? bytes, out IncarnationId id)
    {
        id = default;
        return bytes is not null && TryRead(bytes.Span, out id);
    }

    /// <summary>Reads the 16 bytes of a message.</summary>
    /// <exception cref="ArgumentException">They are not 16 bytes, or all are zero.</exception>
    public static IncarnationId From(ByteString bytes) =>
        TryFrom(bytes, out var id)
            ? id
            : throw new ArgumentException($"An incarnation is {Length} bytes, not all zero; these are {bytes?.Length ?? 0}.", nameof(bytes));

    /// <summary>Reads 32 hexadecimal digits of either case; false for anything else.</summary>
    public static bool TryParseHex([NotNullWhen(true)] string? text, out IncarnationId id)
    {
        id = default;
        if (text is null || text.Length != 2 * Length
            || !UInt128.TryParse(text, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var value)
            || value == UInt128.Zero)
        {
            return false;
        }

        id = new IncarnationId(value);
        return true;
    }

    /// <summary>The 16 bytes.</summary>
    public ByteString ToByteString()
    {
        var bytes = new byte[Length];
        Write(bytes);
        return UnsafeByteOperations.UnsafeWrap(bytes);
    }

    /// <summary>32 lower-case hexadecimal digits.</summary>
    public string ToHex() => _value.ToString("x32", CultureInfo.InvariantCulture);

    /// <inheritdoc />
    public override string ToString() => ToHex();

    internal static bool TryRead(ReadOnlySpan<byte> bytes, out IncarnationId id)
    {
        id = default;
        if (bytes.Length != Length)
            return false;
        id = new IncarnationId(BinaryPrimitives.ReadUInt128BigEndian(bytes));
        return id._value != UInt128.Zero;
    }

    internal void Write(Span<byte> destination) => BinaryPrimitives.WriteUInt128BigEndian(destination, _value);
}
