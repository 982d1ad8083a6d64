namespace Hub.Load.Scenarios;

/// <summary>Sizes and times of a run.</summary>
public sealed record BenchmarkOptions
{
    /// <summary>Nodes of the closed loop and of the paced load.</summary>
    public int Nodes { get; init; } = 1000;
    /// <summary>Nodes that only are there.</summary>
    public int IdleNodes { get; init; } = 10_000;
    /// <summary>Connections that the loaded nodes share; 0 for one each.</summary>
    public int Connections { get; init; } = 16;
    /// <summary>Chunks a second of each paced node.</summary>
    public double Rate { get; init; } = 10;
    /// <summary>Nodes whose terminal is followed during the paced load.</summary>
    public int Watchers { get; init; } = 5;
    /// <summary>Time before each measurement.</summary>
    public TimeSpan WarmUp { get; init; } = TimeSpan.FromSeconds(5);
    /// <summary>Time of each measurement.</summary>
    public TimeSpan Duration { get; init; } = TimeSpan.FromSeconds(15);
    /// <summary>Chunk sizes of the closed loop, bytes.</summary>
    public IReadOnlyList<int> ChunkSizes { get; init; } = [200, 4096];
    /// <summary>Where data is kept while a scenario runs; on the disk that is to be measured.</summary>
    public string DataRoot { get; init; } = Path.GetTempPath();
    /// <summary>The hub's assembly; null for the one of this repository.</summary>
    public string? HubAssembly { get; init; }
    /// <summary>More settings of the hub, by environment name.</summary>
    public IReadOnlyDictionary<string, string?> HubEnvironment { get; init; } = new Dictionary<string, string?>();
    /// <summary>Seed of the order and the moments of faults.</summary>
    public int Seed { get; init; } = 1;
    /// <summary>Faults to make at least; the scenario's own number if null.</summary>
    public int? Faults { get; init; }
    /// <summary>Faults are made for at least this long.</summary>
    public TimeSpan FaultTime { get; init; }
    /// <summary>Faults and the pauses between them are short.</summary>
    public bool Brief { get; init; }
    /// <summary>Data and logs are left where they are.</summary>
    public bool KeepData { get; init; }
}
