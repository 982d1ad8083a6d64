using System.Threading.Channels;

namespace Hub.Load.Nodes;

/// <summary>Wakes one waiting loop. Signals while it is awake are remembered as one.</summary>
public sealed class WakeUp
{
    private readonly Channel<byte> _signal = Channel.CreateBounded<byte>(new BoundedChannelOptions(1)
    {
        FullMode = BoundedChannelFullMode.DropWrite,
        SingleReader = true,
    });

    /// <summary>Wakes the loop.</summary>
    public void Set() => _signal.Writer.TryWrite(0);

    /// <summary>Waits for the next signal.</summary>
    public async ValueTask WaitAsync(CancellationToken cancellation) =>
        await _signal.Reader.ReadAsync(cancellation).ConfigureAwait(false);
}
