using System.Text;

namespace Hub.Actors.Registry;

/// <summary>
/// FNV-1a, 64 bits, over UTF-8, with MurmurHash3's finalizer (FNV's low bits alone spread short names badly). The same in every
/// process and for ever: stored partitions depend on it.
/// </summary>
public static class StableHash
{
    /// <summary>The hash.</summary>
    public static ulong Of(string text)
    {
        var hash = 14695981039346656037UL;
        Span<byte> bytes = stackalloc byte[256];
        var encoded = text.Length <= 85 ? bytes[..Encoding.UTF8.GetBytes(text, bytes)] : Encoding.UTF8.GetBytes(text);
        foreach (var b in encoded)
            hash = (hash ^ b) * 1099511628211UL;
        hash = (hash ^ (hash >> 33)) * 0xff51afd7ed558ccdUL;
        hash = (hash ^ (hash >> 33)) * 0xc4ceb9fe1a85ec53UL;
        return hash ^ (hash >> 33);
    }

    /// <summary>The partition of a node, 0 to <paramref name="partitions"/> - 1.</summary>
    public static int PartitionOf(string node, int partitions) => (int)(Of(node) % (ulong)partitions);
}
