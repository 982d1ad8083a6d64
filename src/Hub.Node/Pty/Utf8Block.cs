using System.Runtime.InteropServices;
using System.Text;

namespace Hub.Node.Pty;

/// <summary>Strings as a null-ended array of C strings, in memory the garbage collector does not move.</summary>
internal sealed unsafe class Utf8Block : IDisposable
{
    private readonly void* _memory;

    /// <summary>Copies the strings. None may hold a NUL character.</summary>
    public Utf8Block(IReadOnlyList<string> texts)
    {
        var head = (nuint)((texts.Count + 1) * sizeof(byte*));
        var size = head;
        foreach (var text in texts)
            size += (nuint)Encoding.UTF8.GetByteCount(text) + 1;
        _memory = NativeMemory.Alloc(size);
        Pointers = (byte**)_memory;
        var next = (byte*)_memory + head;
        var left = (int)(size - head);
        for (var i = 0; i < texts.Count; i++)
        {
            Pointers[i] = next;
            var written = Encoding.UTF8.GetBytes(texts[i], new Span<byte>(next, left));
            next[written] = 0;
            next += written + 1;
            left -= written + 1;
        }

        Pointers[texts.Count] = null;
    }

    /// <summary>The array; its last entry is null.</summary>
    public byte** Pointers { get; }

    /// <inheritdoc/>
    public void Dispose() => NativeMemory.Free(_memory);
}
