using AkkaHub.V1;

namespace Hub.Actors.Events;

/// <summary>Something happened in the mesh. Published on the member's EventStream; never holds terminal content.</summary>
/// <param name="Type">What.</param>
/// <param name="Subject">Resource name of what it happened to.</param>
/// <param name="Message">In words.</param>
/// <param name="TimeUnixUs">The hub's clock.</param>
public sealed record MeshEventRaised(MeshEventType Type, string Subject, string Message, long TimeUnixUs);
