namespace Hub.Load.Chaos;

/// <summary>What is done to a member, or to the store.</summary>
public enum FaultKind
{
    /// <summary>SIGKILL.</summary>
    Kill,
    /// <summary>SIGSTOP, and SIGCONT after a time.</summary>
    Pause,
    /// <summary>SIGTERM: it stops in order.</summary>
    Stop,
    /// <summary>Nothing gets from it to other members nor from them to it.</summary>
    Cut,
    /// <summary>Nothing gets from it to other members.</summary>
    OneWayCut,
    /// <summary>PostgreSQL is stopped as by a crash and started again after a time.</summary>
    StoreOutage,
}

/// <summary>Which member it is done to.</summary>
public enum FaultTarget
{
    /// <summary>The oldest: it has what there is one of.</summary>
    Oldest,
    /// <summary>The one that started last.</summary>
    Youngest,
    /// <summary>The one that holds most partitions.</summary>
    MostPartitions,
}

/// <summary>One fault.</summary>
/// <param name="Kind">What is done.</param>
/// <param name="Target">To whom; without meaning for an outage of the store.</param>
/// <param name="Length">For how long; zero for what has no length.</param>
public sealed record Fault(FaultKind Kind, FaultTarget Target, TimeSpan Length)
{
    /// <summary>For people.</summary>
    public override string ToString() =>
        (Kind == FaultKind.StoreOutage ? Kind.ToString() : $"{Kind} of the {Target}") + (Length > TimeSpan.Zero ? $" for {Length.TotalSeconds:F1} s" : "");
}

/// <summary>
/// An endless row of faults that follows from its seed. Every kind comes once before any comes again, and each in turn so short that nobody
/// is missed and so long that a member is taken for dead.
/// </summary>
/// <param name="seed">The seed.</param>
/// <param name="brief">Long ones last 10 to 12 s instead of 12 to 30, and the store is away 3 to 5 s instead of 5 to 30.</param>
public sealed class FaultPlan(int seed, bool brief)
{
    private readonly Random _random = new(seed);

    /// <summary>The faults.</summary>
    public IEnumerable<Fault> Faults()
    {
        var kinds = Enum.GetValues<FaultKind>();
        var targets = Enum.GetValues<FaultTarget>();
        for (var round = 0; ; round++)
        {
            _random.Shuffle(kinds);
            foreach (var kind in kinds)
                yield return new Fault(kind, targets[((int)kind + round) % targets.Length], LengthOf(kind, isLong: ((int)kind + round) % 2 == 0));
        }
    }

    private TimeSpan LengthOf(FaultKind kind, bool isLong) => kind switch
    {
        FaultKind.Kill or FaultKind.Stop => TimeSpan.Zero,
        FaultKind.StoreOutage => brief ? Between(3, 5) : Between(5, 30),
        _ when !isLong => Between(2, 4),
        _ => brief ? Between(10, 12) : Between(12, 30),
    };

    private TimeSpan Between(double least, double most) => TimeSpan.FromSeconds(least + _random.NextDouble() * (most - least));
}
