using Hub.Protocol;

namespace Hub.Actors.Tests.Members;

public sealed class BuildVersionSpecs
{
    /// <summary>Two builds of one release are told apart, as an operator who replaces one by the other wants to.</summary>
    [Theory]
    [InlineData("0.1.0", "0.1.0")]
    [InlineData("0.1.0+9dd23ef4ab5577", "0.1.0+9dd23ef4a")]
    [InlineData("1.2.0-beta.1+9dd2", "1.2.0-beta.1+9dd2")]
    public void It_names_the_release_and_the_beginning_of_the_commit(string built, string shown) => BuildVersion.Shorten(built).ShouldBe(shown);

    [Fact]
    public void This_build_has_one() => BuildVersion.Text.ShouldMatch(@"^\d+\.\d+\.\d+");
}
