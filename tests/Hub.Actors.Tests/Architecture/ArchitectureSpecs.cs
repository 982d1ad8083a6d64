using System.Reflection;
using System.Xml.Linq;
using Hub.Actors.History;
using Hub.Actors.Tests.Architecture.Offenders;
using Hub.Protocol;
using NetArchTest.Rules;

namespace Hub.Actors.Tests.Architecture;

/// <summary>
/// The arrows that must not be drawn. Each rule stands beside a type that breaks it: a rule that would let that type pass
/// checks nothing.
/// </summary>
public sealed class ArchitectureSpecs
{
    private static readonly Assembly Actors = typeof(TerminalHistory).Assembly;
    private static readonly Assembly Protocol = typeof(Names).Assembly;
    private static readonly Assembly Node = Assembly.Load("Hub.Node");
    private static readonly Assembly Tests = typeof(ArchitectureSpecs).Assembly;

    private static readonly Dictionary<string, Rule> Rules = new()
    {
        ["actors know no ASP.NET"] = new(Types.InAssembly(Actors).That().ResideInNamespace("Hub.Actors"),
            ["Microsoft.AspNetCore"], Offender(nameof(KnowsAspNet))),
        ["actors know no gRPC"] = new(Types.InAssembly(Actors).That().ResideInNamespace("Hub.Actors"),
            ["Grpc"], Offender(nameof(KnowsGrpc))),
        ["actors know no service of the public interface"] = new(Types.InAssembly(Actors).That().ResideInNamespace("Hub.Actors"),
            ["AkkaHub.V1.HubService", "AkkaHub.V1.NodeBridgeService"], Offender(nameof(KnowsService))),
        ["the protocol knows none of ours"] = new(Types.InAssembly(Protocol).That().ResideInNamespace("Hub.Protocol"),
            ["Hub.Actors", "Hub.Host", "Hub.Node", "Hub.Cli"], Offender(nameof(KnowsActors))),
        ["the generated protocol knows none of ours"] = new(Types.InAssembly(Protocol).That().ResideInNamespace("AkkaHub"),
            ["Hub.Actors", "Hub.Host", "Hub.Node", "Hub.Cli"], Offender(nameof(KnowsActors))),
        ["the node agent knows no actors"] = new(Types.InAssembly(Node).That().DoNotResideInNamespace("System"),
            ["Akka", "Hub.Actors", "Hub.Host"], Offender(nameof(KnowsAkka))),
        ["the history is pure: no Akka"] = new(Types.InAssembly(Actors).That().ResideInNamespace("Hub.Actors.History"),
            ["Akka"], Offender(nameof(KnowsAkka))),
        ["the history knows only settings and the protocol"] = new(Types.InAssembly(Actors).That().ResideInNamespace("Hub.Actors.History"),
            [.. Rooms("Hub.Actors.History", "Hub.Actors.Settings")], Offender(nameof(KnowsAnotherRoom))),
    };

    public static TheoryData<string> RuleNames => [.. Rules.Keys];

    [Theory]
    [MemberData(nameof(RuleNames))]
    public void No_arrow_points_the_wrong_way(string name)
    {
        var rule = Rules[name];
        rule.Subjects.GetTypes().ShouldNotBeEmpty();
        (rule.Check(rule.Subjects).FailingTypeNames ?? []).ShouldBeEmpty();
    }

    [Theory]
    [MemberData(nameof(RuleNames))]
    public void Each_rule_can_fail(string name)
    {
        var rule = Rules[name];
        rule.Offender.GetTypes().ShouldHaveSingleItem();
        rule.Check(rule.Offender).IsSuccessful.ShouldBeFalse();
    }

    [Theory]
    [InlineData("Hub.Protocol", "Hub.")]
    [InlineData("Hub.Node", "Akka")]
    [InlineData("Hub.Actors", "Grpc.AspNetCore")]
    [InlineData("Hub.Actors", "Microsoft.AspNetCore")]
    public void No_assembly_references_what_it_must_not_know(string assembly, string forbidden)
    {
        var references = Assembly.Load(assembly).GetReferencedAssemblies().Select(r => r.Name!).ToList();
        references.ShouldNotBeEmpty();
        references.ShouldNotContain(r => r.StartsWith(forbidden, StringComparison.Ordinal));
    }

    [Fact]
    public void No_project_links_what_it_must_not_know()
    {
        var files = ProjectReferences.Files();
        files.Keys.ShouldBe(ProjectReferences.Known, ignoreOrder: true, "a project without a rule");
        foreach (var (project, file) in files)
            ProjectReferences.Wrong(project, XDocument.Load(file)).ShouldBeEmpty(project);
    }

    [Theory]
    [InlineData("Hub.Cli", "Hub.Actors")]
    [InlineData("Hub.Cli", "Hub.Host")]
    [InlineData("Hub.Host", "Hub.Cli")]
    [InlineData("Hub.Host", "Hub.Node")]
    [InlineData("Hub.Node", "Hub.Actors")]
    [InlineData("Hub.Node", "Hub.Host")]
    [InlineData("Hub.Protocol", "Hub.Node")]
    public void A_wrong_link_is_seen(string project, string forbidden)
    {
        var file = XDocument.Load(ProjectReferences.Files()[project]);
        file.Root!.Add(new XElement("ItemGroup", new XElement("ProjectReference", new XAttribute("Include", $"../{forbidden}/{forbidden}.csproj"))));
        ProjectReferences.Wrong(project, file).ShouldBe([forbidden]);
    }

    private static PredicateList Offender(string name) =>
        Types.InAssembly(Tests).That().ResideInNamespace("Hub.Actors.Tests.Architecture.Offenders").And().HaveName(name);

    /// <summary>Every namespace below Hub.Actors but these.</summary>
    private static IEnumerable<string> Rooms(params string[] allowed) => Actors.GetTypes()
        .Select(t => t.Namespace)
        .OfType<string>()
        .Where(n => n.StartsWith("Hub.Actors.", StringComparison.Ordinal))
        .Select(n => string.Join('.', n.Split('.').Take(3)))
        .Distinct()
        .Except(allowed)
        .Order(StringComparer.Ordinal);

    private sealed record Rule(PredicateList Subjects, string[] Forbidden, PredicateList Offender)
    {
        public TestResult Check(PredicateList types) => types.ShouldNot().HaveDependencyOnAny(Forbidden).GetResult();
    }
}
