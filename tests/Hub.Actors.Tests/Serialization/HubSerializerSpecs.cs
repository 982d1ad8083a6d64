using Akka.Serialization;
using Google.Protobuf;
using Hub.Actors.Nodes;
using Hub.Actors.Registry;
using Hub.Actors.Serialization;
using Hub.Actors.Tests.Actors;

namespace Hub.Actors.Tests.Serialization;

public sealed class HubSerializerSpecs : ActorSpec
{
    // Stored rows and members of other versions carry these: an entry is added, never changed, never removed.
    private static readonly Dictionary<string, string> Ledger = new()
    {
        ["s1"] = "NodeEvents",
        ["s2"] = "NodeSnapshot",
        ["s3"] = "MembershipChanged",
        ["s4"] = "MembershipSnapshot",
        ["s5"] = "TokensChanged",
        ["s6"] = "TokensSnapshot",
        ["s7"] = "StoreProbed",
        ["c1"] = "NodeRequest",
        ["c2"] = "NodeReply",
        ["c3"] = "NodeFailure",
        ["c4"] = "Attach",
        ["c5"] = "Attached",
        ["c6"] = "AttachRefused",
        ["c7"] = "FromNode",
        ["c8"] = "ToNode",
        ["c9"] = "Progress",
        ["c10"] = "LivenessReport",
        ["c11"] = "Detach",
        ["c12"] = "SessionEnded",
        ["c13"] = "StartPartition",
        ["c14"] = "PartitionStarted",
        ["c15"] = "ListPartition",
        ["c16"] = "PartitionNodes",
        ["c17"] = "HandOffPartition",
    };

    public static TheoryData<string> StoredManifests => [.. HubSerializer.Stored.Keys];

    [Fact]
    public void Every_message_that_crosses_members_comes_back_as_it_was()
    {
        var samples = Samples.Crossing(TestActor).ToList();
        var marked = typeof(ICrossesMembers).Assembly.GetTypes().Where(t => t is { IsAbstract: false } && t.IsAssignableTo(typeof(ICrossesMembers)));
        samples.Select(s => s.GetType()).Distinct().ShouldBe(marked, ignoreOrder: true, "each message that crosses members has a sample here");
        foreach (var sample in samples)
        {
            var back = RoundTrip(sample);
            if (sample is Attached or Progress or PartitionNodes)
                Parts(back).ShouldBe(Parts(sample));
            else
                back.ShouldBe(sample);
        }
    }

    [Theory]
    [MemberData(nameof(StoredManifests))]
    public void Every_stored_form_comes_back_as_it_was(string manifest)
    {
        var sample = Samples.Stored[manifest];
        Serializer(sample).Manifest(sample).ShouldBe(manifest);
        RoundTrip(sample).ShouldBe(sample);
    }

    [Theory]
    [MemberData(nameof(StoredManifests))]
    public void What_an_earlier_release_stored_means_the_same_today(string manifest)
    {
        var golden = Path.Combine(AppContext.BaseDirectory, "Golden", manifest + ".hex");
        File.Exists(golden).ShouldBeTrue($"a stored form needs its bytes in Golden/{manifest}.hex; those of today: {Convert.ToHexStringLower(Samples.Stored[manifest].ToByteArray())}");
        var bytes = Convert.FromHexString(File.ReadAllText(golden).ReplaceLineEndings(""));
        Serializer(Samples.Stored[manifest]).FromBinary(bytes, manifest).ShouldBe(Samples.Stored[manifest]);
    }

    [Fact]
    public void Manifests_are_permanent()
    {
        HubSerializer.Id.ShouldBe(7301);
        var today = Samples.Crossing(TestActor).Cast<object>().Concat(Samples.Stored.Values)
            .GroupBy(s => Serializer(s).Manifest(s)).ToDictionary(g => g.Key, g => g.First().GetType().Name);
        today.OrderBy(m => m.Key, StringComparer.Ordinal).ShouldBe(Ledger.OrderBy(m => m.Key, StringComparer.Ordinal));
    }

    [Fact]
    public void An_unknown_manifest_says_what_to_do() =>
        Should.Throw<System.Runtime.Serialization.SerializationException>(() => Serializer(Samples.Stored["s1"]).FromBinary([], "z9"))
            .Message.ShouldContain("newer hub");

    private static object Parts(object message) => message switch
    {
        Attached m => (m.Epoch, string.Join(',', m.Positions), m.NodeActor),
        Progress m => (m.Epoch, string.Join(',', m.Positions)),
        PartitionNodes m => (m.Partition, string.Join(',', m.Nodes)),
        _ => message,
    };

    private SerializerWithStringManifest Serializer(object message) => Sys.Serialization.FindSerializerFor(message).ShouldBeOfType<HubSerializer>();

    private object RoundTrip(object message)
    {
        var serializer = Serializer(message);
        var bytes = Akka.Serialization.Serialization.WithTransport((Akka.Actor.ExtendedActorSystem)Sys, () => serializer.ToBinary(message));
        return serializer.FromBinary(bytes, serializer.Manifest(message));
    }
}
