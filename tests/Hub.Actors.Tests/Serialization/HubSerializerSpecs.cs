using Akka.Serialization;
using AkkaHub.Internal.V1;
using Google.Protobuf;
using Google.Protobuf.Reflection;
using Hub.Actors.Events;
using Hub.Actors.Members;
using Hub.Actors.Nodes;
using Hub.Actors.Registry;
using Hub.Actors.Serialization;
using Hub.Actors.Tests.Actors;
using Hub.Actors.Tokens;

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
        ["s8"] = "EventsLogged",
        ["s9"] = "EventLogSnapshot",
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
        ["c18"] = "CreateToken",
        ["c19"] = "RevokeToken",
        ["c20"] = "ListTokens",
        ["c21"] = "TokenCreated",
        ["c22"] = "TokenRefused",
        ["c23"] = "TokenList",
        ["c24"] = "TokenRevoked",
        ["c25"] = "WatchTokens",
        ["c30"] = "FollowEvents",
        ["c31"] = "EventsTold",
        ["c40"] = "TellFacts",
        ["c41"] = "StopMember",
        ["c42"] = "StopTaken",
        ["c43"] = "AttachTaken",
    };

    public static TheoryData<string> StoredManifests => [.. HubSerializer.Stored.Keys];

    public static TheoryData<string> GoldenFiles => [.. Samples.Golden.Keys];

    [Fact]
    public void Every_message_that_crosses_members_comes_back_as_it_was()
    {
        var samples = Samples.Crossing(TestActor).ToList();
        var marked = typeof(ICrossesMembers).Assembly.GetTypes().Where(t => t is { IsAbstract: false } && t.IsAssignableTo(typeof(ICrossesMembers)));
        samples.Select(s => s.GetType()).Distinct().ShouldBe(marked, ignoreOrder: true, "each message that crosses members has a sample here");
        foreach (var sample in samples)
        {
            var back = RoundTrip(sample);
            if (sample is Attached or Progress or PartitionNodes or TokenList or TellFacts or EventsTold)
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
    [MemberData(nameof(GoldenFiles))]
    public void What_an_earlier_release_stored_means_the_same_today(string file)
    {
        var sample = Samples.Golden[file];
        var golden = Path.Combine(AppContext.BaseDirectory, "Golden", file + ".hex");
        File.Exists(golden).ShouldBeTrue($"a stored form needs its bytes in Golden/{file}.hex; those of today: {Convert.ToHexStringLower(sample.ToByteArray())}");
        var bytes = Convert.FromHexString(File.ReadAllText(golden).ReplaceLineEndings(""));
        Serializer(sample).FromBinary(bytes, file.Split('-')[0]).ShouldBe(sample);
    }

    [Fact]
    public void Every_field_that_is_stored_stands_in_a_golden_file()
    {
        Samples.Stored.Values.ShouldBeSubsetOf(Samples.Golden.Values, "the newest form of each is among them");
        var known = new HashSet<MessageDescriptor>();
        var set = new HashSet<string>();
        foreach (var sample in Samples.Stored.Values)
            Walk(sample);
        known.Where(d => d.FullName.StartsWith("akkahub.", StringComparison.Ordinal)).SelectMany(d => d.Fields.InDeclarationOrder()).Select(f => f.FullName)
            .Except(set).ShouldBeEmpty("each field has a value in Samples.Stored");

        void Walk(IMessage message)
        {
            known.Add(message.Descriptor);
            foreach (var field in message.Descriptor.Fields.InDeclarationOrder())
            {
                var value = field.Accessor.GetValue(message);
                if (value is System.Collections.ICollection { Count: 0 } || value is null or "" or 0 or 0L or 0u or false or ByteString { IsEmpty: true })
                    continue;
                if (field.FieldType == FieldType.Enum && !field.IsRepeated && Convert.ToInt32(value, System.Globalization.CultureInfo.InvariantCulture) == 0)
                    continue;
                set.Add(field.FullName);
                foreach (var inner in value is IMessage one ? [one] : value is System.Collections.IEnumerable many and not System.Collections.IDictionary ? many.OfType<IMessage>() : [])
                    Walk(inner);
            }
        }
    }

    [Fact]
    public void What_a_member_must_not_say_is_refused_or_cut()
    {
        var serializer = Serializer(StopTaken.Instance);
        foreach (var how in (int[])[0, 3, -1])
            Should.Throw<System.Runtime.Serialization.SerializationException>(() => serializer.FromBinary(new StopMemberForm { How = how }.ToByteArray(), "c41"));
        var form = new MemberFactsForm
        {
            ClientAddress = new string('a', 301),
            Version = new string('v', 10_000),
            StartedUnixUs = long.MinValue,
            NodeStreams = -1,
            Partitions = -2,
            Nodes = -3,
            Unreachable = { new string('u', 301), Enumerable.Repeat("h:1", 100) },
        };
        var facts = ((TellFacts)serializer.FromBinary(form.ToByteArray(), "c40")).Facts;
        facts.ClientAddress.ShouldBeEmpty();
        facts.Version.Length.ShouldBe(300);
        (facts.NodeStreams, facts.Partitions, facts.Nodes).ShouldBe((0, 0, 0));
        facts.StartedUnixUs.ShouldBe(UnixTime.Hold(long.MinValue));
        facts.Unreachable.ShouldBe(Enumerable.Repeat("h:1", 64));
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
        PartitionNodes m => (m.Partition, m.More, string.Join(',', m.Nodes)),
        TellFacts m => (m.Facts with { Unreachable = [] }, string.Join(',', m.Facts.Unreachable)),
        EventsTold m => (m with { Facts = [] }, string.Join(',', m.Facts)),
        TokenList m => string.Join(',', m.Tokens),
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
