using System.Security.Cryptography;
using Hub.Load.Nodes;
using Hub.Load.Processes;
using Hub.SystemTests.Harness;
using Microsoft.Data.Sqlite;
using Xunit.Abstractions;

namespace Hub.SystemTests.Lifecycle;

/// <summary>A hub that cannot have its store says so, ends, and leaves everything as it was.</summary>
public sealed class StoreRefusedSpecs(ITestOutputHelper output)
{
    private const int AlreadyRunning = 3;
    private const int StoreRefused = 4;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    [SkippableFact]
    public async Task A_second_hub_on_the_same_directory_is_refused_and_the_first_goes_on()
    {
        await using var workspace = new Workspace(output);
        var first = workspace.NewHub();
        await first.StartAndWaitAsync();
        var second = workspace.NewHub();
        second.DataDirectory.ShouldBe(first.DataDirectory);
        second.Start();
        (await second.Child.WaitForExitAsync(Patience)).ShouldBe(AlreadyRunning);
        var said = string.Join('\n', second.Child.Tail);
        output.WriteLine(said);
        said.ShouldContain(first.DataDirectory);
        (await first.IsReadyAsync()).ShouldBeTrue();
        LocalHubOf(first).ShouldBe(first.Child.Id, "the first hub's address is still the one that is found");
    }

    [SkippableFact]
    public async Task A_store_that_is_corrupt_or_of_a_newer_schema_is_refused_untouched()
    {
        await using var workspace = new Workspace(output);
        var hub = await StoppedHubAsync(workspace);
        var store = Path.Combine(hub.DataDirectory, "hub.db");
        var schema = await SetSchemaAsync(store, 9999);
        await ExpectRefusalAsync(hub, "newer");

        await SetSchemaAsync(store, schema);
        await using (var file = new FileStream(store, FileMode.Open, FileAccess.Write))
        {
            // From the second page on: the header, which every reader sees, stays right.
            file.Seek(4096, SeekOrigin.Begin);
            await file.WriteAsync(RandomNumberGenerator.GetBytes((int)Math.Min(file.Length - 4096, 64 * 1024)));
        }

        await ExpectRefusalAsync(hub, "corrupt");
    }

    [SkippableFact]
    public async Task A_data_directory_that_cannot_be_one_is_refused()
    {
        await using var workspace = new Workspace(output);
        var hub = workspace.NewHub();
        await File.WriteAllTextAsync(hub.DataDirectory, "a file stands where the directory should be");
        hub.Start();
        (await hub.Child.WaitForExitAsync(Patience)).ShouldBe(StoreRefused);
        string.Join('\n', hub.Child.Tail).ShouldContain(hub.DataDirectory);
        (await File.ReadAllTextAsync(hub.DataDirectory)).ShouldStartWith("a file");
    }

    // A store with something in it, and a hub that stopped in order.
    private static async Task<HubProcess> StoppedHubAsync(Workspace workspace)
    {
        var hub = workspace.NewHub();
        await hub.StartAndWaitAsync();
        await using (var fleet = new NodeFleet(new FleetOptions { Hub = hub.Grpc, Token = hub.Token, Nodes = 20, Load = NodeLoad.ClosedLoop, ChunkBytes = 4096 }))
        {
            fleet.Start();
            await fleet.WaitForOnlineAsync(20, TimeSpan.FromSeconds(30));
            using var poll = new PeriodicTimer(TimeSpan.FromMilliseconds(20));
            while (fleet.Meters.Chunks < 200)
                await poll.WaitForNextTickAsync();
        }

        (await hub.TerminateAsync(TimeSpan.FromSeconds(40))).ShouldBe(0);
        return hub;
    }

    // Gives the version there was. Everything is in the database itself afterwards, nothing in its log.
    private static async Task<long> SetSchemaAsync(string store, long version)
    {
        await using var connection = new SqliteConnection(new SqliteConnectionStringBuilder { DataSource = store, Pooling = false }.ToString());
        await connection.OpenAsync();
        await using var command = connection.CreateCommand();
        command.CommandText = "PRAGMA user_version";
        var before = (long)(await command.ExecuteScalarAsync())!;
        command.CommandText = $"PRAGMA user_version={version}; PRAGMA wal_checkpoint(TRUNCATE);";
        await command.ExecuteNonQueryAsync();
        return before;
    }

    private async Task ExpectRefusalAsync(HubProcess hub, string word)
    {
        var before = Hashes(hub);
        hub.Start();
        (await hub.Child.WaitForExitAsync(Patience)).ShouldBe(StoreRefused);
        var said = string.Join('\n', hub.Child.Tail.TakeLast(5));
        output.WriteLine(said);
        said.ShouldContain(word);
        said.ShouldContain("hub.db");
        Hashes(hub).ShouldBe(before, "not a byte was touched");
    }

    private static Dictionary<string, string> Hashes(HubProcess hub) =>
        Directory.EnumerateFiles(hub.DataDirectory, "hub.db*").Where(f => !f.EndsWith("-shm", StringComparison.Ordinal))
            .Where(f => new FileInfo(f).Length > 0)
            .ToDictionary(f => Path.GetFileName(f), f => Convert.ToHexString(SHA256.HashData(File.ReadAllBytes(f))));

    private static int? LocalHubOf(HubProcess hub) => Protocol.LocalHub.TryRead(hub.DataDirectory)?.Pid;
}
