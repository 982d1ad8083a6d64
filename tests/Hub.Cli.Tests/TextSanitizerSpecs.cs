using System.Text;
using FsCheck;
using FsCheck.Fluent;
using FsCheck.Xunit;
using Hub.Cli.Output;

namespace Hub.Cli.Tests;

public sealed class TextSanitizerSpecs
{
    [Property(MaxTest = 500)]
    public bool Nothing_but_printable_text_line_ends_and_tabs_comes_out_of_any_bytes(byte[] bytes, PositiveInt step) =>
        IsHarmless(InParts(bytes, step.Get));

    [Property(MaxTest = 500)]
    public Property Nothing_harmful_comes_out_of_what_looks_like_a_terminal() => Prop.ForAll(
        Arb.From(Gen.Elements(
            "\e", "[", "]", "P", "_", "\a", "\e\\", "31m", "0;title", "\r", "\n", "\r\n", "\t", "\b", "é", "漢", "😀", "\u009b", "\u009d", "\u0085", "\u202e",
            "\0", "\u007f", "ls", " ", "\e[2J", "\e]0;x\a", "\u0018", "(B", "$").ListOf().Select(parts => string.Concat(parts))),
        text => IsHarmless(TextSanitizer.Text(text)) && IsHarmless(InParts(Encoding.UTF8.GetBytes(text), 1)));

    [Property(MaxTest = 300)]
    public bool Where_the_bytes_are_cut_makes_no_difference(byte[] bytes, PositiveInt first, PositiveInt second) =>
        InParts(bytes, first.Get) == InParts(bytes, second.Get);

    [Theory]
    [InlineData("plain text", "plain text")]
    [InlineData("\e[1;31mred\e[0m", "red")]
    [InlineData("\e]0;title\aafter", "after")]
    [InlineData("\e]0;title\e\\after", "after")]
    [InlineData("\eP1$r0m\e\\after", "after")]
    [InlineData("\e(Bafter", "after")]
    [InlineData("a\r\nb\n", "a\nb\n")]
    [InlineData("10%\r20%\r\n", "10%\n20%\n")]
    [InlineData("\r\r\nx", "\nx")]
    [InlineData("a\tb", "a\tb")]
    [InlineData("bell\a", "bell")]
    [InlineData("\u0003", "^C")]
    [InlineData("\u007f", "^?")]
    [InlineData("\u009b31mred", "red")]
    [InlineData("\e]0;never ended\nnext line", "\nnext line")]
    [InlineData("abc\u202edef", "abc\ufffddef")]
    [InlineData("😀漢é", "😀漢é")]
    public void It_shows(string text, string shown) => TextSanitizer.Text(text).ShouldBe(shown);

    [Fact]
    public void A_character_split_over_chunks_is_whole()
    {
        var sanitizer = new TextSanitizer();
        var target = new StringBuilder();
        foreach (var b in "€😀"u8.ToArray())
            sanitizer.Append([b], target);
        target.ToString().ShouldBe("€😀");
    }

    [Fact]
    public void Half_a_character_at_the_end_is_marked()
    {
        var sanitizer = new TextSanitizer();
        var target = new StringBuilder();
        sanitizer.Append([0xe2, 0x82], target);
        sanitizer.Finish(target);
        target.ToString().ShouldBe("\ufffd");
    }

    [Fact]
    public void A_name_stays_on_its_line() => TextSanitizer.Line("a\nb\tc\e[2J").ShouldBe("a b c");

    private static string InParts(byte[] bytes, int step)
    {
        var sanitizer = new TextSanitizer();
        var target = new StringBuilder();
        for (var at = 0; at < bytes.Length; at += step)
            sanitizer.Append(bytes.AsSpan(at, Math.Min(step, bytes.Length - at)), target);
        sanitizer.Finish(target);
        return target.ToString();
    }

    private static bool IsHarmless(string text) => text.All(c => c is '\n' or '\t' || !char.IsControl(c));
}
