using FsCheck.Xunit;
using Google.Protobuf;
using Hub.Actors.History;

namespace Hub.Actors.Tests.History;

public sealed class HistoryCursorSpecs
{
    private static readonly IncarnationId Id = IncarnationId.From(ByteString.CopyFrom(Enumerable.Range(1, 16).Select(i => (byte)i).ToArray()));

    [Property]
    public void The_text_form_round_trips(ulong high, ulong low, long offset, uint step)
    {
        var bytes = new byte[16];
        BitConverter.TryWriteBytes(bytes, high);
        BitConverter.TryWriteBytes(bytes.AsSpan(8), low | 1);
        var cursor = new HistoryCursor(IncarnationId.From(ByteString.CopyFrom(bytes)), offset & long.MaxValue) { Step = step };
        HistoryCursor.TryDecode(cursor.Encode(), out var decoded).ShouldBeTrue();
        decoded.ShouldBe(cursor);
    }

    [Fact]
    public void The_text_form_stays_as_it_was_released()
    {
        new HistoryCursor(Id, 4242) { Step = 1 }.Encode().ShouldBe("AQECAwQFBgcICQoLDA0ODxAAAAAAAAAQkgAAAAFNZKsO");
    }

    [Property(MaxTest = 1000)]
    public void Hostile_text_is_refused_without_an_exception(string? text) =>
        HistoryCursor.TryDecode(text, out _).ShouldBeFalse();

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")]
    [InlineData("============================================")]
    [InlineData("                                            ")]
    [InlineData("\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9")]
    public void Text_of_no_cursor_is_refused(string? text) => HistoryCursor.TryDecode(text, out _).ShouldBeFalse();

    [Property(MaxTest = 500)]
    public void A_changed_letter_is_noticed(long offset, byte at, byte replacement)
    {
        const string Letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        var text = new HistoryCursor(Id, offset & long.MaxValue).Encode().ToCharArray();
        var letter = Letters[replacement % Letters.Length];
        var index = at % text.Length;
        if (text[index] == letter)
            return;
        text[index] = letter;
        HistoryCursor.TryDecode(new string(text), out _).ShouldBeFalse();
    }

    [Fact]
    public void A_negative_offset_is_refused() =>
        HistoryCursor.TryDecode(new HistoryCursor(Id, -1).Encode(), out _).ShouldBeFalse();

    [Fact]
    public void An_incarnation_id_is_16_bytes_not_all_zero()
    {
        IncarnationId.TryFrom(ByteString.CopyFrom(new byte[15]), out _).ShouldBeFalse();
        IncarnationId.TryFrom(ByteString.CopyFrom(new byte[16]), out _).ShouldBeFalse();
        IncarnationId.TryFrom(null, out _).ShouldBeFalse();
        Should.Throw<ArgumentException>(() => IncarnationId.From(ByteString.Empty));
        Id.ToByteString().ShouldBe(ByteString.CopyFrom(Enumerable.Range(1, 16).Select(i => (byte)i).ToArray()));
    }

    [Fact]
    public void An_incarnation_id_round_trips_as_hexadecimal_digits()
    {
        Id.ToHex().ShouldBe("0102030405060708090a0b0c0d0e0f10");
        IncarnationId.TryParseHex("0102030405060708090A0B0C0D0E0F10", out var parsed).ShouldBeTrue();
        parsed.ShouldBe(Id);
        IncarnationId.TryParseHex("0102030405060708090a0b0c0d0e0f1", out _).ShouldBeFalse();
        IncarnationId.TryParseHex(" 102030405060708090a0b0c0d0e0f10", out _).ShouldBeFalse();
        IncarnationId.TryParseHex(new string('0', 32), out _).ShouldBeFalse();
        IncarnationId.TryParseHex(null, out _).ShouldBeFalse();
    }
}
