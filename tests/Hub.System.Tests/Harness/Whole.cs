using System.Security.Cryptography;

namespace Hub.SystemTests.Harness;

/// <summary>Whether a history is all that was written.</summary>
internal static class Whole
{
    /// <summary>One incarnation, with nothing out of order.</summary>
    public static IncarnationRecord Single(TerminalRecord record)
    {
        record.Faults.ShouldBeEmpty();
        return record.Incarnations.ShouldHaveSingleItem();
    }

    /// <summary>Every byte written, once, and no gap.</summary>
    public static void Check(TerminalRecord record, byte[] written)
    {
        var only = Single(record);
        only.Gaps.ShouldBeEmpty();
        only.Compare(written).ShouldBeNull();
        only.Begin.ShouldBe(0);
        only.Bytes.ShouldBe(written.Length);
        (only.Closed?.Offset).ShouldBe(written.Length);
        // The same once more by hash, as an operator would compare two files.
        Hash(only.Pieces.SelectMany(p => p.Data).ToArray()).ShouldBe(Hash(written));
    }

    private static string Hash(byte[] bytes) => Convert.ToHexStringLower(SHA256.HashData(bytes));
}
