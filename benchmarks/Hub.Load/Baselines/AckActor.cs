using Akka.Actor;
using Google.Protobuf;

namespace Hub.Load.Baselines;

/// <summary>
/// One node's actor without a store: it keeps the last 150 chunks in memory, as the hub's would, and acknowledges each at
/// once from its own thread of control.
/// </summary>
internal sealed class AckActor : ReceiveActor
{
    private const int MaxChunks = 150;

    private readonly ByteString[] _ring = new ByteString[MaxChunks];
    private int _next;

    public AckActor(Action<long> acknowledge) => Receive<Chunk>(chunk =>
    {
        _ring[_next] = chunk.Data;
        _next = (_next + 1) % MaxChunks;
        acknowledge(chunk.Offset + chunk.Data.Length);
    });

    public static Props Props(Action<long> acknowledge) => Akka.Actor.Props.Create(() => new AckActor(acknowledge));

    /// <summary>Bytes of a terminal.</summary>
    internal sealed record Chunk(long Offset, ByteString Data);
}

/// <summary>Hands chunks to an actor.</summary>
internal sealed class ActorSink(IActorRef actor) : IChunkSink
{
    public void Take(long offset, ByteString data) => actor.Tell(new AckActor.Chunk(offset, data), ActorRefs.NoSender);

    public void Close() => actor.Tell(PoisonPill.Instance, ActorRefs.NoSender);
}
