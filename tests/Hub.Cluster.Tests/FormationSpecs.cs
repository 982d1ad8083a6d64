using Hub.Load.Processes;
using Hub.SystemTests.Harness;
using Xunit.Abstractions;

namespace Hub.ClusterTests;

/// <summary>On one store there is one cluster, however its members are started.</summary>
public sealed class FormationSpecs(ITestOutputHelper output)
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);
    private const int Stop = 19;
    private const int Continue = 18;

    [SkippableFact]
    public async Task Two_first_seeds_of_differing_lists_form_one_cluster()
    {
        Prerequisite.RequirePrograms("openssl");
        await using var server = await PostgresServer.StartNewAsync();
        await using var workspace = new Workspace(output);
        var certificates = await TestCluster.MakeCertificatesAsync(workspace, 2);
        // Each is the first of its own list, and the other is not in it at all.
        var members = new[] { NewMember(workspace, server, certificates, 1), NewMember(workspace, server, certificates, 2) };
        foreach (var member in members)
            member.Start();
        foreach (var member in members)
            await member.WaitForReadyAsync(Patience);
        (await server.QueryAsync("SELECT count(*), count(DISTINCT cluster), min(cluster) > 0 FROM akkahub_member")).ShouldBe("2|1|t");
        members.Sum(m => File.ReadAllLines(m.LogFile).Count(l => l.Contains("Forms a new cluster", StringComparison.Ordinal))).ShouldBe(1);
        foreach (var member in members)
            await member.KillAsync();
    }

    /// <summary>The other one stands still: it has its session in the store, and answers nobody.</summary>
    [SlowFact]
    public async Task Who_is_not_let_into_the_cluster_that_lives_forms_none_and_joins_when_it_can()
    {
        Prerequisite.RequirePrograms("openssl");
        await using var server = await PostgresServer.StartNewAsync();
        await using var workspace = new Workspace(output);
        var certificates = await TestCluster.MakeCertificatesAsync(workspace, 2);
        var first = NewMember(workspace, server, certificates, 1);
        await first.StartAndWaitAsync(Patience);
        first.Child.Send(Stop);
        var second = NewMember(workspace, server, certificates, 2);
        second.Start();
        using (var late = new CancellationTokenSource(Patience))
        {
            while (!File.Exists(second.LogFile) || !(await File.ReadAllTextAsync(second.LogFile, late.Token)).Contains("Not in a cluster yet: a cluster lives on the store", StringComparison.Ordinal))
                await Task.Delay(TimeSpan.FromMilliseconds(100), late.Token);
        }

        (await second.IsReadyAsync()).ShouldBeFalse();
        (await server.QueryAsync("SELECT count(*) FILTER (WHERE cluster > 0), count(*) FROM akkahub_member")).ShouldBe("1|2");
        first.Child.Send(Continue);
        await second.WaitForReadyAsync(Patience);
        (await server.QueryAsync("SELECT count(*), count(DISTINCT cluster), min(cluster) > 0 FROM akkahub_member")).ShouldBe("2|1|t");
        await first.KillAsync();
        await second.KillAsync();
    }

    [SlowFact]
    public async Task After_all_have_died_one_comes_back_alone_and_fences_them()
    {
        await using var workspace = new Workspace(output);
        await using var cluster = await TestCluster.StartAsync(workspace, 3);
        await Task.WhenAll(cluster.Members.Select(m => m.KillAsync()));
        var dead = await cluster.QueryAsync("SELECT string_agg(uid::text, ',' ORDER BY uid) FROM akkahub_member");
        // Not the first of the list: that one may be gone for good.
        await cluster.Members[1].StartAndWaitAsync(Patience);
        dead.Split(',').Length.ShouldBe(3);
        (await cluster.QueryAsync($"SELECT count(*) FROM akkahub_member WHERE uid IN ({dead})")).ShouldBe("0");
        (await cluster.QueryAsync("SELECT count(*) FROM akkahub_member")).ShouldBe("1");
    }

    private static HubProcess NewMember(Workspace workspace, PostgresServer server, string certificates, int number)
    {
        var environment = new Dictionary<string, string?>();
        var hub = workspace.NewHub(environment, name: $"member{number}");
        environment["AKKAHUB_STORE"] = "postgresql";
        environment["AKKAHUB_CONNECTION_STRING"] = server.ConnectionString();
        environment["AKKAHUB_SEEDS"] = $"127.0.0.1:{hub.RemotePort},127.0.0.1:{Ports.Free()}";
        environment["AKKAHUB_REMOTE_CERTIFICATE"] = Path.Combine(certificates, $"member{number}.pem");
        environment["AKKAHUB_REMOTE_KEY"] = Path.Combine(certificates, $"member{number}.key");
        environment["AKKAHUB_REMOTE_CA"] = Path.Combine(certificates, "ca.pem");
        return hub;
    }
}
