using System.Runtime.Serialization;
using Akka.Actor;
using Akka.Configuration;
using Akka.Serialization;

namespace Hub.Actors.Serialization;

/// <summary>
/// Stands where Akka.NET has a serializer for whatever has no wire form of its own (JSON, with names of types in it), under its identifier.
/// It writes nothing, so that a message without a form is seen at once and not when a member of another version reads it; and reads
/// nothing, so that no member can have another one make objects of types it names.
/// </summary>
public sealed class RefusingSerializer : Serializer
{
    // That of NewtonSoftJsonSerializer.
    private const int JsonIdentifier = 1;

    /// <summary>Made by Akka, which gives what stands under this name the settings of the JSON serializer.</summary>
    public RefusingSerializer(ExtendedActorSystem system, Config settings)
        : base(system)
    {
        _ = settings;
    }

    /// <inheritdoc/>
    public override int Identifier => JsonIdentifier;

    /// <inheritdoc/>
    public override bool IncludeManifest => true;

    /// <inheritdoc/>
    public override byte[] ToBinary(object obj) => throw new SerializationException($"{obj.GetType()} has no wire form; messages between members need one in HubSerializer.");

    /// <inheritdoc/>
    public override object FromBinary(byte[] bytes, Type type) => throw new SerializationException("A message without a wire form came from another member; it is not read.");
}
