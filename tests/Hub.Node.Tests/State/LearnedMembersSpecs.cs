using AkkaHub.V1;
using Hub.Node.State;
using Hub.Node.Tests.Uplink;
using Hub.Protocol;

namespace Hub.Node.Tests.State;

public sealed class LearnedMembersSpecs : IDisposable
{
    private const string Here = "this machine";
    private readonly string _directory = Directory.CreateTempSubdirectory("akkahub-learned-").FullName;
    private readonly AgentHarness.Lines _log = new();

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public void What_was_learned_is_there_after_a_restart_and_for_its_token_alone()
    {
        Make().For("t").ShouldBeEmpty();
        Make().Learn(Said("https://a:5100", "https://b:1"), "t");
        var again = Make();
        again.For("t").ShouldBe([Of("https://a:5100"), Of("https://b:1")]);
        again.For("another").ShouldBeEmpty();
        again.For(null).ShouldBeEmpty();
        File.ReadAllText(Path.Combine(_directory, LearnedMembers.FileName)).ShouldNotContain("\nt\n");
        again.Learn(Said("https://c:1"), "t");
        Make().For("t").ShouldBe([Of("https://c:1")], "the newest word counts");
        // A hub that is starting knows nobody yet.
        again.Learn(Said(), "t");
        Make().For("t").ShouldBe([Of("https://c:1")]);
    }

    [Fact]
    public void What_is_no_address_or_too_much_is_left_out()
    {
        var learned = Make();
        learned.Learn(Said("", "a b", "ftp://x", "https://user@x", "https://x/path", new string('a', 301), "https://good:1", "https://good:1"), "t");
        learned.For("t").ShouldBe([Of("https://good:1")]);
        learned.Learn(Said([.. Enumerable.Range(1, 100).Select(i => $"https://m{i}:1")]), "t");
        learned.For("t").Count().ShouldBe(64);
    }

    [Fact]
    public void A_token_goes_to_no_other_machine_in_clear_text()
    {
        var learned = Make();
        learned.Learn(Said(Here, "10.0.0.1:5100", "https://b:1", "127.0.0.1:9"), "t");
        learned.For("t").ShouldBe([Of("https://b:1"), Of("127.0.0.1:9")]);
        _log.All.ShouldHaveSingleItem().Text.ShouldContain("the token would travel to 10.0.0.1:5100 in clear text");
        learned.Learn(Said("10.0.0.1:5100"), null);
        learned.For(null).ShouldBe([Of("10.0.0.1:5100")]);
    }

    [Theory]
    [InlineData("127.0.0.1:5100")]
    [InlineData("localhost:5100")]
    [InlineData("https://[::1]:5100")]
    public void Only_a_hub_that_shows_that_it_is_on_this_machine_teaches_addresses_of_it(string address)
    {
        var learned = Make();
        // At the far end of a tunnel it is dialled at a loopback address all the same.
        foreach (var machine in (string[])["another machine", ""])
        {
            learned.Learn(Said(machine, address, "https://b:1"), "t");
            learned.For("t").ShouldBe([Of("https://b:1")]);
        }

        learned.Learn(Said(Here, address, "https://b:1"), "t");
        learned.For("t").ShouldBe([Of(address), Of("https://b:1")]);
        Make().For("t").ShouldBe([Of(address), Of("https://b:1")]);
        new LearnedMembers(_directory, _log, "another machine").For("t").ShouldBe([Of("https://b:1")], "the state was carried there");
        // Of a machine that does not know itself nobody is there.
        var unknown = new LearnedMembers(_directory, _log, "");
        unknown.Learn(Said("", address, "https://b:1"), "t");
        unknown.For("t").ShouldBe([Of("https://b:1")]);
    }

    [Fact]
    public void A_hub_that_is_alone_now_ends_what_was_learned()
    {
        Make().Learn(Said("https://a:1"), "t");
        Make().Forget();
        Make().For("t").ShouldBeEmpty();
        // A list of which nothing can be used is a list.
        var learned = Make();
        learned.Learn(Said("https://a:1"), "t");
        learned.Learn(new HubMembers { Addresses = { "127.0.0.1:9" }, Machine = "another machine" }, "t");
        learned.For("t").ShouldBeEmpty();
    }

    [Fact]
    public void A_file_that_is_no_list_has_taught_nothing()
    {
        File.WriteAllText(Path.Combine(_directory, LearnedMembers.FileName), "-\n\0\0 nonsense\nhttps://a:1\n");
        Make().For(null).ShouldBe([Of("https://a:1")]);
        File.WriteAllBytes(Path.Combine(_directory, LearnedMembers.FileName), new byte[100_000]);
        Make().For(null).ShouldBeEmpty();
    }

    private LearnedMembers Make() => new(_directory, _log, Here);

    /// <summary>From the given machine, if the first text is no address.</summary>
    private static HubMembers Said(params string[] texts) => texts is ["" or Here or "another machine", .. var rest]
        ? new HubMembers { Machine = texts[0], Addresses = { rest } }
        : new HubMembers { Addresses = { texts } };

    private static HubAddress Of(string text) => HubAddress.TryParse(text, out var address) ? address : throw new ArgumentException(text);
}
